import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, posix } from 'node:path';
import t from 'tap';
import { root } from '../root.js';
import { freePort } from '../stack/port.js';
import { execForm, last, type Stage, type Step, stages } from './dockerfile.js';
import { filesOf } from './files.js';

// No container engine is needed: the Dockerfile's own instructions are carried out in an empty folder, a folder for each
// stage's file system, as a user who is not root. What a base image brings along is taken from this machine.

const [build, image] = stages() as [Stage, Stage];
const asRoot = process.getuid?.() === 0;
const user = Number(last(image, 'USER')?.text.split(':')[0]);
const identity = asRoot ? { uid: user, gid: user } : {};
const folder = mkdtempSync(join(tmpdir(), 'scopegate-image-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** What the build stage's base image has and this machine has elsewhere. */
const fromBase: Readonly<Record<string, string>> = { '/usr/local/bin/node': process.execPath };

t.test('the instructions of the Dockerfile run for an ordinary user', { timeout: 1_200_000 }, async (t) => {
  mkdirSync(join(folder, 'home'));
  for (const stage of [build, image]) mkdirSync(fileSystem(stage));
  own(folder);
  for (const stage of [build, image]) {
    let workdir = '/';
    for (const step of stage.steps) {
      if (step.keyword === 'WORKDIR') {
        workdir = posix.resolve(workdir, step.text);
        mkdirSync(join(fileSystem(stage), workdir), { recursive: true });
        own(join(fileSystem(stage), workdir));
      }
      if (step.keyword === 'COPY') copy(stage, workdir, step);
      if (step.keyword === 'RUN') {
        t.comment(`line ${step.line}: RUN ${step.text}`);
        const { code, output } = await run('/bin/sh', ['-c', step.text], join(fileSystem(stage), workdir));
        t.equal(code, 0, `line ${step.line}: ${step.text}`, { output: output.slice(-2000) });
        if (code !== 0) throw new Error('the image cannot be built');
      }
    }
  }
});

t.test('the image holds Node, the program and the list of its parts, and no other package', (t) => {
  const app = join(fileSystem(image), 'app');
  t.same(readdirSync(app).sort(), ['dist', 'package.json']);
  t.ok(existsSync(join(app, 'dist/sbom.cdx.json')));
  const sizeOf = (folder: string) => filesOf(folder).reduce((sum, path) => sum + statSync(path).size, 0);
  t.ok(sizeOf(app) < 12_000_000, `${sizeOf(app)} bytes of program`);
  const rest = sizeOf(fileSystem(image)) - sizeOf(app) - statSync(process.execPath).size;
  t.ok(rest < 1_000, `${rest} bytes beside it and Node`);
  t.end();
});

t.test('the entry point starts where nothing but the image is', async (t) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const [program = '', ...parameters] = execForm(last(image, 'ENTRYPOINT')) ?? [];
  t.equal(program, 'node');
  const { code, output } = await run(
    process.execPath,
    [...parameters, '--version'],
    join(fileSystem(image), 'app'),
  );
  t.equal(code, 0, output);
  t.match(output, version);
});

t.test('it also starts with nothing else on the file system but the base image’s libraries', async (t) => {
  if (!asRoot) {
    t.pass('chroot', { skip: 'only root can change the root folder' });
    return;
  }
  const rootfs = fileSystem(image);
  for (const library of libraries()) {
    mkdirSync(join(rootfs, dirname(library)), { recursive: true });
    cpSync(library, join(rootfs, library), { dereference: true });
  }
  const path = `/usr/local/bin/node`;
  const entry = posix.join('/app', execForm(last(image, 'ENTRYPOINT'))?.[1] ?? '');
  const started = spawnSync(
    ...bare('/usr/sbin/chroot', [`--userspec=${user}:${user}`, rootfs, path, entry, '--version']),
    {
      encoding: 'utf8',
      env: {},
    },
  );
  t.equal(started.status, 0, started.stderr);
});

t.test('it serves, its health check passes, and SIGTERM ends it with 0', { timeout: 60_000 }, async (t) => {
  const app = join(fileSystem(image), 'app');
  const [, ...entry] = execForm(last(image, 'ENTRYPOINT')) ?? [];
  const [, ...check] = execForm(last(image, 'HEALTHCHECK')) ?? [];
  const settings = join(folder, 'settings');
  cpSync(join(root, 'config'), settings, { recursive: true });
  own(settings);
  const env = {
    SCOPEGATE_LISTEN_ADMIN_PORT: String(await freePort()),
    SCOPEGATE_LISTEN_ADMIN_HOST: '127.0.0.1',
    SCOPEGATE_LISTEN_PROXY_PORT: '0',
    SCOPEGATE_LISTEN_PROXY_HOST: '127.0.0.1',
  };
  const gateway = spawn(
    ...bare(process.execPath, [...entry, 'serve', '--config', join(settings, 'compose.yaml')]),
    {
      cwd: app,
      env: { ...environment(), ...env },
      ...identity,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const ended = once(gateway, 'exit') as Promise<[number | null, string | null]>;
  let output = '';
  gateway.stdout.on('data', (chunk) => (output += String(chunk)));
  gateway.stderr.on('data', (chunk) => (output += String(chunk)));
  t.teardown(() => gateway.kill('SIGKILL'));

  let healthy = 1;
  for (let attempt = 0; attempt < 40 && healthy !== 0 && gateway.exitCode === null; attempt++) {
    healthy = (await run(process.execPath, check, app, env)).code ?? 1;
  }
  t.equal(healthy, 0, 'healthy', { output });
  gateway.kill('SIGTERM');
  t.same(await ended, [0, null], 'a clean end', { output });
});

function fileSystem(stage: Stage): string {
  return join(folder, stage.name ?? 'image');
}

/** COPY as the builder does it: several sources or a trailing slash make the target a folder; a folder's content is copied. */
function copy(stage: Stage, workdir: string, step: Step): void {
  const sources = step.words.slice(0, -1);
  const target = step.words.at(-1) ?? '';
  const destination = join(fileSystem(stage), posix.resolve(workdir, target));
  for (const source of sources) {
    const from =
      step.flags.from === undefined
        ? join(root, source)
        : (fromBase[source] ?? join(fileSystem(build), source));
    const into = !statSync(from).isDirectory() && (sources.length > 1 || target.endsWith('/'));
    cpSync(from, into ? join(destination, basename(source)) : destination, {
      recursive: true,
      verbatimSymlinks: true,
    });
  }
  // In the image all of it is root's; here an ordinary user must be able to go on in the build stage.
  if (stage === build) own(destination);
}

function own(path: string): void {
  if (!asRoot) return;
  chownSync(path, user, user);
  if (!statSync(path).isDirectory()) return;
  for (const entry of readdirSync(path, { withFileTypes: true, recursive: true })) {
    if (!entry.isSymbolicLink()) chownSync(join(entry.parentPath, entry.name), user, user);
  }
}

/** The caller's PATH and npm settings, a home of its own, and none of the caller's other variables. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(PATH|npm_config_registry|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i.test(name),
  );
  return { ...Object.fromEntries(kept), HOME: join(folder, 'home'), CI: 'true' };
}

/** A command without the hooks that the test runner puts into every Node process it starts. */
function bare(program: string, parameters: readonly string[]): [string, string[]] {
  return ['/usr/bin/env', ['--unset=NODE_OPTIONS', program, ...parameters]];
}

async function run(program: string, parameters: string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
  const child = spawn(...bare(program, parameters), {
    cwd,
    env: { ...environment(), ...env },
    ...identity,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  child.stderr.on('data', (chunk) => (output += String(chunk)));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

/** The shared libraries Node needs, and the loader: what distroless' cc image brings. */
function libraries(): string[] {
  const { stdout } = spawnSync('ldd', [process.execPath], { encoding: 'utf8' });
  const found = [...stdout.matchAll(/(\/\S+\.so\S*)/g)].map(([, path]) => path ?? '');
  const allowed = /\/(ld-linux[\w.-]*|lib(c|m|dl|pthread|rt|stdc\+\+|gcc_s|ssl|crypto|gomp))\.so[\d.]*$/;
  const missing = found.filter((path) => !allowed.test(path));
  if (missing.length > 0) throw new Error(`the base image does not have ${missing.join(', ')}`);
  return found;
}

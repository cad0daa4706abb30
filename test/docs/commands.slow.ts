import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { parseAllDocuments } from 'yaml';
import { available } from '../require.js';
import { root } from '../root.js';
import { freePort } from '../stack/port.js';
import { type Stack, startStack } from '../stack/stack.js';
import { type Block, type Page, pages } from './page.js';
import { printsAs, Terminal, walk } from './terminal.js';

// Every shell command that the documentation shows is executed here, in a folder that holds config/ and the files that
// the page shows (a `yaml` block whose info string is a path). Markers of `sh` blocks:
//   (none)            must exit with 0, and print what a `text` block right below it shows
//   tutorial STATUS   with the tutorial's variables; must answer with this status
//   clients           with the address of the authorization server's admin port
//   serve             must start, and end with 0 at SIGTERM
//   setup             npm commands that .ci/run and other tests run: here they must exist
//   folder            one after the other in one shell, below, with what they print
//   compose, sidecar  the same on a container engine: test/image/containers.slow.ts
//   tarball           the same where the package is installed: test/image/package.slow.ts
//   no-run REASON     needs what this test has not: a container engine, a cluster, systemd

const MARKERS = /^(|tutorial \d{3}|clients|serve|setup|folder|compose|sidecar|tarball|no-run \S.*)$/;
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>;
};

t.test('the commands shown are executed', async (t) => {
  const stack = await startStack();
  t.teardown(() => stack.close());
  for (const page of pages()) {
    const shown = page.blocks.filter(({ language }) => ['sh', 'shell', 'bash', 'console'].includes(language));
    if (shown.length === 0) continue;
    await t.test(page.path, async (t) => {
      const place = prepare(t, page, stack);
      for (const block of shown) {
        const where = `${page.path}:${block.line}`;
        t.equal(block.language, 'sh', `${where}: shell blocks are marked sh`);
        if (!t.match(block.info, MARKERS, `${where}: a known marker`)) continue;
        await execute(t, block, where, place, shownBelow(page, block));
      }
    });
  }
});

t.test('docs/folder.md is right, from the first command to the last', async (t) => {
  if (!available(t, 'curl')) return;
  const folder = t.testdir({ bin: {} });
  // On ports that are free here, in the commands as in the files.
  const ports = new Map<string, number>();
  for (const port of ['4444', '4445', '4455', '4456', '8000']) ports.set(port, await freePort());
  const moved = (text: string) =>
    text.replace(/\b(4444|4445|4455|4456|8000)\b/g, (port) => `${ports.get(port)}`);
  cpSync(join(root, 'config'), join(folder, 'config'), { recursive: true });
  for (const name of readdirSync(join(folder, 'config/rules')))
    rewrite(join(folder, 'config/rules', name), moved);
  rewrite(join(folder, 'config/folder.yaml'), moved);
  program(join(folder, 'bin/scopegate'), 'build/src/cli.js');
  // `npm run hydra serve all --dev` starts this in a checkout.
  program(join(folder, 'bin/hydra'), 'build/test/stack/hydra/main.js');
  const terminal = new Terminal(folder, {
    PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter),
    SERVE_PUBLIC_HOST: '127.0.0.1',
    SERVE_ADMIN_HOST: '127.0.0.1',
    SERVE_PUBLIC_PORT: `${ports.get('4444')}`,
    SERVE_ADMIN_PORT: `${ports.get('4445')}`,
  });
  t.teardown(() => terminal.close());
  const page = pages().find(({ path }) => path === 'docs/folder.md') as Page;
  t.ok(
    (await walk(t, page, 'folder', terminal, (text) => moved(text).replace('npm run hydra', 'hydra'))) > 8,
  );
});

t.test('the YAML and JSON shown parses', (t) => {
  for (const { path, blocks } of pages()) {
    for (const { language, text, line } of blocks) {
      if (language === 'json') t.doesNotThrow(() => JSON.parse(text) as unknown, `${path}:${line}`);
      if (language !== 'yaml') continue;
      const errors = parseAllDocuments(text).flatMap((document) =>
        'errors' in document ? document.errors : [],
      );
      t.same(errors, [], `${path}:${line}`);
    }
  }
  t.end();
});

/** What a page says that a block of commands prints: the text right below it. */
function shownBelow({ blocks }: Page, { line, text }: Block): string | undefined {
  const begins = line + text.split('\n').length + 3;
  return blocks.find((block) => block.language === 'text' && block.line === begins)?.text;
}

/** Where commands are executed. */
interface Place {
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
}

async function execute(
  t: Test,
  { info, text }: Block,
  where: string,
  place: Place,
  shown: string | undefined,
): Promise<void> {
  const [marker = '', status] = info.split(' ');
  switch (marker) {
    case 'no-run':
      t.ok(
        /docker|helm|kubectl|kustomize|systemctl|npm install|app\.mjs|nginx|kill %/.test(text),
        `${where}: only what needs an engine, a cluster, systemd, a registry, nginx or a shell with jobs is not run`,
      );
      for (const [path] of text.matchAll(/\bconfig\/[\w./-]+/g))
        t.ok(existsSync(join(root, path)), `${where}: ${path}`);
      return;
    case 'setup':
      for (const command of text.split('\n')) {
        const [, verb = '', script = '', file] =
          /^npm (ci|link|pack|start|test|run) ?(?:-s )?([^\s-]\S*)?(?: ?-- (?:(?:--\w+ ?)+|(\S+)))?$/.exec(
            command,
          ) ?? [];
        // A script, or one file of tests, with variables before it.
        const shell = /^(?:bash|(?:[A-Z_]+=\S+ )*node) (\S+)$/.exec(command)?.[1];
        t.ok(
          ['ci', 'link', 'pack'].includes(verb) ||
            command === 'npx scopegate --version' ||
            (verb === 'run' ? script : verb) in scripts ||
            (shell !== undefined && existsSync(join(root, shell))),
          `${where}: ${command}`,
        );
        if (file !== undefined) t.ok(existsSync(join(root, file)), `${where}: ${file}`);
      }
      return;
    case 'folder':
    case 'compose':
    case 'sidecar':
    case 'tarball':
      return;
    case 'serve':
      await serve(t, text, where, place);
      return;
    case 'tutorial': {
      if (!available(t, 'curl')) return;
      const { code, output } = await shell(text, place);
      t.equal(code, 0, `${where}: ${text}`, { output });
      t.match(output, new RegExp(`^HTTP/[\\d.]+ ${status}\\b`, 'm'), `${where}: ${status}`);
      return;
    }
    default: {
      const { code, output } = await shell(text, place);
      t.equal(code, 0, `${where}: ${text}`, { output });
      if (shown !== undefined)
        t.ok(printsAs(shown, output.trim()), `${where} prints what the page shows`, { shown, output });
    }
  }
}

/** Starts a gateway on free ports, waits until it listens, and ends it. */
async function serve(t: Test, command: string, where: string, place: Place): Promise<void> {
  const child = start(`exec ${command}`, place, {
    SCOPEGATE_LISTEN_PROXY_PORT: '0',
    SCOPEGATE_LISTEN_PROXY_HOST: '127.0.0.1',
    SCOPEGATE_LISTEN_ADMIN_PORT: '0',
  });
  t.teardown(() => child.kill('SIGKILL'));
  const exit = once(child, 'close') as Promise<[number | null, string | null]>;
  let output = '';
  const listening = new Promise<boolean>((resolve) => {
    const take = (chunk: unknown) => {
      output += String(chunk);
      if (output.includes('"listening"')) resolve(true);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    void exit.then(() => resolve(false));
  });
  t.ok(await listening, `${where}: it listens`, { output });
  child.kill('SIGTERM');
  t.same(await exit, [0, null], `${where}: it ends`, { output });
}

/** A folder with config/, the page's own files and a `scopegate` on the PATH, and the stack's values as variables. */
function prepare(t: Test, page: Page, { urls, tokens, credentials, authorizationServer }: Stack): Place {
  const folder = t.testdir({ bin: {} });
  cpSync(join(root, 'config'), join(folder, 'config'), { recursive: true });
  for (const { language, info, text } of page.blocks) {
    if (language !== 'yaml' || info === '') continue;
    const path = join(folder, info);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${text}\n`);
  }
  program(join(folder, 'bin/scopegate'), 'build/src/cli.js');
  const environment = {
    PATH: [join(folder, 'bin'), process.env.PATH].join(delimiter),
    HOME: folder,
    HTTPBIN: urls.httpbin,
    FUNCTION: urls.function,
    OAUTH2: urls.oauth2,
    ADMIN: urls.admin,
    ACCESS_TOKEN_READ: tokens.read,
    ACCESS_TOKEN_WRITE: tokens.write,
    ENCODED_CREDENTIALS: Buffer.from(`${credentials.id}:${credentials.secret}`).toString('base64'),
    HYDRA_ADMIN: authorizationServer.adminUrl,
  };
  return { folder, environment };
}

/** Makes a program of a script of this checkout. */
function program(path: string, script: string): void {
  writeFileSync(path, `#!/bin/sh\nexec '${process.execPath}' '${join(root, script)}' "$@"\n`, {
    mode: 0o755,
  });
}

function rewrite(path: string, edit: (text: string) => string): void {
  writeFileSync(path, edit(readFileSync(path, 'utf8')));
}

async function shell(command: string, place: Place): Promise<{ code: number | null; output: string }> {
  const child = start(`set -e\nexec 2>&1\n${command}`, place);
  let output = '';
  const take = (chunk: unknown) => {
    output += String(chunk);
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

function start(
  command: string,
  { folder, environment }: Place,
  more: Record<string, string> = {},
): ChildProcess {
  return spawn('sh', ['-c', command], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, ...more },
  });
}

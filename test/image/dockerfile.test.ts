import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { execForm, last, passesIgnore, type Stage, stages } from './dockerfile.js';

const [build, image] = stages() as [Stage, Stage];

t.test('the image is built in two stages, and only the first knows the sources', (t) => {
  t.equal(stages().length, 2);
  t.match(build.base, /^node:\d+-/);
  for (const step of image.steps.filter(({ keyword }) => keyword === 'COPY')) {
    t.equal(step.flags.from, build.name, `line ${step.line} copies from the build stage`);
  }
  t.equal(last(image, 'RUN'), undefined, 'nothing runs in the image: its base has no shell');
  t.equal(last(build, 'ADD') ?? last(image, 'ADD'), undefined, 'nothing is fetched by address');
  t.end();
});

t.test('what the build takes from the checkout passes .dockerignore, and nothing else does', (t) => {
  const taken = build.steps
    .filter(({ keyword, flags }) => keyword === 'COPY' && flags.from === undefined)
    .flatMap(({ words }) => words.slice(0, -1));
  for (const path of taken) t.ok(passesIgnore(path), path);
  for (const path of ['.git', 'test', 'config', 'node_modules', '.env', 'credentials']) {
    t.notOk(passesIgnore(path), path);
  }
  t.end();
});

t.test('the build gets each file of .ci that it runs or imports', (t) => {
  const copied = build.steps
    .filter(({ keyword, flags }) => keyword === 'COPY' && flags.from === undefined)
    .map(({ text }) => text)
    .join(' ');
  const needed = new Set(['bundle.js']);
  // A set goes on to what is added to it on the way.
  for (const file of needed) {
    t.ok(copied.includes(`.ci/${file}`), file);
    const source = readFileSync(new URL(`../../../.ci/${file}`, import.meta.url), 'utf8');
    for (const [, name = ''] of source.matchAll(/from '\.\/([^']+)'/g)) needed.add(name);
  }
  t.ok(needed.size > 2, [...needed].join(', '));
  t.end();
});

t.test('no package runs a script while the image is built, and none is copied into it', (t) => {
  const installs = build.steps.filter(({ keyword, text }) => keyword === 'RUN' && /^npm (ci|i)\b/.test(text));
  t.ok(installs.length > 0 && installs.every(({ text }) => text.includes('--ignore-scripts')));
  for (const step of image.steps.filter(({ keyword }) => keyword === 'COPY'))
    t.notMatch(step.text, 'node_modules', `line ${step.line}`);
  t.end();
});

t.test('the process is not root, gets its own signals and has a fixed command', (t) => {
  const user = last(image, 'USER')?.text ?? '';
  t.match(user, /^[1-9]\d*:[1-9]\d*$/, 'a numeric user, so that runAsNonRoot can verify it');
  const owner = image.steps.filter(({ flags }) => flags.chown !== undefined);
  t.same(
    owner.map(({ words, flags }) => [words.at(-1), flags.chown]),
    [['/credentials', user]],
    'it owns the credentials folder and nothing else',
  );
  t.same(execForm(last(image, 'ENTRYPOINT')), ['node', 'dist/cli.js']);
  t.equal(execForm(last(image, 'CMD'))?.[0], 'serve');
  t.end();
});

t.test('the image says what it is', (t) => {
  const label = last(image, 'LABEL')?.text ?? '';
  for (const key of ['title', 'description', 'licenses', 'version', 'revision']) {
    t.match(label, new RegExp(`org\\.opencontainers\\.image\\.${key}=`));
  }
  t.end();
});

t.test('the health check tells a ready gateway from one that is not', async (t) => {
  const command = execForm(last(image, 'HEALTHCHECK')) ?? [];
  t.equal(command[0], 'node', 'the image has no other program');

  let status = 200;
  const asked: string[] = [];
  const admin = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(status).end();
  });
  admin.listen(0, '127.0.0.1');
  await once(admin, 'listening');
  const { port } = admin.address() as AddressInfo;

  const check = async (): Promise<number | null> => {
    const child = spawn(process.execPath, command.slice(1), {
      env: { ...process.env, SCOPEGATE_LISTEN_ADMIN_PORT: String(port) },
      stdio: 'inherit',
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  };
  t.equal(await check(), 0, 'ready');
  status = 503;
  t.equal(await check(), 1, 'not ready');
  admin.closeAllConnections();
  admin.close();
  await once(admin, 'close');
  t.equal(await check(), 1, 'nothing listens');
  t.same(asked, ['GET /health/ready', 'GET /health/ready']);
});

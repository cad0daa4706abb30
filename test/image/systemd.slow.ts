import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { apiRule, rule } from '../gateway.js';
import { available, nodeThatSharesPorts, unavailable } from '../require.js';
import { root } from '../root.js';
import { until } from '../until.js';
import { Engine } from './engine/podman.js';
import { Machine } from './engine/systemd.js';

// The units under a real systemd, with the commands and drop-ins that docs/scale.md shows.

const REPLICAS = [1, 2, 3, 4];
const TOKEN = 'a-token-of-this-test';

/** An authorization server and an upstream, which holds `/hold` until it is asked for `/release`. */
const BACKEND = `
const http = require('node:http');
const answer = { active: true, scope: 'read', client_id: 'c', exp: 4000000000 };
http.createServer((request, response) => {
  request.resume();
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(request.url.startsWith('/health') ? { status: 'ok' } : answer));
}).listen(4445, '127.0.0.1');
const held = [];
http.createServer((request, response) => {
  if (request.url === '/hold') held.push(response);
  else if (request.url === '/held') response.end(String(held.length));
  else {
    if (request.url === '/release') for (const waiting of held) waiting.end('held');
    response.end('served');
  }
}).listen(8000, '127.0.0.1');
`;

/** Asks on eight connections, some hundred times a second, until it gets SIGTERM, and prints how often it got what. */
const LOAD = `
const http = require('node:http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const headers = { host: 'gate.example', authorization: 'Bearer ${TOKEN}' };
const counts = {};
let going = true;
process.on('SIGTERM', () => { going = false; });
const ask = () => new Promise((resolve) => {
  http.get({ agent, host: '127.0.0.1', port: 4455, path: '/x', headers }, (response) => {
    response.resume().on('end', () => resolve(response.statusCode)).on('error', (error) => resolve(error.code));
  }).on('error', (error) => resolve(error.code));
});
const worker = async () => {
  while (going) {
    const got = await ask();
    counts[got] = (counts[got] ?? 0) + 1;
    // The machine's processors are for the replicas that start.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
Promise.all(Array.from({ length: 8 }, worker)).then(() => { console.log(JSON.stringify(counts)); process.exit(); });
`;

/** The blocks of a kind in the section about systemd. */
function blocks(kind: string): string[] {
  const page = readFileSync(join(root, 'docs/scale.md'), 'utf8');
  const section = /^## systemd$([\s\S]*?)^## /m.exec(page)?.[1] ?? '';
  return [...section.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)]
    .filter(([, info = '']) => info.split(' ')[0] === kind)
    .map(([, , text = '']) => text);
}

/** The documented drop-ins, without what is for TLS and for ports below 1024. */
function dropIn(): string {
  const lines = blocks('ini').join('\n').split('\n');
  return lines.filter((line) => !/tls|CAP_|PrivateUsers|PROXY_PORT/i.test(line)).join('\n');
}

const RULES = apiRule('gate.example', [rule('/.*', ['GET'], 'read')]);

const SETTINGS = `
listen:
  proxy: { host: 127.0.0.1, port: 4455 }
rules: [ ./rules ]
services: { default: "http://127.0.0.1:8000" }
matching: { overlap: specific }
introspection:
  url: http://127.0.0.1:4445/admin/oauth2/introspect
  cache: { shared: { url: "redis+unix:///run/valkey/valkey.sock", timeout: 5s } }
`;

const ASK = `curl --silent --output /dev/null --write-out '%{http_code} ' -H 'Host: gate.example' -H 'Authorization: Bearer ${TOKEN}'`;

async function main(): Promise<void> {
  for (const name of ['podman', 'systemd', 'redis', 'curl', 'reuseport'] as const)
    if (!available(t, name)) return;
  if (!existsSync('/usr/lib/systemd/systemd'))
    return unavailable(t, 'systemd', 'no /usr/lib/systemd/systemd');
  const engine = new Engine();
  t.teardown(() => engine.close());
  const machine = new Machine(engine, nodeThatSharesPorts() as string);
  machine.file('/root/backend.js', BACKEND);
  machine.file('/root/load.js', LOAD);
  machine.file('/etc/scopegate/scopegate.yaml', SETTINGS);
  machine.file('/etc/scopegate/rules/gate.yaml', RULES);
  machine.file('/etc/scopegate/shared.key', randomBytes(32).toString('hex'), 0o600);
  machine.file('/etc/systemd/system/scopegate@.service.d/site.conf', dropIn());
  machine.service('backend.service', ['ExecStart=/usr/local/bin/node /root/backend.js']);
  machine.service('valkey.service', [
    'ExecStart=/usr/bin/redis-server --port 0 --unixsocket /run/valkey/valkey.sock --unixsocketperm 770 --save ""',
    'User=valkey',
    'RuntimeDirectory=valkey',
  ]);
  try {
    await machine.boot();
  } catch (error) {
    return unavailable(t, 'podman', (error as Error).message.replaceAll('\n', ' '));
  }
  const [install = '', roll = ''] = blocks('sh');
  const states = async (): Promise<string[]> =>
    (
      await machine.run(`systemctl show ${REPLICAS.map((i) => `scopegate@${i}`).join(' ')} -P ActiveState`)
    ).split(/\s+/);
  const active = async () => (await states()).filter((state) => state === 'active').length;
  const ask = async (count: number) =>
    new Set((await machine.run(`for k in $(seq ${count}); do ${ASK} 127.0.0.1:4455/x; done`)).split(' '));
  const pids = async () =>
    (await machine.run(`systemctl show ${REPLICAS.map((i) => `scopegate@${i}`).join(' ')} -P MainPID`)).split(
      /\s+/,
    );

  await t.test('the documented commands start four replicas on one port, each without rights', async (t) => {
    await machine.run(install);
    t.equal(await active(), REPLICAS.length, 'start returns when they are ready');
    t.equal(await machine.run("grep -c ' 0100007F:1167 00000000:0000 0A ' /proc/net/tcp"), '4');
    t.same(await ask(40), new Set(['200']));
    for (const pid of await pids()) {
      const status = await machine.run(`cat /proc/${pid}/status`);
      t.match(status, /^Uid:\t[1-9]\d{4}/m, 'a user of its own');
      t.match(status, /^CapBnd:\t0+$/m);
      t.match(status, /^NoNewPrivs:\t1$/m);
      t.match(status, /^Seccomp:\t2$/m);
    }
    const metrics = await machine.run(
      `for i in ${REPLICAS.join(' ')}; do curl -s 127.0.0.1:446$i/metrics; done`,
    );
    const lookups = (result: string) =>
      [
        ...metrics.matchAll(
          new RegExp(`^scopegate_introspection_lookups_total\\{result="${result}"\\} (\\d+)$`, 'gm'),
        ),
      ]
        .map(([, count]) => Number(count))
        .reduce((sum, count) => sum + count, 0);
    t.equal(lookups('miss'), 1, 'they share answers over the socket, with the key that systemd hands in');
    t.ok(lookups('shared') > 0);
  });

  if (!t.passing()) return;
  await t.test('systemctl reload loads rules in the sandbox', async (t) => {
    await machine.run("sed -i '1i # changed' /etc/scopegate/rules/*; systemctl reload 'scopegate@*'");
    for (const i of REPLICAS) {
      const ready = await until(async () => {
        const text = await machine.run(`curl -s 127.0.0.1:446${i}/health/ready`);
        const { rules } = JSON.parse(text) as { rules: { version: number; lastReload: { ok: boolean } } };
        return (rules.version > 1 || !rules.lastReload.ok) && rules;
      });
      t.match(ready, { lastReload: { ok: true, errors: 0 } }, `replica ${i}`);
    }
  });

  await t.test('a replica that is killed comes back, and the others serve', async (t) => {
    const before = await pids();
    await machine.run('systemctl kill --signal=SIGKILL scopegate@2');
    await until(async () => (await pids())[1] !== before[1]);
    t.same(await ask(20), new Set(['200']));
    await until(async () => (await active()) === REPLICAS.length);
    const after = await pids();
    t.same([after[0], after[2], after[3]], [before[0], before[2], before[3]]);
  });

  await t.test('the documented rolling restart fails no request', async (t) => {
    const before = await pids();
    const printed = await machine.run(
      `node /root/load.js >/tmp/load & load=$!\n${roll}\nkill $load; wait $load; cat /tmp/load`,
    );
    t.comment(`answers during the restarts: ${printed}`);
    t.same(Object.keys(JSON.parse(printed) as object), ['200']);
    t.notOk(
      (await pids()).some((pid) => before.includes(pid)),
      'all are new',
    );
  });

  await t.test('with broken settings it stops at the first replica', async (t) => {
    const before = await pids();
    await machine.code(`echo 'nonsense: 1' >>/etc/scopegate/scopegate.yaml\n${roll}`);
    t.same((await pids()).slice(1), before.slice(1), 'the others are as they were');
    t.same(await ask(20), new Set(['200']));
  });

  await t.test('they start at boot', async (t) => {
    const wanted = await machine.run('systemctl list-dependencies --plain default.target');
    for (const i of REPLICAS) t.match(wanted, `scopegate@${i}.service`);
  });

  await t.test('the documented stop waits for requests in flight', async (t) => {
    const waiting = machine.run(`${ASK} 127.0.0.1:4455/hold`);
    await until(async () => (await machine.run('curl -s 127.0.0.1:8000/held')) === '1');
    const stopped = machine.code("systemctl stop scopegate.target 'scopegate@*'");
    await until(async () => (await states()).includes('deactivating'));
    await machine.run('curl -s 127.0.0.1:8000/release');
    t.equal(await waiting, '200');
    t.equal(await stopped, 0);
    t.notMatch((await states()).join(' '), /\bactive|deactivating/, 'nothing is left when it returns');
  });

  await t.test('the journal has its lines as JSON, and no token', async (t) => {
    const journal = await machine.run("journalctl --boot --output=cat --unit='scopegate@*'");
    const lines = journal.split('\n').filter((line) => line.startsWith('{'));
    t.ok(lines.length > REPLICAS.length);
    for (const line of lines) JSON.parse(line);
    t.notMatch(journal, TOKEN);
  });
}

await main();

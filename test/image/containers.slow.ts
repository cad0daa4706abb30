import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type Page, pages } from '../docs/page.js';
import { Terminal, walk } from '../docs/terminal.js';
import { available, unavailable } from '../require.js';
import { root } from '../root.js';
import { answered, curl, shell } from '../stack/shell.js';
import { eventually, status } from './engine/asking.js';
import { Compose } from './engine/compose.js';
import { forPodman } from './engine/kube.js';
import { Engine } from './engine/podman.js';
import { REPLICAS, tryReplicas } from './engine/replicas.js';
import { makePause, makeStandIns, NAMES } from './engine/stand-ins.js';

// The Dockerfile and docker-compose.yml as they are, on a container engine, with stand-ins for the images that they
// name (engine/stand-ins.ts).

const PORTS = { scopegate: 4455, 'scopegate-sidecar': 4465, 'scopegate-postgres': 4475 } as const;
const GATEWAYS = Object.keys(PORTS) as (keyof typeof PORTS)[];
const PROFILES = ['sidecar', 'postgres', 'replicas'].flatMap((profile) => ['--profile', profile]);
const MB = 1_000_000;

/** What the engine says, where it starts no container on this machine. */
async function whyNot(engine: Engine): Promise<string | undefined> {
  try {
    await makePause(engine);
    await engine.podman('run', '--rm', NAMES.pause, '-V');
    return undefined;
  } catch (error) {
    return (error as Error).message.replaceAll('\n', ' ');
  }
}

async function main(): Promise<void> {
  for (const name of ['podman', 'docker', 'postgresql', 'redis', 'curl'] as const)
    if (!available(t, name)) return;
  const engine = new Engine();
  t.teardown(() => engine.close());
  const trouble = await whyNot(engine);
  if (trouble !== undefined) return unavailable(t, 'podman', trouble);

  const compose = new Compose(engine);
  const tokens: Record<string, { read: string; write: string }> = {};
  const url = (gateway: keyof typeof PORTS, path: string, name = 'httpbin') =>
    `http://${name}.localhost:${PORTS[gateway]}${path}`;
  const stateOf = async (service: string, field: string) =>
    await engine.inspect(await compose.container(service), field);

  await t.test('the Dockerfile makes an image that is small and holds no shell', async (t) => {
    await makeStandIns(engine);
    await compose.build();
    const size = Number(await engine.podman('image', 'inspect', '--format', '{{.Size}}', 'scopegate:local'));
    const base = Number(await engine.podman('image', 'inspect', '--format', '{{.Size}}', NAMES.distroless));
    t.comment(`image: ${mb(size)}, of which ${mb(base)} are the stand-in for distroless`);
    t.ok(size < 190 * MB, `${mb(size)}`);
    for (const program of ['/bin/sh', '/usr/bin/npm', '/usr/bin/env']) {
      const started = await engine.try(['run', '--rm', '--entrypoint', program, 'scopegate:local']);
      t.equal(started.code, 127, `no ${program}`);
    }
    t.equal(
      await engine.podman('run', '--rm', 'scopegate:local', '--version'),
      (JSON.parse(readFileSync(join(compose.folder, 'package.json'), 'utf8')) as { version: string }).version,
    );
  });

  await t.test(
    'docker-compose.yml comes up with all its profiles, and every gateway is healthy',
    async (t) => {
      await engine.serve();
      engine.runHealthChecks();
      await compose.run(...PROFILES, 'up', '--detach', '--no-build');
      for (const gateway of GATEWAYS) {
        await eventually(
          `${gateway} is healthy`,
          () => stateOf(gateway, '.State.Health.Status'),
          (is) => is === 'healthy',
        );
        const started = Date.parse((await stateOf(gateway, '.State.StartedAt')).replace(/ \S+$/, ''));
        const log = JSON.parse(await stateOf(gateway, 'json .State.Health.Log')) as {
          End: string;
          ExitCode: number;
        }[];
        const first = log.find((check) => check.ExitCode === 0);
        const seconds = (Date.parse(first?.End ?? '') - started) / 1000;
        t.comment(`${gateway}: healthy ${seconds.toFixed(1)} s after its start`);
        t.ok(seconds < 60, `${gateway}: ${seconds} s`);
      }
      t.equal(await stateOf('hydra-migrate', '.State.ExitCode}} {{.State.Status'), '0 exited');
    },
  );

  if (!t.passing()) return;
  await t.test('the tutorial answers on every published port what it promises', async (t) => {
    for (const [gateway, service] of [
      ['scopegate', 'tutorial'],
      ['scopegate-sidecar', 'tutorial-sidecar'],
      ['scopegate-postgres', 'tutorial-postgres'],
    ] as const) {
      const printed = await compose.run('run', '--rm', '-T', service);
      const shown = [...printed.matchAll(/^# (.*): (\d{3})\r?\n(curl .*)$/gm)];
      t.equal(shown.length, 11, `${service} prints the commands`);
      const answers: string[] = [];
      for (const [, says = '', expected, command = ''] of shown) {
        const answer = answered(await shell(command));
        t.equal(String(answer.status), expected, `${gateway}: ${says}`, { body: answer.body });
        answers.push(`${answer.status}`);
      }
      t.comment(`${gateway}: the tutorial answers ${answers.join(' ')}`);
      const find = (words: string) =>
        /Bearer ([^"]+)"/.exec(shown.find(([, says]) => says === words)?.[3] ?? '')?.[1];
      tokens[gateway] = {
        read: find('GET with the "read" scope') ?? '',
        write: find('wrong scope: a GET needs "read"') ?? '',
      };
    }
  });

  if (!t.passing()) return;
  const read = (gateway: keyof typeof PORTS) => tokens[gateway]?.read ?? '';

  await t.test('a gateway has no rights, and can write nowhere', async (t) => {
    for (const gateway of GATEWAYS) {
      const process = readFileSync(`/proc/${await stateOf(gateway, '.State.Pid')}/status`, 'utf8');
      const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(process)?.[1];
      t.match(field('Uid'), /^65532\s/, `${gateway}: not root`);
      for (const name of ['CapEff', 'CapPrm', 'CapBnd', 'CapInh', 'CapAmb'])
        t.match(field(name), /^0+$/, `${gateway}: ${name}`);
      t.equal(field('NoNewPrivs'), '1', gateway);
      t.equal(field('Seccomp'), '2', `${gateway}: a filter of system calls`);
      const container = await compose.container(gateway);
      for (const path of ['/app/x', '/etc/x', '/x', '/etc/scopegate/rules/x']) {
        const write = ['exec', container, 'node', '--eval', `fs.writeFileSync(${JSON.stringify(path)}, '')`];
        t.match(await engine.try(write), { code: 1, stderr: /EROFS|EACCES/ }, `${gateway}: ${path}`);
      }
      const [resident = 0, anonymous = 0] = ['VmRSS', 'RssAnon'].map(
        (name) => Number(field(name)?.split(' ')[0]) * 1024,
      );
      t.comment(
        `${gateway}: ${mb(resident)} resident, of which ${mb(anonymous)} are its own and not of files`,
      );
      t.ok(resident < 256 * 1024 * 1024, 'less than docs/operations.md gives a container');
    }
  });

  await t.test('its log is JSON, a line a decision, with no token in it', async (t) => {
    for (const gateway of GATEWAYS) {
      const { stdout, stderr } = await engine.try(['logs', await compose.container(gateway)]);
      t.equal(stderr, '', 'nothing on standard error');
      const lines = stdout.trim().split('\n');
      const parsed = lines.map((line) => JSON.parse(line) as { decision?: string });
      t.ok(
        parsed.filter(({ decision }) => decision !== undefined).length >= 11,
        `${gateway}: ${lines.length} lines`,
      );
      for (const secret of Object.values(tokens[gateway] ?? {})) t.notMatch(stdout, secret, gateway);
    }
  });

  await t.test('rules that change in the mounted folder count, and broken ones change nothing', async (t) => {
    const file = join(compose.folder, 'config/rules/extra.apirule.yaml');
    const extra = url('scopegate', '/headers', 'extra');
    t.equal(await status(extra), 404);
    const rule = readFileSync(join(compose.folder, 'config/rules/httpbin.apirule.yaml'), 'utf8');
    writeFileSync(
      file,
      rule.replace('  name: httpbin\n', '  name: extra\n').replace('host: httpbin', 'host: extra'),
    );
    await eventually(
      'the new rule counts',
      () => status(extra, read('scopegate')),
      (is) => is === 200,
    );
    writeFileSync(file, 'kind: [\n');
    const log = async () => (await engine.try(['logs', await compose.container('scopegate')])).stdout;
    await eventually('the mistake is logged', log, (text) => /extra\.apirule\.yaml:\d+:\d+/.test(text));
    t.equal(await status(extra, read('scopegate')), 200, 'the rules from before count');
    rmSync(file);
    await eventually(
      'the rule is gone',
      () => status(extra, read('scopegate')),
      (is) => is === 404,
    );
  });

  /** A token with the scope `read`, of those that a service prints. */
  async function freshToken(service: string): Promise<string> {
    const printed = await compose.run('run', '--rm', '-T', service);
    return /GET with the "read" scope.*\n.*Bearer ([^"]+)"/.exec(printed)?.[1] ?? '';
  }

  /** Stops a container, gives its address to another one, and starts it again. */
  async function moves(service: string, meanwhile: () => Promise<void>): Promise<[string, string]> {
    const container = await compose.container(service);
    const before = await engine.address(container);
    const network = await engine.inspect(
      container,
      'range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end',
    );
    const [name = ''] = network.split(' ').filter((each) => each.endsWith('_default'));
    const old = await engine.inspect(container, `(index .NetworkSettings.Networks "${name}").IPAddress`);
    await engine.podman('stop', '--time', '5', container);
    const place = await engine.podman('run', '--detach', '--network', name, '--ip', old, NAMES.pause);
    await meanwhile();
    await engine.podman('start', container);
    const after = await engine.address(container);
    await engine.podman('rm', '--force', '--time', '0', place);
    return [before, after];
  }

  await t.test('an upstream that comes back under another address is found', async (t) => {
    const ask = () => status(url('scopegate', '/headers'), read('scopegate'));
    const [before, after] = await moves('httpbin', async () => {
      t.equal(await ask(), 502, 'while it is away');
    });
    t.not(after, before, 'it has another address');
    t.equal(await eventually('it is found', ask, (is) => is === 200), 200);
  });

  await t.test('Hydra that comes back under another address is found', async (t) => {
    const ask = (token: string) => status(url('scopegate', '/headers'), token);
    const known = await freshToken('tutorial');
    t.equal(await ask(known), 200, 'its answer is cached for a minute');
    const [before, after] = await moves('hydra', async () => {
      t.equal(await ask(known), 200, 'a token that is known goes on');
      t.equal(await ask('ory_at_unknown'), 503, 'and an unknown one is nobody’s fault but Hydra’s');
    });
    t.not(after, before, 'it has another address');
    t.equal(
      await eventually(
        'it is asked again',
        () => ask('ory_at_other'),
        (is) => is === 401,
      ),
      401,
    );
    // It kept its clients in memory: `clients` registers them again.
    const token = await freshToken('tutorial');
    t.equal(await ask(token), 200);
  });

  await t.test('a database that Hydra loses is 503, and not 401', async (t) => {
    const ask = (token: string) => status(url('scopegate-postgres', '/headers'), token);
    const container = await compose.container('postgres');
    const known = await freshToken('tutorial-postgres');
    t.equal(await ask(known), 200, 'its answer is cached for a minute');
    await engine.podman('stop', '--time', '10', container);
    let count = 0;
    await eventually(
      'it is 503',
      () => ask(`ory_at_lost${count++}`),
      (is) => is === 503,
    );
    t.equal(await ask(known), 200, 'a token that is known goes on');
    await engine.podman('start', container);
    await eventually(
      'it is asked again',
      () => ask(`ory_at_lost${count++}`),
      (is) => is === 401,
    );
    t.equal(await ask(known), 200);
  });

  await t.test('the sidecar goes on when its workload restarts or is killed', async (t) => {
    // Hydra has come back without the tokens from before.
    const container = await compose.container('httpbin-sidecar');
    const token = await freshToken('tutorial-sidecar');
    const asked = () => status(url('scopegate-sidecar', '/headers'), token);
    t.equal(await asked(), 200);
    await engine.podman('restart', '--time', '2', container);
    t.equal(await eventually('after a restart', asked, (is) => is === 200), 200);
    process.kill(Number(await engine.inspect(container, '.State.Pid')), 'SIGKILL');
    t.equal(await eventually('after a crash', asked, (is) => is === 200), 200);
    const gateway = await compose.container('scopegate-sidecar');
    await engine.podman('restart', '--time', '35', gateway);
    t.equal(await eventually('after a restart of scopegate', asked, (is) => is === 200), 200);
  });

  await t.test('replicas on one port introspect a token once, and one may be stopped', (t) =>
    tryReplicas(t, engine, compose, () => freshToken('tutorial-replicas')),
  );

  await t.test('SIGTERM lets what is in flight be answered, and ends the container with 0', async (t) => {
    const container = await compose.container('scopegate');
    const token = await freshToken('tutorial');
    const slow = curl(url('scopegate', '/delay/5'), '-H', `Authorization: Bearer ${token}`);
    const admin = `http://${await engine.address(container)}:4456/metrics`;
    const inFlight = async () => (await curl(admin)).body;
    await eventually('it is in flight', inFlight, (text) => /^scopegate_requests_in_flight 1$/m.test(text));
    const begun = performance.now();
    const grace = /stop_grace_period: (\d+)s/.exec(
      readFileSync(join(compose.folder, 'docker-compose.yml'), 'utf8'),
    );
    await engine.podman('stop', '--time', grace?.[1] ?? '', container);
    const seconds = (performance.now() - begun) / 1000;
    t.equal((await slow).status, 200, 'answered');
    t.equal(await engine.inspect(container, '.State.ExitCode'), '0');
    t.comment(`a drain with a request of 5 s: ${seconds.toFixed(1)} s`);
    t.ok(seconds < 20, `${seconds} s`);
    await engine.podman('start', container);
    await eventually(
      'it serves again',
      () => status(url('scopegate', '/headers')),
      (is) => is === 401,
    );
  });

  await goThrough(compose);
  await t.test('compose takes everything down', async (t) => {
    // Through podman's interface for Docker a container gets no time to end; its own `stop` gives it.
    for (const gateway of [...GATEWAYS, ...Object.keys(REPLICAS)])
      await engine.podman('stop', '--time', '35', await compose.container(gateway));
    await compose.try(...PROFILES, 'down', '--volumes');
    t.equal(await status(url('scopegate', '/headers')), 0, 'nothing listens');
  });

  await t.test('the manifests of the sidecar run, and docs/sidecar.md is right', async (t) => {
    const [network, image] = ['cluster', 'ghcr.io/example/scopegate:0.1.0'];
    await engine.podman('tag', 'scopegate:local', image);
    await engine.podman('network', 'create', network);
    await engine.podman(
      ...[
        'run',
        '--detach',
        '--network',
        network,
        '--network-alias',
        'ory-hydra-admin.ory.svc.cluster.local',
      ],
      ...['--publish', '127.0.0.1:4444:4444', '--publish', '127.0.0.1:4445:4445'],
      ...[NAMES.hydra, 'serve', 'all', '--dev'],
    );
    const file = join(engine.folder('kube'), 'sidecar.yaml');
    writeFileSync(file, forPodman(join(compose.folder, 'config/kubernetes/sidecar')));
    await engine.podman('kube', 'play', '--network', network, file);
    const names = (await engine.podman('ps', '--format', '{{.Names}}')).split('\n');
    const named = (end: string) => names.find((name) => name.endsWith(end)) ?? '';
    const gateway = named('-scopegate');
    const settings = '.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.Config.User';
    t.equal(await engine.inspect(gateway, settings), `true ${256 * 1024 * 1024} 65532:65532`);
    const pod = await engine.address(named('-infra'));
    await eventually(
      'it serves',
      () => status(`http://${pod}:4455/`),
      (is) => is === 404,
    );
    t.equal(
      await status(`http://${pod}:8000/headers`),
      0,
      'the workload listens on the pod’s loopback alone',
    );

    const page = pages().find(({ path }) => path === 'docs/sidecar.md') as Page;
    const bin = engine.folder('bin');
    const cli = join(root, 'build/src/cli.js');
    writeFileSync(join(bin, 'scopegate'), `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`, {
      mode: 0o755,
    });
    const terminal = new Terminal(compose.folder, { PATH: `${bin}:${process.env.PATH}` });
    t.teardown(() => terminal.close());
    // In place of `kubectl port-forward service/httpbin 8000`.
    const forwarded = `curl --connect-to httpbin.localhost:8000:${pod}:4455 `;
    t.ok((await walk(t, page, 'sidecar', terminal, (text) => text.replaceAll('curl ', forwarded))) > 5);
    await engine.podman('kube', 'down', file);
  });
}

/** The page about the compose stack, command by command. */
async function goThrough(compose: Compose): Promise<void> {
  const page = pages().find(({ path }) => path === 'docs/compose.md') as Page;
  await t.test(page.path, async (t) => {
    const terminal = new Terminal(compose.folder, compose.environment);
    t.teardown(() => terminal.close());
    const edit = (command: string) =>
      command
        .replaceAll('docker compose', compose.command)
        .replaceAll('up --detach', 'up --detach --no-build');
    t.ok((await walk(t, page, 'compose', terminal, edit)) > 5);
  });
}

function mb(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`;
}

await main();

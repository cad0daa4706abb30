import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { load } from '../../src/commands/load.js';
import { canReusePort } from '../../src/config/sections/listen.js';
import { available } from '../require.js';
import { root } from '../root.js';

interface Service {
  image: string;
  build?: string;
  profiles?: string[];
  ports?: string[];
  volumes?: string[];
  networks?: string[] | Record<string, { aliases?: string[] } | null>;
  network_mode?: string;
  environment?: Record<string, string>;
  command?: string[];
  depends_on?: string[] | Record<string, { condition: string }>;
  cap_drop?: string[];
  security_opt?: string[];
  read_only?: boolean;
  user?: string;
  privileged?: boolean;
  entrypoint?: string[];
  healthcheck?: { disable?: boolean };
  stop_grace_period?: string;
}

const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
const compose = parse(text, { merge: true, maxAliasCount: -1 }) as {
  services: Record<string, Service>;
  networks: Record<string, unknown>;
};
const services = Object.entries(compose.services);
const named = (name: string): Service => compose.services[name] as Service;
const REPLICAS = services.map(([name]) => name).filter((name) => name.startsWith('scopegate-replica-'));

/** What a compose client says of a file: whether it is one, and its services, of all profiles. */
function ask(t: Test, file: string) {
  const [program = '', ...words] =
    spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' }).status === 0
      ? ['docker', 'compose']
      : ['docker-compose'];
  const path = join(t.testdir({}), 'docker-compose.yml');
  writeFileSync(path, file);
  const { status, stdout, stderr } = spawnSync(
    program,
    [
      ...words,
      ...['--project-directory', root, '--file', path],
      ...['sidecar', 'postgres', 'replicas', 'tutorial'].flatMap((profile) => ['--profile', profile]),
      ...['config', '--services'],
    ],
    { encoding: 'utf8' },
  );
  return { status, stderr, services: stdout.trim().split('\n').sort() };
}

t.test('a compose client reads it', async (t) => {
  if (!available(t, 'docker')) return;
  const { status, stderr, services: found } = ask(t, text);
  t.equal(status, 0, stderr);
  t.same(found, services.map(([name]) => name).sort());
  for (const [what, from, to] of [
    ['a mistyped field', 'read_only: true', 'readonly: true'],
    ['a service that is not there', 'depends_on: [hydra]', 'depends_on: [hidra]'],
    ['a volume that is not there', '- credentials:/credentials', '- credential:/credentials'],
  ] as const) {
    t.ok(text.includes(from), from);
    t.not(ask(t, text.replace(from, to)).status, 0, `it refuses ${what}`);
  }
});

t.test('what is mounted is there, what is depended on starts along, and images have a version', (t) => {
  for (const [name, service] of services) {
    const needs = Array.isArray(service.depends_on)
      ? service.depends_on
      : Object.keys(service.depends_on ?? {});
    for (const other of needs) {
      const inherits = (named(other).profiles ?? []).every((profile) => service.profiles?.includes(profile));
      t.ok(inherits, `${other} is there whenever ${name} is`);
    }
    // Not every compose client minds.
    const networks = Array.isArray(service.networks) ? service.networks : Object.keys(service.networks ?? {});
    for (const network of networks) t.ok(network in compose.networks, `${name} joins ${network}`);
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':');
      if (source.startsWith('./')) t.ok(existsSync(join(root, source)), `${name} mounts ${source}`);
    }
    t.match(service.image, /:[\w.-]+(@sha256:[0-9a-f]{64})?$/, `${name}: an image of one version`);
    t.notMatch(service.image, /:latest/);
  }
  t.end();
});

t.test('every scopegate container is locked down', (t) => {
  const gateways = services.filter(([, service]) => service.build !== undefined);
  t.same(gateways.map(([name]) => name).sort(), [
    'clients',
    'clients-postgres',
    'replicas-key',
    'scopegate',
    'scopegate-postgres',
    ...REPLICAS,
    'scopegate-sidecar',
    'tutorial',
    'tutorial-postgres',
    'tutorial-replicas',
    'tutorial-sidecar',
  ]);
  for (const [name, service] of gateways) {
    t.equal(service.read_only, true, `${name}: read-only root filesystem`);
    t.same(service.cap_drop, ['ALL'], `${name}: no capabilities`);
    t.same(service.security_opt, ['no-new-privileges:true'], `${name}: no new privileges`);
    t.equal(service.user, undefined, `${name}: the image's own unprivileged user`);
    for (const volume of service.volumes ?? []) {
      if (volume.startsWith('./')) t.match(volume, /:ro$/, `${name}: ${volume} is read-only`);
    }
  }
  for (const [name, service] of services) {
    t.notOk(service.privileged, name);
    t.ok(service.security_opt?.includes('no-new-privileges:true'), name);
  }
  t.end();
});

t.test('only scopegate can be reached from the host, and on loopback alone', (t) => {
  for (const [name, service] of services) {
    for (const port of service.ports ?? []) {
      t.match(port, /^127\.0\.0\.1:\d+:4455$/, `${name}: ${port}`);
    }
  }
  t.same(
    services.filter(([, service]) => service.ports !== undefined).map(([name]) => name),
    ['scopegate', 'httpbin-pod', 'replicas-pod', 'scopegate-postgres'],
  );
  t.end();
});

t.test('the settings mounted into scopegate name the services of the file', (t) => {
  const own = { '127.0.0.1': 'httpbin-sidecar' } as Record<string, string>;
  const ports = { hydra: ['4444', '4445'] } as Record<string, string[]>;
  for (const file of ['compose.yaml', 'sidecar.yaml']) {
    const settings = parse(readFileSync(join(root, 'config', file), 'utf8')) as {
      introspection: { url: string };
      services: Record<string, string>;
    };
    const { default: _, ...origins } = settings.services;
    for (const origin of [settings.introspection.url, ...Object.values(origins)]) {
      const { hostname, port } = new URL(origin);
      const name = own[hostname] ?? hostname;
      t.ok(compose.services[name], `${file}: ${origin} is the service ${name}`);
      t.ok((ports[name] ?? ['80', '']).includes(port), `${file}: ${origin} has the port it listens on`);
    }
  }
  for (const name of ['httpbin', 'httpbin-sidecar']) t.equal(named(name).environment?.PORT, '80', name);
  t.match(named('function').command?.at(-1), /listen\(80\)/);
  t.end();
});

t.test('workload and sidecar share a namespace that neither of them takes along when it restarts', (t) => {
  const pod = named('httpbin-pod');
  t.match(pod.image, /^registry\.k8s\.io\/pause:/, 'it does nothing, so it does not crash');
  for (const name of ['scopegate-sidecar', 'httpbin-sidecar']) {
    t.equal(named(name).network_mode, 'service:httpbin-pod', name);
    t.equal(named(name).ports, undefined, `${name}: a shared namespace publishes through its owner`);
    t.same(named(name).depends_on, ['httpbin-pod'], name);
    t.same(named(name).profiles, ['sidecar'], name);
  }
  t.same(pod.profiles, ['sidecar']);
  t.equal(named('httpbin-sidecar').environment?.HOST, '127.0.0.1', 'the workload listens on loopback alone');
  t.end();
});

t.test('replicas share a port, a cache and its key, and each has an admin port', (t) => {
  t.equal(REPLICAS.length, 3);
  const ports = new Set(REPLICAS.map((name) => named(name).environment?.SCOPEGATE_LISTEN_ADMIN_PORT));
  t.equal(ports.size, REPLICAS.length);
  const folder = t.testdir({ 'shared.key': 'a'.repeat(64) });
  for (const name of REPLICAS) {
    const { environment = {}, network_mode, profiles, depends_on, volumes = [] } = named(name);
    t.equal(network_mode, 'service:replicas-pod', `${name}: one namespace, for one port`);
    t.same(profiles, ['replicas']);
    t.match(depends_on, { 'replicas-key': { condition: 'service_completed_successfully' } });
    const key = environment.SCOPEGATE_INTROSPECTION_CACHE_SHARED_KEY_FILE ?? '';
    const socket = environment.SCOPEGATE_INTROSPECTION_CACHE_SHARED_URL?.replace('redis+unix://', '') ?? '';
    const mounted = (path: string) => volumes.some((volume) => path.startsWith(`${volume.split(':')[1]}/`));
    t.ok(mounted(key), `${name}: ${key}`);
    t.ok(mounted(socket), `${name}: ${socket}`);
    t.match(named('replicas-store').command?.join(' '), `--unixsocket ${socket} `);
    const { settings, findings } = load(join(root, 'config/compose.yaml'), {
      ...environment,
      SCOPEGATE_INTROSPECTION_CACHE_SHARED_KEY_FILE: join(folder, 'shared.key'),
    });
    t.ok(
      canReusePort(process.versions.node) ? settings : findings.length === 1,
      'scopegate takes these settings',
    );
  }
  t.match(named('replicas-key').command?.[0], 'shared.key');
  t.equal(named('replicas-store').network_mode, 'none', 'the store listens on its socket alone');
  t.equal(named('replicas-pod').image, named('httpbin-pod').image);
  t.end();
});

t.test('the key of the replicas is made once', (t) => {
  const folder = t.testdir({});
  const script = named('replicas-key').command?.[0]?.replace('/credentials', folder) ?? '';
  const made = () => {
    const { status } = spawnSync(process.execPath, ['--eval', script]);
    t.equal(status, 0);
    return readFileSync(join(folder, 'shared.key'), 'utf8');
  };
  const key = made();
  t.match(key, /^[0-9a-f]{64}$/);
  t.equal(made(), key);
  t.end();
});

t.test('a gateway has more time to end than its drain takes', (t) => {
  for (const [file, names] of [
    ['compose.yaml', ['scopegate', 'scopegate-postgres', ...REPLICAS]],
    ['sidecar.yaml', ['scopegate-sidecar']],
  ] as const) {
    const { settings } = load(join(root, 'config', file), {});
    const drain = (settings?.server.drainTimeout ?? Number.POSITIVE_INFINITY) / 1000;
    for (const name of names) {
      const seconds = Number(/^(\d+)s$/.exec(named(name).stop_grace_period ?? '')?.[1]);
      t.ok(seconds >= drain + 5, `${name}: ${seconds} s for a drain of ${drain} s`);
    }
  }
  t.end();
});

t.test('Hydra reports to nobody', (t) => {
  const hydras = services.filter(([, { image }]) => image.startsWith('oryd/hydra:'));
  t.equal(hydras.length, 3);
  for (const [name, { environment }] of hydras) t.equal(environment?.SQA_OPT_OUT, 'true', name);
  t.end();
});

t.test('what serves nothing has no health check to fail', (t) => {
  for (const [name, service] of services) {
    if (service.build === undefined) continue;
    const serves = service.entrypoint === undefined && service.command === undefined;
    t.same(service.healthcheck, serves ? undefined : { disable: true }, name);
  }
  t.end();
});

t.test('each gateway has a service that prints the tutorial’s commands for its port', (t) => {
  for (const [name, owner] of [
    ['tutorial', 'scopegate'],
    ['tutorial-sidecar', 'httpbin-pod'],
    ['tutorial-replicas', 'replicas-pod'],
    ['tutorial-postgres', 'scopegate-postgres'],
  ] as const) {
    t.same(named(owner).ports, [`127.0.0.1:${named(name).command?.[0]}:4455`], name);
    t.same(named(name).profiles, ['tutorial'], `${name} is run by its name alone`);
    const clients = name === 'tutorial-postgres' ? 'clients-postgres' : 'clients';
    const volume = (service: Service) => service.volumes?.find((each) => each.includes(':/credentials'));
    t.equal(volume(named(name)), `${volume(named(clients))}:ro`, `${name} reads what ${clients} writes`);
    t.same(named(name).networks, named(clients).networks, name);
  }
  t.end();
});

t.test(
  'Hydra is in memory by default, and on PostgreSQL after its migration in the postgres profile',
  (t) => {
    t.equal(named('hydra').environment?.DSN, 'memory');
    t.equal(named('hydra').profiles, undefined);
    t.match(named('hydra-postgres').environment?.DSN, /^postgres:\/\//);
    t.same(named('hydra-postgres').depends_on, {
      'hydra-migrate': { condition: 'service_completed_successfully' },
    });
    t.same(named('hydra-migrate').depends_on, { postgres: { condition: 'service_healthy' } });
    t.same(named('hydra-postgres').networks, { persistent: { aliases: ['hydra'] } });
    for (const name of ['hydra', 'hydra-postgres', 'hydra-migrate'])
      t.match(named(name).image, /^oryd\/hydra:v26\.2\.0/);
    for (const [name, service] of services) {
      if (Array.isArray(service.networks) && service.networks.includes('persistent')) {
        t.not(name, 'hydra', 'one name, one Hydra on a network');
      }
    }
    t.end();
  },
);

t.test('nothing of the tests is mounted into a container', (t) => {
  for (const [name, service] of services) {
    for (const volume of service.volumes ?? []) t.notMatch(volume, /^\.\/(test|src|build)/, name);
  }
  t.end();
});

import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { root } from '../../root.js';
import { mustRun } from './command.js';
import type { Engine } from './podman.js';
import { RootFileSystem } from './root-file-system.js';

// Images cannot be fetched where the tests run. These stand for those that the Dockerfile, docker-compose.yml and the
// manifests name: same names, same command lines and variables as far as those files use them, made of what Debian and npm
// have and of the tests' own servers. So they prove what is ours, and nothing of the images that are published.

const PATH = 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Where images are named. */
const FILES = ['Dockerfile', 'docker-compose.yml', 'config/kubernetes/sidecar/deployment.yaml'];

/** The full name of an image, with the one tag that all files have for it. */
function named(repository: string, registry: string): string {
  const texts = FILES.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
  const tags = [...texts.matchAll(new RegExp(`(?:FROM|image:) ${repository}:([\\w.-]+)`, 'g'))].map(
    ([, tag]) => tag,
  );
  const [tag, ...others] = new Set(tags);
  if (tag === undefined || others.length > 0) throw new Error(`one tag of ${repository}, and not ${tags}`);
  return `${registry}${repository}:${tag}`;
}

/** The names under which the stand-ins are kept. */
export const NAMES = {
  node: named('node', 'docker.io/library/'),
  distroless: named('gcr.io/distroless/cc-debian12', ''),
  pause: named('registry.k8s.io/pause', ''),
  hydra: named('oryd/hydra', 'docker.io/'),
  httpbin: named('ghcr.io/mccutchen/go-httpbin', ''),
  postgres: named('postgres', 'docker.io/library/'),
  valkey: named('valkey/valkey', 'docker.io/'),
} as const;

/** A file's text without the digests of images, which the stand-ins cannot have. */
export function withoutDigests(text: string): string {
  return text.replaceAll(/@sha256:[0-9a-f]{64}/g, '');
}

/** Makes all of them but pause, which {@link makePause} makes. */
export async function makeStandIns(engine: Engine): Promise<void> {
  await distroless(engine);
  await node(engine);
  const program = (name: string) => join(root, 'build/test/stack', name);
  await server(engine, NAMES.hydra, program('hydra/main.js'), '500:500');
  await server(engine, NAMES.httpbin, program('httpbin/main.js'), '65532:65532');
  await postgres(engine);
  await valkey(engine);
}

async function imported(
  engine: Engine,
  name: string,
  folder: string,
  changes: readonly string[],
): Promise<void> {
  const archive = join(engine.folder('archives'), 'image.tar');
  await mustRun('tar', ['--numeric-owner', '--owner=0', '--group=0', '-C', folder, '-cf', archive, '.']);
  const flags = [...changes, PATH].flatMap((change) => ['--change', change]);
  await engine.podman('import', '--quiet', ...flags, archive, name);
}

/** The C library, libstdc++, certificates: what distroless' image for C++ has. */
async function distroless(engine: Engine): Promise<void> {
  const system = new RootFileSystem(engine.folder('distroless'));
  system.packages(
    'base-files',
    'netbase',
    'tzdata',
    'libc6',
    'libgcc-s1',
    'libstdc++6',
    'libgomp1',
    'libssl3*',
  );
  await imported(engine, NAMES.distroless, system.folder, ['USER 65532', 'WORKDIR /home/nonroot']);
}

/** Node and npm from npm's registry, a shell, and what scripts of packages call. */
async function node(engine: Engine): Promise<void> {
  const system = new RootFileSystem(engine.folder('node'));
  system.packages('base-files', 'libc6', 'libgcc-s1', 'libstdc++6');
  system.program('/usr/bin/dash');
  symlinkSync('dash', join(system.folder, 'usr/bin/sh'));
  for (const name of ['cat', 'chmod', 'cp', 'env', 'ls', 'mkdir', 'mv', 'rm', 'uname'])
    system.program(`/usr/bin/${name}`);
  const place = engine.folder('npm');
  writeFileSync(join(place, 'package.json'), '{ "private": true }\n');
  await mustRun(
    'npm',
    ['install', '--no-audit', '--no-fund', '--no-save', `node@${/:(\d+)/.exec(NAMES.node)?.[1]}`, 'npm@11'],
    {
      cwd: place,
    },
  );
  system.file(join(place, 'node_modules/node/bin/node'), '/usr/local/bin/node');
  const modules = join(system.folder, 'usr/local/lib/node_modules');
  mkdirSync(modules, { recursive: true });
  cpSync(join(place, 'node_modules/npm'), join(modules, 'npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(system.folder, 'usr/local/bin/npm'));
  await imported(engine, NAMES.node, system.folder, ['CMD ["node"]']);
}

/** Debian's `catatonit` has the part of Kubernetes' pause: it waits for a signal. It is linked statically. */
export async function makePause(engine: Engine): Promise<void> {
  const system = new RootFileSystem(engine.folder('pause'));
  system.program('/usr/bin/catatonit');
  await imported(engine, NAMES.pause, system.folder, [
    'ENTRYPOINT ["/usr/bin/catatonit","-P"]',
    'USER 65535',
  ]);
}

/** One of the tests' own servers, with everything that it needs in one file. */
async function server(engine: Engine, name: string, program: string, user: string): Promise<void> {
  const folder = engine.folder(name.replaceAll(/\W/g, '-'));
  await build({
    entryPoints: [program],
    outfile: join(folder, 'server.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
  });
  const lines = [
    `FROM ${NAMES.node}`,
    'COPY server.mjs /',
    `USER ${user}`,
    'ENTRYPOINT ["node", "/server.mjs"]',
  ];
  writeFileSync(join(folder, 'Dockerfile'), `${lines.join('\n')}\n`);
  await engine.podman('build', '--quiet', '--tag', name, folder);
}

/** Debian's Redis, which takes Valkey's options. */
async function valkey(engine: Engine): Promise<void> {
  const system = new RootFileSystem(engine.folder('valkey'));
  system.packages('base-files', 'libc6');
  system.program('/usr/bin/redis-server');
  symlinkSync('/usr/bin/redis-server', join(system.folder, 'usr/local/bin/valkey-server'));
  await imported(engine, NAMES.valkey, system.folder, []);
}

/** Debian's PostgreSQL, with the variables of the official image. It makes its database while only a socket listens. */
const ENTRYPOINT = `#!/bin/sh
set -e
cd /tmp
export PGDATA=/var/lib/postgresql/data/db
if [ ! -e $PGDATA/PG_VERSION ]; then
  echo "$POSTGRES_PASSWORD" >/tmp/password
  $BIN/initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --no-locale --encoding=UTF8
  echo 'host all all all scram-sha-256' >>$PGDATA/pg_hba.conf
  rm /tmp/password
  echo "CREATE DATABASE $POSTGRES_DB" | $BIN/postgres --single -D $PGDATA postgres
fi
exec $BIN/postgres -D $PGDATA -c listen_addresses='*' -c unix_socket_directories=/tmp
`;

async function postgres(engine: Engine): Promise<void> {
  const [version = ''] = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
  const system = new RootFileSystem(engine.folder('postgres'));
  const programs = `/usr/lib/postgresql/${version}/bin`;
  system.packages('base-files', 'libc6', 'tzdata', `postgresql-${version}`);
  for (const name of ['postgres', 'initdb', 'pg_isready']) system.program(join(programs, name));
  for (const name of ['dash', 'cat', 'rm']) system.program(`/usr/bin/${name}`);
  symlinkSync('dash', join(system.folder, 'usr/bin/sh'));
  system.file(join(programs, 'pg_isready'), '/usr/local/bin/pg_isready');
  const folder = engine.folder('postgres-image');
  const base = 'localhost/debian-postgres:latest';
  await imported(engine, base, system.folder, []);
  writeFileSync(join(folder, 'entrypoint.sh'), ENTRYPOINT, { mode: 0o755 });
  mkdirSync(join(folder, 'data'), { mode: 0o700 });
  const lines = [
    `FROM ${base}`,
    `ENV BIN=${programs}`,
    'COPY entrypoint.sh /',
    'COPY --chown=70:70 data /var/lib/postgresql/data',
    'USER 70:70',
    'ENTRYPOINT ["/entrypoint.sh"]',
  ];
  writeFileSync(join(folder, 'Dockerfile'), `${lines.join('\n')}\n`);
  await engine.podman('build', '--quiet', '--tag', NAMES.postgres, folder);
}

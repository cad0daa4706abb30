import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../root.js';
import { type Done, mustRun, run } from './command.js';
import type { Engine } from './podman.js';
import { withoutDigests } from './stand-ins.js';

const PROJECT = 'tutorial';

/** What the image is built from, and what the compose file mounts. */
const TAKEN = [
  ...['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'tsconfig.json', '.ci', 'src'],
  ...['docker-compose.yml', 'config'],
];

/** The compose file in a folder of its own, with an engine to run it on. */
export class Compose {
  /** Holds what a checkout has for compose: its files may be changed. */
  readonly folder: string;
  readonly #engine: Engine;
  readonly #client: readonly string[];

  constructor(engine: Engine) {
    this.#engine = engine;
    this.folder = engine.folder('checkout');
    for (const name of TAKEN) cpSync(join(root, name), join(this.folder, name), { recursive: true });
    for (const name of ['Dockerfile', 'docker-compose.yml']) {
      const text = readFileSync(join(root, name), 'utf8');
      if (withoutDigests(text) !== text) writeFileSync(join(this.folder, name), withoutDigests(text));
    }
    const plugin = spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' }).status === 0;
    this.#client = plugin ? ['docker', 'compose'] : ['docker-compose'];
  }

  /** The command that people write as `docker compose`, on this machine. */
  get command(): string {
    return this.#client.join(' ');
  }

  get environment(): Readonly<Record<string, string>> {
    return { ...this.#engine.environment, COMPOSE_PROJECT_NAME: PROJECT };
  }

  /** Builds the image as the Dockerfile says, and gives it the name that the compose file has for it. */
  async build(): Promise<void> {
    const npmrc = join(this.#engine.folder('npmrc'), '.npmrc');
    const registry = (await mustRun('npm', ['config', 'get', 'registry'])).trim();
    const authorities = process.env.NODE_EXTRA_CA_CERTS;
    const cafile = authorities === undefined ? '' : 'cafile=/etc/ssl/certs/ca-certificates.crt\n';
    writeFileSync(npmrc, `registry=${registry}\n${cafile}`);
    // Of the format of OCI, because it has no HEALTHCHECK, podman would leave that out.
    await this.#engine.podman(
      ...['build', '--quiet', '--format', 'docker', '--network', 'host', '--tag', 'scopegate:local'],
      ...['--volume', `${npmrc}:/root/.npmrc:ro`],
      ...(authorities === undefined
        ? []
        : ['--volume', `${authorities}:/etc/ssl/certs/ca-certificates.crt:ro`]),
      this.folder,
    );
  }

  /** Runs the compose client, whatever it ends with. */
  async try(...parameters: string[]): Promise<Done> {
    const [program = '', ...words] = this.#client;
    return await run(program, [...words, ...parameters], { cwd: this.folder, env: this.environment });
  }

  /** Runs the compose client; it must end with 0. @returns what it printed on standard output */
  async run(...parameters: string[]): Promise<string> {
    const [program = '', ...words] = this.#client;
    return await mustRun(program, [...words, ...parameters], { cwd: this.folder, env: this.environment });
  }

  /** Runs a line in the folder as a person would paste it, with `docker compose` for what this machine has. */
  async shell(line: string, environment: Readonly<Record<string, string>> = {}): Promise<Done> {
    const text = line.replaceAll('docker compose', this.command);
    return await run('sh', ['-c', text], { cwd: this.folder, env: { ...this.environment, ...environment } });
  }

  /** The container of a service. */
  async container(service: string): Promise<string> {
    const filters = [
      `label=com.docker.compose.service=${service}`,
      `label=com.docker.compose.project=${PROJECT}`,
    ];
    const flags = filters.flatMap((filter) => ['--filter', filter]);
    const names = await this.#engine.podman('ps', '--all', ...flags, '--format', '{{.Names}}');
    return names.split('\n')[0] ?? '';
  }
}

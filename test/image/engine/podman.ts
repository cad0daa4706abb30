import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from '../../root.js';
import { until } from '../../until.js';
import { type Done, mustRun, type Running, run } from './command.js';

const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';

/**
 * A container engine of the test's own: podman as root, with storage, networks and locks in a folder that goes when the
 * test ends. The machine's own containers and images are neither seen nor touched.
 */
export class Engine {
  /** Below build/: the file system of /tmp may be one that overlay cannot lie on. */
  readonly #place = mkdtempSync(join(mkdirs(join(root, 'build/engine')), 'run-'));
  /** Names of sockets have 108 bytes at most. */
  readonly #short = mkdtempSync(join(tmpdir(), 'engine-'));
  readonly #ipForward = existsSync(IP_FORWARD) ? readFileSync(IP_FORWARD, 'utf8') : undefined;
  #service: ChildProcess | undefined;
  #checking = false;
  #checks: Promise<void> = Promise.resolve();

  constructor() {
    const file = (name: string, text: string) => writeFileSync(join(this.#place, name), text);
    file(
      'storage.conf',
      `[storage]
driver = "overlay"
graphroot = "${this.#place}/storage"
runroot = "${this.#place}/run"
`,
    );
    // runc, because crun refuses cgroups of both versions side by side. Its own limits of files and processes are more
    // than a machine without CAP_SYS_RESOURCE may set. There is no systemd, so no journal and no cgroups of its.
    file(
      'containers.conf',
      `[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
lock_type = "file"
tmp_dir = "${this.#place}/tmp"
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=${hardLimit()}:${hardLimit()}", "nproc=32768:32768"]
[network]
network_backend = "netavark"
network_config_dir = "${this.#place}/networks"
`,
    );
    mkdirSync(join(this.#place, 'networks'));
  }

  /** Files of the test's own, which go with the engine. */
  folder(name: string): string {
    return mkdirs(join(this.#place, 'files', name));
  }

  /** The variables by which podman finds this engine, and a client of Docker its socket. */
  get environment(): Readonly<Record<string, string>> {
    return {
      CONTAINERS_CONF: join(this.#place, 'containers.conf'),
      CONTAINERS_STORAGE_CONF: join(this.#place, 'storage.conf'),
      DOCKER_HOST: `unix://${this.#short}/podman.sock`,
    };
  }

  /** Runs podman; it must end with 0. @returns what it printed, without blanks around it */
  async podman(...parameters: string[]): Promise<string> {
    return (await mustRun('podman', parameters, { env: this.environment })).trim();
  }

  /** Runs podman, whatever it ends with. */
  async try(parameters: readonly string[], options: Running = {}): Promise<Done> {
    return await run('podman', parameters, { ...options, env: { ...this.environment, ...options.env } });
  }

  /** Serves Docker's API, which a compose client wants. */
  async serve(): Promise<void> {
    const { DOCKER_HOST = '' } = this.environment;
    this.#service = spawn('podman', ['system', 'service', '--time=0', DOCKER_HOST], {
      env: { ...process.env, ...this.environment },
      stdio: 'ignore',
    });
    await until(() => existsSync(DOCKER_HOST.replace('unix://', '')));
  }

  /** Runs the containers' health checks every second: podman leaves that to systemd's timers, which are not there. */
  runHealthChecks(): void {
    this.#checking = true;
    this.#checks = (async () => {
      while (this.#checking) {
        const { stdout } = await this.try(['ps', '--format', '{{.Names}} {{.Status}}']);
        for (const line of stdout
          .split('\n')
          .filter((text) => /\((?:starting|healthy|unhealthy)\)/.test(text)))
          await this.try(['healthcheck', 'run', line.split(' ')[0] ?? '']);
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    })();
  }

  /** A field of a container, as Go's template `{{.State.Pid}}` names it. */
  async inspect(container: string, field: string): Promise<string> {
    return await this.podman('inspect', '--format', `{{${field}}}`, container);
  }

  /** The address of a container on its network. */
  async address(container: string): Promise<string> {
    return await this.inspect(container, 'range .NetworkSettings.Networks}}{{.IPAddress}}{{end');
  }

  /** Ends everything that was started, and removes every trace of it. */
  async close(): Promise<void> {
    this.#checking = false;
    await this.#checks;
    await this.try(['pod', 'rm', '--all', '--force', '--time', '0']);
    // Twice: a container whose network namespace others use can go only after them.
    for (let i = 0; i < 2; i++) await this.try(['rm', '--all', '--force', '--time', '0', '--volumes']);
    await this.try(['network', 'prune', '--force']);
    if (this.#service !== undefined) {
      const ended = once(this.#service, 'exit');
      this.#service.kill('SIGTERM');
      await ended;
    }
    // The images go with their folder: podman would take minutes to remove them one by one. What lies under the storage is
    // one mount that it leaves.
    await run('umount', [join(this.#place, 'storage/overlay')]);
    await run('rm', ['-rf', this.#place, this.#short]);
    // netavark has set it, for all of the machine.
    if (this.#ipForward !== undefined) writeFileSync(IP_FORWARD, this.#ipForward);
  }
}

function mkdirs(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}

/** The most files that a process of this machine may have open. */
function hardLimit(): string {
  const line = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  return line?.[1] ?? '1024';
}

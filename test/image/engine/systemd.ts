import { chmodSync, constants, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../root.js';
import { until } from '../../until.js';
import type { Engine } from './podman.js';

/** What only real hardware has, or would reach beyond the container: `systemd-sysctl` sets the kernel of the machine. */
const MASKED = [
  'dbus.service dbus.socket dev-hugepages.mount dev-mqueue.mount getty.target ldconfig.service',
  'proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount',
  'sys-kernel-tracing.mount systemd-binfmt.service systemd-firstboot.service systemd-hwdb-update.service',
  'systemd-logind.service systemd-modules-load.service systemd-random-seed.service systemd-sysctl.service',
  'systemd-timesyncd.service systemd-udev-trigger.service systemd-udevd.service kmod-static-nodes.service',
].flatMap((line) => line.split(' '));

/** A container made of this machine's own programs, in which systemd is the first process. */
export class Machine {
  readonly #engine: Engine;
  readonly #folder: string;
  readonly #local: string;

  /** @param node the Node that the machine has in `/usr/local/bin` */
  constructor(engine: Engine, node: string) {
    this.#engine = engine;
    this.#folder = engine.folder('machine');
    this.#local = engine.folder('machine-local');
    for (const name of [
      'usr',
      'etc/systemd/system',
      'var/log/journal',
      'run',
      'tmp',
      'proc',
      'sys',
      'dev',
      'root',
    ])
      mkdirSync(join(this.#folder, name), { recursive: true });
    chmodSync(join(this.#folder, 'tmp'), 0o1777);
    mkdirSync(join(this.#folder, 'opt/scopegate'), { recursive: true });
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${name}`, join(this.#folder, name));
    symlinkSync('/run', join(this.#folder, 'var/run'));
    this.file('/etc/machine-id', '');
    this.file('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nvalkey:x:990:990::/:/sbin/nologin\n');
    this.file('/etc/group', 'root:x:0:\nvalkey:x:990:\n');
    for (const unit of MASKED) symlinkSync('/dev/null', join(this.#folder, 'etc/systemd/system', unit));
    symlinkSync(
      '/usr/lib/systemd/system/multi-user.target',
      join(this.#folder, 'etc/systemd/system/default.target'),
    );
    // What systemd mounts for one service must reach the others' view of /run, as it does on a machine.
    this.file('/boot', '#!/bin/sh\nmount --make-rshared / && exec /usr/lib/systemd/systemd\n', 0o755);
    mkdirSync(join(this.#local, 'bin'));
    copyFileSync(node, join(this.#local, 'bin/node'), constants.COPYFILE_FICLONE);
    chmodSync(join(this.#local, 'bin/node'), 0o755);
    const program = join(this.#local, 'bin/scopegate');
    writeFileSync(program, '#!/bin/sh\nexec node /opt/scopegate/build/src/cli.js "$@"\n');
    chmodSync(program, 0o755);
  }

  /** Writes a file into the machine, whatever the umask is. */
  file(path: string, text: string, mode = 0o644): void {
    const place = join(this.#folder, path);
    for (let i = path.indexOf('/', 1); i > 0; i = path.indexOf('/', i + 1)) {
      const folder = join(this.#folder, path.slice(0, i));
      mkdirSync(folder, { recursive: true });
      chmodSync(folder, 0o755);
    }
    writeFileSync(place, text);
    chmodSync(place, mode);
  }

  /** Adds a service that starts at boot. */
  service(name: string, lines: readonly string[]): void {
    this.file(`/etc/systemd/system/${name}`, `[Service]\n${lines.join('\n')}\n`);
    const wanted = join(this.#folder, 'etc/systemd/system/multi-user.target.wants');
    mkdirSync(wanted, { recursive: true });
    symlinkSync(`/etc/systemd/system/${name}`, join(wanted, name));
  }

  /** Starts it for the first time. @throws with what podman says, where it does not start */
  async boot(): Promise<void> {
    const parts = ['build/src', 'node_modules', 'config', 'package.json'].map(
      (name) => `--volume=${join(root, name)}:/opt/scopegate/${name}:ro`,
    );
    await this.#engine.podman(
      'run',
      '--detach',
      '--name=machine',
      '--systemd=always',
      // The limits of memory of its services are in a tree of cgroups of its own.
      '--cgroupns=private',
      '--privileged',
      '--network=none',
      '--volume=/usr:/usr:ro',
      `--volume=${this.#local}:/usr/local:ro`,
      ...parts,
      '--rootfs',
      this.#folder,
      '/boot',
    );
    await this.#running();
  }

  /** Shuts it down in order, and starts it again. */
  async reboot(): Promise<void> {
    await this.#engine.podman('restart', '--time', '45', 'machine');
    await this.#running();
  }

  /** Runs a script of bash in it, in the folder where scopegate is installed. It must end with 0. */
  async run(script: string): Promise<string> {
    return await this.#engine.podman(...this.#exec(script));
  }

  /** Runs a script of bash in it. @returns what it ended with */
  async code(script: string): Promise<number | null> {
    return (await this.#engine.try(this.#exec(script))).code;
  }

  #exec(script: string): string[] {
    return ['exec', '--workdir=/opt/scopegate', 'machine', 'timeout', '120', 'bash', '-c', script];
  }

  async #running(): Promise<void> {
    await until(async () => {
      const { stdout } = await this.#engine.try(['exec', 'machine', 'systemctl', 'is-system-running']);
      return ['running', 'degraded'].includes(stdout.trim());
    }, 90_000);
  }
}

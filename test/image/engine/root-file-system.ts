import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A root file system that is put together of what this Debian machine has installed. */
export class RootFileSystem {
  readonly folder: string;

  /** @param folder an empty one */
  constructor(folder: string) {
    this.folder = folder;
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
      mkdirSync(join(folder, 'usr', name), { recursive: true });
      symlinkSync(`usr/${name}`, join(folder, name));
    }
    for (const name of [
      'proc',
      'sys',
      'dev',
      'tmp',
      'root',
      'etc/ssl/certs',
      'home/nonroot',
      'usr/local/bin',
    ])
      mkdirSync(join(folder, name), { recursive: true });
    chmodSync(join(folder, 'tmp'), 0o1777);
    const users = ['root:x:0:0:root:/root', 'nonroot:x:65532:65532::/home/nonroot', 'postgres:x:70:70::/tmp'];
    writeFileSync(join(folder, 'etc/passwd'), users.map((user) => `${user}:/sbin/nologin\n`).join(''));
    writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\npostgres:x:70:\n');
    this.file('/etc/ssl/certs/ca-certificates.crt');
  }

  /** Puts the files of packages in. A name may have `*` for what differs from one Debian to the next. */
  packages(...names: string[]): void {
    const { stdout } = spawnSync('dpkg-query', ['-W', ...names], { encoding: 'utf8' });
    for (const line of stdout.trim().split('\n')) {
      const name = line.split('\t')[0] ?? '';
      const listed = spawnSync('dpkg-query', ['-L', name], { encoding: 'utf8' }).stdout.trim().split('\n');
      for (const path of listed) if (!/^\/usr\/share\/(?:doc|man|locale|lintian)/.test(path)) this.file(path);
    }
  }

  /** Puts a program in, with the libraries that it is linked to. */
  program(path: string): void {
    this.file(path);
    const { stdout } = spawnSync('ldd', [path], { encoding: 'utf8' });
    for (const [, library = ''] of stdout.matchAll(/(\/\S+\.so\S*) \(/g)) this.file(library);
  }

  /**
   * Puts a file of this machine in, at its own place or another; of a symbolic link also what it leads to. A folder is made
   * and left empty.
   */
  file(path: string, place = path): void {
    if (!existsSync(path)) return;
    // /lib is a link to /usr/lib, here and there.
    const target = join(
      this.folder,
      place === path ? realpathSync(dirname(path)) : dirname(place),
      basename(place),
    );
    const found = lstatSync(path);
    if (found.isDirectory()) {
      mkdirSync(target, { recursive: true });
      return;
    }
    if (existsSync(target)) return;
    mkdirSync(dirname(target), { recursive: true });
    if (found.isSymbolicLink()) {
      symlinkSync(readlinkSync(path), target);
      this.file(realpathSync(path));
    } else {
      copyFileSync(path, target, constants.COPYFILE_FICLONE);
      chmodSync(target, found.mode);
    }
  }
}

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { freePort } from '../stack/port.js';

/** A running nginx that tells how it read a path. */
export interface Nginx {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Starts Debian's nginx on loopback, with its defaults. It answers with the location it chose and the path as it
 * resolved it, `admin /admin/x` or `other /a b`.
 */
export async function startNginx(): Promise<Nginx> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-nginx-'));
  mkdirSync(join(folder, 'temp'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/temp/${name};`)
    .join(' ');
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 512; }
http {
  access_log off; ${temporary}
  default_type text/plain; keepalive_requests 10000000; large_client_header_buffers 4 32k;
  server {
    listen 127.0.0.1:${port};
    location = /admin { return 200 "admin $uri"; }
    location /admin/ { return 200 "admin $uri"; }
    location / { return 200 "other $uri"; }
  }
}
`,
  );
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdio: 'ignore',
    env: { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin` },
  });
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  const url = `http://127.0.0.1:${port}`;
  await alive(child, url);
  return {
    url,
    async close() {
      process.off('exit', end);
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await gone;
      rmSync(folder, { recursive: true });
    },
  };
}

async function alive(child: ChildProcess, url: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`);
    try {
      const { body } = await request(url);
      await body.dump();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  child.kill('SIGKILL');
  throw new Error('nginx did not answer within ten seconds');
}

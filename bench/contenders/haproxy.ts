import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { start } from '../child.js';
import type { Contender } from '../contender.js';
import { absent } from './installed.js';

const HAPROXY = '/usr/sbin/haproxy';

/** HAProxy as a plain proxy with one thread; it logs to the standard output. */
export const haproxy: Contender = {
  name: 'haproxy plain',
  introspects: false,
  secure: true,
  missing: () => absent({ [HAPROXY]: 'apt-get install haproxy' }),
  start({ folder, port, upstreamPort, tls }) {
    const file = join(folder, 'haproxy.cfg');
    const secure = tls === undefined ? '' : ` ssl crt ${tls.both} alpn h2,http/1.1`;
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn 4096
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend gate
  bind 127.0.0.1:${port}${secure}
  default_backend upstream
backend upstream
  server upstream 127.0.0.1:${upstreamPort}
`,
    );
    return start(0, HAPROXY, ['-f', file, '-db'], join(folder, 'log'));
  },
};

import { accessSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { start } from '../child.js';
import type { Contender } from '../contender.js';

const NGINX = '/usr/sbin/nginx';
const NJS = '/usr/lib/nginx/modules/ngx_http_js_module.so';

function absent(...files: string[]): string | undefined {
  for (const file of files) {
    try {
      accessSync(file);
    } catch {
      return `${file} is not installed`;
    }
  }
  return undefined;
}

function config(folder: string, upstreamPort: number, http: string, server: string, modules = ''): string {
  return `${modules}
daemon off;
user root;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log ${folder}/access.log combined buffer=64k flush=1s;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 1000000;
  upstream backend { server 127.0.0.1:${upstreamPort}; keepalive 128; keepalive_requests 1000000; }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  ${http}
  server {
    ${server}
  }
}
`;
}

/** nginx as a plain proxy with its access log. */
export const nginx: Contender = {
  name: 'nginx plain',
  introspects: false,
  missing: () => absent(NGINX),
  start({ folder, port, upstreamPort }) {
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      config(folder, upstreamPort, '', `listen 127.0.0.1:${port}; location / { proxy_pass http://backend; }`),
    );
    return start(0, NGINX, ['-p', folder, '-c', file]);
  },
};

/** The shape of nginx's published sample: auth_request, a script, and the proxy cache in front of the endpoint. */
export const njs: Contender = {
  name: 'nginx njs',
  introspects: true,
  missing: () => absent(NGINX, NJS),
  start({ folder, port, upstreamPort, introspectionUrl }) {
    const { host, pathname } = new URL(introspectionUrl);
    writeFileSync(
      join(folder, 'oauth2.js'),
      `export default { introspect };
function introspect(r) {
  const token = (r.headersIn.Authorization || '').slice(7);
  if (token === '') { r.return(401); return; }
  r.subrequest('/_send', 'token=' + token, function (reply) {
    if (reply.status !== 200) { r.error('status ' + reply.status); r.return(401); return; }
    try {
      const answer = JSON.parse(reply.responseText);
      if (answer.active !== true) { r.return(403); return; }
      r.return(answer.scope.split(' ').includes('read') ? 204 : 403);
    } catch (e) { r.error(String(e)); r.return(401); }
  });
}
`,
    );
    const file = join(folder, 'nginx.conf');
    const http = `js_path ${folder};
  js_import oauth2 from oauth2.js;
  proxy_cache_path ${folder}/cache keys_zone=tokens:32m max_size=256m;
  upstream as { server ${host}; keepalive 128; keepalive_requests 1000000; }`;
    const server = `listen 127.0.0.1:${port};
    location / { auth_request /_introspect; proxy_pass http://backend; }
    location = /_introspect { internal; js_content oauth2.introspect; }
    location = /_send {
      internal;
      proxy_method POST;
      proxy_set_header Content-Type "application/x-www-form-urlencoded";
      proxy_set_body "token=$arg_token";
      proxy_pass http://as${pathname};
      proxy_cache tokens;
      proxy_cache_key $arg_token;
      proxy_cache_lock on;
      proxy_cache_valid 200 60s;
    }`;
    writeFileSync(file, config(folder, upstreamPort, http, server, `load_module ${NJS};`));
    return start(0, NGINX, ['-p', folder, '-c', file]);
  },
};

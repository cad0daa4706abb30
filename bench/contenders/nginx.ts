import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { start } from '../child.js';
import type { Contender, Surroundings } from '../contender.js';
import { absent } from './installed.js';

const NGINX = '/usr/sbin/nginx';
const NJS = '/usr/lib/nginx/modules/ngx_http_js_module.so';
const NGINX_PACKAGE = { [NGINX]: 'apt-get install nginx' };
const NJS_PACKAGE = { [NJS]: 'apt-get install libnginx-mod-http-js' };

/** Where it listens. */
function listen({ port, tls }: Surroundings): string {
  if (tls === undefined) return `listen 127.0.0.1:${port};`;
  return `listen 127.0.0.1:${port} ssl http2; ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};`;
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
  secure: true,
  missing: () => absent(NGINX_PACKAGE),
  start(surroundings) {
    const { folder, upstreamPort } = surroundings;
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      config(folder, upstreamPort, '', `${listen(surroundings)} location / { proxy_pass http://backend; }`),
    );
    return start(0, NGINX, ['-p', folder, '-c', file]);
  },
};

/**
 * What nginx's sample `oauth2-token-introspection-oss` (nginxinc/NGINX-Demos) does, step for step: the token is found by
 * a `map`, the client's credentials are encoded for every request, what happens is told to the log (whose level leaves
 * it out), and each member of the answer becomes a header field for `auth_request_set`. It looks at no scopes.
 */
export const njs: Contender = introspecting('nginx njs', {
  differs: {
    how: 'as published it looks at no scopes, and answers 403 to a token that is not active',
    narrow: 200,
    inactive: 403,
  },
  script: `function introspect(r) {
  const credentials = r.variables.client_id + ':' + r.variables.client_secret;
  const authorization = 'Basic ' + Buffer.from(credentials).toString('base64');
  r.log('introspecting ' + r.variables.access_token);
  r.subrequest('/_send', 'token=' + r.variables.access_token + '&authorization=' + authorization, function (reply) {
    if (reply.status !== 200) { r.error('status ' + reply.status); r.return(401); return; }
    try {
      r.log('answer: ' + reply.responseText);
      const answer = JSON.parse(reply.responseText);
      if (answer.active !== true) { r.warn('the token is not active'); r.return(403); return; }
      r.warn('the token is active');
      for (const name in answer) {
        r.log(name + ': ' + answer[name]);
        r.headersOut['token-' + name] = answer[name];
      }
      r.status = 204;
      r.sendHeader();
      r.finish();
    } catch (e) { r.error(String(e)); r.return(401); }
  });
}`,
  http: `map $http_authorization $access_token {
    "~*^bearer (.*)$" $1;
    default $http_authorization;
  }`,
  server: 'set $client_id gateway; set $client_secret secret;',
  asking: `gunzip on;
      proxy_set_header Authorization $arg_authorization;
      proxy_set_body "token=$arg_token&token_hint=access_token";
      proxy_cache_key $access_token;
      proxy_cache_use_stale error timeout;
      proxy_ignore_headers Cache-Control Expires Set-Cookie;`,
});

/** The same job written by hand, with nothing in it that can be left out, and the scope that scopegate requires. */
export const leanNjs: Contender = introspecting('nginx njs, lean', {
  script: `function introspect(r) {
  const token = (r.headersIn.Authorization || '').slice(7);
  if (token === '') { r.return(401); return; }
  r.subrequest('/_send', 'token=' + token, function (reply) {
    if (reply.status !== 200) { r.error('status ' + reply.status); r.return(401); return; }
    try {
      const answer = JSON.parse(reply.responseText);
      if (answer.active !== true) { r.return(401); return; }
      r.return(answer.scope.split(' ').includes('read') ? 204 : 403);
    } catch (e) { r.error(String(e)); r.return(401); }
  });
}`,
  asking: 'proxy_set_body "token=$arg_token"; proxy_cache_key $arg_token;',
});

/** What one way of introspecting with nginx has of its own: texts for its files. */
interface Introspecting {
  readonly differs?: NonNullable<Contender['differs']>;
  /** JavaScript with a function `introspect`. */
  readonly script: string;
  /** Directives beside the servers, if any. */
  readonly http?: string;
  /** Directives in the server, if any. */
  readonly server?: string;
  /** Directives in the location that asks the endpoint. */
  readonly asking: string;
}

/** nginx with `auth_request`, a script, and the proxy cache in front of the endpoint. */
function introspecting(
  name: string,
  { differs, script, http = '', server = '', asking }: Introspecting,
): Contender {
  return {
    name,
    ...(differs === undefined ? {} : { differs }),
    introspects: true,
    secure: true,
    missing: () => absent({ ...NGINX_PACKAGE, ...NJS_PACKAGE }),
    start(surroundings) {
      const { folder, upstreamPort, introspectionUrl } = surroundings;
      const { host, pathname } = new URL(introspectionUrl);
      writeFileSync(join(folder, 'oauth2.js'), `export default { introspect };\n${script}\n`);
      const file = join(folder, 'nginx.conf');
      const around = `js_path ${folder};
  js_import oauth2 from oauth2.js;
  ${http}
  proxy_cache_path ${folder}/cache keys_zone=tokens:32m max_size=256m;
  upstream as { server ${host}; keepalive 128; keepalive_requests 1000000; }`;
      const inside = `${listen(surroundings)}
    # By a variable, else the arguments of the subrequest would go along.
    set $endpoint http://as${pathname};
    ${server}
    location / { auth_request /_introspect; proxy_pass http://backend; }
    location = /_introspect { internal; js_content oauth2.introspect; }
    location = /_send {
      internal;
      proxy_method POST;
      proxy_set_header Content-Type "application/x-www-form-urlencoded";
      proxy_pass $endpoint;
      proxy_cache tokens;
      proxy_cache_lock on;
      proxy_cache_valid 200 60s;
      ${asking}
    }`;
      writeFileSync(file, config(folder, upstreamPort, around, inside, `load_module ${NJS};`));
      return start(0, NGINX, ['-p', folder, '-c', file]);
    },
  };
}

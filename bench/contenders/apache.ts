import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { start } from '../child.js';
import type { Contender, Surroundings } from '../contender.js';
import { absent } from './installed.js';

const APACHE = '/usr/sbin/apache2';
const MODULES = '/usr/lib/apache2/modules';

function contender(
  name: string,
  module: string,
  debianPackage: string,
  identifier: string,
  access: (s: Surroundings) => string,
): Contender {
  const file = `${MODULES}/${module}`;
  return {
    name,
    introspects: true,
    secure: true,
    missing: () =>
      absent({ [APACHE]: 'apt-get install apache2', [file]: `apt-get install ${debianPackage}` }),
    start(surroundings) {
      const { folder, port, upstreamPort, tls } = surroundings;
      mkdirSync(join(folder, 'run'));
      const config = join(folder, 'apache.conf');
      // Logging is built into Debian's binary.
      const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'proxy', 'proxy_http'];
      const load = [...modules, ...(tls === undefined ? [] : ['socache_shmcb', 'ssl', 'http2'])]
        .map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`)
        .join('\n');
      writeFileSync(
        config,
        `ServerRoot ${folder}
PidFile ${folder}/run/apache.pid
Mutex file:${folder}/run
DefaultRuntimeDir ${folder}/run
ErrorLog ${folder}/error.log
LogLevel crit
User www-data
Group www-data
ServerName gate.example
Listen 127.0.0.1:${port}
${load}
LoadModule ${identifier} ${file}
ServerLimit 2
StartServers 2
ThreadsPerChild 64
MaxRequestWorkers 128
KeepAlive On
MaxKeepAliveRequests 0
LogFormat "%h %u %t \\"%r\\" %>s %b" short
CustomLog ${folder}/access.log short
${tls === undefined ? '' : `SSLEngine on\nSSLCertificateFile ${tls.cert}\nSSLCertificateKeyFile ${tls.key}\nProtocols h2 http/1.1`}
ProxyPass / http://127.0.0.1:${upstreamPort}/ enablereuse=on max=128
${access(surroundings)}
`,
      );
      return start(0, APACHE, ['-f', config, '-DFOREGROUND']);
    },
  };
}

/** mod_auth_openidc as an OAuth 2.0 resource server with its shared-memory cache. */
export const openidc = contender(
  'apache openidc',
  'mod_auth_openidc.so',
  'libapache2-mod-auth-openidc',
  'auth_openidc_module',
  ({ secureIntrospectionUrl }) => `
OIDCCryptoPassphrase bench-only-passphrase
OIDCCacheType shm
OIDCCacheShmMax 20000
OIDCOAuthIntrospectionEndpoint ${secureIntrospectionUrl}
OIDCOAuthSSLValidateServer Off
OIDCOAuthIntrospectionEndpointMethod POST
OIDCOAuthClientID bench
OIDCOAuthClientSecret bench-only-secret
OIDCOAuthRemoteUserClaim sub
<Location />
  AuthType oauth20
  AuthzSendForbiddenOnFailure On
  Require claim scope~read
</Location>`,
);

/** mod_oauth2 with its own cache. Debian's knows no patterns and compares the whole of `scope`. */
export const oauth2 = contender(
  'apache mod_oauth2',
  'mod_oauth2.so',
  'libapache2-mod-oauth2',
  'oauth2_module',
  ({ introspectionUrl }) => `
<Location />
  AuthType oauth2
  AuthzSendForbiddenOnFailure On
  OAuth2TokenVerify introspect ${introspectionUrl} introspect.auth=client_secret_basic&client_id=bench&client_secret=bench-only-secret&verify.iat=skip
  Require oauth2_claim "scope:read write"
</Location>`,
);

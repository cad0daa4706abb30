import { join } from 'node:path';
import t from 'tap';
import { explain } from '../../src/rules/explain.js';
import { loadRules } from '../../src/rules/load.js';
import { apiRule } from '../gateway.js';
import { options } from './options.js';

t.test('every strategy can be explained without a network, mutators or none', (t) => {
  const mutators = [
    { handler: 'header', config: { headers: { 'X-Who': '{{ .Subject }}' } } },
    { handler: 'hydrator', config: { api: { url: 'http://hydrator.invalid/' } } },
  ];
  const rule = (path: string, handler: string, config: object) => ({
    path,
    methods: ['GET'],
    accessStrategies: [{ handler, config }],
    mutators,
  });
  const folder = t.testdir({
    'r.yaml': apiRule('gate.example', [
      rule('/jwt', 'jwt', {
        jwks_urls: ['https://as.invalid/keys'],
        trusted_issuers: ['https://as.invalid'],
        required_scope: ['read'],
      }),
      rule('/cookie', 'cookie_session', { check_session_url: 'http://store.invalid/', only: ['sid'] }),
      rule('/kratos', 'bearer_token', {
        check_session_url: 'http://store.invalid/',
        subject_from: 'identity.id',
        token_from: { query_parameter: 'token' },
      }),
    ]),
  });
  const { table, findings } = loadRules([join(folder, 'r.yaml')], options);
  if (table === undefined) throw new Error(JSON.stringify(findings));
  const status = (path: string, scopes?: readonly string[]) =>
    explain(table, {
      method: 'GET',
      url: `https://gate.example${path}`,
      ...(scopes === undefined ? {} : { token: { scopes, issuer: 'https://as.invalid' } }),
    }).status;
  t.same([status('/jwt'), status('/jwt', []), status('/jwt', ['read'])], [401, 403, 200]);
  t.same([status('/cookie'), status('/cookie', [])], [401, 200]);
  t.same([status('/kratos'), status('/kratos', [])], [401, 200]);
  t.end();
});

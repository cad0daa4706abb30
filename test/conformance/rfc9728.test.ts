import { join } from 'node:path';
import * as oauth from 'oauth4webapi';
import t, { type Test } from 'tap';
import { loadOptions } from '../../src/commands/load.js';
import { formatFinding } from '../../src/document/finding.js';
import { loadRules } from '../../src/rules/load.js';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway, type TestGateway } from '../gateway.js';
import { settingsFor } from '../settings.js';
import { start as startAuthorizationServer } from '../stack/authorization-server.js';
import { prove } from './statements.js';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const AS = 'https://as.example';

const RULES = apiRule('gate.example', [
  rule('/.*', ['GET', 'POST'], 'read'),
  rule('/res1/write', ['GET'], 'write'),
  rule('/elsewhere', ['GET'], 'else'),
]);

const start = (t: Test, resources: readonly object[], more: object = {}): Promise<TestGateway> =>
  startTestGateway(t, { rules: RULES, settings: { resources, ...more } });

const whole = { resource: 'https://gate.example', authorizationServers: [AS] };
const part = {
  resource: 'https://gate.example/res1',
  authorizationServers: [AS, `${AS}/other`],
  name: 'The first',
  documentation: 'https://gate.example/docs',
};

async function metadata(gate: TestGateway, path: string): Promise<Record<string, unknown>> {
  const reply = await ask(gate, path);
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  return JSON.parse(reply.text) as Record<string, unknown>;
}

t.test('RFC 9728', async (t) => {
  await prove(t, ['R9728-'], {
    'R9728-01': async (t) => {
      for (const resource of ['https://gate.example/', 'https://gate.example']) {
        const gate = await start(t, [{ ...whole, resource }]);
        const reply = await ask(gate, WELL_KNOWN);
        t.equal(reply.status, 200);
        t.equal(reply.headers['content-type'], 'application/json');
        t.equal(JSON.parse(reply.text).resource, resource, 'as configured, to the slash');
      }
    },

    'R9728-02': async (t) => {
      const gate = await start(t, [part]);
      t.equal((await metadata(gate, `${WELL_KNOWN}/res1`)).resource, part.resource);
      t.equal((await ask(gate, WELL_KNOWN)).status, 401, 'nothing is published about the whole host');
      t.equal((await ask(gate, `/res1${WELL_KNOWN}`)).status, 401, 'nor behind the path');
      t.equal((await ask(gate, `${WELL_KNOWN}/res1/`)).status, 401);
      t.equal((await ask(gate, `${WELL_KNOWN}/res1`, { host: 'other.example' })).status, 404, 'other host');
    },

    'R9728-03': async (t) => {
      const gate = await start(t, [whole]);
      t.match(await metadata(gate, WELL_KNOWN), { resource: /^https:\/\/[^#]+$/ });
      for (const resource of [
        'http://gate.example',
        'https://gate.example#f',
        'https://gate.example/?q',
        'https://u:p@gate.example',
        'https://gate.example/a/../b',
        'https://GATE.example',
        'https://gate.example/%7Ea',
        'https://gate.example/a%2Fb',
        'https://gate.example/a//b',
        'gate.example',
        'ftp://gate.example',
      ]) {
        t.throws(() => settingsFor(['./rules'], { resources: [{ ...whole, resource }] }), {
          message: /settings.yaml:1:\d+ error invalid-value resources.0.resource /,
        });
        t.throws(
          () => settingsFor(['./rules'], { resources: [{ ...whole, authorizationServers: [resource] }] }),
          {
            message: /resources.0.authorizationServers.0 /,
          },
        );
      }
      t.equal(
        settingsFor(['./r'], { resources: [{ ...whole, resource: 'http://localhost:8080/mcp' }] }).resources
          .length,
        1,
      );
      t.throws(
        () =>
          settingsFor(['./r'], { resources: [whole, { ...whole, resource: 'https://gate.example:8443/' }] }),
        {
          message:
            /resources.1.resource has the same metadata URL as https:\/\/gate.example; change one of them/,
        },
      );
      t.throws(() => settingsFor(['./r'], { resources: [{ ...part, documentation: 'javascript:1' }] }), {
        message: /resources.0.documentation must be an http or https URL/,
      });
    },

    'R9728-04': async (t) => {
      const gate = await start(t, [whole, part]);
      t.strictSame(await metadata(gate, WELL_KNOWN), {
        resource: whole.resource,
        authorization_servers: [AS],
        scopes_supported: ['else', 'read', 'write'],
        bearer_methods_supported: ['header'],
      });
      t.strictSame(await metadata(gate, `${WELL_KNOWN}/res1`), {
        resource: part.resource,
        authorization_servers: part.authorizationServers,
        scopes_supported: ['read', 'write'],
        bearer_methods_supported: ['header'],
        resource_name: 'The first',
        resource_documentation: 'https://gate.example/docs',
      });
    },

    'R9728-05': async (t) => {
      const open = { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'oauth2_introspection' }] };
      const gate = await startTestGateway(t, {
        rules: apiRule('gate.example', [open]),
        settings: { resources: [whole] },
      });
      const members = await metadata(gate, WELL_KNOWN);
      t.notOk('scopes_supported' in members, 'no scope is required, none is named');
      t.notOk(Object.values(members).some((value) => value === null || (value as unknown[]).length === 0));
    },

    'R9728-06': async (t) => {
      const gate = await start(t, [part, { ...whole, resource: 'https://gate.example:8443' }]);
      const named = (header: string | undefined) => header?.match(/resource_metadata="([^"]*)"/)?.[1];
      const inner = `https://gate.example${WELL_KNOWN}/res1`;
      const outer = `https://gate.example:8443${WELL_KNOWN}`;
      for (const [path, token, status, expected] of [
        ['/res1', undefined, 401, inner],
        ['/res1/write', 'good-read', 403, inner],
        ['/res1/write', 'nobody', 401, inner],
        ['/res1x', undefined, 401, outer],
        ['/', 'nobody', 401, outer],
        ['/', '"', 400, outer],
      ] as const) {
        const reply = await ask(gate, path, token === undefined ? {} : { token });
        t.equal(reply.status, status, path);
        t.equal(named(reply.headers['www-authenticate']), expected, path);
      }
      const silent = await startTestGateway(t, { rules: RULES });
      t.notMatch((await ask(silent, '/')).headers['www-authenticate'], /resource_metadata/);
    },

    'R9728-07': async (t) => {
      const gate = await start(t, [part]);
      const resource = new URL(part.resource);
      const response = await oauth.resourceDiscoveryRequest(resource, { [oauth.customFetch]: through(gate) });
      t.equal((await oauth.processResourceDiscoveryResponse(resource, response)).resource, part.resource);
      const other = new URL('https://gate.example/res1/');
      const wrong = await oauth.resourceDiscoveryRequest(resource, { [oauth.customFetch]: through(gate) });
      await t.rejects(oauth.processResourceDiscoveryResponse(other, wrong));
    },

    'R9728-08': async (t) => {
      const gate = await start(t, [whole]);
      const head = await ask(gate, WELL_KNOWN, { method: 'HEAD' });
      t.equal(head.status, 200);
      t.equal(head.text, '');
      t.equal(Number(head.headers['content-length']), (await ask(gate, WELL_KNOWN)).text.length);
      t.equal((await ask(gate, WELL_KNOWN, { token: 'nobody' })).status, 200, 'a token changes nothing');
      t.equal(
        (await ask(gate, WELL_KNOWN, { method: 'POST' })).status,
        401,
        'another rule guards other methods',
      );
      t.equal((await ask(gate, WELL_KNOWN, { method: 'PUT' })).status, 404);
      t.equal(gate.upstream.received.length, 0, 'nothing was forwarded');
      t.equal(gate.endpoint.asked.length, 0, 'nobody was asked');
      const asked = await ask({ url: gate.adminUrl }, '/decisions', {
        headers: {
          'x-forwarded-method': 'GET',
          'x-forwarded-host': 'gate.example',
          'x-forwarded-uri': WELL_KNOWN,
        },
      });
      t.equal(asked.status, 404, 'a proxy that asks is not told to open its upstream');
      t.match(asked.reason, /on its proxy listener/);
    },
  });
});

t.test('a page of any origin may read the document', async (t) => {
  const gate = await start(t, [whole]);
  const headers = { origin: 'https://app.example' };
  t.equal((await ask(gate, WELL_KNOWN, { headers })).headers['access-control-allow-origin'], headers.origin);
  const preflight = await ask(gate, WELL_KNOWN, {
    method: 'OPTIONS',
    headers: {
      ...headers,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'mcp-protocol-version',
    },
  });
  t.equal(preflight.status, 204);
  t.equal(preflight.headers['access-control-allow-headers'], 'mcp-protocol-version');
});

t.test('a document takes no request from a rule unsaid', (t) => {
  const load = (overlap: 'error' | 'specific', path: string, host = 'gate.example') => {
    const file = join(
      t.testdir({ 'rules.yaml': apiRule(host, [rule(path, ['GET'], 'read')]) }),
      'rules.yaml',
    );
    return loadRules(
      [file],
      loadOptions(settingsFor([file], { resources: [whole], matching: { overlap } }), 1),
    );
  };
  const refused = load('error', '/.*');
  t.match(refused.findings.map(formatFinding), [/ error overlap .*oauth-protected-resource/]);
  // Which of the two comes first depends on where their folders are.
  t.match(
    refused.findings.map(formatFinding).join(),
    /settings\.yaml:1:\d+/,
    'and its place in the settings',
  );
  t.match(load('error', '/.*', '*.example').findings.map(formatFinding), [/ error overlap /]);
  const inside = load('specific', '/.*');
  t.same(inside.findings, []);
  t.same(inside.table?.overlaps?.specific, ['resource https://gate.example'], 'the proof names it');
  t.match(load('specific', '/\\.well-known/oauth-protected-resource').findings.map(formatFinding), [
    / error duplicate-rule /,
  ]);
  t.same(load('error', '/other').findings, []);
  t.end();
});

t.test('a client that knows the URL of an MCP server, and nothing else, gets in', async (t) => {
  const authorizationServer = await startAuthorizationServer();
  t.teardown(() => authorizationServer.close());
  const resource = 'https://gate.example/mcp';
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [rule('/mcp', ['GET', 'POST', 'DELETE'], 'read')]),
    settings: {
      introspection: { url: authorizationServer.introspectionUrl },
      resources: [{ resource, authorizationServers: [authorizationServer.issuer] }],
      matching: { overlap: 'error' },
    },
  });
  const message = { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} };
  const post = (more: Record<string, string> = {}) =>
    ask(gate, '/mcp', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...more },
      body: JSON.stringify(message),
    });

  const refused = await post();
  t.equal(refused.status, 401);
  const challenge = refused.headers['www-authenticate'] ?? '';
  const place = challenge.match(/resource_metadata="([^"]*)"/)?.[1];
  t.match(challenge, /scope="read"/, 'the scopes to ask for');

  const asked: string[] = [];
  const response = await oauth.resourceDiscoveryRequest(new URL(resource), {
    [oauth.customFetch]: through(gate, asked),
  });
  t.same(asked, [place], 'the challenge and the well-known place agree');
  const metadata = await oauth.processResourceDiscoveryResponse(new URL(resource), response);
  t.same(metadata.scopes_supported, ['read']);

  const issuer = new URL(metadata.authorization_servers?.[0] ?? '');
  const insecure = { [oauth.allowInsecureRequests]: true };
  const discovered = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oidc' });
  const server = await oauth.processDiscoveryResponse(issuer, discovered);
  const { client_id, client_secret = '' } = authorizationServer.registerClient();
  const granted = await oauth.clientCredentialsGrantRequest(
    server,
    { client_id },
    oauth.ClientSecretBasic(client_secret),
    { scope: metadata.scopes_supported?.join(' ') ?? '' },
    insecure,
  );
  const { access_token: token } = await oauth.processClientCredentialsResponse(
    server,
    { client_id },
    granted,
  );

  const served = await post({ authorization: `Bearer ${token}` });
  t.equal(served.status, 200);
  t.same(JSON.parse(String(gate.upstream.received[0]?.body)), message, 'the server got the very message');
});

/** A fetch that reaches the gateway under any name. */
function through(gate: TestGateway, asked: string[] = []) {
  return async (url: string, { method, headers }: { method: string; headers: Record<string, string> }) => {
    const { host, pathname, search } = new URL(url);
    asked.push(url);
    const reply = await ask(gate, pathname + search, { method: method as 'GET', host, headers });
    return new Response(reply.text, {
      status: reply.status,
      headers: reply.headers as Record<string, string>,
    });
  };
}

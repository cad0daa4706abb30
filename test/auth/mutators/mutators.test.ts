import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { exportJWK, generateKeyPair } from 'jose';
import t from 'tap';
import { ask } from '../../ask.js';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { startStore } from '../../store.js';
import { cookie, header, start, TOKENS } from './mutators-setup.js';

/** A text as Node shows its UTF-8, octet by octet. */
const octets = (text: string) => Buffer.from(text).toString('latin1');

t.test('header sets what the token says, in place of what the client says', async (t) => {
  const gate = await start(t, [
    rule('/in/([a-z]+)', ['GET'], 'read', {
      mutators: [
        { handler: 'noop' },
        header({
          'X-Who': '{{ print .Subject }}',
          'X-Role': '{{ .Extra.role }}',
          'X-Tenant': '{{ .Extra.tenant }}',
          'X-Part': 'p-{{ printIndex .MatchContext.RegexpCaptureGroups 0 }}',
          'X-None': '{{ .Extra.none }}',
          Accept: 'text/plain',
        }),
        header({ 'x-part': 'again' }),
      ],
    }),
    rule('/out', ['GET'], 'read'),
    { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'no_auth' }] },
  ]);
  const forged = {
    'x-who': 'root',
    'X-ROLE': 'root',
    'x-tenant': 'root',
    'x-part': 'root',
    'x-none': 'root',
    x_who: 'root',
    accept: 'image/png',
    'x-mine': 'kept',
  };
  t.equal((await ask(gate, '/in/abc', { token: 'alice', headers: forged })).status, 200);
  const sent = gate.upstream.received[0]?.headers ?? {};
  t.match(sent, {
    'x-who': 'alice',
    'x-role': 'admin',
    'x-tenant': octets('ü'),
    'x-part': 'again',
    'x-none': '',
  });
  t.match(sent, { accept: 'text/plain', 'x-mine': 'kept', authorization: 'Bearer alice' });
  t.notMatch(JSON.stringify(gate.upstream.received[0]?.rawHeaders), 'root');

  for (const [path, question] of [
    ['/out', { token: 'alice' }],
    ['/open', {}],
  ] as const) {
    t.equal((await ask(gate, path, { ...question, headers: forged })).status, 200);
    const last = gate.upstream.received.at(-1);
    t.notMatch(JSON.stringify(last?.rawHeaders), 'root', `${path}: nobody else may say it either`);
    t.equal(last?.headers.accept, 'image/png', 'what is no statement stays the client’s');
  }
});

t.test('a value that could end a field is never sent', async (t) => {
  const gate = await start(t, [
    rule('/header', ['GET'], 'read', { mutators: [header({ 'X-Who': '{{ .Subject }}' })] }),
    rule('/cookie', ['GET'], 'read', { mutators: [cookie({ who: '{{ .Subject }}' })] }),
    rule('/two', ['GET'], 'read', { mutators: [cookie({ who: '{{ .Subject }}{{ print "; admin=1" }}' })] }),
    rule('/comma', ['GET'], 'read', { mutators: [cookie({ who: '{{ .Subject }}{{ print ",admin=1" }}' })] }),
  ]);
  for (const [path, token] of [
    ['/header', 'evil'],
    ['/header', 'nul'],
    ['/cookie', 'evil'],
    ['/cookie', 'nul'],
    ['/two', 'alice'],
    ['/comma', 'alice'],
  ] as const) {
    const answer = await ask(gate, path, { token });
    t.equal(answer.status, 500, `${path} ${token}`);
    t.notMatch(answer.text, 'yes');
  }
  t.equal(gate.upstream.received.length, 0);
});

t.test('names of all languages are sent as the settings say, at both ports', async (t) => {
  const rules = apiRule('gate.example', [
    rule('/in', ['GET'], 'read', {
      mutators: [header({ 'X-Who': '{{ .Subject }}' }), cookie({ who: '{{ .Subject }} two' })],
    }),
    rule('/out', ['GET'], 'read'),
  ]);
  const described = (path: string) => ({
    'x-forwarded-method': 'GET',
    'x-forwarded-host': 'gate.example',
    'x-forwarded-uri': path,
  });
  for (const [fieldEncoding, who, pair] of [
    [undefined, octets('\u0141ukasz'), `who="${octets('\u0141ukasz')} two"`],
    ['percent', '%C5%81ukasz', 'who="%C5%81ukasz two"'],
    ['refuse', undefined, undefined],
  ] as const) {
    const gate = await startTestGateway(t, {
      rules,
      tokens: TOKENS,
      settings: fieldEncoding === undefined ? {} : { forward: { fieldEncoding } },
    });
    const expected = who === undefined ? 500 : 200;
    const sent = await ask(gate, '/in', { token: 'wide' });
    t.equal(sent.status, expected, `${fieldEncoding}: proxy port`);
    const last = gate.upstream.received.at(-1)?.headers;
    t.equal(last?.['x-who'], who);
    t.equal(last?.cookie, pair);
    for (const path of ['/in', '/out']) {
      const told = await ask({ url: gate.adminUrl }, '/decisions', {
        token: 'wide',
        headers: described(path),
      });
      t.equal(told.status, expected, `${fieldEncoding}: decisions ${path}`);
      t.equal(told.headers['x-user'], who, 'the identity field');
      if (path === '/in') t.match(told.headers, who === undefined ? {} : { 'x-who': who, cookie: pair });
    }
  }
});

t.test('the upstream reads the very value that a claim has, or nothing at all', async (t) => {
  const subjects = fc.array(
    fc.constantFrom('a', 'b', ' ', '\t', '\u00fc', '\ud83d\ude00', '\ud800', '\u00a0', '%', ','),
  );
  const tried = fc.sample(subjects, { numRuns: 60, seed: 7 }).map((parts) => parts.join(''));
  const asked = [...new Set(['admin', 'admin ', ' admin', '\tadmin', 'x\ud800y', 'a b', ...tried])];
  const tokens = Object.fromEntries(asked.map((sub, i) => [`t${i}`, { scope: 'read', sub, client_id: 'c' }]));
  const rules = apiRule('gate.example', [
    rule('/in', ['GET'], 'read', { mutators: [header({ 'X-Who': '{{ print .Subject }}' })] }),
    rule('/out', ['GET'], 'read'),
  ]);
  for (const fieldEncoding of ['utf-8', 'percent']) {
    const gate = await startTestGateway(t, { rules, tokens, settings: { forward: { fieldEncoding } } });
    let sent = 0;
    const told = async (path: string, token: string): Promise<string | undefined> => {
      if (path === '/in') {
        const { status } = await ask(gate, path, { token });
        return status === 200 ? String(gate.upstream.received.at(-1)?.headers['x-who']) : undefined;
      }
      const described = {
        'x-forwarded-method': 'GET',
        'x-forwarded-host': 'gate.example',
        'x-forwarded-uri': path,
      };
      const answer = await ask({ url: gate.adminUrl }, '/decisions', { token, headers: described });
      return answer.status === 200 ? answer.headers['x-user'] : undefined;
    };
    for (const [i, subject] of asked.entries()) {
      for (const path of ['/in', '/out']) {
        const value = await told(path, `t${i}`);
        if (value === undefined) {
          t.equal(fieldEncoding, 'utf-8', `percent-encoding can write ${JSON.stringify(subject)}`);
          t.match(subject, /^[\t ]|[\t ]$|\p{Surrogate}/u, `${JSON.stringify(subject)} can be sent`);
          continue;
        }
        sent++;
        const read = Buffer.from(value, 'latin1').toString();
        // A lone surrogate has no percent-encoding either: it is U+FFFD there.
        const expected = fieldEncoding === 'percent' ? subject.replace(/\p{Surrogate}/gu, '\ufffd') : subject;
        t.equal(fieldEncoding === 'percent' ? decodeURIComponent(value) : read, expected, path);
      }
    }
    t.ok(sent > 40, 'most subjects are sent');
  }
});

t.test('blanks that a template has around values without a value refuse nobody', async (t) => {
  const both = '{{ print .Extra.given }} {{ print .Extra.family }}';
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/in', ['GET'], 'read', {
        mutators: [header({ 'X-Name': both, 'X-Fixed': ' a  {{ print .Extra.none }} b ' })],
      }),
    ]),
    tokens: {
      both: { scope: 'read', sub: 's', ext: { given: 'Ada', family: 'L' } },
      given: { scope: 'read', sub: 's', ext: { given: 'Ada' } },
      family: { scope: 'read', sub: 's', ext: { family: 'L' } },
      none: { scope: 'read', sub: 's' },
      blank: { scope: 'read', sub: 's', ext: { family: 'L ' } },
    },
  });
  for (const [token, name] of [
    ['both', 'Ada L'],
    ['given', 'Ada'],
    ['family', 'L'],
    ['none', ''],
  ] as const) {
    t.equal((await ask(gate, '/in', { token })).status, 200, token);
    t.equal(gate.upstream.received.at(-1)?.headers['x-name'], name, token);
    t.equal(gate.upstream.received.at(-1)?.headers['x-fixed'], 'a   b');
  }
  t.equal((await ask(gate, '/in', { token: 'blank' })).status, 500, 'a blank of the value itself');
});

t.test('however a rule writes a name, no client’s spelling of it goes on beside it', async (t) => {
  const separators = [..."-_.!#$%&'*+^`|~"];
  const gate = await startTestGateway(t, {
    rules: apiRule(
      'gate.example',
      separators.flatMap((separator, i) => [
        rule(`/set/${i}`, ['GET'], 'read', { mutators: [header({ [`X${separator}Acme${i}`]: 'gate' })] }),
        {
          path: `/take/${i}`,
          methods: ['GET'],
          accessStrategies: [
            {
              handler: 'oauth2_introspection',
              config: { token_from: { header: `X${separator}Tok${i}` }, forward_token: false },
            },
          ],
        },
      ]),
    ),
    tokens: TOKENS,
  });
  for (const [i, separator] of separators.entries()) {
    const named = (text: string) =>
      Object.entries(gate.upstream.received.at(-1)?.headers ?? {}).filter(
        ([name]) => name.replace(/[^a-z0-9]/g, '-') === `x-${text}${i}`,
      );
    const spellings = Object.fromEntries(separators.map((each) => [`X${each}Acme${i}`, 'client']));
    for (const path of [`/set/${i}`, `/set/${(i + 1) % separators.length}`]) {
      t.equal((await ask(gate, path, { token: 'alice', headers: spellings })).status, 200);
      t.same(
        named('acme').map(([, value]) => value),
        path === `/set/${i}` ? ['gate'] : [],
        `${separator} on ${path}`,
      );
    }
    const described = {
      'x-forwarded-method': 'GET',
      'x-forwarded-host': 'gate.example',
      'x-forwarded-uri': `/set/${i}`,
    };
    const told = await ask({ url: gate.adminUrl }, '/decisions', { token: 'alice', headers: described });
    t.equal(told.headers[`x${separator}acme${i}`], 'gate', 'a proxy that asks can copy it');
    const taken = await ask(gate, `/take/${i}`, { headers: { [`X${separator}Tok${i}`]: 'alice' } });
    t.equal(taken.status, 200);
    t.same(named('tok'), [], `a token in X${separator}Tok stays here`);
  }
});

t.test('the session is Oathkeeper’s: ext is lifted once, and never speaks for the server', async (t) => {
  const store = await startStore();
  t.teardown(() => store.close());
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const file = join(t.testdir({}), 'keys.json');
  writeFileSync(file, JSON.stringify({ keys: [{ ...(await exportJWK(privateKey)), kid: 'k' }] }));
  const idToken = {
    handler: 'id_token',
    config: {
      issuer_url: 'i',
      jwks_url: pathToFileURL(file).href,
      claims: '{"ext": {{ .Extra | toJson }}, "role": "{{ index .Extra "role" }}"}',
    },
  };
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/in', ['GET'], 'read', {
        mutators: [
          header({
            'X-All': '{{ .Extra | toJson }}',
            'X-Role': '{{ index .Extra "role" }}',
            'X-Claim': '{{ index .Extra "example.com/claim" }}',
            'X-Client': '{{ .Extra.client_id }}{{ index .Extra "username" }}',
            'X-Sub': '{{ .Extra.sub }}',
            'X-Iss': '{{ .Extra.iss }}',
          }),
          idToken,
          { handler: 'hydrator', config: { api: { url: `${store.url}/h` } } },
          header({ 'X-After': '{{ .Extra | toJson }}{{ .Extra.iss }}' }),
        ],
      }),
    ]),
    tokens: {
      good: {
        sub: 'carol',
        client_id: 'cli',
        scope: 'read',
        aud: 'api',
        iss: 'https://issuer.example',
        ext: { role: 'admin', 'example.com/claim': ['x'], sub: 'root', aud: ['evil'] },
      },
      silent: {
        sub: 'carol',
        scope: 'read',
        ext: { client_id: 'evil', username: 'root', scope: 'admin', aud: ['evil'] },
      },
    },
  });
  store.respond = (_message, response, body) => {
    response.end(JSON.stringify({ ...JSON.parse(body), extra: { only: 'this' } }));
  };
  t.equal((await ask(gate, '/in', { token: 'good' })).status, 200);
  const whole = {
    role: 'admin',
    'example.com/claim': ['x'],
    sub: 'carol',
    username: '',
    client_id: 'cli',
    scope: 'read',
    aud: ['api'],
  };
  const sent = gate.upstream.received[0]?.headers ?? {};
  t.same(JSON.parse(String(sent['x-all'])), whole);
  t.match(sent, { 'x-role': 'admin', 'x-claim': '[x]', 'x-client': 'cli', 'x-sub': 'carol' });
  t.equal(sent['x-iss'], 'https://issuer.example', 'what Oathkeeper leaves out is found by its name');
  const claims = JSON.parse(
    Buffer.from(String(sent.authorization).split('.')[1] ?? '', 'base64url').toString(),
  );
  t.match(claims, { role: 'admin', ext: whole, sub: 'carol' });
  t.same(JSON.parse(store.calls[0]?.body ?? '').extra, whole);
  t.equal(sent['x-after'], '{"only":"this"}', 'a hydrator replaces all of it');

  t.equal((await ask(gate, '/in', { token: 'silent' })).status, 200);
  t.match(gate.upstream.received[1]?.headers, {
    'x-all': '{"username":"","client_id":"","scope":"read"}',
    'x-client': '',
  });
});

t.test('cookie sets cookies beside the client’s own', async (t) => {
  const gate = await start(t, [
    rule('/in', ['GET'], 'read', {
      mutators: [cookie({ who: '{{ .Subject }}', role: '{{ .Extra.role }}' })],
    }),
    rule('/out', ['GET'], 'read'),
  ]);
  const sent = async (path: string, value?: string) => {
    const headers = value === undefined ? {} : { cookie: value };
    t.equal((await ask(gate, path, { token: 'alice', headers })).status, 200);
    return gate.upstream.received.at(-1)?.headers.cookie;
  };
  t.equal(await sent('/in', 'a=1; who=root; b=2; WHO=root'), 'a=1; b=2; who=alice; role=admin');
  t.equal(await sent('/in'), 'who=alice; role=admin');
  t.equal(await sent('/out', 'a=1; who=root; x="; role=root"'), 'a=1; x="');
  t.equal(await sent('/out', 'who=root'), undefined);
});

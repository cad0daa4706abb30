import t, { type Test } from 'tap';
import { ask, type Question } from '../../ask.js';
import { apiRule, startTestGateway, type TestGateway } from '../../gateway.js';
import { startIssuer } from '../../jwks.js';
import { json, startStore } from '../../store.js';

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** A place that can hold a credential: how a request looks that has one there. */
interface Place {
  readonly name: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly cookie?: string;
  readonly form?: string;
}

/** Places that a rule may name, with the value a rule takes from them. */
const OWN: Readonly<Record<string, readonly [source: object, place: Place]>> = {
  authorization: [{ header: 'Authorization' }, { name: 'a', headers: { authorization: 'Bearer T' } }],
  scheme: [
    { header: 'Authorization', scheme: 'Token' },
    { name: 'b', headers: { authorization: 'Token T' } },
  ],
  field: [{ header: 'X-Token' }, { name: 'c', headers: { 'x-token': 'T' } }],
  'field with a scheme': [
    { header: 'X-Api', scheme: 'Key' },
    { name: 'd', headers: { 'x-api': 'Key T' } },
  ],
  query: [{ query_parameter: 'tok' }, { name: 'e', query: 'tok=T' }],
  'access_token in the query': [{ query_parameter: 'access_token' }, { name: 'f', query: 'access_token=T' }],
  cookie: [{ cookie: 'sid' }, { name: 'g', cookie: 'sid=T' }],
  form: [{ form_parameter: 'tok' }, { name: 'h', form: 'tok=T' }],
  'access_token in the form': [{ form_parameter: 'access_token' }, { name: 'i', form: 'access_token=T' }],
};

/** What upstreams take for a credential whatever the rule says (RFC 6750 §2, RFC 9449 §7.1), in their spellings. */
const KNOWN: readonly Place[] = [
  ...['Bearer F', 'bearer F', 'BEARER\tF', 'Bearer  F', 'DPoP F', 'dpop F', 'Bearer', 'Bearer a b'].map(
    (authorization) => ({ name: authorization, headers: { authorization } }),
  ),
  { name: 'a list', headers: { authorization: 'Basic dTpw, Bearer F' } },
  ...['access_token=F', 'a=1&access_token=F', 'ACCESS_TOKEN=F', '%61ccess_token=F', 'access.token=F'].map(
    (query) => ({ name: query, query }),
  ),
  ...['access_token', 'access_token[]=F', 'access+token=F', 'a=1;access_token=F'].map((query) => ({
    name: query,
    query,
  })),
];

const KNOWN_FORM: readonly Place[] = ['access_token=F', 'a=%C3%BC&Access_Token=F', 'access_token=F&a=ü'].map(
  (form) => ({ name: form, form }),
);

/** The request with credentials in these places; undefined where one message cannot have them all. */
function requestWith(path: string, places: readonly Place[]): [string, Question] | undefined {
  const headers: Record<string, string> = {};
  for (const place of places) {
    for (const [name, value] of Object.entries(place.headers ?? {})) {
      if (name in headers) return undefined;
      headers[name] = value;
    }
  }
  const join = (parts: (string | undefined)[], by: string) => parts.filter((each) => each).join(by);
  const cookie = join(
    places.map((each) => each.cookie),
    '; ',
  );
  if (cookie !== '') headers.cookie = cookie;
  const query = join(
    places.map((each) => each.query),
    '&',
  );
  const form = join(
    places.map((each) => each.form),
    '&',
  );
  if (form !== '') Object.assign(headers, FORM);
  const target = query === '' ? path : `${path}?${query}`;
  return [target, { method: 'POST', headers, ...(form === '' ? {} : { body: form }) }];
}

async function statusWith(gate: TestGateway, path: string, places: readonly Place[]) {
  const made = requestWith(path, places);
  return made === undefined ? undefined : await ask(gate, ...made);
}

/** With the valid token in the places that a rule names. */
const withToken = (place: Place, token: string): Place =>
  JSON.parse(JSON.stringify(place).replace(/\bT\b/g, token)) as Place;

/** Asks with every pair of places; none may be let through, and each alone of the rule's own is. */
async function judge(
  t: Test,
  gate: TestGateway,
  path: string,
  named: readonly string[],
  token: string,
  several = false,
): Promise<number> {
  let pairs = 0;
  const own = named.map((name) => withToken((OWN[name] as [object, Place])[1], token));
  const readsForms = own.some(({ form }) => form !== undefined);
  for (const place of own) {
    const alone = await statusWith(gate, path, [place]);
    t.equal(alone?.status, 200, `${path}: ${JSON.stringify(place)} alone`);
  }
  const others = [...own, ...KNOWN, ...(readsForms ? KNOWN_FORM : [])];
  for (const place of own) {
    for (const other of others) {
      if (other === place) continue;
      const before = gate.upstream.received.length;
      const reply = await statusWith(gate, path, [place, other]);
      if (reply === undefined) continue;
      pairs++;
      const what = `${path}: ${JSON.stringify(place)} and ${JSON.stringify(other)}`;
      // A form that is not ASCII holds no token (RFC 6750 §2.2): its other parameters stand alone.
      const neither = place.form?.startsWith('tok=') === true && other.form?.includes('ü') === true;
      // Of several strategies the first one refuses a token that is not good, before another is looked for.
      const first = several && !JSON.stringify(other).includes(token);
      if (neither || first) t.ok([400, 401].includes(reply.status), `${reply.status}: ${what}`);
      else t.equal(reply.status, 400, what);
      if (reply.status === 400) t.match(reply.headers['www-authenticate'], /error="invalid_request"/, what);
      t.equal(gate.upstream.received.length, before, 'nothing goes upstream');
    }
  }
  // What is no place of the rule is no way in, however many there are.
  for (const one of KNOWN) {
    if (one.headers === undefined || named.includes('authorization')) continue;
    for (const other of KNOWN.filter(({ query }) => query !== undefined)) {
      const reply = await statusWith(gate, path, [one, other]);
      t.not(reply?.status, 200, `${path}: ${one.name} and ${other.name}`);
    }
  }
  return pairs;
}

const strategyOf = (sources: readonly object[], handler = 'oauth2_introspection', more: object = {}) => ({
  handler,
  config: { token_sources: sources, ...more },
});

const ruleOf = (path: string, accessStrategies: readonly object[]) => ({
  path,
  methods: ['POST'],
  accessStrategies,
});

t.test('two credentials are 400, wherever a rule reads its one and wherever the other stands', async (t) => {
  const names = Object.keys(OWN);
  const configurations = [
    ...names.map((name) => [name]),
    ...names.flatMap((one, i) => names.slice(i + 1).map((other) => [one, other])),
  ].filter((each) => !(each.includes('authorization') && each.includes('scheme')));
  const rules = configurations.map((each, i) =>
    ruleOf(`/c${i}`, [strategyOf(each.map((name) => (OWN[name] as [object, Place])[0]))]),
  );
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [...rules, ruleOf('/default', [{ handler: 'oauth2_introspection' }])]),
    tokens: { good: {} },
  });
  let pairs = 0;
  for (const [i, each] of configurations.entries()) pairs += await judge(t, gate, `/c${i}`, each, 'good');
  pairs += await judge(t, gate, '/default', ['authorization'], 'good');
  t.ok(pairs > 1_000, `${pairs} pairs`);
});

t.test('token_from is one place as well, of every handler that has it', async (t) => {
  const issuer = await startIssuer();
  const key = await issuer.makeKey('k');
  const jwt = await issuer.sign(key, 'k', { sub: 'a' });
  const store = await startStore();
  t.teardown(() => Promise.all([issuer.close(), store.close()]));
  store.respond = json({ sub: 'a' });
  const handlers: readonly [string, object, string][] = [
    ['oauth2_introspection', {}, 'good'],
    ['jwt', { jwks_urls: [issuer.url], allowed_algorithms: ['ES256'] }, jwt],
    ['bearer_token', { check_session_url: store.url }, 'good'],
  ];
  const names = ['field', 'query', 'access_token in the query', 'cookie', 'authorization'];
  const rules = handlers.flatMap(([handler, config]) =>
    names.map((name, i) => {
      const [source] = OWN[name] as [object, Place];
      return ruleOf(`/${handler}${i}`, [{ handler, config: { ...config, token_from: source } }]);
    }),
  );
  const gate = await startTestGateway(t, { rules: apiRule('gate.example', rules), tokens: { good: {} } });
  for (const [handler, , token] of handlers) {
    for (const [i, name] of names.entries()) await judge(t, gate, `/${handler}${i}`, [name], token);
  }
});

t.test('the places of a rule’s other strategies are known places, whichever decides', async (t) => {
  const names = ['authorization', 'field', 'query', 'cookie', 'form'];
  const pairs = names.flatMap((one) => names.filter((other) => other !== one).map((other) => [one, other]));
  const source = (name: string | undefined) => (OWN[name ?? ''] as [object, Place])[0];
  const rules = pairs.map(([one, other], i) =>
    ruleOf(`/m${i}`, [strategyOf([source(one)]), strategyOf([source(other)])]),
  );
  const gate = await startTestGateway(t, { rules: apiRule('gate.example', rules), tokens: { good: {} } });
  for (const [i, each] of pairs.entries()) {
    // Each alone is taken by its own strategy; both together by none.
    await judge(t, gate, `/m${i}`, each, 'good', true);
  }
});

t.test('one place that two strategies read is one place', async (t) => {
  const issuer = await startIssuer();
  const key = await issuer.makeKey('k');
  t.teardown(() => issuer.close());
  const jwt = { handler: 'jwt', config: { jwks_urls: [issuer.url], allowed_algorithms: ['ES256'] } };
  const opaque = {
    handler: 'oauth2_introspection',
    config: { token_sources: [{ header: 'authorization' }] },
  };
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [ruleOf('/x', [jwt, opaque])]),
    tokens: { good: {} },
  });
  for (const token of ['good', await issuer.sign(key, 'k', {})]) {
    t.equal((await ask(gate, '/x', { method: 'POST', token })).status, 200);
  }
  t.equal((await ask(gate, '/x?access_token=good', { method: 'POST', token: 'good' })).status, 400);
});

t.test('a second spelling of the rule’s own place is a second credential', async (t) => {
  const sources = ['field', 'query', 'cookie', 'form'];
  const rules = sources.map((name, i) => ruleOf(`/s${i}`, [strategyOf([(OWN[name] as [object, Place])[0]])]));
  const gate = await startTestGateway(t, { rules: apiRule('gate.example', rules), tokens: { good: {} } });
  const twice: readonly (readonly [number, Place, readonly Place[]])[] = [
    [
      0,
      { name: '', headers: { 'x-token': 'good' } },
      [
        { name: 'x_token', headers: { x_token: 'F' } },
        { name: 'x.token', headers: { 'x.token': 'F' } },
      ],
    ],
    [
      1,
      { name: '', query: 'tok=good' },
      ['tok=F', 'TOK=F', 't%6fk=F', 'tok[]=F', 'a;tok=F', '+tok=F'].map((query) => ({ name: query, query })),
    ],
    [
      2,
      { name: '', cookie: 'sid=good' },
      ['sid=F', 'SID=F', '%73id=F', 'a=1, sid=F', '"sid"=F'].map((cookie) => ({ name: cookie, cookie })),
    ],
    [
      3,
      { name: '', form: 'tok=good' },
      ['tok=F', 'Tok=F', 'tok=F&a=ü'].map((form) => ({ name: form, form })),
    ],
  ];
  for (const [i, place, others] of twice) {
    t.equal((await statusWith(gate, `/s${i}`, [place]))?.status, 200);
    for (const other of others) {
      t.equal((await statusWith(gate, `/s${i}`, [place, other]))?.status, 400, other.name);
      t.equal((await statusWith(gate, `/s${i}`, [other, place]))?.status, 400, `${other.name} first`);
      t.not((await statusWith(gate, `/s${i}`, [{ ...other }]))?.status, 200, `${other.name} alone`);
    }
  }
});

t.test('what is no token beside the rule’s own place goes on as it came', async (t) => {
  const rules = ['field', 'query', 'cookie'].map((name, i) =>
    ruleOf(`/o${i}`, [strategyOf([(OWN[name] as [object, Place])[0]])]),
  );
  const gate = await startTestGateway(t, { rules: apiRule('gate.example', rules), tokens: { good: {} } });
  const own = ['field', 'query', 'cookie'].map((name) =>
    withToken((OWN[name] as [object, Place])[1], 'good'),
  );
  for (const [i, place] of own.entries()) {
    for (const other of [
      { name: 'Basic', headers: { authorization: 'Basic dTpw' } },
      { name: 'Digest', headers: { authorization: 'Digest username="bearer"' } },
      { name: 'a longer scheme', headers: { authorization: 'Bearers x' } },
      { name: 'a longer parameter', query: 'my_access_token=1&access_tokens=2&token=3' },
      { name: 'a longer cookie', cookie: 'mysid=1; sid2=2; token=sid' },
    ] as Place[]) {
      t.equal((await statusWith(gate, `/o${i}`, [place, other]))?.status, 200, other.name);
    }
  }
});

t.test('a session or a client’s secret beside a bearer token is 400, too', async (t) => {
  const store = await startStore();
  t.teardown(() => store.close());
  store.respond = json({ subject: 'a', access_token: 't', token_type: 'bearer', expires_in: 60 });
  const session = { preserve_path: true, force_method: 'GET', check_session_url: `${store.url}/whoami` };
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      ruleOf('/session', [{ handler: 'cookie_session', config: { ...session, only: ['sid'] } }]),
      ruleOf('/any', [{ handler: 'cookie_session', config: session }]),
      ruleOf('/client', [{ handler: 'oauth2_client_credentials', config: { token_url: store.url } }]),
      ruleOf('/either', [
        { handler: 'oauth2_introspection' },
        { handler: 'cookie_session', config: { ...session, only: ['sid'] } },
      ]),
    ]),
    tokens: { good: {} },
  });
  const cookie: Place = { name: 'cookie', cookie: 'sid=1' };
  const basic: Place = { name: 'basic', headers: { authorization: 'Basic dTpw' } };
  for (const [path, place] of [
    ['/session', cookie],
    ['/any', cookie],
    ['/client', basic],
  ] as const) {
    t.equal((await statusWith(gate, path, [place]))?.status, 200, path);
    for (const other of KNOWN) {
      const reply = await statusWith(gate, path, [place, other]);
      if (reply !== undefined) t.equal(reply.status, 400, `${path} and ${other.name}`);
    }
  }
  t.equal(
    (await ask(gate, '/either', { method: 'POST', token: 'good', headers: { cookie: 'sid=1' } })).status,
    200,
    'a browser sends its cookies with everything: they are no second token of a bearer request',
  );
});

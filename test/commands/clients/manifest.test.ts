import t from 'tap';
import { readManifests } from '../../../src/commands/clients/manifest.js';
import { formatFinding } from '../../../src/document/finding.js';

const GOOD = `apiVersion: hydra.ory.sh/v1alpha1
kind: OAuth2Client
metadata:
  name: tutorial
spec:
  grantTypes: [client_credentials]
  secretName: tutorial
`;

function findings(text: string): string[] {
  return readManifests(text, 'c.yaml').findings.map(formatFinding);
}

t.test('what is wrong with a manifest is told with its position', async (t) => {
  for (const [text, expected] of [
    [
      `${GOOD}  scopes: read\n`,
      'c.yaml:8:3 error unknown-field unknown field "scopes" in spec; did you mean "scope"?',
    ],
    [
      GOOD.replace('  secretName: tutorial\n', ''),
      /^c\.yaml:6:3 error missing-field spec must have the field "secretName"/,
    ],
    [
      GOOD.replace('[client_credentials]', 'client_credentials'),
      /^c\.yaml:6:15 error wrong-type spec\.grantTypes must be an array/,
    ],
    [
      GOOD.replace('[client_credentials]', '[password]'),
      /^c\.yaml:6:16 error invalid-value spec\.grantTypes\.0 must be one of/,
    ],
    [
      GOOD.replace('[client_credentials]', '[]'),
      /^c\.yaml:6:15 error invalid-value spec\.grantTypes must not be empty$/,
    ],
    [
      GOOD.replace('v1alpha1', 'v2'),
      /^c\.yaml:1:13 error invalid-value apiVersion must be "hydra\.ory\.sh\/v1alpha1"/,
    ],
    [
      GOOD.replace('OAuth2Client', 'OAuthClient'),
      /^c\.yaml:2:7 error invalid-value kind must be "OAuth2Client"/,
    ],
    [
      GOOD.replace('secretName: tutorial', 'secretName: ../../etc'),
      /^c\.yaml:7:15 error invalid-value spec\.secretName must be the name/,
    ],
    [
      GOOD.replace('name: tutorial', 'name: $CLIENT_NAME'),
      /^c\.yaml:4:9 error invalid-value metadata\.name must be the name/,
    ],
    [`${GOOD}  scope: "a\\"b"\n`, /^c\.yaml:8:10 error invalid-value spec\.scope must be a scope/],
    [`${GOOD}  scope: a\n  scope: b\n`, /^c\.yaml:9:3 error duplicate-key/],
    [
      `${GOOD}  redirectUris: [nowhere]\n`,
      /^c\.yaml:8:18 error invalid-value spec\.redirectUris\.0 must be an absolute URI/,
    ],
    [
      `${GOOD}  tokenLifespans: { client_credentials_grant_access_token_lifespan: soon }\n`,
      /must be a duration/,
    ],
    [
      `${GOOD}  hydraAdmin: { port: 4445 }\n`,
      /^c\.yaml:8:15 error missing-field spec\.hydraAdmin has port or endpoint but no url/,
    ],
    [
      `${GOOD}  hydraAdmin: { url: "http://a:b@hydra" }\n`,
      /^c\.yaml:8:22 error invalid-value .* without credentials/,
    ],
    [
      'kind: APIRule\n',
      /^c\.yaml:1:7 warning ignored-document the document of kind APIRule is ignored: only OAuth2Client is read/,
    ],
    ['just text\n', /^c\.yaml:1:1 error wrong-type/],
  ] as const) {
    const found = findings(text);
    t.match(found[0], expected, found.join(' | '));
  }
});

t.test('a file without a client is an error, an empty one too', async (t) => {
  for (const text of ['', '# nothing\n', 'kind: Secret\napiVersion: v1\n']) {
    t.match(findings(text).at(-1), 'c.yaml:1:1 error no-client the file has no OAuth2Client');
  }
});

t.test('what kubectl prints around a client is no error', async (t) => {
  const { clients, findings } = readManifests(
    GOOD.replace(
      '  name: tutorial\n',
      '  name: tutorial\n  namespace: shop\n  uid: x\n  finalizers: [finalizer.ory.hydra.sh]\n',
    ).concat('status: { observedGeneration: 1, conditions: [{ type: Ready, status: "True" }] }\n'),
    'c.yaml',
  );
  t.strictSame(findings, []);
  t.match(clients, [
    { name: 'tutorial', namespace: 'shop', wanted: { owner: 'tutorial/shop' }, hasSecret: true },
  ]);
});

t.test('hydraAdmin falls back on what Hydra Maester falls back on', async (t) => {
  const admin = (text: string) =>
    readManifests(`${GOOD}  hydraAdmin: ${text}\n`, 'c.yaml').clients[0]?.hydraAdmin;
  t.strictSame(admin('{ url: http://hydra }'), { url: 'http://hydra:4445/clients' });
  t.strictSame(admin('{ url: "http://hydra:1/x", forwardedProto: https }'), {
    url: 'http://hydra:1/x',
    forwardedProto: 'https',
  });
  t.strictSame(admin('{ url: http://hydra, port: 80, endpoint: /admin/clients, forwardedProto: "off" }'), {
    url: 'http://hydra/admin/clients',
  });
  t.equal(admin('{}'), undefined);
});

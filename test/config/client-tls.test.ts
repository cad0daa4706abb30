import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { clientTlsOf, currentClientTls } from '../../src/config/client-tls.js';
import { makeCertificate } from '../stack/certificate.js';

t.test('a client certificate is shown only together with its key', (t) => {
  const [ca, cert, key] = ['ca.crt', 'client.crt', 'client.key'];
  t.same(clientTlsOf({}), {});
  t.same(clientTlsOf({ ca }), { ca });
  t.same(clientTlsOf({ cert }), {});
  t.same(clientTlsOf({ ca, key }), { ca });
  t.same(clientTlsOf({ ca, cert, key }), { ca, cert, key });
  t.same(clientTlsOf({ ca: undefined, cert: undefined, key }), {});
  t.end();
});

t.test('certificates for calls are read as they are now, and authorities must hold one', async (t) => {
  const [one, two] = await Promise.all([makeCertificate(['one.example']), makeCertificate(['two.example'])]);
  const folder = t.testdir({ ca: `# ours\n${one.cert}`, cert: one.cert, key: one.key });
  const file = (name: string) => join(folder, name);
  const current = currentClientTls({ ca: file('ca'), cert: file('cert'), key: file('key') });
  t.same(current.files.names, [file('ca'), file('cert'), file('key')]);
  t.match(current(), { cert: one.cert, key: one.key });
  t.match(JSON.stringify(current().ca), /BEGIN CERTIFICATE/);
  for (const name of ['cert', 'key'] as const) {
    writeFileSync(file('next'), two[name]);
    renameSync(file('next'), file(name));
  }
  t.match(current(), { cert: two.cert, key: two.key });
  t.same(currentClientTls({})(), {});
  t.same(currentClientTls({ ca: undefined } as object).files.names, [], 'nothing is watched without a file');
  writeFileSync(file('ca'), 'no certificate');
  t.throws(() => currentClientTls({ ca: file('ca') }), /certificate/);
  t.end();
});

import { X509Certificate } from 'node:crypto';
import t from 'tap';
import { makeCertificate } from './certificate.js';

t.test('the leaf is signed by the authority, for the names and no others', async (t) => {
  const now = Date.UTC(2030, 0, 2);
  const { ca, cert, key } = await makeCertificate(['httpbin.localhost', '127.0.0.1'], now);
  const [authority, leaf] = [new X509Certificate(ca), new X509Certificate(cert)];
  t.ok(authority.ca);
  t.notOk(leaf.ca);
  t.ok(leaf.verify(authority.publicKey));
  t.ok(leaf.checkIssued(authority));
  t.equal(leaf.checkHost('httpbin.localhost'), 'httpbin.localhost');
  t.equal(leaf.checkHost('elsewhere.localhost'), undefined);
  t.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1');
  t.ok(Date.parse(leaf.validFrom) < now && now < Date.parse(leaf.validTo));
  t.match(key, /^-----BEGIN PRIVATE KEY-----\n/);
  t.notMatch(ca, 'PRIVATE');
});

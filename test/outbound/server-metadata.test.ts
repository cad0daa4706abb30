import t from 'tap';
import { MetadataError, metadataUrls, readMetadata } from '../../src/outbound/server-metadata.js';

t.test('an issuer has its metadata at two places', async (t) => {
  t.same(metadataUrls('https://as.example/a/b/'), {
    oauth: 'https://as.example/.well-known/oauth-authorization-server/a/b',
    openid: 'https://as.example/a/b/.well-known/openid-configuration',
  });
  t.same(metadataUrls('https://as.example'), {
    oauth: 'https://as.example/.well-known/oauth-authorization-server',
    openid: 'https://as.example/.well-known/openid-configuration',
  });
});

t.test('an issuer with https never sends anybody to http', async (t) => {
  const read = (issuer: string, uri: unknown) =>
    readMetadata(JSON.stringify({ issuer, jwks_uri: uri }), issuer).jwksUrl;
  t.equal(read('https://as.example', 'https://keys.example/k'), 'https://keys.example/k');
  t.equal(read('http://as.example', 'http://as.example/k'), 'http://as.example/k');
  t.equal(read('http://as.example', 'https://as.example/k'), 'https://as.example/k');
  t.equal(read('https://as.example', undefined), undefined);
  for (const uri of [
    'http://as.example/k',
    'file:///k',
    'k',
    5,
    null,
    'https://u@as.example/k',
    'https://a/#k',
  ]) {
    t.throws(() => read('https://as.example', uri), MetadataError, String(uri));
    t.throws(() => read('HTTPS://as.example', uri), MetadataError, String(uri));
  }
});

import t from 'tap';
import { readCredential, type TokenSource } from '../../src/parse/token.js';
import { arrival } from '../decision.js';

const SEVERAL = 'the request carries more than one token';
const TWO_METHODS = 'the request carries a token in the header and in the query';

function reason(
  sources: readonly TokenSource[] | undefined,
  headers: Readonly<Record<string, string>>,
  query = '',
): unknown {
  const { target, fields } = arrival(`/x${query}`, headers);
  const credential = readCredential({ method: 'GET', target, fields }, sources, true);
  if (credential instanceof Promise) throw new Error('there is no form to be read');
  return credential.kind === 'malformed' ? credential.reason : credential.kind;
}

t.test('the client is told where the tokens stand that it has sent', async (t) => {
  const bearer = { Authorization: 'Bearer a' };
  const query = '?access_token=b';
  const key: TokenSource[] = [{ query_parameter: 'key' }];
  const field: TokenSource[] = [{ header: 'X-Token' }];
  const named: TokenSource[] = [{ header: 'AUTHORIZATION' }];
  for (const [sources, headers, sent, expected] of [
    [undefined, bearer, '', 'token'],
    [undefined, bearer, query, TWO_METHODS],
    [undefined, {}, query, 'none'],
    [named, bearer, '', 'token'],
    [named, bearer, query, TWO_METHODS],
    [key, {}, '?key=a', 'token'],
    [key, bearer, '?key=a', TWO_METHODS],
    [key, {}, `?key=a&access_token=b`, SEVERAL],
    [key, {}, '?key=a&key=b', 'the token parameter is given more than once'],
    [field, { 'X-Token': 'a' }, '', 'token'],
    [field, { 'X-Token': 'a', ...bearer }, '', SEVERAL],
    [field, { 'X-Token': 'a' }, query, SEVERAL],
    [[...field, ...key], { 'X-Token': 'a' }, '?key=b', SEVERAL],
    [[...field, ...key], { 'X-Token': 'a b' }, '?key=b', 'the token is malformed'],
    [[...field, ...key], {}, '?key=b', 'token'],
  ] as const) {
    t.equal(reason(sources, headers, sent), expected, JSON.stringify([sources, headers, sent]));
  }
});

t.test('a token has at most 4,096 characters, all of the alphabet of bearer tokens', async (t) => {
  for (const [token, expected] of [
    ['x'.repeat(4_096), 'token'],
    ['x'.repeat(4_097), 'the token is too long'],
    ['aZ09-._~+/', 'token'],
    ['a==', 'token'],
    ['=', 'the token is malformed'],
    ['a=b', 'the token is malformed'],
    ['a b', 'the token is malformed'],
    ['a,b', 'the token is malformed'],
    ['a"', 'the token is malformed'],
    ['é', 'the token is malformed'],
    ['', 'the token is malformed'],
  ] as const) {
    t.equal(reason(undefined, { Authorization: `Bearer ${token}` }), expected, token.slice(0, 20));
    t.equal(reason([{ header: 'X-Token' }], { 'X-Token': token }), expected, token.slice(0, 20));
  }
  t.equal(reason(undefined, { Authorization: 'Bearer' }), 'the token is malformed');
  t.equal(reason(undefined, { Authorization: 'Bearer    a' }), 'token', 'blanks before it');
});

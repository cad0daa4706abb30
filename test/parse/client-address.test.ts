import type { Socket } from 'node:net';
import t from 'tap';
import { clientAddressReader } from '../../src/parse/client-address.js';
import { readFields } from '../../src/parse/fields.js';
import { peerReader, readNetwork } from '../../src/parse/peer.js';

const addressOf = clientAddressReader(['10.0.0.0/8', '2001:db8::/32', '192.0.2.1']);

function client(trusted: boolean, ...forwarded: readonly string[]): string {
  const fields = readFields(
    ['Host', 'h', ...forwarded.flatMap((value) => ['X-Forwarded-For', value])],
    '1.1',
  );
  if ('refused' in fields) throw new Error(fields.refused);
  return addressOf({ address: '10.0.0.1', secure: false, trusted }, fields);
}

t.test('the client is the last address that no trusted proxy has', async (t) => {
  for (const [forwarded, expected] of [
    [[], '10.0.0.1'],
    [['198.51.100.7'], '198.51.100.7'],
    [['203.0.113.9, 198.51.100.7'], '198.51.100.7'],
    [['203.0.113.9', '198.51.100.7'], '198.51.100.7'],
    [['198.51.100.7, 10.0.0.2'], '198.51.100.7'],
    [['198.51.100.7, 10.0.0.2', '192.0.2.1'], '198.51.100.7'],
    [['203.0.113.9,198.51.100.7,10.0.0.2'], '198.51.100.7'],
    [['10.0.0.3, 10.0.0.2'], '10.0.0.3'],
    [['198.51.100.7:4711'], '198.51.100.7'],
    [['[2001:db9::7]:4711'], '2001:db9::7'],
    [['[2001:db9::7]'], '2001:db9::7'],
    [['198.51.100.7, 2001:db8::5'], '198.51.100.7'],
    [['unknown'], '10.0.0.1'],
    [['198.51.100.7, unknown'], '10.0.0.1'],
    [['unknown, 198.51.100.7'], '198.51.100.7'],
    [['198.51.100.7, '], '10.0.0.1'],
    [['198.51.[100.7'], '10.0.0.1'],
    [['198.51.100.7, _hidden, 10.0.0.2'], '10.0.0.2'],
  ] as const) {
    t.equal(client(true, ...forwarded), expected, JSON.stringify(forwarded));
  }
  t.equal(client(false, '198.51.100.7'), '10.0.0.1', 'a client’s own words');
  const first = readFields(['X-Forwarded-For', '198.51.100.7', 'Host', 'h'], '1.1');
  if ('refused' in first) throw new Error(first.refused);
  const proxy = { address: '10.0.0.1', secure: false, trusted: true };
  t.equal(addressOf(proxy, first), '198.51.100.7', 'wherever the field stands');
  const fields = readFields(['Host', 'h', 'X-Forwarded-For', '198.51.100.7'], '1.1');
  if ('refused' in fields) throw new Error(fields.refused);
  t.equal(addressOf(undefined, fields), '', 'nobody');
});

t.test('a network is an address, or a block with no more bits than an address has', async (t) => {
  for (const [text, expected] of [
    ['192.0.2.1', { address: '192.0.2.1', family: 'ipv4', prefix: 32 }],
    ['192.0.2.0/24', { address: '192.0.2.0', family: 'ipv4', prefix: 24 }],
    ['0.0.0.0/0', { address: '0.0.0.0', family: 'ipv4', prefix: 0 }],
    ['192.0.2.1/32', { address: '192.0.2.1', family: 'ipv4', prefix: 32 }],
    ['192.0.2.1/33', undefined],
    ['::1', { address: '::1', family: 'ipv6', prefix: 128 }],
    ['2001:db8::/32', { address: '2001:db8::', family: 'ipv6', prefix: 32 }],
    ['2001:db8::/128', { address: '2001:db8::', family: 'ipv6', prefix: 128 }],
    ['2001:db8::/129', undefined],
    ['192.0.2.0/', undefined],
    ['192.0.2.0/a', undefined],
    ['192.0.2.0/2a', undefined],
    ['192.0.2.0/a2', undefined],
    ['192.0.2.0/1e1', undefined],
    ['192.0.2.0/-1', undefined],
    ['192.0.2.0/24/8', undefined],
    ['192.0.2', undefined],
    ['localhost', undefined],
    ['', undefined],
  ] as const) {
    t.same(readNetwork(text), expected, text);
  }
});

t.test('a peer is trusted by its address, and one that has gone is nobody', async (t) => {
  const peerOf = peerReader(['10.0.0.0/8', '2001:db8::/32']);
  for (const [remoteAddress, address, trusted] of [
    ['10.1.2.3', '10.1.2.3', true],
    ['11.1.2.3', '11.1.2.3', false],
    ['::ffff:10.1.2.3', '10.1.2.3', true],
    ['::ffff:11.1.2.3', '11.1.2.3', false],
    ['2001:db8::1', '2001:db8::1', true],
    ['2001:db9::1', '2001:db9::1', false],
    [undefined, '', false],
  ] as const) {
    const { secure, ...peer } = peerOf({ remoteAddress } as Socket);
    t.match(peer, { address, trusted }, remoteAddress ?? 'gone');
    t.equal(secure, false);
  }
  t.throws(() => peerReader(['10.0.0.0/33']), RangeError);
});

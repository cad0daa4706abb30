import t from 'tap';
import { isHeldBy, readHost } from '../../src/parse/host.js';

t.test('a host is a name or an address, with a port or without, and nothing else', async (t) => {
  const long = 'a'.repeat(254);
  for (const [authority, host] of [
    ['gate.example', 'gate.example'],
    ['GATE.example', 'gate.example'],
    ['gate.example:80', 'gate.example'],
    ['gate.example:1', 'gate.example'],
    ['gate.example:65535', 'gate.example'],
    ['gate.example:0', undefined],
    ['gate.example:00', undefined],
    ['gate.example:65536', undefined],
    ['gate.example:', undefined],
    ['gate.example:8o', undefined],
    ['gate.example:080808', undefined],
    ['gate.example.', 'gate.example.'],
    ['gate..example', undefined],
    ['a', 'a'],
    ['1.2.3.4', '1.2.3.4'],
    ['service_name-1', 'service_name-1'],
    ['_service', undefined],
    ['-a', undefined],
    ['.a', undefined],
    [long, long],
    [`${long}a`, undefined],
    ['', undefined],
    [' gate.example', undefined],
    ['gate.example ', undefined],
    ['gate.example\n', undefined],
    ['user@gate.example', undefined],
    ['gate.example/x', undefined],
    ['gate%2eexample', undefined],
    ['gäte.example', undefined],
    ['gate.example,other.example', undefined],
    ['[::1]', '[::1]'],
    ['[::1]:443', '[::1]'],
    ['[2001:DB8::1]', '[2001:db8::1]'],
    ['::1', undefined],
    ['[::1', undefined],
    ['x[::1]', undefined],
    ['[gate.example]', undefined],
  ] as const) {
    t.equal(readHost(authority), host, JSON.stringify(authority));
  }
});

t.test('an IPv6 address has eight groups, or fewer around one gap', async (t) => {
  for (const [address, valid] of [
    ['1:2:3:4:5:6:7:8', true],
    ['1:2:3:4:5:6:7', false],
    ['1:2:3:4:5:6:7:8:9', false],
    ['::', true],
    ['1::', true],
    ['::8', true],
    ['1::3:4:5:6:7:8', true],
    ['1:2:3:4:5:6:7::', true],
    ['1:2:3:4::5:6:7:8', false],
    ['1::2::3', false],
    [':::', false],
    ['1:::2', false],
    [':1:2:3:4:5:6:7', false],
    ['1:2:3:4:5:6:7:', false],
    ['12345::', false],
    ['ffff::', true],
    ['fffg::', false],
    ['::ffff:192.0.2.1', true],
    ['1:2:3:4:5:6:192.0.2.1', true],
    ['1:2:3:4:5:192.0.2.1', false],
    ['1:2:3:4:5:6:7:192.0.2.1', false],
    ['1:2:3:4:5::192.0.2.1', true],
    ['1:2:3:4:5:6::192.0.2.1', false],
    ['::255.255.255.255', true],
    ['::256.0.0.1', false],
    ['::0.0.0.256', false],
    ['::1.2.3', false],
    ['::1.2.3.4.5', false],
    ['::1.2.3.4444', false],
    ['192.0.2.1::', false],
    ['1.2.3.4', false],
    ['..', false],
  ] as const) {
    t.equal(readHost(`[${address}]`) !== undefined, valid, address);
  }
});

t.test(
  'a host is one of the names, or below one with an asterisk, and never one that only ends alike',
  async (t) => {
    for (const [patterns, host, held] of [
      [['a.example'], 'a.example', true],
      [['a.example'], 'x.a.example', false],
      [['a.example'], 'xa.example', false],
      [['*.a.example'], 'x.a.example', true],
      [['*.a.example'], 'y.x.a.example', true],
      [['*.a.example'], 'a.example', false],
      [['*.a.example'], 'xa.example', false],
      [['*.a.example'], 'x.a.example.evil', false],
      [['b.example', '*.a.example'], 'x.a.example', true],
      [['*'], 'any.example', true],
      [[], 'a.example', false],
    ] as const)
      t.equal(isHeldBy(patterns, host), held, `${host} and ${patterns}`);
  },
);

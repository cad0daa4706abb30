import fc from 'fast-check';
import t from 'tap';
import { ServiceNames } from '../../../src/commands/convert/services.js';
import type { RuleUpstream } from '../../../src/commands/convert/upstream.js';
import { resolveService } from '../../../src/rules/apirule/service.js';

type Address = RuleUpstream['address'];

const http = (host: string, port: number): Address => ({ scheme: 'http', host, port });
const https = (host: string, port: number): Address => ({ scheme: 'https', host, port });

/** The settings that a conversion writes. */
const settingsOf = ({ origins }: ServiceNames) => ({
  default: 'http://{name}:{port}',
  ...Object.fromEntries(origins),
});

/** Where a gateway with these settings sends the requests of a service. */
function originOf(names: ServiceNames, service: { name: string; port: number }, namespace: string): unknown {
  const upstream = resolveService(settingsOf(names), { ...service, namespace });
  return typeof upstream === 'string' ? upstream : upstream.origin;
}

t.test('an upstream that the default leads to needs no setting, and keeps its name', (t) => {
  const names = new ServiceNames();
  t.same(names.place(http('orders', 8080), 'default'), { service: { name: 'orders', port: 8080 } });
  t.same(names.place(http('orders', 9090), 'default'), { service: { name: 'orders', port: 9090 } });
  t.same([...names.origins], []);
  t.end();
});

t.test('upstreams on one host that no single setting can lead to get names of their own', (t) => {
  const names = new ServiceNames();
  const placed = (address: Address, namespace = 'default') => {
    const { service, origin } = names.place(address, namespace);
    return [service.name, service.port, origin];
  };
  t.same(placed(https('orders', 443)), ['orders', 443, 'https://orders:443']);
  t.same(placed(https('orders', 443)), ['orders', 443, 'https://orders:443'], 'the same one again');
  t.same(placed(http('orders', 80)), ['orders-80', 80, 'http://orders:80']);
  t.same(placed(https('orders', 8443)), ['orders-8443', 8443, 'https://orders:8443']);
  t.same(placed(https('orders', 80)), ['orders-https-80', 80, 'https://orders:80']);
  t.same([...names.origins.keys()], ['orders', 'orders-80', 'orders-8443', 'orders-https-80']);

  t.same(
    placed(http('default', 80)),
    ['default-80', 80, 'http://default:80'],
    'the default stays what it is',
  );
  t.end();
});

t.test('an upstream never takes the name of an APIRule’s service, and never its requests', (t) => {
  const names = new ServiceNames();
  names.reserve({
    metadata: { namespace: 'shop' },
    spec: {
      service: { name: 'orders', port: 80 },
      rules: [
        null,
        {},
        { service: null },
        { service: { name: 'stock' } },
        { service: { name: 'bills', namespace: 'office' } },
      ],
    },
  });
  names.reserve({ metadata: {}, spec: { service: { name: 'pages' } } });
  names.reserve({ metadata: {}, spec: { service: null, rules: [{ service: { name: 'plain' } }] } });
  names.reserve({
    metadata: {},
    spec: { service: { name: 'x', namespace: 'far' }, rules: [{ service: { name: 'near' } }] },
  });
  for (const name of [
    'orders',
    'stock',
    'bills',
    'pages',
    'plain',
    'near',
    'orders.shop',
    'bills.office',
    'pages.default',
    'near.far',
  ])
    t.equal(names.place(https(name, 443), 'default').service.name, `${name}-443`, name);
  for (const name of ['bills.shop', 'near.default', 'free'])
    t.equal(names.place(https(name, 443), 'default').service.name, name, `${name} is nobody’s`);
  t.end();
});

t.test('every service leads to the upstream of its rule, whatever else is converted', (t) => {
  const host = fc.constantFrom('a', 'a.b', 'b', 'default', 'a-80', 'a-http-80', 'a-80-3', 'a.default');
  const namespace = fc.constantFrom('b', 'default', 'a');
  const port = fc.constantFrom(80, 443);
  const scheme = fc.constantFrom('http' as const, 'https' as const);
  const upstream = fc.record({ scheme, host, port });
  fc.assert(
    fc.property(fc.array(fc.tuple(upstream, namespace), { maxLength: 24 }), (rules) => {
      const names = new ServiceNames();
      const placed = rules.map(([address, namespace]) => ({
        address,
        namespace,
        ...names.place(address, namespace),
      }));
      for (const { address, namespace, service } of placed) {
        const { scheme, host, port } = address;
        const expected = new URL(`${scheme}://${host}:${port}`).origin;
        t.equal(originOf(names, service, namespace), expected, JSON.stringify(rules));
      }
    }),
    { numRuns: 200 },
  );
  t.end();
});

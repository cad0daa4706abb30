import t from 'tap';
import { apiRules } from '../../bench/growth/apirules.js';
import { pointOf } from '../../bench/growth/curve.js';
import { PLANS } from '../../bench/growth/plans.js';
import { duration, percent } from '../../bench/markdown.js';
import { SHAPES } from '../../bench/rulesets.js';
import { memoryOf, peakOf, processTimeOf } from '../../bench/usage.js';
import { readDocuments } from '../../src/document/yaml.js';

interface ApiRule {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly host: string; readonly rules: readonly { readonly path: string }[] };
}

for (const shape of Object.keys(SHAPES)) {
  t.test(`${shape}: as many rules as asked for, on as many hosts, none of them twice`, (t) => {
    const { documents, findings } = readDocuments(apiRules(shape, 600, 2), 'rules.yaml');
    t.same(findings, []);
    const all = documents.map(({ value }) => value as ApiRule);
    const paths = all.flatMap(({ spec }) => spec.rules.map(({ path }) => `${spec.host}${path}`));
    t.equal(new Set(paths).size, 600);
    t.same([...new Set(all.map(({ spec }) => spec.host))], ['gate.example', 'h1.example']);
    t.equal(new Set(all.map(({ metadata }) => metadata.name)).size, all.length);
    t.ok(
      all.every(({ spec }) => spec.rules.length <= 100),
      'an APIRule has no more than people write',
    );
    t.equal(paths[0], 'gate.example/get', 'what the load asks for');
    t.end();
  });
}

t.test('a step of a curve is a median of the rounds that had an answer, and tells what was refused', (t) => {
  const sample = (cpu: number, statuses: Record<string, number>) => ({
    cpu,
    rate: 1,
    p50: 1,
    p99: 1,
    p999: 1,
    busy: 1,
    rss: cpu,
    introspections: 2,
    requests: 10,
    statuses,
  });
  const samples = [sample(10, { 200: 10 }), sample(30, { 200: 5, 503: 5 }), sample(20, { 200: 9, 503: 1 })];
  const none = { ...sample(Number.POSITIVE_INFINITY, {}), requests: 0 };
  t.same(pointOf(512, [...samples, none], [10, 15, 20, 10]), {
    x: 512,
    cpu: 20,
    least: 10,
    most: 30,
    ratio: 1,
    rss: 20,
    statuses: ['200', '503'],
    refused: 0.2,
    introspections: 6,
  });
  t.end();
});

t.test('each step of a curve is for a gateway that there is', (t) => {
  for (const { key, gateways, steps } of PLANS) {
    for (const { gateway } of steps) t.ok(gateways[gateway], key);
    t.same(
      steps.map(({ x }) => x),
      steps.map(({ x }) => x).toSorted((a, b) => a - b),
      key,
    );
  }
  t.equal(new Set(PLANS.map(({ key }) => key)).size, PLANS.length);
  t.end();
});

t.test('numbers are written for people', (t) => {
  t.equal(duration(412.3), '412 ms');
  t.equal(duration(12_345), '12.3 s');
  t.equal(percent(0.004), '0.4 %');
  t.equal(percent(0.456), '46 %');
  t.end();
});

t.test(
  'the memory and the time of a process are read from the kernel',
  { skip: process.platform !== 'linux' },
  (t) => {
    const { rss, pss } = memoryOf(process.pid);
    t.ok(pss > 0 && pss <= rss);
    t.ok(peakOf(process.pid) > 2 ** 20);
    const { user, system } = process.cpuUsage();
    // The kernel counts ticks of ten milliseconds, for each of the two.
    t.ok(processTimeOf(process.pid) <= user + system + 40_000);
    t.ok(processTimeOf(process.pid) > 0);
    t.end();
  },
);

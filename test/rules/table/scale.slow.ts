import t from 'tap';
import { ruleset, SHAPES } from '../../../bench/rulesets.js';
import { buildTable } from '../../../src/rules/table/table.js';

/** Processor time of this process in milliseconds: what else runs on the machine does not count. */
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

for (const shape of Object.keys(SHAPES)) {
  t.test(`${shape}: rules by the thousand are proved in time, and cost a request nothing`, (t) => {
    for (const [count, hosts, limit] of [
      [1_000, 10, 1_000],
      [10_000, 100, 10_000],
    ] as const) {
      const start = cpu();
      const { rules } = ruleset(shape, count, hosts);
      const { findings } = buildTable(rules, { overlap: 'error', version: 1 });
      const taken = cpu() - start;
      t.same(findings, []);
      t.ok(taken < limit, `${count} rules on ${hosts} hosts in ${taken.toFixed(0)} ms`);
    }
    const { rules, requests } = ruleset(shape, 10_000, 100);
    const ten = rules.map((_, i) => i).filter((i) => i % 100 === 0 && i < 1_000);
    const build = (some: typeof rules) => {
      const { table } = buildTable(some, { overlap: 'error', version: 1 });
      if (table === undefined) throw new Error('no table');
      return table;
    };
    const [few, many] = [build(ten.map((i) => rules[i] as (typeof rules)[number])), build(rules)];
    const batch = (table: typeof few) => {
      const asked = Array.from(
        { length: 1_000 },
        (_, i) => requests[ten[i % 10] as number] as (typeof requests)[number],
      );
      const paths = asked.map(({ path }) => Buffer.from(path).toString('latin1'));
      const start = process.hrtime.bigint();
      paths.forEach((path, i) => {
        if (table.find(asked[i]?.host as string, 'GET', path) === undefined) throw new Error(path);
      });
      return Number(process.hrtime.bigint() - start);
    };
    const times: [few: number[], many: number[]] = [[], []];
    for (let round = 0; round < 500; round++) {
      times[0].push(batch(few));
      times[1].push(batch(many));
    }
    const [one, other] = times.map((all) => median(all.slice(100)));
    const ratio = (other as number) / (one as number);
    t.ok(ratio <= 1.3, `matching among 10,000 rules takes ${ratio.toFixed(2)} of what it takes among 10`);
    t.ok(
      process.memoryUsage().rss < 512 * 2 ** 20,
      `${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MiB resident`,
    );
    t.end();
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

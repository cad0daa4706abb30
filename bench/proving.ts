/**
 * How much processor time it takes to compile and prove rule sets, and how much memory that leaves in use.
 *
 *     node build/bench/proving.js [shape] [rules] [hosts]
 */
import { buildTable } from '../src/rules/table/table.js';
import { ruleset, SHAPES } from './rulesets.js';

/** Processor time in milliseconds: what else runs on the machine does not count. */
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};

const [shape, count, hosts] = process.argv.slice(2);
for (const name of shape === undefined ? Object.keys(SHAPES) : [shape]) {
  for (const [n, h] of count === undefined
    ? [[1_000, 10] as const, [10_000, 100] as const]
    : [[+count, +(hosts ?? 100)] as const]) {
    const start = cpu();
    const { rules, requests } = ruleset(name, n, h);
    const compiled = cpu();
    const { table, findings } = buildTable(rules, { overlap: 'error', version: 1 });
    const built = cpu();
    if (table === undefined) throw new Error(`${findings.length} findings, ${findings[0]?.message}`);
    requests.forEach(({ host, path }, i) => {
      if (table.find(host, 'GET', path) !== rules[i])
        throw new Error(`${host}${path} is not answered by its rule`);
    });
    const { rss } = process.memoryUsage();
    console.log(
      `${name.padEnd(8)} ${n} rules on ${h} hosts: compiled in ${(compiled - start).toFixed(0)} ms, ` +
        `proved and indexed in ${(built - compiled).toFixed(0)} ms; ${(rss / 2 ** 20).toFixed(0)} MiB resident`,
    );
  }
}

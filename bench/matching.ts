import type { Rule } from '../src/model/rule.js';
/**
 * What it costs to find a request's rule: with 10 rules and with 10,000 on 100 hosts, by the table that serves and by
 * one lazily built automaton a host. All variants take turns in one run, in an order that changes; the medians count.
 *
 *     node --expose-gc build/bench/matching.js [rounds]
 */
import { getOrInsert } from '../src/rules/pattern/get-or-insert.js';
import { buildTable } from '../src/rules/table/table.js';
import { Combined } from './combined.js';
import { BATCH, type Find, REQUESTS, repeat, shuffle, timeMatches } from './match-rounds.js';
import { median } from './report.js';
import { type Request, ruleset, SHAPES } from './rulesets.js';

const ROUNDS = Number(process.argv[2] ?? 301);

interface Variant {
  readonly name: string;
  readonly find: Find;
  readonly requests: readonly Request[];
  readonly times: number[];
}

for (const shape of Object.keys(SHAPES)) {
  const many = ruleset(shape, 10_000, 100);
  // Ten rules of one host, which are in both tables, and the requests that they answer.
  const ten = many.rules.map((_, i) => i).filter((i) => i % 100 === 0 && i < 1_000);
  const few = ten.map((i) => many.rules[i] as Rule);
  const hot = repeat(ten.map((i) => many.requests[i] as Request));
  const every = repeat(shuffle(many.requests));
  const variants: Variant[] = [];
  for (const [size, rules] of [
    ['10', few],
    ['10,000', many.rules],
  ] as const) {
    const table = tableOf(rules);
    const combined = combinedOf(rules);
    // The same few requests again and again, as a gateway has its busy routes; and all routes in turn.
    variants.push({
      name: `table,     ${size} rules, 10 routes busy`,
      find: table,
      requests: hot,
      times: [],
    });
    variants.push({
      name: `automaton, ${size} rules, 10 routes busy`,
      find: combined,
      requests: hot,
      times: [],
    });
    if (rules === few) continue;
    variants.push({
      name: `table,     ${size} rules, all routes busy`,
      find: table,
      requests: every,
      times: [],
    });
    variants.push({
      name: `automaton, ${size} rules, all routes busy`,
      find: combined,
      requests: every,
      times: [],
    });
  }
  for (let round = 0; round < 3 * (REQUESTS / BATCH); round++) {
    for (const { find, requests } of variants) timeMatches(find, requests, round);
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < variants.length; i++) {
      const { find, requests, times } = variants[(i + round) % variants.length] as Variant;
      times.push(timeMatches(find, requests, round));
    }
  }
  console.log(`${shape}: nanoseconds a request, median of ${ROUNDS} rounds (with 10 rules: 1.00)`);
  const base = median(variants[0]?.times ?? []);
  for (const { name, times } of variants) {
    console.log(
      `  ${name.padEnd(44)} ${median(times).toFixed(0).padStart(6)}  ${(median(times) / base).toFixed(2)}`,
    );
  }
}

function tableOf(rules: readonly Rule[]): Find {
  const { table, findings } = buildTable(rules, { overlap: 'error', version: 1 });
  if (table === undefined) throw new Error(findings[0]?.message);
  return (host, path) => table.find(host, 'GET', path);
}

function combinedOf(rules: readonly Rule[]): Find {
  const before = memory();
  const byHost = new Map<string, Rule[]>();
  for (const rule of rules) getOrInsert(byHost, rule.hosts[0] as string, () => [] as Rule[]).push(rule);
  const hosts = new Map([...byHost].map(([host, own]) => [host, new Combined(own, 10_000)]));
  console.log(
    `  automata of ${rules.length} rules: ${((memory() - before) / 2 ** 20).toFixed(1)} MiB before the first request`,
  );
  return (host, path) => hosts.get(host)?.find(path);
}

function memory(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

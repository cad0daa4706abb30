/**
 * `npm run bench`: scopegate beside its peers, interleaved in one run, in four situations, and how long it
 * takes to start; `--only scale [--curves rules]`: how its cost grows; `--only cache`: what a cached token takes;
 * `--only soak [--minutes 30]`: whether its memory stays as it is. Prints medians with their
 * spread and ratios, writes build/bench/results.json and build/bench/results.svg.
 *
 *     npm run bench -- [--rounds 15] [--seconds 1.5] [--only start,hit,miss] [--contenders scopegate,nginx] [--profile DIR]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chart } from './chart.js';
import type { Contender } from './contender.js';
import { oauth2, openidc } from './contenders/apache.js';
import { httpProxy } from './contenders/http-proxy.js';
import { leanNjs, nginx, njs } from './contenders/nginx.js';
import { bareRoute, pluginRoute, pluginUpstreams } from './contenders/plugin.js';
import { scopegate } from './contenders/scopegate.js';
import type { Order } from './load.js';
import { type Results, type Sample, table, toJson } from './report.js';
import { type Curve, curveTable, measureCurves } from './scale.js';
import { soak, soakTable } from './soak.js';
import { measure, staged } from './stage.js';
import { measureStarts, type Start, startTable } from './startup.js';
import { TOKEN } from './token.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '1.5' },
    minutes: { type: 'string', default: '30' },
    only: { type: 'string', default: 'start,hit,miss,burst,down' },
    curves: { type: 'string' },
    contenders: { type: 'string' },
    profile: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const situations = values.only.split(',');
const wanted = values.contenders?.split(',');

const all: readonly Contender[] = [
  scopegate,
  pluginUpstreams,
  pluginRoute,
  bareRoute,
  httpProxy,
  nginx,
  njs,
  leanNjs,
  openidc,
  oauth2,
];
const contenders = all.filter((contender) => {
  if (wanted !== undefined && !wanted.includes(contender.name)) return false;
  const reason = contender.missing();
  if (reason !== undefined) console.log(`without ${contender.name}: ${reason}`);
  return reason === undefined;
});

const CONNECTIONS = 64;
/** Rounds that do not count. */
const WARM_UP = 2;
/** The authorization server of a miss takes its time, in milliseconds. */
const DELAY = 2;

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'scopegate-bench-'));
const results: Results = new Map();
/** Starts of a process say little one by one. */
const STARTS = 15;
let starts: Map<string, Start[]> | undefined;

/** Warms every contender up, then measures all of them in turn, round by round. */
async function compare(
  situation: string,
  field: readonly Contender[],
  delay: number,
  order: (round: number, name: string) => Omit<Order, 'port' | 'path'>,
): Promise<void> {
  await staged(join(folder, situation), field, delay, values.profile, async (stage) => {
    const { running } = stage;
    const samples = new Map<string, Sample[]>(running.map(({ contender }) => [contender.name, []]));
    results.set(situation, samples);
    // Compilers of the Node contenders take their time; nobody is measured cold.
    for (let warm = 0; warm < WARM_UP; warm++) {
      for (const one of running) {
        await measure(one, stage, { path: '/get', ...order(-1 - warm, one.contender.name) });
      }
    }
    for (let round = 0; round < rounds; round++) {
      // There and back, so that a machine that grows slower or faster does so for nobody's benefit.
      for (const one of round % 2 === 0 ? running : running.toReversed()) {
        const sample = await measure(one, stage, { path: '/get', ...order(round, one.contender.name) });
        samples.get(one.contender.name)?.push(sample);
        const { cpu, rate, statuses } = sample;
        console.log(
          `${situation} ${round + 1}/${rounds} ${one.contender.name}: ${cpu.toFixed(1)} µs, ${rate.toFixed(0)} req/s, ${JSON.stringify(statuses)}`,
        );
      }
    }
  });
}

let curves: readonly Curve[] = [];
const introspecting = contenders.filter(({ introspects }) => introspects);
try {
  if (situations.includes('start')) {
    starts = await measureStarts(STARTS);
  }
  if (situations.includes('scale')) {
    curves = await measureCurves(join(folder, 'scale'), rounds, seconds, values.curves?.split(','));
  }
  if (situations.includes('soak')) {
    console.log(soakTable(await soak(join(folder, 'soak'), scopegate, Number(values.minutes))));
  }
  if (situations.includes('cache')) {
    spawnSync(process.execPath, ['--expose-gc', here('memory.js')], { stdio: 'inherit' });
  }
  if (situations.includes('hit')) {
    await compare('cached hit', contenders, 0, () => ({
      connections: CONNECTIONS,
      duration: seconds,
      token: TOKEN,
    }));
  }
  if (situations.includes('miss')) {
    await compare('miss', introspecting, DELAY, () => ({ connections: CONNECTIONS, duration: seconds }));
  }
  if (situations.includes('burst')) {
    await compare('burst on one new token', introspecting, DELAY, (round) => ({
      connections: 200,
      duration: 30,
      requests: 200,
      token: `ory_at_burst${round + WARM_UP}${'c'.repeat(60)}`,
    }));
  }
  if (situations.includes('down')) {
    // Beside what the same gateway does while the server is there.
    const field = [
      withoutServer(scopegate),
      { ...scopegate, name: 'all tokens new' },
      { ...scopegate, name: 'all tokens cached' },
    ];
    await compare('authorization server down, breaker open', field, DELAY, (_round, name) => ({
      connections: CONNECTIONS,
      duration: seconds,
      ...(name === 'all tokens cached' ? { token: TOKEN } : {}),
    }));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** The same contender, pointed at a port where nobody listens. */
function withoutServer(contender: Contender): Contender {
  return {
    ...contender,
    start: (surroundings) =>
      contender.start({ ...surroundings, introspectionUrl: 'http://127.0.0.1:1/introspect' }),
  };
}

if (starts !== undefined) console.log(startTable(starts));
if (results.size > 0) console.log(table(results, 'scopegate'));
for (const curve of curves) console.log(curveTable(curve));
mkdirSync(here('.'), { recursive: true });
writeFileSync(
  here('results.json'),
  JSON.stringify(
    {
      node: process.version,
      rounds,
      seconds,
      ...(starts === undefined ? {} : { starts: Object.fromEntries(starts) }),
      results: toJson(results),
      curves,
    },
    null,
    2,
  ),
);
writeFileSync(here('results.svg'), chart(results, curves));
console.log(`\nwritten: ${here('results.json')}, ${here('results.svg')}`);

/**
 * `npm run bench`: scopegate beside its peers, interleaved in one run, and how long it takes to start;
 * `--quick`: the same within three minutes; `--only scale [--curves rules]`: how its cost grows;
 * `--only replicas`: four of them with a shared store;
 * `--only cache`: what a cached token takes; `--only soak [--minutes 30]`: whether its memory stays as it is.
 * Prints medians with their spread and ratios, writes build/bench/results.json and build/bench/results.svg.
 *
 *     npm run bench -- [--quick] [--rounds 7] [--seconds 1.5] [--only start,hit,miss] [--contenders scopegate,nginx] [--profile DIR]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { agreeing } from './agree.js';
import { certificateIn } from './certificate.js';
import { chart } from './chart.js';
import { compare } from './compare.js';
import { absentTable, differenceTable, fieldOf } from './contenders/all.js';
import { scopegate } from './contenders/scopegate.js';
import { type Growth, growthTables, measureGrowth } from './growth/measure.js';
import { readOptions } from './options.js';
import { measurePeerStarts, type PeerStart, peerStartTable } from './peer-starts.js';
import { LITTLE, measureReplicas, type Replicas, replicasTable, sized, WHOLE } from './replicas/measure.js';
import { storeMissing } from './replicas/store.js';
import { type Results, table, toJson } from './report.js';
import { runInfo } from './run-info.js';
import { capacitiesOf, downField, downOf, latencyOf, situationsOf, tlsOf } from './situations.js';
import { soak, soakTable } from './soak.js';
import { staged } from './stage.js';
import { measureStarts, type Start, startTable } from './startup.js';

const began = performance.now();
const options = readOptions(process.argv.slice(2));
const { only, rounds, seconds, profile } = options;
const run = runInfo(rounds, seconds);
const field = fieldOf(options.contenders);
const absent = new Map(field.absent);
console.log(absentTable(absent));

/** The authorization server takes its time, in milliseconds. */
const DELAY = 2;

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const late = (): boolean => performance.now() - began > options.budget * 1000;
const folder = mkdtempSync(join(tmpdir(), 'scopegate-bench-'));
const results: Results = new Map();
let starts: Map<string, Start[]> | undefined;
let peerStarts: Map<string, PeerStart[]> | undefined;
let growth: Growth | undefined;
let replicas: Replicas | undefined;

try {
  if (only.includes('start')) starts = await measureStarts(options.starts);
  if (only.includes('scale')) {
    await measureGrowth(join(folder, 'scale'), rounds, seconds, options.curves, (sofar) => {
      growth = sofar;
    });
  }
  if (only.includes('replicas')) {
    const missing = storeMissing();
    if (missing === undefined) {
      const size = options.quick ? LITTLE : WHOLE;
      replicas = await measureReplicas(
        join(folder, 'replicas'),
        sized(size, options.tokens ?? size.tokens),
        options,
      );
    } else absent.set('replicas', missing);
  }
  if (only.includes('soak')) {
    console.log(soakTable(await soak(join(folder, 'soak'), scopegate, options.minutes)));
  }
  if (only.includes('cache')) {
    spawnSync(process.execPath, ['--expose-gc', here('memory.js')], { stdio: 'inherit' });
  }
  const known = situationsOf(seconds);
  // Latency is measured at shares of what each can do with a cached token.
  const wanted = only.includes('latency') && !only.includes('hit') ? ['hit' as const, ...only] : only;
  const situations = wanted.flatMap((name) => known[name] ?? []);
  if (situations.length > 0 || only.includes('start')) {
    await staged({ folder: join(folder, 'peers'), delay: DELAY, profile }, field.present, async (stage) => {
      const { running, left } = await agreeing(stage, false);
      leaveOut(left);
      const fit = { ...stage, running };
      for (const situation of situations) await compare(situation, fit, options, results, late);
      if (only.includes('latency')) {
        for (const situation of latencyOf(2 * seconds, capacitiesOf(results, known.hit?.name))) {
          await compare(situation, { ...fit, load: fit.both }, { ...options, warmUp: 0 }, results, late);
        }
      }
      if (only.includes('start')) {
        const peers = running.map(({ contender }) => contender).filter(({ plugin }) => plugin !== true);
        peerStarts = await measurePeerStarts(stage, peers, options.starts);
      }
    });
  }
  if (only.includes('tls')) {
    const secure = field.present.filter((contender) => contender.secure === true);
    const tls = await certificateIn(folder);
    await staged({ folder: join(folder, 'tls'), delay: DELAY, profile, tls }, secure, async (stage) => {
      const { running, left } = await agreeing(stage, true);
      leaveOut(new Map([...left].map(([name, reason]) => [`${name}, TLS`, reason])));
      for (const situation of tlsOf(seconds)) {
        await compare(situation, { ...stage, running }, options, results, late);
      }
    });
  }
  if (only.includes('down')) {
    await staged({ folder: join(folder, 'down'), delay: DELAY, profile }, downField(scopegate), (stage) =>
      compare(downOf(seconds), stage, options, results, late),
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
  // What was measured before an error is not lost.
  finish();
}

function leaveOut(left: ReadonlyMap<string, string>): void {
  for (const [name, reason] of left) absent.set(name, reason);
  console.log(absentTable(left));
}

/** Prints the tables and writes the files. */
function finish(): void {
  if (starts !== undefined) console.log(startTable(starts));
  if (peerStarts !== undefined) console.log(peerStartTable(peerStarts));
  if (results.size > 0) console.log(table(results, 'scopegate'));
  if (results.size > 0) console.log(differenceTable(field.present));
  if (growth !== undefined) console.log(growthTables(growth));
  if (replicas !== undefined) console.log(replicasTable(replicas));
  console.log(absentTable(absent));
  mkdirSync(here('.'), { recursive: true });
  writeFileSync(
    here('results.json'),
    JSON.stringify(
      {
        run,
        ...(starts === undefined ? {} : { starts: Object.fromEntries(starts) }),
        ...(peerStarts === undefined ? {} : { peerStarts: Object.fromEntries(peerStarts) }),
        absent: Object.fromEntries(absent),
        results: toJson(results),
        ...(growth === undefined ? {} : { growth }),
        ...(replicas === undefined ? {} : { replicas }),
      },
      null,
      2,
    ),
  );
  writeFileSync(here('results.svg'), chart(results, growth?.curves));
  console.log(`\nwritten: ${here('results.json')}, ${here('results.svg')}`);
}

import type { Contender } from '../contender.js';
import { oauth2, openidc } from './apache.js';
import { floor } from './floor.js';
import { haproxy } from './haproxy.js';
import { heimdall } from './heimdall.js';
import { httpProxy } from './http-proxy.js';
import { leanNjs, nginx, njs } from './nginx.js';
import { oathkeeper } from './oathkeeper.js';
import { bareRoute, pluginRoute, pluginUpstreams } from './plugin.js';
import { scopegate } from './scopegate.js';

/** Everything that can be measured, in the order of the tables. */
export const CONTENDERS: readonly Contender[] = [
  scopegate,
  pluginUpstreams,
  pluginRoute,
  bareRoute,
  oathkeeper,
  heimdall,
  openidc,
  oauth2,
  njs,
  leanNjs,
  httpProxy,
  floor,
  nginx,
  haproxy,
];

/** What takes part in a run, and why the others do not. */
export interface Field {
  readonly present: readonly Contender[];
  /** Name → what is missing and how to get it. */
  readonly absent: ReadonlyMap<string, string>;
}

/**
 * Picks the contenders of a run.
 *
 * @param wanted names; undefined for all
 * @throws Error if a name is unknown
 */
export function fieldOf(wanted?: readonly string[], all: readonly Contender[] = CONTENDERS): Field {
  const unknown = wanted?.find((name) => all.every((contender) => contender.name !== name));
  if (unknown !== undefined) {
    const names = all.map(({ name }) => name).join(', ');
    throw new Error(`--contenders: there is no contender called "${unknown}"; there are: ${names}`);
  }
  const present: Contender[] = [];
  const absent = new Map<string, string>();
  for (const contender of all) {
    if (wanted !== undefined && !wanted.includes(contender.name)) continue;
    const reason = contender.missing();
    if (reason === undefined) present.push(contender);
    else absent.set(contender.name, reason);
  }
  return { present, absent };
}

/** Who is missing, by name, with how to get it; empty if nobody is. */
export function absentTable(absent: ReadonlyMap<string, string>): string {
  if (absent.size === 0) return '';
  const lines = [...absent].map(([name, reason]) => `  ${name.padEnd(20)}${reason}`);
  return ['', 'not measured', ...lines].join('\n');
}

/** Where those that are measured do less or other work on purpose; empty if none does. */
export function differenceTable(present: readonly Contender[]): string {
  const lines = present.flatMap(({ name, differs }) =>
    differs === undefined ? [] : [`  ${name.padEnd(20)}${differs.how}`],
  );
  return lines.length === 0 ? '' : ['', 'other work on purpose', ...lines].join('\n');
}

import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from '../../test/stack/port.js';
import { varied } from '../contenders/scopegate.js';
import type { Harvest, Order } from '../load.js';
import type { Running, Stage } from '../stage.js';
import { memoryOf, usageOf } from '../usage.js';
import type { Access } from './store.js';

/** Gateways that serve the same rules; where they have a store, the same one. */
export interface Fleet {
  readonly gateways: readonly Running[];
  /** Admin ports of these. */
  readonly admins: readonly number[];
}

/** Look-ups of tokens by where the answer came from, as `scopegate_introspection_lookups_total` counts them. */
export interface Lookups {
  /** In the gateway's own cache. */
  readonly hit: number;
  /** In the store. */
  readonly shared: number;
  /** At the authorization server. */
  readonly miss: number;
  /** Another request of the same gateway was asking. */
  readonly coalesced: number;
}

/** What a while of load brought, of all gateways together. */
export interface Span {
  readonly requests: number;
  /** Requests a second. */
  readonly rate: number;
  /** Share of the requests that were not answered with 200, from 0 to 1. */
  readonly refused: number;
  /** Introspections that the authorization server saw. */
  readonly introspections: number;
  readonly lookups: Lookups;
  /** CPU microseconds a request. */
  readonly cpu: number;
  /** Milliseconds, counted from when each request was due. */
  readonly p50: number;
  readonly p99: number;
}

/** How the gateways of a fleet are set. */
export interface FleetSetting {
  /** `introspection.cache.ttl`. */
  readonly ttl: string;
  /** Answers that each gateway may hold. */
  readonly entries: number;
  /** Undefined for none. */
  readonly store?: Access | undefined;
}

/** Milliseconds in which gateways subscribe to purges: they take nothing from a store before. */
const SUBSCRIBING = 1_000;

/** A machine that is busy with other programs must not count as a store that is down, nor as such an authorization server. */
const PATIENT = { timeout: '5s', wait: '10s' } as const;

/** Nor may gateways refuse requests because of them, or the counts would be of other requests. */
const UNSHED = { server: { maxEventLoopDelay: '0s' } } as const;

/** Starts gateways; they end with the stage at the latest. */
export async function startFleet(
  stage: Stage,
  name: string,
  count: number,
  { ttl, entries, store }: FleetSetting,
): Promise<Fleet> {
  const gateways: Running[] = [];
  const admins: number[] = [];
  for (let i = 0; i < count; i++) {
    const admin = await freePort();
    const shared = store === undefined ? {} : { shared: { ...store, ...PATIENT } };
    const cache = { ttl, maxEntries: entries, maxBytes: 0, ...shared };
    const variation = { admin, introspection: { timeout: '30s', cache }, settings: UNSHED };
    gateways.push(await stage.launch(varied(`${name} ${i}`, variation)));
    admins.push(admin);
  }
  if (store !== undefined) await wait(SUBSCRIBING);
  return { gateways, admins };
}

/** Ends all gateways of a fleet. */
export async function stopFleet({ gateways }: Fleet): Promise<void> {
  for (const { child } of gateways) await child.stop();
}

/** Resident memory of all gateways in MiB. */
export function memoryOfFleet({ gateways }: Fleet): number {
  return gateways.reduce((sum, { child }) => sum + memoryOf(child.pid).rss, 0);
}

/** Loads a fleet; its gateways get the connections of the load in turn. */
export async function loadFleet(
  stage: Stage,
  fleet: Fleet,
  order: Omit<Order, 'port' | 'path'>,
): Promise<Span> {
  const ports = fleet.gateways.map(({ port }) => port);
  const before = { lookups: await lookupsOf(fleet), cpu: cpuOf(fleet) };
  await stage.backend.ask('count');
  const text = await stage.load.ask(JSON.stringify({ ...order, path: '/get', port: 0, ports }));
  const cpu = cpuOf(fleet) - before.cpu;
  const introspections = Number(await stage.backend.ask('count'));
  const lookups = await lookupsOf(fleet);
  const since = (key: keyof Lookups): number => lookups[key] - before.lookups[key];
  const { requests, seconds, statuses, p50, p99 } = JSON.parse(text) as Harvest;
  return {
    requests,
    rate: requests / seconds,
    refused: requests === 0 ? 1 : 1 - (statuses['200'] ?? 0) / requests,
    introspections,
    lookups: {
      hit: since('hit'),
      shared: since('shared'),
      miss: since('miss'),
      coalesced: since('coalesced'),
    },
    cpu: cpu / requests,
    p50,
    p99,
  };
}

function cpuOf({ gateways }: Fleet): number {
  return gateways.reduce((sum, { child }) => sum + usageOf(child.pid).cpu, 0);
}

async function lookupsOf({ admins }: Fleet): Promise<Lookups> {
  const pages = await Promise.all(
    admins.map(async (port) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()),
  );
  return sumOf(pages);
}

/**
 * Adds up the look-ups that gateways count.
 *
 * @param pages answers of `/metrics`
 */
export function sumOf(pages: readonly string[]): Lookups {
  const of = (result: keyof Lookups): number =>
    pages.reduce((sum, page) => {
      const line = new RegExp(`^scopegate_introspection_lookups_total\\{result="${result}"\\} (\\d+)$`, 'm');
      return sum + Number(line.exec(page)?.[1] ?? 0);
    }, 0);
  return { hit: of('hit'), shared: of('shared'), miss: of('miss'), coalesced: of('coalesced') };
}

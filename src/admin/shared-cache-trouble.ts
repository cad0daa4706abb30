/** Failures of the shared cache since it last worked. */
export interface SharedCacheState {
  /** `failing`: the last command failed. `degraded`: commands have succeeded since the last failure. */
  readonly state: 'failing' | 'degraded';
  readonly failures: number;
  /** The code of the last failure. */
  readonly cause: string;
  /** The first and the last failure, in seconds since 1970. */
  readonly since: number;
  readonly last: number;
}

const MESSAGES: Readonly<Record<SharedCacheState['state'], string>> = {
  failing: 'The cache that gateways share fails. Each gateway asks the authorization server by itself.',
  degraded:
    'The cache that gateways share is degraded: some of its commands failed or were too slow, and others succeed.',
};

/** What `/status` tells of a shared cache that fails. */
export function sharedCacheTrouble({ state, failures, cause, since, last }: SharedCacheState) {
  return {
    kind: 'shared-cache',
    severity: 'warning',
    message: MESSAGES[state],
    details: [`failures: ${failures}`, `last failure: ${cause}`],
    since: iso(since),
    state,
    failures,
    lastFailure: iso(last),
  } as const;
}

function iso(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}

import { duration, flag, integer } from '../../kinds.js';
import { section } from '../../setting.js';
import { sharedStore } from './shared-store.js';

/** `introspection.cache`: how long, and how many, answers are cached. Times are in milliseconds. */
export const cache = section('The cache of introspection answers.', {
  enabled: flag('Cache answers.', true),
  ttl: duration(
    'Maximum time that an active answer is cached, but never longer than until the exp of the token. 0 caches none.',
    '60s',
  ),
  negativeTtl: duration('How long an inactive answer is cached. 0 caches none.', '5s'),
  refreshBefore: duration(
    'How long before a cached active answer expires scopegate introspects its token again in the background, if the token is in use. Shorter than ttl; 0s means never.',
    '0s',
  ),
  maxEntries: integer('Limit of cached active answers.', 100_000, 1),
  maxBytes: integer(
    'Approximate limit of the memory for all active answers, in bytes; 0 means no limit. A larger answer is not cached.',
    67_108_864,
    0,
  ),
  negativeMaxEntries: integer('Limit of cached inactive answers, which have a separate cache.', 10_000, 1),
  shared: sharedStore,
}).check(({ enabled, ttl, refreshBefore, shared }, place) => {
  if (refreshBefore > 0 && (!enabled || refreshBefore >= ttl)) {
    place
      .at('refreshBefore')
      .problem(
        enabled
          ? `must be shorter than ${place.name}.ttl`
          : `has no effect unless ${place.name}.enabled is true; enable the cache, or remove it`,
      );
  }
  if (shared !== undefined && !enabled) {
    place
      .at('shared')
      .problem(`has no effect unless ${place.name}.enabled is true; enable the cache, or remove it`);
  }
});

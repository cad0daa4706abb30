import { duration, flag, integer } from '../../kinds.js';
import { section } from '../../setting.js';
import { sharedStore } from './shared-store.js';

/** `introspection.cache`: how long, and how many, answers are cached. Times are in milliseconds. */
export const cache = section('The cache of introspection answers.', {
  enabled: flag('Keep answers.', true),
  ttl: duration(
    'Longest life of an active answer; the exp of the token ends it sooner. 0 keeps none.',
    '60s',
  ),
  negativeTtl: duration('Life of an inactive answer. 0 keeps none.', '5s'),
  refreshBefore: duration(
    'How long before the end of its life an active answer is asked for again in the background, if it is in use. Shorter than ttl; 0s for never.',
    '0s',
  ),
  maxEntries: integer('Most active answers kept.', 100_000, 1),
  maxBytes: integer(
    'About how much memory active answers may take together, in bytes; 0 is no limit. An answer that is larger is not kept.',
    67_108_864,
    0,
  ),
  negativeMaxEntries: integer('Most inactive answers kept, apart from the active ones.', 10_000, 1),
  shared: sharedStore,
}).check(({ enabled, ttl, refreshBefore, shared }, place) => {
  if (refreshBefore > 0 && (!enabled || refreshBefore >= ttl)) {
    place
      .at('refreshBefore')
      .problem(
        enabled ? `must be shorter than ${place.name}.ttl` : `is of no use without ${place.name}.enabled`,
      );
  }
  if (shared !== undefined && !enabled) {
    place.at('shared').problem(`is of no use without ${place.name}.enabled`);
  }
});

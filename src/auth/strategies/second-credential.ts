import type { AccessStrategy, RequestContext } from '../../model/strategy.js';
import { holdsCredential, placeKey, type TokenSource } from '../../parse/token.js';

const NOWHERE: readonly TokenSource[] = [];
const AUTHORIZATION: readonly TokenSource[] = [{ header: 'authorization' }];
/** By the strategies of a rule: for each strategy, the places from which only the others read tokens. */
const known = new WeakMap<readonly AccessStrategy[], readonly (readonly TokenSource[])[]>();

/**
 * Whether a request that one access strategy of a rule allows also carries a second credential, where another
 * strategy of the rule would have read it. Nobody has verified that one, and the upstream may trust it.
 *
 * @param strategies those of the rule; the same rule must always pass the same list
 * @param decider the index of the strategy that allows the request
 * @returns a promise only if a form has to be read
 */
export function holdsSecond(
  strategies: readonly AccessStrategy[],
  decider: number,
  request: RequestContext,
): boolean | Promise<boolean> {
  if (strategies.length < 2) return false;
  let places = known.get(strategies);
  if (places === undefined) {
    places = otherPlaces(strategies);
    known.set(strategies, places);
  }
  const others = places[decider] ?? NOWHERE;
  return others.length > 0 && holdsCredential(request, others);
}

function otherPlaces(strategies: readonly AccessStrategy[]): readonly (readonly TokenSource[])[] {
  const all = strategies.map(({ readsTokens, tokenSources = AUTHORIZATION }) =>
    readsTokens === true ? tokenSources : NOWHERE,
  );
  return all.map((own, index) => {
    const mine = new Set(own.map(placeKey));
    const others = all.filter((_, at) => at !== index).flat();
    const places = others.filter((place) => !mine.has(placeKey(place)));
    // If a form is read for other strategies, also look for the standard parameter in it, as for a strategy's
    // own sources.
    return places.some(isForm) && !own.some(isForm)
      ? [...places, { form_parameter: 'access_token' }]
      : places;
  });
}

function isForm(place: TokenSource): boolean {
  return 'form_parameter' in place;
}

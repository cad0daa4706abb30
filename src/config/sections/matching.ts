import { choice } from '../kinds.js';
import { section } from '../setting.js';

/** `matching`: how a request finds its rule. */
export const matching = section('How a request finds its rule.', {
  overlap: choice(
    'error: two rules that match one request are refused. specific: a rule whose paths are proved to lie inside those of another one wins there.',
    ['error', 'specific'],
    'error',
  ),
});

import t from 'tap';
import { crowdWithOneToken, floodWithBadTokens } from './flood.js';

t.test('23: 10,000 distinct bad tokens: calls bounded, good tokens still served', (t) =>
  floodWithBadTokens(t, 10_000),
);

t.test('24: 1,000 requests with one new token make one introspection; who leaves cancels nobody else', (t) =>
  crowdWithOneToken(t, 1_000),
);

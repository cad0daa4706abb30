import t from 'tap';
import { disagreement, expectedOf } from '../../bench/agree.js';
import { CONTENDERS } from '../../bench/contenders/all.js';

const gateway = {
  name: 'gateway',
  introspects: true,
  missing: () => undefined,
  start: () => Promise.reject(),
};

t.test('a peer that lets a token without the scope through is left out, and the reason says so', (t) => {
  const expected = expectedOf(gateway);
  t.same(expected, { good: 200, none: 401, inactive: 401, narrow: 403 });
  t.equal(disagreement(expected, { good: 200, none: 401, inactive: 401, narrow: 403 }), undefined);
  t.equal(
    disagreement(expected, { good: 200, none: 401, inactive: 401, narrow: 200 }),
    'answers 200 to a token without the scope, not 403',
  );
  t.equal(
    disagreement(expected, { good: 'socket hang up', none: 403, inactive: 401, narrow: 403 }),
    'answers socket hang up to a good token, not 200; answers 403 to no token, not 401',
  );
  t.end();
});

t.test('what checks nothing needs to forward alone', (t) => {
  t.same(expectedOf({ ...gateway, introspects: false }), { good: 200 });
  t.end();
});

t.test('who differs on purpose says how, and is held to that', (t) => {
  const differing = CONTENDERS.filter(({ differs }) => differs !== undefined);
  t.same(
    differing.map(({ name }) => name),
    ['nginx njs'],
  );
  for (const contender of differing) {
    t.not(contender.differs?.how, '');
    t.not(
      disagreement(expectedOf(contender), { good: 200, none: 401, inactive: 401, narrow: 403 }),
      undefined,
    );
  }
  t.end();
});

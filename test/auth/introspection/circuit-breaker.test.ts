import t from 'tap';
import {
  CircuitBreaker,
  type CircuitBreakerChange,
  type Permit,
} from '../../../src/auth/introspection/circuit-breaker.js';
import { fakeClock } from '../../clock.js';

const limits = { failures: 3, openFor: 5_000 };

t.test('opens after so many consecutive failures, and says how long it will be', async (t) => {
  const clock = fakeClock();
  const breaker = new CircuitBreaker(limits, clock);
  for (let i = 0; i < 3; i++) {
    t.equal(breaker.state, 'closed');
    const call = admitted(breaker);
    call.failed();
  }
  t.equal(breaker.state, 'open');
  t.equal(breaker.admit(), 5_000);
  clock.advance(2_000);
  t.equal(breaker.admit(), 3_000);
  clock.advance(2_999);
  t.equal(breaker.admit(), 1, 'to the last millisecond');
  clock.advance(1);
  t.not(typeof breaker.admit(), 'number');
});

t.test('it says when it opens and when it closes, once each, and how long it was open', async (t) => {
  const clock = fakeClock();
  const changes: CircuitBreakerChange[] = [];
  const breaker = new CircuitBreaker(limits, clock, (change) => changes.push(change));
  for (let i = 0; i < 3; i++) admitted(breaker).failed();
  t.same(changes, [{ state: 'open', openFor: 5_000 }]);
  clock.advance(5_000);
  admitted(breaker).failed();
  t.equal(changes.length, 1, 'a probe that fails changes nothing');
  clock.advance(6_000);
  admitted(breaker).succeeded();
  admitted(breaker).succeeded();
  t.same(changes.slice(1), [{ state: 'closed', lasted: 11_000 }]);
  admitted(breaker).failed(60_000);
  t.same(changes.slice(2), [{ state: 'open', openFor: 60_000 }], 'at once, as the server asked');
});

t.test('a success between failures starts the count anew', async (t) => {
  const breaker = new CircuitBreaker(limits, fakeClock());
  for (const good of [false, false, true, false, false]) {
    const call = admitted(breaker);
    if (good) call.succeeded();
    else call.failed();
  }
  t.equal(breaker.state, 'closed');
});

t.test(
  'half open it lets one probe through at a time; its success closes, its failure opens again',
  async (t) => {
    const clock = fakeClock();
    const breaker = opened(clock);
    clock.advance(5_000);
    t.equal(breaker.state, 'half-open');
    const probe = admitted(breaker);
    t.equal(typeof breaker.admit(), 'number', 'and nobody beside it');
    probe.failed();
    t.equal(breaker.state, 'open');
    t.equal(breaker.admit(), 5_000);
    clock.advance(5_000);
    const second = admitted(breaker);
    second.succeeded();
    t.equal(breaker.state, 'closed');
    t.not(typeof breaker.admit(), 'number');
    t.not(typeof breaker.admit(), 'number');
  },
);

t.test('a probe that was never made frees its place', async (t) => {
  const clock = fakeClock();
  const breaker = opened(clock);
  clock.advance(5_000);
  const probe = admitted(breaker);
  probe.released();
  t.not(typeof breaker.admit(), 'number');
});

t.test('a call from before it opened neither frees the place of the probe nor closes it', async (t) => {
  for (const end of ['failed', 'succeeded', 'released'] as const) {
    const clock = fakeClock();
    const breaker = new CircuitBreaker(limits, clock);
    const late = admitted(breaker);
    fail(breaker, 3);
    clock.advance(5_000);
    const probe = admitted(breaker);
    late[end]();
    t.equal(typeof breaker.admit(), 'number', `still one probe after a late call ${end}`);
    t.equal(breaker.state, 'half-open');
    probe.succeeded();
    t.equal(breaker.state, 'closed');
  }
});

t.test('a probe that gave its place back says nothing of the next one', async (t) => {
  for (const end of ['failed', 'succeeded', 'released'] as const) {
    const clock = fakeClock();
    const breaker = opened(clock);
    clock.advance(5_000);
    const first = admitted(breaker);
    first.released();
    const second = admitted(breaker);
    first[end]();
    t.equal(breaker.state, 'half-open', end);
    t.equal(typeof breaker.admit(), 'number', `${end}: the second is the probe`);
    second.succeeded();
    t.equal(breaker.state, 'closed');
  }
});

t.test('of calls that run at once each failure counts, whatever came home before', async (t) => {
  const breaker = new CircuitBreaker(limits, fakeClock());
  const calls = Array.from({ length: 4 }, () => admitted(breaker));
  calls[0]?.succeeded();
  for (const call of calls.slice(1)) call.failed();
  t.equal(breaker.state, 'open');
});

t.test('Retry-After opens it at once for as long as the server asked', async (t) => {
  const clock = fakeClock();
  const breaker = new CircuitBreaker(limits, clock);
  const call = admitted(breaker);
  call.failed(20_000);
  t.equal(breaker.admit(), 20_000);
  clock.advance(20_000);
  t.not(typeof breaker.admit(), 'number');
});

t.test('failures: 0 turns it off', async (t) => {
  const breaker = new CircuitBreaker({ failures: 0, openFor: 5_000 }, fakeClock());
  for (let i = 0; i < 100; i++) {
    const call = admitted(breaker);
    call.failed(i * 1000);
  }
  t.equal(breaker.state, 'closed');
});

function opened(clock: ReturnType<typeof fakeClock>): CircuitBreaker {
  const breaker = new CircuitBreaker(limits, clock);
  fail(breaker, 3);
  return breaker;
}

function fail(breaker: CircuitBreaker, times: number): void {
  for (let i = 0; i < times; i++) {
    const call = admitted(breaker);
    call.failed();
  }
}

function admitted(breaker: CircuitBreaker): Permit {
  const admission = breaker.admit();
  if (typeof admission === 'number') throw new Error('the breaker admits no call');
  return admission;
}

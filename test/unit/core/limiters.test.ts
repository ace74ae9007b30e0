import test from 'ava';
import { ArrivalLimiter } from '../../../src/core/arrival-limiter.js';
import { HandshakeLimiter } from '../../../src/core/handshake-limiter.js';
import { RefusalTally } from '../../../src/core/refusal-tally.js';

test('handshakes are limited per address and in total (H38)', (t) => {
  const limiter = new HandshakeLimiter({ total: 3, perAddress: 2 });
  t.true(limiter.enter('a'));
  t.true(limiter.enter('a'));
  t.false(limiter.enter('a'));
  t.true(limiter.enter('b'));
  t.false(limiter.enter('c'));
  t.is(limiter.inProgress, 3);
  limiter.leave('a');
  t.true(limiter.enter('c'));
  limiter.leave('a');
  t.true(limiter.enter('a'));
  t.is(limiter.inProgress, 3);
});

test('arrivals may come in a burst, then at their rate', (t) => {
  const limiter = new ArrivalLimiter({ burst: 100, perSecond: 100 }, { burst: 3, perSecond: 2 });
  t.deepEqual(
    [0, 0, 0, 0, 499, 500, 500, 10_000, 10_000, 10_000, 10_000].map((at) => limiter.admit('a', at)),
    [true, true, true, false, false, true, false, true, true, true, false],
  );
  t.true(limiter.admit('b', 10_000));
});

test('arrivals from everywhere together are limited too', (t) => {
  const limiter = new ArrivalLimiter({ burst: 5, perSecond: 1 }, { burst: 3, perSecond: 1 });
  const admitted = Array.from({ length: 10 }, (_, index) => limiter.admit(`address ${index}`, 0));
  t.is(admitted.filter(Boolean).length, 5);
  t.true(limiter.admit('address 3', 1000));
});

test('the addresses remembered are bounded (I12)', (t) => {
  const limiter = new ArrivalLimiter({ burst: 1e9, perSecond: 1 }, { burst: 3, perSecond: 1 });
  for (let index = 0; index < 5000; index += 1) limiter.admit(`address ${index}`, index);
  t.true(limiter.addresses <= 1024);
});

test('refusals are told at once, then counted, then told again', (t) => {
  const tally = new RefusalTally(1000);
  t.deepEqual(tally.note('x', 0), { what: 'x', count: 1 });
  t.is(tally.note('x', 1), undefined);
  t.is(tally.note('x', 999), undefined);
  t.deepEqual(tally.note('y', 999), { what: 'y', count: 1 });
  t.deepEqual(tally.note('x', 1000), { what: 'x', count: 3 });
});

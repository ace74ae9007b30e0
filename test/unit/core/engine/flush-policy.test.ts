/** When the secondary flushes, and what a flush proves (Rule 39, H21). */
import test from 'ava';
import { FlushPolicy } from '../../../../src/core/engine/flush-policy.js';

const make = () => {
  const policy = new FlushPolicy({ bytes: 1000, ms: 200, idleMs: 20 });
  policy.begin(0, 0, 0);
  return policy;
};

test('nothing written, nothing to flush', (t) => {
  t.is(make().dueIn(1_000_000), undefined);
});

test('a flush is due after so many bytes, after so long, or when it is quiet', (t) => {
  const policy = make();
  policy.wrote(500, 1, 0);
  t.is(policy.dueIn(0), 20, 'idle');
  policy.wrote(100, 2, 15);
  t.is(policy.dueIn(15), 20, 'each write puts idleness off');
  for (let now = 20; now < 195; now += 10) policy.wrote(1, 3, now);
  t.is(policy.dueIn(195), 5, 'but not beyond the time limit');
  policy.wrote(1000, 4, 195);
  t.is(policy.dueIn(195), 0, 'bytes');
});

test('a waiting primary has it at once, as soon as something new is applied (Rule 39)', (t) => {
  const policy = make();
  policy.want(2);
  t.is(policy.dueIn(0), undefined);
  policy.wrote(1, 1, 0);
  t.is(policy.dueIn(0), 0);
  t.is(policy.flushBegan(), 1);
  policy.wrote(1, 2, 1);
  t.is(policy.dueIn(1), undefined, 'one flush at a time');
  policy.flushEnded();
  t.is(policy.durable, 1, 'what was applied when it began, not what is applied now');
  t.is(policy.dueIn(1), 0);
  policy.flushBegan();
  policy.flushEnded();
  t.is(policy.durable, 2);
  policy.wrote(1, 3, 2);
  t.is(policy.dueIn(2), 20, 'nobody waits any more');
});

test('after a failed flush nothing more counts and nothing more is flushed (H21)', (t) => {
  const policy = make();
  policy.wrote(1, 5, 0);
  policy.flushBegan();
  policy.flushFailed();
  policy.wrote(1, 6, 0);
  t.is(policy.durable, 0);
  t.is(policy.dueIn(1_000_000), undefined);
  t.throws(() => policy.flushBegan());
});

test('a stream that begins ahead of its durable position is flushed', (t) => {
  const policy = make();
  policy.begin(3, 7, 100);
  t.is(policy.durable, 3);
  t.is(policy.dueIn(100), 20);
  t.is(policy.flushBegan(), 7);
});

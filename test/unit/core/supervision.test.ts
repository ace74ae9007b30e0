import test from 'ava';
import { Backoff, Supervision } from '../../../src/core/supervision.js';

test('the first failure restarts at once, the next ones back off up to ten seconds', (t) => {
  const backoff = new Backoff();
  const delays = Array.from({ length: 10 }, (_, i) => backoff.failed(i).delayMs);
  t.deepEqual(delays, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
});

test('a quiet minute forgets', (t) => {
  const backoff = new Backoff();
  backoff.failed(0);
  t.is(backoff.failed(60_000).attempt, 2);
  t.deepEqual(backoff.failed(120_001), { attempt: 1, delayMs: 0 });
});

test('three failures of one actor within a minute park its set (H46)', (t) => {
  const supervision = new Supervision();
  t.like(supervision.failed('g0', 'g0/pmd', 0), { kind: 'restart', delayMs: 0 });
  t.like(supervision.failed('g0', 'g0/pmd', 30_000), { kind: 'restart', delayMs: 100 });
  t.deepEqual(supervision.failed('g0', 'g0/pmd', 60_000), {
    kind: 'park',
    culprit: 'g0/pmd',
    count: 3,
  });
});

test('three failures over more than a minute do not park', (t) => {
  const supervision = new Supervision();
  supervision.failed('g0', 'g0/pmd', 0);
  supervision.failed('g0', 'g0/pmd', 30_000);
  t.is(supervision.failed('g0', 'g0/pmd', 60_001).kind, 'restart');
});

test('failures of different actors and of different sets are counted apart (I11)', (t) => {
  const supervision = new Supervision();
  for (const actor of ['a', 'b', 'a', 'b']) {
    t.is(supervision.failed('g0', actor, 0).kind, 'restart');
  }
  t.like(supervision.failed('g1', 'a', 0), { kind: 'restart', delayMs: 0 });
  t.is(supervision.failed('g0', 'a', 0).kind, 'park');
});

test('crashes that nobody can be blamed for never park, they back off', (t) => {
  const supervision = new Supervision();
  for (let i = 0; i < 50; i++) t.is(supervision.failed('g0', undefined, i).kind, 'restart');
  t.like(supervision.failed('g0', undefined, 50), { delayMs: 10_000 });
});

test('a set that the operator stopped begins with a clean record', (t) => {
  const supervision = new Supervision();
  supervision.failed('g0', 'a', 0);
  supervision.failed('g0', 'a', 1);
  supervision.forget('g0');
  t.deepEqual(supervision.failed('g0', 'a', 2), { kind: 'restart', attempt: 1, delayMs: 0 });
});

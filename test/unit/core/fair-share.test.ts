/** Rule 42a, H42, I11: whatever other groups do, a group can have its share. */
import test from 'ava';
import fc from 'fast-check';
import {
  guaranteedChunks,
  lentChunks,
  mayBorrow,
  mayPromise,
} from '../../../src/core/bab/fair-share.js';
import { BabPool } from '../../../src/core/bab/pool.js';
import { babChunkBytes } from '../../../src/core/constants.js';

const step = fc.record({
  group: fc.nat({ max: 4 }),
  do: fc.constantFrom('take' as const, 'take' as const, 'give' as const),
});

test('no behaviour of other groups ever denies a group its share, in the rules alone', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 40 }),
      fc.array(fc.nat({ max: 8 }), { minLength: 5, maxLength: 5 }),
      fc.array(step, { maxLength: 300 }),
      (chunkCount, wanted, steps) => {
        const shares: number[] = [];
        for (const want of wanted) {
          const promised = shares.reduce((sum, share) => sum + share, 0);
          shares.push(mayPromise(promised, want, chunkCount) ? want : 0);
        }
        const used = shares.map(() => 0);
        const lent = () =>
          used.reduce((sum, use, group) => sum + Math.max(0, use - shares[group]!), 0);
        for (const { group, do: action } of steps) {
          const mine = Math.max(0, used[group]! - shares[group]!);
          if (action === 'give') used[group] = Math.max(0, used[group]! - 1);
          else if (used[group]! < shares[group]!) used[group]!++;
          else if (mayBorrow(mine, lent(), lentChunks(chunkCount))) used[group]!++;
          const total = used.reduce((sum, use) => sum + use, 0);
          const missing = shares.reduce(
            (sum, share, at) => sum + Math.max(0, share - used[at]!),
            0,
          );
          t.true(total + missing <= chunkCount, 'every share that is not used is free');
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a group alone may borrow the whole lent half; beside a borrower it stops at half of what is left', (t) => {
  t.true(mayBorrow(31, 31, 32));
  t.false(mayBorrow(32, 32, 32));
  t.true(mayBorrow(7, 17, 32));
  t.false(mayBorrow(15, 17, 32));
  t.is(guaranteedChunks(65) + lentChunks(65), 65);
});

test('the pool keeps its accounts under any use, over one memory or several', (t) => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 200 }),
      fc.integer({ min: 1, max: 4 }),
      (steps, memories) => {
        const pool = BabPool.create({ bytes: 24 * babChunkBytes, memories });
        for (let group = 0; group < 5; group++) t.true(pool.promiseShare(group, 2 * babChunkBytes));
        t.false(pool.promiseShare(5, 3 * babChunkBytes), 'more than half is not promised');
        const chunks: number[][] = [[], [], [], [], []];
        for (const { group, do: action } of steps) {
          const mine = chunks[group]!;
          if (action === 'give') {
            const chunk = mine.pop();
            if (chunk !== undefined) pool.giveBack(group, chunk);
          } else {
            const chunk = pool.take(group, mine.at(-1));
            t.true(chunk >= 0 || mine.length >= 2, 'below its share a group is never refused');
            if (chunk >= 0) mine.push(chunk);
          }
          t.is(pool.usedBytes, chunks.flat().length * babChunkBytes);
          t.is(new Set(chunks.flat()).size, chunks.flat().length);
        }
        for (const [group, mine] of chunks.entries()) {
          t.deepEqual(
            pool.ownedBy(group),
            mine.toSorted((a, b) => a - b),
          );
          pool.withdraw(group);
        }
        t.is(pool.usedBytes, 0);
        t.is(pool.lentUsedBytes, 0);
        t.is(pool.promisableBytes, 12 * babChunkBytes);
      },
    ),
    { numRuns: 100 },
  );
});

test('a chunk is given back once, by its owner', (t) => {
  const pool = BabPool.create({ bytes: 8 * babChunkBytes });
  const chunk = pool.take(1);
  t.throws(() => pool.giveBack(2, chunk), { message: /owner/ });
  pool.giveBack(1, chunk);
  t.throws(() => pool.giveBack(1, chunk), { message: /owner/ });
});

import test from 'ava';
import fc from 'fast-check';
import { PagePool } from '../../../src/core/page-pool.js';

test('runs never overlap, and a run that fits somewhere is found', (t) => {
  const step = fc.record({ take: fc.boolean(), count: fc.integer({ min: 1, max: 9 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step), (pageCount, steps) => {
      const pool = new PagePool(pageCount);
      const taken = Array.from({ length: pageCount }, () => false);
      const runs: { start: number; count: number }[] = [];
      for (const { take, count } of steps) {
        if (take) {
          const start = pool.take(count);
          if (start < 0) {
            const free = taken.map((page) => (page ? 'x' : '.')).join('');
            t.false(free.includes('.'.repeat(count)));
            continue;
          }
          for (let page = start; page < start + count; page++) {
            t.false(taken[page]);
            taken[page] = true;
          }
          t.true(start + count <= pageCount);
          runs.push({ start, count });
        } else {
          const run = runs.splice(count % (runs.length || 1), 1)[0];
          if (run === undefined) continue;
          pool.give(run.start, run.count);
          taken.fill(false, run.start, run.start + run.count);
        }
        t.is(pool.freeCount, taken.filter((page) => !page).length);
      }
    }),
  );
});

test('pages that are not taken cannot be given back', (t) => {
  const pool = new PagePool(4);
  pool.give(pool.take(2), 2);
  t.throws(() => pool.give(0, 1), { name: 'AssertionError' });
});

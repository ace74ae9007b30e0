/** Rule 41 against counting: at most DEPTH − 1 writes up to i lack durability when i may be answered. */
import test from 'ava';
import fc from 'fast-check';
import { reached, SyncDepth } from '../../../../src/core/engine/sync-depth.js';

/** How many of the writes up to the last one are not durable. */
function lacking(ends: readonly number[], durable: number): number {
  return ends.filter((end) => !reached(durable, end)).length;
}

test('Rule 41, I3: a write may be answered exactly when fewer than DEPTH writes lack durability', (t) => {
  const writes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 60 });
  const start = fc.constantFrom(0, 2 ** 31 - 20, 2 ** 32 - 20);
  const property = fc.property(
    fc.integer({ min: 1, max: 20 }),
    start,
    writes,
    (depth, first, sizes) => {
      const engine = new SyncDepth();
      engine.configure(depth, first);
      const ends: number[] = [];
      let published = first;
      for (const entries of sizes) {
        published = (published + entries) >>> 0;
        const until = engine.published(published);
        t.is(until, engine.until);
        ends.push(published);
        for (let back = published - first; back >= 0; back--) {
          const durable = (published - back) >>> 0;
          t.is(reached(durable, until), lacking(ends, durable) < depth);
        }
      }
    },
  );
  fc.assert(property, { numRuns: 100 });
});

test('Rule 41: a depth that is set while entries are under way counts each of them as a write', (t) => {
  const engine = new SyncDepth();
  engine.configure(3, 100);
  t.is(engine.published(101), 99);
  t.is(engine.published(110), 100);
  t.is(engine.published(111), 101);
});

test('depth 0 is async', (t) => {
  const engine = new SyncDepth();
  t.is(engine.depth, 0);
  engine.configure(2, 0);
  engine.configure(0, 50);
  t.is(engine.depth, 0);
});

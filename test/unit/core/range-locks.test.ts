/** H1, H16, I9: the order of overlapping requests, against a naive list. */
import test from 'ava';
import fc from 'fast-check';
import { RangeLocks } from '../../../src/core/engine/range-locks.js';

const capacity = 64;
const blocks = [512, 4096];

interface Waiter {
  request: number;
  device: number;
  start: number;
  end: number;
}

test('a request holds its range when every earlier one that overlaps has given its own back', (t) => {
  const action = fc.oneof(
    fc.record({
      do: fc.constant('acquire' as const),
      device: fc.nat({ max: 1 }),
      offset: fc.nat({ max: 20_000 }),
      length: fc.integer({ min: 1, max: 6000 }),
    }),
    fc.record({ do: fc.constant('release' as const), pick: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const locks = new RangeLocks(capacity, blocks);
      const order: Waiter[] = [];
      const free = Array.from({ length: capacity }, (_, request) => request);
      const blocked = (one: Waiter) =>
        order
          .slice(0, order.indexOf(one))
          .some(
            (other) =>
              other.device === one.device && other.start < one.end && one.start < other.end,
          );
      for (const step of actions) {
        if (step.do === 'acquire' && free.length > 0) {
          const block = blocks[step.device]!;
          const one = {
            request: free.shift()!,
            device: step.device,
            start: Math.floor(step.offset / block) * block,
            end: Math.ceil((step.offset + step.length) / block) * block,
          };
          order.push(one);
          t.is(locks.acquire(one.request, one.device, step.offset, step.length), !blocked(one));
        } else if (step.do === 'release') {
          const held = order.filter((one) => !blocked(one));
          if (held.length === 0) continue;
          const one = held[step.pick % held.length]!;
          const before = order.filter(blocked);
          order.splice(order.indexOf(one), 1);
          free.push(one.request);
          const granted = before.filter((other) => !blocked(other)).map(({ request }) => request);
          const count = locks.release(one.request);
          t.deepEqual([...locks.granted.subarray(0, count)], granted, 'oldest first');
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('H16: two writes to different halves of one block wait for each other', (t) => {
  const locks = new RangeLocks(4, blocks);
  t.true(locks.acquire(0, 1, 0, 512));
  t.false(locks.acquire(1, 1, 3584, 512));
  t.true(locks.acquire(2, 1, 4096, 512));
  t.true(locks.acquire(3, 0, 512, 512), 'another device');
  t.is(locks.release(0), 1);
  t.is(locks.granted[0], 1);
});

test('only a held range is given back, and once', (t) => {
  const locks = new RangeLocks(4, blocks);
  locks.acquire(0, 0, 0, 512);
  locks.acquire(1, 0, 0, 512);
  t.throws(() => locks.release(1), { message: /held/ });
  locks.release(0);
  t.throws(() => locks.release(0), { message: /held/ });
  t.throws(() => locks.acquire(1, 0, 0, 512), { message: /one range/ });
});

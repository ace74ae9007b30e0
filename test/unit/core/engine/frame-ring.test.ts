/** The receive memory: frames in order, data aligned, memory given back in order. */
import test from 'ava';
import fc from 'fast-check';
import { frameHeaderBytes, wireEntryBytes } from '../../../../src/core/constants.js';
import { FrameRing } from '../../../../src/core/engine/frame-ring.js';

test('the data of a frame is aligned, and header, table and data are contiguous', (t) => {
  const ring = new FrameRing(64 * 1024, 8, 4096);
  const frame = ring.place(2, 3, 3 * wireEntryBytes + 8192, true);
  t.is(ring.dataOf(frame) % 4096, 0);
  t.is(ring.tableOf(frame), ring.headerOf(frame) + frameHeaderBytes);
  t.is(ring.dataOf(frame), ring.tableOf(frame) + 3 * wireEntryBytes);
});

test('credit comes back when the oldest frame is done, and only for frames of the network', (t) => {
  const ring = new FrameRing(64 * 1024, 8, 64);
  const a = ring.place(2, 1, 1000, true);
  const b = ring.place(2, 1, 2000, false);
  const c = ring.place(2, 1, 3000, true);
  ring.hold(a);
  ring.release(c);
  ring.release(b);
  ring.release(a);
  t.is(ring.freedBytes, 0);
  ring.release(a);
  t.is(ring.freedBytes, 4000);
  t.is(ring.framesHeld, 0);
  t.throws(() => ring.release(a));
});

test('frames are bounded in number and in bytes (I12)', (t) => {
  const few = new FrameRing(64 * 1024, 2, 64);
  t.true(few.place(2, 1, 100, true) >= 0);
  t.true(few.place(2, 1, 100, true) >= 0);
  t.is(few.place(2, 1, 100, true), -1);
  const small = new FrameRing(4096, 8, 64);
  t.is(small.place(2, 1, 5000, true), -1);
  t.true(small.place(2, 1, 3000, true) >= 0);
  t.is(small.place(2, 1, 3000, true), -1);
});

test('frames in memory never overlap, under any order of placing and releasing', (t) => {
  const step = fc.oneof(
    fc.record({ bytes: fc.integer({ min: 0, max: 3000 }), count: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ release: fc.nat({ max: 15 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.constantFrom(64, 512), (steps, alignment) => {
      const size = 8192;
      const ring = new FrameRing(size, 16, alignment);
      // Placed, in order; `done` ones still occupy their place until all before them are done.
      const held: { frame: number; from: number; to: number; done: boolean }[] = [];
      for (const each of steps) {
        if ('release' in each) {
          const open = held.filter(({ done }) => !done);
          const one = open[each.release % Math.max(1, open.length)];
          if (one === undefined) continue;
          one.done = true;
          ring.release(one.frame);
          while (held[0]?.done === true) held.shift();
        } else {
          const payload = each.count * wireEntryBytes + each.bytes;
          const frame = ring.place(2, each.count, payload, true);
          if (frame < 0) continue;
          const from = ring.headerOf(frame);
          const to = from + frameHeaderBytes + payload;
          if (from < 0 || to > size) throw new Error('outside the memory');
          if (ring.dataOf(frame) % alignment !== 0) throw new Error('not aligned');
          if (held.some((other) => from < other.to && other.from < to)) throw new Error('overlap');
          held.push({ frame, from, to, done: false });
        }
        if (ring.framesHeld !== held.length) throw new Error('count');
      }
    }),
  );
  t.pass();
});

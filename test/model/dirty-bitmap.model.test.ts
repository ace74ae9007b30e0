/** The bitmap against a set of numbers. */
import test from 'ava';
import fc from 'fast-check';
import { DeviceMap } from '../../src/core/bitmap/device-map.js';
import { DirtyBitmap } from '../../src/core/bitmap/dirty-bitmap.js';
import { mapBlockBytes } from '../../src/core/constants.js';

const bits = 300;
const range = { first: fc.nat({ max: bits - 1 }), length: fc.nat({ max: 120 }) };
const command = fc.oneof(
  fc.record({ do: fc.constant('set' as const), ...range }),
  fc.record({ do: fc.constant('clear' as const), ...range }),
  fc.record({ do: fc.constant('take' as const), ...range }),
  fc.record({ do: fc.constantFrom('fill' as const, 'empty' as const), ...range }),
);

test('the bitmap equals a set of bits, whatever is done to it', (t) => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const bitmap = new DirtyBitmap(new SharedArrayBuffer(DirtyBitmap.bytesFor(bits)), bits);
      const model = new Set<number>();
      for (const { do: action, first, length: wanted } of commands) {
        const length = Math.min(wanted, bits - first);
        const range = Array.from({ length }, (_, index) => first + index);
        const before = model.size;
        if (action === 'set') {
          for (const bit of range) model.add(bit);
          t.is(bitmap.set(first, length), model.size - before);
        } else if (action === 'clear') {
          for (const bit of range) model.delete(bit);
          t.is(bitmap.clear(first, length), before - model.size);
        } else if (action === 'fill') {
          for (let bit = 0; bit < bits; bit++) model.add(bit);
          bitmap.fill();
        } else if (action === 'empty') {
          model.clear();
          bitmap.empty();
        } else {
          const next = Array.from({ length: bits - first }, (_, index) => first + index);
          const from = next.find((bit) => model.has(bit));
          let run = 0;
          if (from !== undefined) {
            while (run < Math.max(1, length) && model.has(from + run)) model.delete(from + run++);
            t.is(bitmap.takeRun(first, Math.max(1, length)), run);
            t.is(bitmap.taken, from);
          } else {
            t.is(bitmap.takeRun(first, Math.max(1, length)), 0);
          }
        }
        t.is(bitmap.count, model.size);
        const found: number[] = [];
        for (let bit = bitmap.nextSet(0); bit >= 0; bit = bitmap.nextSet(bit + 1)) found.push(bit);
        t.deepEqual(
          found,
          [...model].toSorted((a, b) => a - b),
        );
        t.is(bitmap.has(first), model.has(first));
      }
    }),
    { numRuns: 150 },
  );
});

test('bits beyond the end are refused', (t) => {
  const bitmap = new DirtyBitmap(new ArrayBuffer(DirtyBitmap.bytesFor(33)), 33);
  t.throws(() => bitmap.set(32, 2), { message: /within/ });
  t.is(bitmap.set(32, 1), 1);
  t.is(bitmap.nextSet(0), 32);
  t.is(bitmap.nextSet(33), -1);
});

test('a map marks every block that a byte range touches, in P and in todo', (t) => {
  const size = 10 * mapBlockBytes + 512;
  const map = new DeviceMap(new SharedArrayBuffer(DeviceMap.bytesFor(size)), size);
  t.is(map.blockCount, 11);
  map.mark(mapBlockBytes - 1, 2);
  map.mark(10 * mapBlockBytes, 512);
  t.is(map.persisted.count, 3);
  t.is(map.todo.count, 3);
  map.todo.takeRun(0, 100);
  t.is(map.persisted.count, 3, 'I21: reading a block does not clear P');
  map.todo.addAll(map.persisted);
  t.is(map.todo.count, 3);
  map.markAll();
  t.is(map.dirtyBytes, size);
  map.clearAll();
  t.is(map.dirtyBytes, 0);
});

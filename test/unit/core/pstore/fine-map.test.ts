/** The map as a clean stop leaves it: exact, and nothing else is taken for it (Rules 31, 49b). */
import test from 'ava';
import fc from 'fast-check';
import { DeviceMap } from '../../../../src/core/bitmap/device-map.js';
import { crc32c } from '../../../../src/core/checksum.js';
import { mapBlockBytes } from '../../../../src/core/constants.js';
import { decodeFineMap, encodeFineMap } from '../../../../src/core/pstore/fine-map.js';

const token = '5e'.repeat(16);
const sizes = [300 * mapBlockBytes - 512, 1 * mapBlockBytes];
const newMaps = (of = sizes) =>
  of.map((bytes) => new DeviceMap(new SharedArrayBuffer(DeviceMap.bytesFor(bytes)), bytes));

const bitsOf = ({ persisted, todo, compare, blockCount }: DeviceMap) =>
  [persisted, todo, compare].map((bitmap) =>
    Array.from({ length: blockCount }, (_, bit) => bitmap.has(bit)),
  );

const range = fc.record({
  device: fc.nat({ max: 1 }),
  first: fc.nat({ max: 299 }),
  count: fc.integer({ min: 1, max: 90 }),
  compare: fc.boolean(),
});

test('what is saved comes back, block by block, with what is only to be compared', (t) => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), (ranges) => {
      const maps = newMaps();
      for (const { device, first, count, compare } of ranges) {
        const map = maps[device]!;
        const from = first % map.blockCount;
        const length = Math.min(count, map.blockCount - from) * mapBlockBytes;
        const bytes = Math.min(length, map.sizeBytes - from * mapBlockBytes);
        if (compare) map.markCompare(from * mapBlockBytes, bytes);
        else map.mark(from * mapBlockBytes, bytes);
      }
      const again = newMaps();
      t.true(decodeFineMap(encodeFineMap(token, maps, crc32c), token, again, crc32c));
      t.deepEqual(again.map(bitsOf), maps.map(bitsOf));
    }),
  );
});

test('a file of another stop, of other devices, or that is damaged is not believed, and marks nothing', (t) => {
  const maps = newMaps();
  maps[0]!.mark(5 * mapBlockBytes, 70 * mapBlockBytes);
  const bytes = encodeFineMap(token, maps, crc32c);
  const fresh = newMaps();
  t.false(decodeFineMap(bytes, '5f'.repeat(16), fresh, crc32c));
  t.false(decodeFineMap(bytes, token, newMaps([sizes[0]!]), crc32c));
  t.false(decodeFineMap(bytes, token, newMaps([sizes[0]!, 2 * mapBlockBytes]), crc32c));
  for (let length = 0; length < bytes.length; length++) {
    t.false(decodeFineMap(bytes.subarray(0, length), token, fresh, crc32c));
  }
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const bad = bytes.slice();
    bad[bit >> 3]! ^= 1 << (bit & 7);
    t.false(decodeFineMap(bad, token, fresh, crc32c), `bit ${bit}`);
  }
  t.is(fresh[0]!.persisted.count, 0);
});

test('the map of a device that is all dirty, or all equal, is a few bytes', (t) => {
  const maps = newMaps([1024 * 1024 * mapBlockBytes]);
  const empty = encodeFineMap(token, maps, crc32c).length;
  maps[0]!.markAllCompare();
  t.true(empty < 64 && encodeFineMap(token, maps, crc32c).length < 64);
});

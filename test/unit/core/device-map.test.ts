import test from 'ava';
import { DeviceMap } from '../../../src/core/bitmap/device-map.js';
import { mapBlockBytes } from '../../../src/core/constants.js';

const blocks = 100;
const newMap = () => {
  const bytes = blocks * mapBlockBytes - 512;
  return new DeviceMap(new SharedArrayBuffer(DeviceMap.bytesFor(bytes)), bytes);
};

test('a write marks P and todo, and leaves alone what is to be compared', (t) => {
  const map = newMap();
  map.markCompare(3 * mapBlockBytes, mapBlockBytes);
  map.mark(3 * mapBlockBytes + 512, 2 * mapBlockBytes);
  t.deepEqual([map.persisted.count, map.todo.count, map.compare.count], [3, 3, 1]);
  t.true(map.compare.has(3));
});

test('Rule 17: a checksum refresh begins with every block unproven', (t) => {
  const map = newMap();
  map.markAllCompare();
  t.deepEqual([map.persisted.count, map.todo.count, map.compare.count], [blocks, blocks, blocks]);
});

test('I21: a commit clears all three, and the three do not overlap in memory', (t) => {
  const map = newMap();
  map.compare.set(blocks - 1, 1);
  t.deepEqual([map.persisted.count, map.todo.count], [0, 0]);
  map.markAllCompare();
  map.todo.empty();
  t.deepEqual([map.persisted.count, map.compare.count], [blocks, blocks]);
  map.clearAll();
  t.deepEqual([map.persisted.count, map.todo.count, map.compare.count], [0, 0, 0]);
});

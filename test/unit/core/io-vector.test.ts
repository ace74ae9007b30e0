import test from 'ava';
import { IoVector } from '../../../src/core/io-vector.js';

test('pieces that continue each other in memory are merged', (t) => {
  const vector = new IoVector(4);
  vector.reset(3).push(0, 10);
  vector.push(10, 5);
  vector.push(100, 1);
  t.is(vector.count, 2);
  t.is(vector.totalBytes, 16);
  t.deepEqual([...vector.lengths.subarray(0, 2)], [15, 1]);
});

test('a vector refuses more pieces than its capacity', (t) => {
  const vector = new IoVector(1).single(0, 0, 1);
  t.throws(() => vector.push(10, 1), { message: /capacity/ });
});

import test from 'ava';
import fc from 'fast-check';
import { copyFromPieces, copyToPieces } from '../../../src/core/io-copy.js';
import { IoVector } from '../../../src/core/io-vector.js';

test('copies from and to pieces equal copies of the bytes joined', (t) => {
  const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(lengths, fc.nat(), fc.nat(), (pieces, a, b) => {
      const bytes = Uint8Array.from({ length: 100 }, (_, index) => index);
      const vector = new IoVector(6).reset(0);
      const where: number[] = [];
      pieces.forEach((length, index) => {
        vector.push(index * 12, length);
        for (let at = 0; at < length; at++) where.push(index * 12 + at);
      });
      const skip = a % where.length;
      const length = b % (where.length - skip + 1);
      const target = new Uint8Array(64);
      copyFromPieces(vector, bytes, skip, target, 3, length);
      t.deepEqual([...target.subarray(3, 3 + length)], where.slice(skip, skip + length));
      const blank = new Uint8Array(100);
      copyToPieces(target, 3, length, vector, blank, skip);
      t.deepEqual(
        [...blank.keys()].filter((at) => blank[at] !== 0),
        where.slice(skip, skip + length).filter((at) => at !== 0),
      );
    }),
  );
});

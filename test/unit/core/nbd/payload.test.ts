import test from 'ava';
import fc from 'fast-check';
import { IoVector } from '../../../../src/core/io-vector.js';
import { PayloadCursor } from '../../../../src/core/nbd/payload.js';

test('copied and directly received parts, in any sizes, end up in order in the pieces', (t) => {
  const pieces = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });
  const steps = fc.array(fc.record({ direct: fc.boolean(), count: fc.nat(60) }));
  fc.assert(
    fc.property(pieces, steps, (lengths, moves) => {
      const vector = new IoVector(8).reset(1);
      // Gaps between the pieces, so that they stay pieces.
      let at = 0;
      for (const length of lengths) {
        vector.push(at, length);
        at += length + 3;
      }
      const memory = new Uint8Array(at);
      const total = vector.totalBytes;
      const source = Uint8Array.from({ length: total }, (_, index) => (index % 250) + 1);
      const cursor = new PayloadCursor();
      cursor.begin(vector, memory);
      let done = 0;
      for (const { direct, count } of [...moves, { direct: true, count: total }, ...endless]) {
        if (direct) {
          const empty = cursor.emptyPieces(new IoVector(3));
          const received = Math.min(count, empty.totalBytes);
          let left = received;
          for (let piece = 0; piece < empty.count && left > 0; piece++) {
            const part = Math.min(left, empty.lengths[piece]!);
            memory.set(source.subarray(done, done + part), empty.offsets[piece]);
            done += part;
            left -= part;
          }
          cursor.advance(received);
        } else {
          done += cursor.copyFrom(source, done, Math.min(total, done + count));
        }
        t.is(cursor.missing, total - done);
      }
      const gathered = [...vector.offsets.subarray(0, vector.count)].flatMap((offset, piece) => [
        ...memory.subarray(offset, offset + vector.lengths[piece]!),
      ]);
      t.deepEqual(gathered, [...source]);
      t.is(memory.filter((byte) => byte === 0).length, 3 * lengths.length);
    }),
  );
});

const endless = Array.from({ length: 8 }, () => ({ direct: true, count: 400 }));

test('no more is taken from the buffer than is missing', (t) => {
  const cursor = new PayloadCursor();
  const memory = new Uint8Array(8);
  cursor.begin(new IoVector(1).single(1, 2, 3), memory);
  t.is(cursor.copyFrom(Uint8Array.of(9, 1, 2, 3, 4, 5), 1, 6), 3);
  t.deepEqual([...memory], [0, 0, 1, 2, 3, 0, 0, 0]);
  t.throws(() => cursor.advance(1), { name: 'AssertionError' });
});

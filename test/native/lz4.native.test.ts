/** LZ4 in C++ and in TypeScript against each other: whole blocks, damaged ones, and nothing in between. */
import test from 'ava';
import fc from 'fast-check';
import { lz4Compress, lz4Decompress } from '../../src/core/wire/lz4.js';
import { native } from '../../src/io/native.js';

const sides = [
  { name: 'native', compress: native.lz4Compress, decompress: native.lz4Decompress },
  { name: 'TypeScript', compress: lz4Compress, decompress: lz4Decompress },
] as const;

/** What a length field, a window and a table of positions may get wrong. */
const piece = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.oneof(fc.nat(300), fc.nat(70_000)))
    .map(([value, length]) => new Uint8Array(length).fill(value)),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.nat(400))
    .map(([unit, times]) => repeated(unit, times)),
  fc.nat(2 ** 31).map((seed) => noise(300, seed)),
);
const data = fc.array(piece, { maxLength: 12 }).map((pieces) => Buffer.concat(pieces));

function repeated(unit: Uint8Array, times: number): Uint8Array {
  return Uint8Array.from({ length: unit.length * times }, (_, index) => unit[index % unit.length]!);
}

function noise(length: number, seed: number): Uint8Array {
  let state = seed >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 16;
  });
}

function compressed(side: (typeof sides)[number], raw: Uint8Array): Uint8Array {
  const out = new Uint8Array(raw.length + Math.ceil(raw.length / 255) + 16);
  const length = side.compress(raw, 0, raw.length, out, 0, out.length);
  if (length === 0) throw new Error('what does not shrink grows by so much at most');
  return out.slice(0, length);
}

/** The verdict and the bytes; fails when a byte beside the range was touched. */
function decompressed(side: (typeof sides)[number], block: Uint8Array, rawLength: number) {
  const guard = 64;
  const out = new Uint8Array(rawLength + 2 * guard).fill(0xa5);
  const whole = side.decompress(block, 0, block.length, out, guard, rawLength);
  const around = [...out.subarray(0, guard), ...out.subarray(guard + rawLength)];
  if (around.some((byte) => byte !== 0xa5)) throw new Error(`${side.name} wrote beside the range`);
  return whole ? Buffer.from(out.subarray(guard, guard + rawLength)) : undefined;
}

test('what either compresses, both decompress to the same bytes', (t) => {
  fc.assert(
    fc.property(data, (raw) => {
      for (const from of sides) {
        const block = compressed(from, raw);
        for (const to of sides) {
          t.true(decompressed(to, block, raw.length)?.equals(raw), `${from.name} to ${to.name}`);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('Rule 55: another length than declared, or a byte less, is damaged', (t) => {
  fc.assert(
    fc.property(data, fc.nat(20), (raw, difference) => {
      const block = compressed(sides[0], raw);
      for (const side of sides) {
        t.is(decompressed(side, block, raw.length + 1 + difference), undefined);
        if (raw.length > difference) {
          t.is(decompressed(side, block, raw.length - 1 - difference), undefined);
        }
        t.is(decompressed(side, block.subarray(0, block.length - 1), raw.length), undefined);
      }
    }),
    { numRuns: 200 },
  );
});

test('Rule 55: of damaged blocks both make the same, and never a byte beside the range', (t) => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(data, damage, (raw, changes) => {
      const block = compressed(sides[0], raw);
      for (const [at, value] of changes) block[at % block.length] = value;
      const [one, other] = sides.map((side) => decompressed(side, block, raw.length));
      t.is(one === undefined, other === undefined);
      if (one !== undefined) t.true(one.equals(other!));
    }),
    { numRuns: 1000 },
  );
});

test('Rule 55: bytes of chance are no block of any length, or the same one for both', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(2000), (block, rawLength) => {
      const [one, other] = sides.map((side) => decompressed(side, block, rawLength));
      t.deepEqual(one, other);
    }),
    { numRuns: 2000 },
  );
});

test('what does not fit is not written beyond its room', (t) => {
  fc.assert(
    fc.property(data, fc.nat(2000), (raw, room) => {
      for (const side of sides) {
        const out = new Uint8Array(room + 32).fill(0xa5);
        const length = side.compress(raw, 0, raw.length, out, 0, room);
        t.true(length <= room);
        t.true(
          out.subarray(room).every((byte) => byte === 0xa5),
          side.name,
        );
        if (length === 0) continue;
        t.true(decompressed(sides[0], out.slice(0, length), raw.length)?.equals(raw));
      }
    }),
    { numRuns: 200 },
  );
});

test('a published block is what it should be: literals, an overlapping match, literals', (t) => {
  // "ab", then 10 bytes two back, then "tail!": by hand, after the description of the format.
  const block = Uint8Array.from([0x26, 97, 98, 2, 0, 0x50, 116, 97, 105, 108, 33]);
  for (const side of sides) {
    t.is(decompressed(side, block, 17)?.toString('latin1'), 'ababababababtail!', side.name);
  }
});

test('zeroes of a whole frame become next to nothing, noise does not shrink', (t) => {
  for (const side of sides) {
    t.true(compressed(side, new Uint8Array(1_100_000)).length < 5_000);
    const random = noise(100_000, 7);
    t.is(side.compress(random, 0, random.length, new Uint8Array(94_000), 0, 94_000), 0, side.name);
  }
});

test('wrong arguments of the native one are refused: ranges outside, or overlapping', (t) => {
  const memory = new Uint8Array(100);
  const other = new Uint8Array(100);
  for (const call of [native.lz4Compress, native.lz4Decompress]) {
    t.throws(() => call(memory, 50, 51, other, 0, 10), { instanceOf: RangeError });
    t.throws(() => call(memory, 0, 50, other, 95, 6), { instanceOf: RangeError });
    t.throws(() => call(memory, -1, 5, other, 0, 10), { instanceOf: RangeError });
    t.throws(() => call(memory, 0, Number.NaN, other, 0, 10), { instanceOf: RangeError });
    t.throws(() => call(memory, 0, 50, memory, 49, 10), { message: /overlap/ });
  }
  t.is(native.lz4Compress(memory, 0, 50, memory, 50, 50) > 0, true);
});

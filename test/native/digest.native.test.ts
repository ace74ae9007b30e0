/** CRC-32C against published vectors, XXH3-128 against another implementation, and wrong arguments. */
import test from 'ava';
import { createXXHash128, xxhash128 } from 'hash-wasm';
import { native } from '../../src/io/native.js';

const bytes = (length: number): Uint8Array => {
  const result = new Uint8Array(new SharedArrayBuffer(length));
  let state = 12345;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    result[index] = state >>> 16;
  }
  return result;
};

const crc = (data: Uint8Array, seed = 0, software = false): number =>
  native.crc32c(data, 0, data.length, seed, software);

const vectors: readonly (readonly [string, Uint8Array, number])[] = [
  ['"123456789"', new TextEncoder().encode('123456789'), 0xe3069283],
  ['nothing', new Uint8Array(0), 0],
  ['32 zeroes (RFC 3720)', new Uint8Array(32), 0x8a9136aa],
  ['32 ones (RFC 3720)', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['0 to 31 (RFC 3720)', Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
  ['31 to 0 (RFC 3720)', Uint8Array.from({ length: 32 }, (_, index) => 31 - index), 0x113fdb5c],
];

for (const [name, data, expected] of vectors) {
  test(`the CRC-32C of ${name} is the published one, in hardware and in software`, (t) => {
    t.is(crc(data), expected);
    t.is(crc(data, 0, true), expected);
  });
}

test('hardware and software agree on every length and every split', (t) => {
  const data = bytes(20000);
  for (const length of [1, 7, 8, 9, 63, 3071, 3072, 3073, 6144, 9999, 20000]) {
    const whole = native.crc32c(data, 0, length);
    t.is(native.crc32c(data, 0, length, 0, true), whole, `length ${length}`);
    for (const cut of [0, 1, length >> 1, length]) {
      const first = native.crc32c(data, 0, cut);
      t.is(native.crc32c(data, cut, length - cut, first), whole, `cut at ${cut}`);
    }
  }
});

const xxh3 = (data: Uint8Array, offset: number, length: number, low = 0, high = 0): string => {
  const out = new Uint8Array(20);
  native.xxh3(data, offset, length, out, 3, low, high);
  return Buffer.from(out.subarray(3, 19)).toString('hex');
};

test('XXH3-128 equals hash-wasm for every length up to 2000', async (t) => {
  const data = bytes(2000);
  const reference = await createXXHash128(0, 0);
  for (let length = 0; length <= 2000; length++) {
    const expected = reference
      .init()
      .update(Buffer.from(data.slice(0, length)))
      .digest('hex');
    if (xxh3(data, 0, length) !== expected) t.fail(`length ${length}`);
  }
  t.pass();
});

test('XXH3-128 equals hash-wasm for large and unaligned ranges', async (t) => {
  const data = bytes(3 << 20);
  for (const [offset, length] of [
    [0, 4096],
    [1, 65536],
    [3, 65535],
    [7, 1 << 20],
    [0, 3 << 20],
  ] as const) {
    const slice = Buffer.from(data.slice(offset, offset + length));
    t.is(xxh3(data, offset, length), await xxhash128(slice));
  }
});

test('XXH3-128 with a seed equals hash-wasm in every class of lengths', async (t) => {
  const data = bytes(5000);
  for (const [low, high] of [
    [1, 0],
    [0xdeadbeef, 0x01234567],
    [0xffffffff, 0xffffffff],
  ] as const) {
    for (const length of [
      0, 1, 3, 4, 8, 9, 16, 17, 64, 128, 129, 200, 240, 241, 1024, 1025, 5000,
    ]) {
      const slice = Buffer.from(data.slice(0, length));
      t.is(xxh3(data, 0, length, low, high), await xxhash128(slice, low, high), `length ${length}`);
    }
  }
});

test('a range is zero only when every byte of it is', (t) => {
  const data = new Uint8Array(8192);
  t.true(native.isZero(data, 0, 8192));
  t.true(native.isZero(data, 17, 0));
  for (const at of [0, 1, 63, 4096, 8191]) {
    data[at] = 1;
    t.false(native.isZero(data, 0, 8192), `byte ${at}`);
    t.is(native.isZero(data, 1, 8190), at === 0 || at === 8191);
    data[at] = 0;
  }
});

test('ranges outside the memory throw', (t) => {
  const data = new Uint8Array(100);
  for (const [offset, length] of [
    [0, 101],
    [100, 1],
    [101, 0],
    [-1, 1],
    [0, -1],
    [0.5, 1],
    [0, Number.NaN],
    [2 ** 53, 1],
  ] as const) {
    t.throws(() => native.crc32c(data, offset, length), { instanceOf: RangeError });
    t.throws(() => native.isZero(data, offset, length), { instanceOf: RangeError });
    t.throws(() => native.xxh3(data, offset, length, new Uint8Array(16), 0));
  }
  t.throws(() => native.xxh3(data, 0, 1, new Uint8Array(15), 0), { instanceOf: RangeError });
  t.throws(() => native.xxh3(data, 0, 1, new Uint8Array(16), 1), { instanceOf: RangeError });
  t.throws(() => native.crc32c(data, 0, 1, -1), { instanceOf: RangeError });
  t.throws(() => native.crc32c([] as unknown as Uint8Array, 0, 0), { instanceOf: TypeError });
  t.throws(() => native.isZero(new ArrayBuffer(8) as unknown as Uint8Array, 0, 0));
});

import test from 'ava';
import fc from 'fast-check';
import { crc32 } from 'hash-wasm';
import { crc32c } from '../../../src/core/checksum.js';

test('the check value of CRC32C', (t) => {
  t.is(crc32c(new TextEncoder().encode('123456789'), 0, 9), 0xe3069283);
  t.is(crc32c(new Uint8Array(0), 0, 0), 0);
});

test('equals another implementation, at any offset, in any pieces', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(bytes, fc.nat(300), fc.nat(9), async (content, cut, offset) => {
      const placed = new Uint8Array(content.length + offset);
      placed.set(content, offset);
      const first = Math.min(cut, content.length);
      const seed = crc32c(placed, offset, first, 0);
      const pieces = crc32c(placed, offset + first, content.length - first, seed);
      const whole = Number.parseInt(await crc32(content, 0x82f63b78), 16);
      t.is(pieces, whole);
      t.is(crc32c(placed, offset, content.length), whole);
    }),
  );
});

/** jGGG.own: which blocks others have written (Rule 10b, MD#27). */
import test from 'ava';
import { crc32c } from '../../../../src/core/checksum.js';
import { mapBlockBytes } from '../../../../src/core/constants.js';
import {
  decodeOwnPage,
  encodeOwnPage,
  ownBitmaps,
  ownPageBytes,
} from '../../../../src/core/journal/own-map.js';

const page = {
  group: 7,
  since: 1_700_000_000_000,
  devices: [
    { sizeBytes: 2 ** 40, writeMark: 'abc.def.1' },
    { sizeBytes: 512, writeMark: '' },
  ],
};

test('the page comes back as it was, and any flipped bit is noticed', (t) => {
  const bytes = encodeOwnPage(page, crc32c);
  t.is(bytes.length, ownPageBytes);
  t.deepEqual(decodeOwnPage(bytes, crc32c), page);
  for (const at of [0, 4, 20, 70, 5000, ownPageBytes - 1]) {
    const flipped = bytes.slice();
    flipped[at]! ^= 4;
    t.is(typeof decodeOwnPage(flipped, crc32c), 'string', `byte ${at}`);
  }
  t.is(typeof decodeOwnPage(bytes.subarray(1), crc32c), 'string');
});

test('each device has a bit for every block, at a place of its own', (t) => {
  const sizes = [9 * mapBlockBytes, 1, 40_000 * 8 * mapBlockBytes];
  const { offsets, lengths, fileBytes } = ownBitmaps(sizes);
  t.deepEqual(lengths, [2, 1, 40_000]);
  t.deepEqual(offsets, [8192, 12_288, 16_384]);
  t.is(fileBytes, 16_384 + 40_960);
});

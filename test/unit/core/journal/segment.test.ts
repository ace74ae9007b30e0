/** The header of a journal file as bytes (Rule 25). */
import test from 'ava';
import { crc32c } from '../../../../src/core/checksum.js';
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  segmentHeaderBytes,
} from '../../../../src/core/journal/segment.js';

const header = {
  group: 7,
  kind: 'c',
  segment: 1000,
  refreshId: 'refresh-1',
  era: 'c'.repeat(32),
  firstSequence: 2 ** 40,
  previous: 999,
  from: { era: 'b'.repeat(32), sequence: 2 ** 33 },
} as const;

test('a header comes back as it was, at any place', (t) => {
  const bytes = new Uint8Array(segmentHeaderBytes + 9).fill(255);
  encodeSegmentHeader(bytes, 9, header, crc32c);
  t.deepEqual(decodeSegmentHeader(bytes, 9, crc32c), header);
});

test('damage of a header is noticed and named', (t) => {
  const bytes = new Uint8Array(segmentHeaderBytes);
  t.is(decodeSegmentHeader(bytes, 0, crc32c), 'magic of the segment');
  encodeSegmentHeader(bytes, 0, header, crc32c);
  bytes[40]! ^= 1;
  t.is(decodeSegmentHeader(bytes, 0, crc32c), 'checksum of the segment header');
  t.is(decodeSegmentHeader(bytes, 1, crc32c), 'segment header cut short');
});

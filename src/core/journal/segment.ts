/**
 * The first 512 bytes of a journal file: which group, which attempt of which refresh, which era, from
 * which sequence on (Rule 25). Data frames follow exactly as they came over the link, one after the
 * other. A file whose header does not match the commit record is damage. Bytes are in docs/journal.md.
 */
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { getEra, getText, idBytes, putEra, putText } from '../fixed-text.js';
import { layout } from '../layout.js';

export const segmentHeaderBytes = 512;
/**
 * Version log.
 *  1  first.
 */
export const segmentVersion = 1;

export interface SegmentHeader {
  readonly group: number;
  readonly kind: 'i' | 'c';
  readonly segment: number;
  readonly refreshId: string;
  readonly era: string;
  /** `c`: s0; `i`: the running number of the first block record. */
  readonly firstSequence: number;
}

export const segmentLayout = layout({
  id: 'journal-segment',
  sizeBytes: segmentHeaderBytes,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: '`TDMJ`: 54 44 4d 4a' },
    { offset: 4, size: 4, type: 'u32', name: 'version', meaning: 'version of this layout, see the log' },
    { offset: 8, size: 4, type: 'u32', name: 'group', meaning: 'logical group' },
    { offset: 12, size: 1, type: 'u8', name: 'kind', meaning: '`i` (105) or `c` (99)' },
    { offset: 13, size: 3, type: 'reserved', name: 'reservedA', meaning: 'zero' },
    { offset: 16, size: 8, type: 'u64', name: 'segment', meaning: 'number in the name of the file' },
    { offset: 24, size: 8, type: 'u64', name: 'firstSequence', meaning: 'of the first record' },
    { offset: 32, size: 16, type: 'bytes', name: 'era', meaning: 'era of the entries' },
    { offset: 48, size: 64, type: 'bytes', name: 'refreshId', meaning: 'the refresh' },
    { offset: 112, size: 396, type: 'reserved', name: 'reservedB', meaning: 'zero' },
    { offset: 508, size: 4, type: 'u32', name: 'crc', meaning: 'CRC32C of the bytes before' },
  ],
});

const magic = 0x4a4d4454;
const at = segmentLayout.at;

export function encodeSegmentHeader(
  into: Uint8Array,
  offset: number,
  header: SegmentHeader,
  crc32c: Crc32c,
): void {
  into.fill(0, offset, offset + segmentHeaderBytes);
  putU32(into, offset + at.magic, magic);
  putU32(into, offset + at.version, segmentVersion);
  putU32(into, offset + at.group, header.group);
  into[offset + at.kind] = header.kind.charCodeAt(0);
  putU64(into, offset + at.segment, header.segment);
  putU64(into, offset + at.firstSequence, header.firstSequence);
  putEra(into, offset + at.era, header.era);
  putText(into, offset + at.refreshId, idBytes, header.refreshId);
  putU32(into, offset + at.crc, crc32c(into, offset, at.crc));
}

/** The header, or what is wrong with it, in words. */
export function decodeSegmentHeader(
  bytes: Uint8Array,
  offset: number,
  crc32c: Crc32c,
): SegmentHeader | string {
  if (offset + segmentHeaderBytes > bytes.length) return 'segment header cut short';
  if (getU32(bytes, offset + at.magic) !== magic) return 'magic of the segment';
  if (getU32(bytes, offset + at.crc) !== crc32c(bytes, offset, at.crc)) {
    return 'checksum of the segment header';
  }
  const version = getU32(bytes, offset + at.version);
  if (version !== segmentVersion) return `version ${version} of the segment`;
  return {
    group: getU32(bytes, offset + at.group),
    kind: bytes[offset + at.kind] === 105 ? 'i' : 'c',
    segment: getU64(bytes, offset + at.segment),
    refreshId: getText(bytes, offset + at.refreshId, idBytes) ?? '',
    era: getEra(bytes, offset + at.era) ?? '',
    firstSequence: getU64(bytes, offset + at.firstSequence),
  };
}

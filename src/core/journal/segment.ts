/**
 * The first 512 bytes of a journal file: which group, which era, from which sequence on, and what comes
 * before it in the chain (Rules 15d, 25). Behind it lie data frames exactly as they came over the link
 * (`.c`, `.p`), or the rest of an image (`.i`, core/journal/image.ts). Bytes are in docs/journal.md.
 */
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { getEra, getText, idBytes, putEra, putText } from '../fixed-text.js';
import { layout } from '../layout.js';
import type { WirePosition } from '../wire/messages.js';

export const segmentHeaderBytes = 512;
/** Of an image that is not committed. */
export const noEra = '0'.repeat(32);
/**
 * Version log.
 *  1  first.
 */
export const segmentVersion = 1;

/** `i`: blocks of a refresh; `c`: entries; `p`: entries received under a checkpoint (MD#26). */
export type SegmentKind = 'i' | 'c' | 'p';

export interface SegmentHeader {
  readonly group: number;
  readonly kind: SegmentKind;
  readonly segment: number;
  /** The refresh of `.i`, and of the `.c` files of its phase b. */
  readonly refreshId: string;
  /** Of the entries; of an image: the era it was committed with. */
  readonly era: string;
  readonly firstSequence: number;
  /** Number of the file before it in the chain; 0: it is the first, or not committed. */
  readonly previous: number;
  /** Where the chain before it ends: entries up to here belong to it, what follows is torn. */
  readonly from: WirePosition | undefined;
}

export const segmentLayout = layout({
  id: 'journal-segment',
  sizeBytes: segmentHeaderBytes,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: '`TDMJ`: 54 44 4d 4a' },
    { offset: 4, size: 4, type: 'u32', name: 'version', meaning: 'version of this layout, see the log' },
    { offset: 8, size: 4, type: 'u32', name: 'group', meaning: 'logical group' },
    { offset: 12, size: 1, type: 'u8', name: 'kind', meaning: '`i` (105), `c` (99) or `p` (112)' },
    { offset: 13, size: 3, type: 'reserved', name: 'reservedA', meaning: 'zero' },
    { offset: 16, size: 8, type: 'u64', name: 'segment', meaning: 'number in the name of the file' },
    { offset: 24, size: 8, type: 'u64', name: 'firstSequence', meaning: 'first entry that belongs to it' },
    { offset: 32, size: 16, type: 'bytes', name: 'era', meaning: 'era of the entries' },
    { offset: 48, size: 64, type: 'bytes', name: 'refreshId', meaning: 'the refresh, if any' },
    { offset: 112, size: 8, type: 'u64', name: 'previous', meaning: 'file before it in the chain; 0: none' },
    { offset: 120, size: 8, type: 'u64', name: 'fromSequence', meaning: 'where the chain before it ends' },
    { offset: 128, size: 16, type: 'bytes', name: 'fromEra', meaning: 'era of that; zeroes: none' },
    { offset: 144, size: 364, type: 'reserved', name: 'reservedB', meaning: 'zero' },
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
  putU64(into, offset + at.previous, header.previous);
  putU64(into, offset + at.fromSequence, header.from?.sequence ?? 0);
  putEra(into, offset + at.fromEra, header.from?.era);
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
  const kind = String.fromCharCode(bytes[offset + at.kind]!);
  if (kind !== 'i' && kind !== 'c' && kind !== 'p') return 'kind of the segment';
  const fromEra = getEra(bytes, offset + at.fromEra);
  const fromSequence = getU64(bytes, offset + at.fromSequence);
  return {
    group: getU32(bytes, offset + at.group),
    kind,
    segment: getU64(bytes, offset + at.segment),
    refreshId: getText(bytes, offset + at.refreshId, idBytes) ?? '',
    era: getEra(bytes, offset + at.era) ?? noEra,
    firstSequence: getU64(bytes, offset + at.firstSequence),
    previous: getU64(bytes, offset + at.previous),
    from: fromEra === undefined ? undefined : { era: fromEra, sequence: fromSequence },
  };
}

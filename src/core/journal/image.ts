/**
 * The `.i` file as bytes: an image of the blocks a refresh has sent, one slot for each block of the
 * mirrors, so that however often a block comes the file is no longer than they are (Rule 44). A sparse
 * file: a page, a table with a record for each block, then the slots at places that never move.
 *
 *   │ page 8192 │ table of device 0 │ … │ slots of device 0 │ slots of device 1 │ …
 *
 * A record of the table is written after its slot; a slot without one does not exist. Sectors say what
 * of a block is there: an unreadable sector of the primary leaves a hole. Bytes are in docs/journal.md.
 */
import { assert } from '../assert.js';
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { devicesPerGroupMax, mapBlockBytes, sectorBytes } from '../constants.js';
import { getText, idBytes, putText } from '../fixed-text.js';
import { layout } from '../layout.js';
import { decodeSegmentHeader, encodeSegmentHeader, type SegmentHeader } from './segment.js';

export const imagePageBytes = 8192;
/**
 * Version log.
 *  1  first.
 */
export const imageVersion = 1;

export const sectorsPerBlock = mapBlockBytes / sectorBytes;
export const imageRecordBytes = 32;

/** What a slot holds. */
export const slotStates = { absent: 0, data: 1, zero: 2, part: 3 } as const;

export interface ImagePage {
  readonly header: SegmentHeader;
  /** Boot under which it was written, as in jGGG.meta: under another one it is worth nothing. */
  readonly bootId: string;
  /** The table is all there, and this is its checksum: at a commit, and at an orderly close. */
  readonly closed: boolean;
  readonly tableCrc: number;
  /** Agreed sizes of the devices. */
  readonly sizes: readonly number[];
}

export const imagePageLayout = layout({
  id: 'image-page',
  sizeBytes: imagePageBytes,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 512, type: 'bytes', name: 'header', meaning: 'a `journal-segment`' },
    { offset: 512, size: 4, type: 'u32', name: 'version', meaning: 'version of this layout, see the log' },
    { offset: 516, size: 4, type: 'u32', name: 'deviceCount', meaning: 'sizes in `sizes`' },
    { offset: 520, size: 4, type: 'u32', name: 'closed', meaning: '1: `tableCrc` holds' },
    { offset: 524, size: 4, type: 'u32', name: 'tableCrc', meaning: 'CRC32C of the records of the blocks that are there, in order' },
    { offset: 528, size: 48, type: 'reserved', name: 'reservedA', meaning: 'zero' },
    { offset: 576, size: 64, type: 'bytes', name: 'bootId', meaning: 'boot under which it was written' },
    { offset: 640, size: 512, type: 'bytes', name: 'sizes', meaning: '64 agreed sizes, u64' },
    { offset: 1152, size: 7036, type: 'reserved', name: 'reservedB', meaning: 'zero' },
    { offset: 8188, size: 4, type: 'u32', name: 'crc', meaning: 'CRC32C of the bytes before' },
  ],
});

export const imageRecordLayout = layout({
  id: 'image-record',
  sizeBytes: imageRecordBytes,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'state', meaning: '0 absent, 1 all data, 2 reads as zeroes, 3 some sectors' },
    { offset: 4, size: 4, type: 'u32', name: 'crc', meaning: 'CRC32C of the sectors that are there' },
    { offset: 8, size: 16, type: 'bytes', name: 'sectors', meaning: 'state 3: one bit for each sector that is there' },
    { offset: 24, size: 8, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

const at = imagePageLayout.at;

export function encodeImagePage(page: ImagePage, crc32c: Crc32c): Uint8Array {
  assert(page.sizes.length <= devicesPerGroupMax, 'devices are bounded');
  const bytes = new Uint8Array(imagePageBytes);
  encodeSegmentHeader(bytes, at.header, page.header, crc32c);
  putU32(bytes, at.version, imageVersion);
  putU32(bytes, at.deviceCount, page.sizes.length);
  putU32(bytes, at.closed, page.closed ? 1 : 0);
  putU32(bytes, at.tableCrc, page.tableCrc);
  putText(bytes, at.bootId, idBytes, page.bootId);
  for (const [index, size] of page.sizes.entries()) putU64(bytes, at.sizes + 8 * index, size);
  putU32(bytes, at.crc, crc32c(bytes, 0, at.crc));
  return bytes;
}

/** The page, or what is wrong with the bytes, in words. */
export function decodeImagePage(bytes: Uint8Array, crc32c: Crc32c): ImagePage | string {
  if (bytes.length < imagePageBytes) return 'page of the image cut short';
  if (getU32(bytes, at.crc) !== crc32c(bytes, 0, at.crc)) return 'checksum of the image page';
  const header = decodeSegmentHeader(bytes, at.header, crc32c);
  if (typeof header === 'string') return header;
  const version = getU32(bytes, at.version);
  if (version !== imageVersion) return `version ${version} of the image`;
  const count = getU32(bytes, at.deviceCount);
  if (count > devicesPerGroupMax) return 'devices of the image';
  return {
    header,
    bootId: getText(bytes, at.bootId, idBytes) ?? '',
    closed: getU32(bytes, at.closed) === 1,
    tableCrc: getU32(bytes, at.tableCrc),
    sizes: Array.from({ length: count }, (_, index) => getU64(bytes, at.sizes + 8 * index)),
  };
}

/** Where the parts of an image lie. */
export interface ImagePlaces {
  readonly blocks: readonly number[];
  readonly tables: readonly number[];
  readonly slots: readonly number[];
  readonly fileBytes: number;
}

const alignment = 4096;

export function imagePlaces(sizes: readonly number[]): ImagePlaces {
  const blocks = sizes.map((size) => Math.ceil(size / mapBlockBytes));
  let end = imagePageBytes;
  const take = (bytes: number) => {
    const start = end;
    end += Math.ceil(bytes / alignment) * alignment;
    return start;
  };
  const tables = blocks.map((count) => take(count * imageRecordBytes));
  const slots = blocks.map((count) => take(count * mapBlockBytes));
  return { blocks, tables, slots, fileBytes: end };
}

/**
 * `jGGG.own`: which blocks of the mirrors others have written, through this side's own export (a
 * checkpoint, or after reco). Who writes a mirror sets the bits first, durably, so that whatever
 * crashes they are a superset (Rule 10b). A page that says what the bits are about, then one bitmap
 * per device at an offset of its own, so that a bit is one small write at a place that never moves.
 *
 * A file whose page is damaged or about other mirrors means "nobody knows": never "nothing". Bytes are
 * in docs/journal.md. It reads and writes nothing; the exports do, and the RMD when it sends `dirt`.
 */
import { assert } from '../assert.js';
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { devicesPerGroupMax, mapBlockBytes } from '../constants.js';
import { getText, putText } from '../fixed-text.js';
import { layout } from '../layout.js';
import { writeMarkBytes } from '../meta.js';

export const ownPageBytes = 8192;
/**
 * Version log.
 *  1  first.
 */
export const ownVersion = 1;

export interface OwnDevice {
  /** Agreed size: a bit for each `mapBlockBytes` of it. */
  readonly sizeBytes: number;
  /** `FileStore.writeMark` when the export let go of the mirror; empty while it holds it. */
  readonly writeMark: string;
}

export interface OwnPage {
  readonly group: number;
  /** Milliseconds since 1970: when others could first write. */
  readonly since: number;
  readonly devices: readonly OwnDevice[];
}

export const ownPageLayout = layout({
  id: 'own-page',
  sizeBytes: ownPageBytes,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: '`TDMO`: 54 44 4d 4f' },
    { offset: 4, size: 4, type: 'u32', name: 'version', meaning: 'version of this layout, see the log' },
    { offset: 8, size: 4, type: 'u32', name: 'group', meaning: 'logical group' },
    { offset: 12, size: 4, type: 'u32', name: 'deviceCount', meaning: 'records in `devices`' },
    { offset: 16, size: 8, type: 'u64', name: 'since', meaning: 'when others could first write, in ms since 1970' },
    { offset: 24, size: 40, type: 'reserved', name: 'reservedA', meaning: 'zero' },
    { offset: 64, size: 4096, type: 'bytes', name: 'devices', meaning: '64 records `own-device`' },
    { offset: 4160, size: 4028, type: 'reserved', name: 'reservedB', meaning: 'zero' },
    { offset: 8188, size: 4, type: 'u32', name: 'crc', meaning: 'CRC32C of the bytes before' },
  ],
});

export const ownDeviceLayout = layout({
  id: 'own-device',
  sizeBytes: 64,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 8, type: 'u64', name: 'sizeBytes', meaning: 'agreed size' },
    { offset: 8, size: 48, type: 'bytes', name: 'writeMark', meaning: 'of the mirror when the export let go of it' },
    { offset: 56, size: 8, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

const magic = 0x4f4d4454;
const at = ownPageLayout.at;
const deviceAt = ownDeviceLayout.at;
const bitmapAlignment = 4096;

export function encodeOwnPage(page: OwnPage, crc32c: Crc32c): Uint8Array {
  assert(page.devices.length <= devicesPerGroupMax, 'devices are bounded');
  const bytes = new Uint8Array(ownPageBytes);
  putU32(bytes, at.magic, magic);
  putU32(bytes, at.version, ownVersion);
  putU32(bytes, at.group, page.group);
  putU32(bytes, at.deviceCount, page.devices.length);
  putU64(bytes, at.since, page.since);
  for (const [index, { sizeBytes, writeMark }] of page.devices.entries()) {
    const position = at.devices + index * ownDeviceLayout.sizeBytes;
    putU64(bytes, position + deviceAt.sizeBytes, sizeBytes);
    putText(bytes, position + deviceAt.writeMark, writeMarkBytes, writeMark);
  }
  putU32(bytes, at.crc, crc32c(bytes, 0, at.crc));
  return bytes;
}

/** The page, or what is wrong with the bytes, in words. */
export function decodeOwnPage(bytes: Uint8Array, crc32c: Crc32c): OwnPage | string {
  if (bytes.length < ownPageBytes) return 'length of the map of own changes';
  if (getU32(bytes, at.magic) !== magic) return 'magic of the map of own changes';
  if (getU32(bytes, at.crc) !== crc32c(bytes, 0, at.crc)) return 'checksum of own changes';
  const version = getU32(bytes, at.version);
  if (version !== ownVersion) return `version ${version} of the map of own changes`;
  const count = getU32(bytes, at.deviceCount);
  if (count > devicesPerGroupMax) return 'devices of the map of own changes';
  return {
    group: getU32(bytes, at.group),
    since: getU64(bytes, at.since),
    devices: Array.from({ length: count }, (_, index) => {
      const position = at.devices + index * ownDeviceLayout.sizeBytes;
      return {
        sizeBytes: getU64(bytes, position + deviceAt.sizeBytes),
        writeMark: getText(bytes, position + deviceAt.writeMark, writeMarkBytes) ?? '',
      };
    }),
  };
}

/** Where in the file the bitmap of each device begins, and how long the file is. */
export function ownBitmaps(sizes: readonly number[]): {
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
  readonly fileBytes: number;
} {
  const offsets: number[] = [];
  const lengths: number[] = [];
  let end = ownPageBytes;
  for (const sizeBytes of sizes) {
    const length = Math.ceil(Math.ceil(sizeBytes / mapBlockBytes) / 8);
    offsets.push(end);
    lengths.push(length);
    end += Math.ceil(length / bitmapAlignment) * bitmapAlignment;
  }
  return { offsets, lengths, fileBytes: end };
}

/** How many bits are set. */
export function bitsSet(bits: Uint8Array): number {
  let ones = 0;
  for (const byte of bits) {
    for (let rest = byte; rest !== 0; rest &= rest - 1) ones++;
  }
  return ones;
}

/**
 * The maps of a group as a file, for a clean stop only (Rules 31, 49b): every block, and which of them
 * are only to be compared. The pstore's own map is coarser and good enough for a crash. A token in the
 * group's record says which file belongs to it; the start that reads it removes the token durably, so
 * a file is believed once.
 *
 *   │ letters TMAP │ checksum u32 │ token 16 │ devices u32 │ for each: size u64, blocks, compare │
 *
 * A bitmap is the lengths of its runs, clear and set in turn, as varints: short where little differs.
 */

import type { DeviceMap } from '../bitmap/device-map.js';
import type { DirtyBitmap } from '../bitmap/dirty-bitmap.js';
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { devicesPerGroupMax } from '../constants.js';
import { bytesOfHex, hexOfBytes } from './superblock.js';

const magic = 0x50414d54;
const head = 28;

export function encodeFineMap(
  token: string,
  maps: readonly DeviceMap[],
  crc32c: Crc32c,
): Uint8Array {
  const parts = maps.flatMap((map) => {
    const size = new Uint8Array(8);
    putU64(size, 0, map.sizeBytes);
    return [size, encodeBitmap(map.persisted), encodeBitmap(map.compare)];
  });
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, head));
  let at = head;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  putU32(bytes, 0, magic);
  bytes.set(bytesOfHex(token), 8);
  putU32(bytes, 24, maps.length);
  putU32(bytes, 4, crc32c(bytes, 8, bytes.length - 8));
  return bytes;
}

/**
 * Sets in `maps` what the file says: P, todo and compare. False, and nothing is set, when it is not the
 * file of this token, or not of these devices.
 */
export function decodeFineMap(
  bytes: Uint8Array,
  token: string,
  maps: readonly DeviceMap[],
  crc32c: Crc32c,
): boolean {
  const believable =
    bytes.length >= head &&
    getU32(bytes, 0) === magic &&
    getU32(bytes, 4) === crc32c(bytes, 8, bytes.length - 8) &&
    hexOfBytes(bytes.subarray(8, 24)) === token &&
    getU32(bytes, 24) === maps.length &&
    maps.length <= devicesPerGroupMax;
  if (!believable) return false;
  // Twice: first whether it fits, then for good.
  return [false, true].every((apply) => readMaps(bytes, maps, apply));
}

function readMaps(bytes: Uint8Array, maps: readonly DeviceMap[], apply: boolean): boolean {
  const from: Reader = { bytes, at: head };
  for (const map of maps) {
    if (from.at + 8 > bytes.length || getU64(bytes, from.at) !== map.sizeBytes) return false;
    from.at += 8;
    const blocks = readBitmap(from, map.blockCount, (first, count) => {
      if (!apply) return;
      map.persisted.set(first, count);
      map.todo.set(first, count);
    });
    const compare = readBitmap(from, map.blockCount, (first, count) => {
      if (apply) map.compare.set(first, count);
    });
    if (!blocks || !compare) return false;
  }
  return from.at === bytes.length;
}

interface Reader {
  readonly bytes: Uint8Array;
  at: number;
}

function encodeBitmap(bitmap: DirtyBitmap): Uint8Array {
  const out: number[] = [];
  let end = 0;
  for (let bit = bitmap.nextSet(0); bit >= 0; bit = end < bitmap.bits ? bitmap.nextSet(end) : -1) {
    const length = bitmap.runAt(bit, bitmap.bits);
    putVarint(out, bit - end);
    putVarint(out, length);
    end = bit + length;
  }
  // Ends with a clear run that reaches the end, which no other clear run does.
  putVarint(out, bitmap.bits - end);
  return Uint8Array.from(out);
}

function readBitmap(
  from: Reader,
  bits: number,
  run: (first: number, count: number) => void,
): boolean {
  let bit = 0;
  for (;;) {
    const clear = takeVarint(from);
    if (clear < 0 || bit + clear > bits) return false;
    bit += clear;
    if (bit === bits) return true;
    const set = takeVarint(from);
    if (set < 1 || bit + set > bits) return false;
    run(bit, set);
    bit += set;
  }
}

function putVarint(out: number[], value: number): void {
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) out.push((left % 128) | 128);
  out.push(left);
}

/** −1 at the end of the bytes, or of what a count of bits can be. */
function takeVarint(from: Reader): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 42; scale *= 128) {
    const byte = from.bytes[from.at++];
    if (byte === undefined) return -1;
    value += (byte & 127) * scale;
    if (byte < 128) return value;
  }
  return -1;
}

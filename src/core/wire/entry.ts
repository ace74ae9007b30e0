/**
 * The table at the front of a data frame: one 48-byte record per entry (or refresh block), then the
 * data of the entries in the same order, unpadded. `validateEntries` is the gate of the secondary:
 * what passes lies inside the agreed devices and inside the frame (Rule 55, I20), is numbered
 * without a gap (Rule 8b) and never waits for itself (correctness.md 5). No allocation per entry.
 */
import { assert } from '../assert.js';
import { getU16, getU32, getU64, putU16, putU32, putU64 } from '../bytes.js';
import { babEntryPayloadMax, wireEntryBytes, zeroStepBytes } from '../constants.js';
import { layout } from '../layout.js';
import { entryFlags, frameKinds, type WireEntry } from './messages.js';

export const entryLayout = layout({
  id: 'wire-entry',
  sizeBytes: wireEntryBytes,
  fields: [
    {
      offset: 0,
      size: 8,
      type: 'u64',
      name: 'sequence',
      meaning: 'of the era (entries) or of the refresh (blocks), from 1',
    },
    {
      offset: 8,
      size: 8,
      type: 'u64',
      name: 'dep',
      meaning: 'entries: start when all up to here is complete; blocks: 0',
    },
    {
      offset: 16,
      size: 8,
      type: 'u64',
      name: 'offset',
      meaning: 'bytes from the start of the device',
    },
    { offset: 24, size: 4, type: 'u32', name: 'length', meaning: 'bytes written or zeroed' },
    {
      offset: 28,
      size: 2,
      type: 'u16',
      name: 'device',
      meaning: 'index in the device list of `hello`',
    },
    {
      offset: 30,
      size: 2,
      type: 'u16',
      name: 'flags',
      meaning: '1 zero (no data), 2 may unmap, 4 continues, 8 checkpoint',
    },
    { offset: 32, size: 16, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

const at = entryLayout.at;
const knownFlags = entryFlags.zero | entryFlags.mayUnmap | entryFlags.continues;

export function emptyWireEntry(): WireEntry {
  return { sequence: 0, dep: 0, device: 0, flags: 0, offset: 0, length: 0 };
}

/** Writes the record at `into[position, position + wireEntryBytes)`. */
export function encodeEntry(into: Uint8Array, position: number, entry: Readonly<WireEntry>): void {
  assert(position + wireEntryBytes <= into.length, 'the entry fits its memory');
  putU64(into, position + at.sequence, entry.sequence);
  putU64(into, position + at.dep, entry.dep);
  putU64(into, position + at.offset, entry.offset);
  putU32(into, position + at.length, entry.length);
  putU16(into, position + at.device, entry.device);
  putU16(into, position + at.flags, entry.flags);
  into.fill(0, position + at.reserved, position + wireEntryBytes);
}

/** Reads the record at `position`; numbers above 2^53 − 1 become `unsafeNumber`. */
export function decodeEntry(bytes: Uint8Array, position: number, into: WireEntry): void {
  into.sequence = getU64(bytes, position + at.sequence);
  into.dep = getU64(bytes, position + at.dep);
  into.offset = getU64(bytes, position + at.offset);
  into.length = getU32(bytes, position + at.length);
  into.device = getU16(bytes, position + at.device);
  into.flags = getU16(bytes, position + at.flags);
}

/** Bytes of data that follow the table for this entry. */
export function entryDataLength(entry: Readonly<WireEntry>): number {
  return entry.flags & entryFlags.zero ? 0 : entry.length;
}

/** What the frame's header says of its payload. */
export interface EntryTable {
  readonly kind: number;
  readonly count: number;
  readonly payloadLength: number;
}

const scratch = emptyWireEntry();

/**
 * Checks the whole table at `bytes[position…]`; `sizes` holds the agreed size of each device in
 * bytes. Returns what is wrong, in words, or undefined. Whether the first sequence is the next one
 * is the receiver's to decide.
 */
export function validateEntries(
  bytes: Uint8Array,
  position: number,
  table: EntryTable,
  sizes: ArrayLike<number>,
): string | undefined {
  const { kind, count, payloadLength } = table;
  if (count < 1) return 'a data frame without entries';
  if (position + payloadLength > bytes.length) return 'payload outside its memory';
  let left = payloadLength - count * wireEntryBytes;
  if (left < 0) return 'entry table cut short';
  let next = getU64(bytes, position + at.sequence);
  for (let index = 0; index < count; index += 1) {
    decodeEntry(bytes, position + index * wireEntryBytes, scratch);
    if (scratch.sequence < 1 || scratch.sequence !== next) return 'entry sequence';
    if (kind === frameKinds.entries) {
      if (scratch.dep < 0 || scratch.dep >= scratch.sequence) return 'entry dependency';
    } else if (scratch.dep !== 0) return 'block with a dependency';
    const problem = checkRange(scratch, sizes, kind === frameKinds.entries);
    if (problem !== undefined) return problem;
    if (!isZero(bytes, position + index * wireEntryBytes + at.reserved)) return 'entry reserved';
    left -= entryDataLength(scratch);
    if (left < 0) return 'entry data outside the frame';
    next += 1;
  }
  return left === 0 ? undefined : 'bytes after the last entry';
}

function checkRange(
  entry: Readonly<WireEntry>,
  sizes: ArrayLike<number>,
  entries: boolean,
): string | undefined {
  const { flags, length, offset, device } = entry;
  if (flags === entryFlags.checkpoint && entries) {
    return length === 0 && offset === 0 && device === 0 ? undefined : 'marker with a range';
  }
  if (flags & ~knownFlags) return 'entry flags';
  const zero = (flags & entryFlags.zero) !== 0;
  if (flags & entryFlags.mayUnmap && !zero) return 'entry flags';
  if (length < 1 || length > (zero ? zeroStepBytes : babEntryPayloadMax)) return 'entry length';
  if (device >= sizes.length) return 'entry device';
  if (offset < 0 || offset + length > sizes[device]!) return 'entry outside the device';
  return undefined;
}

function isZero(bytes: Uint8Array, start: number): boolean {
  for (let index = start; index < start + 16; index += 1) if (bytes[index] !== 0) return false;
  return true;
}

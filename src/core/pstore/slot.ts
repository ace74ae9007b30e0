/**
 * One slot of the pstore as bytes: two copies of a group's record and the ack page. A copy is good
 * only in its own place (slot, copy, node), so that a misdirected or left-over page is never taken
 * for the truth. What a combination of copies means is decided in recovery.ts.
 */
import { assert } from '../assert.js';
import { getU16, getU32, getU64, putU16, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import {
  ackLayout,
  ackMagic,
  copyOf,
  pstorePageBytes,
  recordCopyBytes,
  recordHeaderLayout,
  recordKinds,
  recordMagic,
  recordVersion,
} from './layout.js';
import { bytesOfHex, hexOfBytes } from './superblock.js';

export interface SlotPlace {
  readonly nodeId: string;
  readonly slot: number;
}

export interface RecordCopy {
  readonly kind: 'record' | 'removed';
  readonly group: number;
  readonly sequence: number;
  readonly savedAt: number;
  readonly payload: Uint8Array;
}

export type DecodedCopy =
  /** Never written. */
  | { readonly state: 'blank' }
  | ({ readonly state: 'good' } & RecordCopy)
  /** `group` when at least the header can be believed. */
  | { readonly state: 'bad'; readonly group: number | undefined }
  | { readonly state: 'newer'; readonly version: number };

const header = recordHeaderLayout.at;
const ack = ackLayout.at;
export const recordPayloadMax = recordCopyBytes - recordHeaderLayout.sizeBytes;

/** Whole pages: the header and the payload, and zeroes up to the end of the last page. */
export function encodeCopy(place: SlotPlace, copy: RecordCopy, crc32c: Crc32c): Uint8Array {
  const { payload } = copy;
  const start = recordHeaderLayout.sizeBytes;
  assert(payload.length <= recordPayloadMax, 'a group record fits its copy');
  const pages = Math.ceil((start + payload.length) / pstorePageBytes);
  const bytes = new Uint8Array(pages * pstorePageBytes);
  bytes.set(payload, start);
  putU32(bytes, header.magic, recordMagic);
  putU16(bytes, header.version, recordVersion);
  putU16(bytes, header.kind, recordKinds[copy.kind]);
  putU32(bytes, header.group, copy.group);
  putU64(bytes, header.sequence, copy.sequence);
  putU64(bytes, header.savedAt, copy.savedAt);
  putU32(bytes, header.payloadLength, payload.length);
  putU32(bytes, header.payloadChecksum, crc32c(bytes, start, payload.length));
  bytes.set(bytesOfHex(place.nodeId), header.nodeId);
  putU32(bytes, header.slot, place.slot);
  putU32(bytes, header.headerChecksum, crc32c(bytes, header.version, start - header.version));
  return bytes;
}

/** `bytes` is the whole copy, `index` 0 or 1. The payload is a view of it. */
export function decodeCopy(
  bytes: Uint8Array,
  place: SlotPlace,
  index: number,
  crc32c: Crc32c,
): DecodedCopy {
  const start = recordHeaderLayout.sizeBytes;
  if (isBlank(bytes, start)) return { state: 'blank' };
  if (
    getU32(bytes, header.magic) !== recordMagic ||
    getU32(bytes, header.headerChecksum) !==
      crc32c(bytes, header.version, start - header.version) ||
    getU32(bytes, header.slot) !== place.slot ||
    hexOfBytes(bytes.subarray(header.nodeId, header.nodeId + 16)) !== place.nodeId
  ) {
    return { state: 'bad', group: undefined };
  }
  const version = getU16(bytes, header.version);
  if (version > recordVersion) return { state: 'newer', version };
  const group = getU32(bytes, header.group);
  const sequence = getU64(bytes, header.sequence);
  const length = getU32(bytes, header.payloadLength);
  const kindNumber = getU16(bytes, header.kind);
  const kind = (['record', 'removed'] as const).find((name) => recordKinds[name] === kindNumber);
  if (
    kind === undefined ||
    sequence < 1 ||
    copyOf(sequence) !== index ||
    length > recordPayloadMax ||
    getU32(bytes, header.payloadChecksum) !== crc32c(bytes, start, length)
  ) {
    return { state: 'bad', group };
  }
  const payload = bytes.subarray(start, start + length);
  return { state: 'good', kind, group, sequence, savedAt: getU64(bytes, header.savedAt), payload };
}

export function encodeAck(place: SlotPlace, sequence: number, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(pstorePageBytes);
  putU32(bytes, ack.magic, ackMagic);
  putU64(bytes, ack.sequence, sequence);
  putU32(bytes, ack.slot, place.slot);
  bytes.set(bytesOfHex(place.nodeId), ack.nodeId);
  putU32(bytes, ack.checksum, crc32c(bytes, ack.sequence, ackLayout.sizeBytes - ack.sequence));
  return bytes;
}

/** The highest save known to have been durable; 0 when the page does not say. */
export function decodeAck(bytes: Uint8Array, place: SlotPlace, crc32c: Crc32c): number {
  const believable =
    getU32(bytes, ack.magic) === ackMagic &&
    getU32(bytes, ack.checksum) ===
      crc32c(bytes, ack.sequence, ackLayout.sizeBytes - ack.sequence) &&
    getU32(bytes, ack.slot) === place.slot &&
    hexOfBytes(bytes.subarray(ack.nodeId, ack.nodeId + 16)) === place.nodeId;
  return believable ? Math.max(0, getU64(bytes, ack.sequence)) : 0;
}

function isBlank(bytes: Uint8Array, length: number): boolean {
  for (let index = 0; index < length; index += 1) if (bytes[index] !== 0) return false;
  return true;
}

/**
 * The 64 bytes before every frame of the link, in both directions. Its own checksum comes first in
 * trust: no length is believed before the header has proved whole (H55). The session nonce is
 * derived from the TLS session and the direction, so a frame of another session, or one sent back to
 * its sender, is malformed (H26, H34). The bytes are in docs/protocol.md; no allocation per frame.
 * What a frame of some kind may contain is decided by splitter.ts and entry.ts.
 */
import { assert } from '../assert.js';
import { getU16, getU32, getU64, putU16, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { frameHeaderBytes } from '../constants.js';
import { layout } from '../layout.js';
import { frameKinds } from './messages.js';

/**
 * Version log. A number is never reused; a released one keeps its golden bytes in test/fixtures/abi.
 *  1  first: control, entries, blocks, ack, heartbeat.
 */
export const protocolVersion = 1;

/** Bits of `flags`. */
export const frameFlags = { compressed: 1 } as const;

/** `TDMF` read as a little-endian number. */
export const frameMagic = 0x464d4454;

export const frameLayout = layout({
  id: 'frame-header',
  sizeBytes: frameHeaderBytes,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: '`TDMF`: 54 44 4d 46' },
    { offset: 4, size: 2, type: 'u16', name: 'version', meaning: 'protocol version, see the log' },
    { offset: 6, size: 1, type: 'u8', name: 'kind', meaning: 'frame kind, see the table' },
    { offset: 7, size: 1, type: 'u8', name: 'flags', meaning: '1: the payload is an LZ4 block' },
    { offset: 8, size: 4, type: 'u32', name: 'payloadLength', meaning: 'bytes after the header' },
    {
      offset: 12,
      size: 4,
      type: 'u32',
      name: 'payloadCrc',
      meaning: 'CRC32C of the payload, before compression',
    },
    { offset: 16, size: 4, type: 'u32', name: 'count', meaning: 'entries; 0 in other kinds' },
    {
      offset: 20,
      size: 4,
      type: 'u32',
      name: 'rawLength',
      meaning: 'bytes of the payload before compression; 0 without',
    },
    { offset: 24, size: 4, type: 'u32', name: 'sessionLow', meaning: 'session nonce, first half' },
    {
      offset: 28,
      size: 4,
      type: 'u32',
      name: 'sessionHigh',
      meaning: 'session nonce, second half',
    },
    {
      offset: 32,
      size: 8,
      type: 'u64',
      name: 'number',
      meaning: 'frame counter of the direction, from 1',
    },
    { offset: 40, size: 20, type: 'reserved', name: 'reserved', meaning: 'zero' },
    {
      offset: 60,
      size: 4,
      type: 'u32',
      name: 'headerCrc',
      meaning: 'CRC32C of the 60 bytes before',
    },
  ],
});

const at = frameLayout.at;

export interface FrameHeader {
  version: number;
  kind: number;
  flags: number;
  payloadLength: number;
  payloadCrc: number;
  count: number;
  /** Of a compressed frame; 0 otherwise. */
  rawLength: number;
  sessionLow: number;
  sessionHigh: number;
  number: number;
}

export function emptyFrameHeader(): FrameHeader {
  return {
    version: protocolVersion,
    kind: frameKinds.control,
    flags: 0,
    payloadLength: 0,
    payloadCrc: 0,
    count: 0,
    rawLength: 0,
    sessionLow: 0,
    sessionHigh: 0,
    number: 0,
  };
}

/** Writes the header, its checksum included, at `into[offset, offset + frameHeaderBytes)`. */
export function encodeFrameHeader(
  into: Uint8Array,
  offset: number,
  header: Readonly<FrameHeader>,
  crc32c: Crc32c,
): void {
  assert(offset + frameHeaderBytes <= into.length, 'the header fits its memory');
  into.fill(0, offset, offset + frameHeaderBytes);
  putU32(into, offset + at.magic, frameMagic);
  putU16(into, offset + at.version, header.version);
  into[offset + at.kind] = header.kind;
  into[offset + at.flags] = header.flags;
  putU32(into, offset + at.payloadLength, header.payloadLength);
  putU32(into, offset + at.payloadCrc, header.payloadCrc);
  putU32(into, offset + at.count, header.count);
  putU32(into, offset + at.rawLength, header.rawLength);
  putU32(into, offset + at.sessionLow, header.sessionLow);
  putU32(into, offset + at.sessionHigh, header.sessionHigh);
  putU64(into, offset + at.number, header.number);
  putU32(into, offset + at.headerCrc, crc32c(into, offset, at.headerCrc));
}

/**
 * Reads the header into `into`; returns what is wrong with it, in words, or undefined. The version
 * is read but not judged: magic, version and checksum stay where they are in every version, so that
 * a peer of another version can be told so.
 */
export function decodeFrameHeader(
  bytes: Uint8Array,
  offset: number,
  into: FrameHeader,
  crc32c: Crc32c,
): string | undefined {
  if (offset + frameHeaderBytes > bytes.length) return 'frame header cut short';
  if (getU32(bytes, offset + at.magic) !== frameMagic) return 'no frame begins here';
  if (getU32(bytes, offset + at.headerCrc) !== crc32c(bytes, offset, at.headerCrc)) {
    return 'frame header checksum';
  }
  into.version = getU16(bytes, offset + at.version);
  into.kind = bytes[offset + at.kind]!;
  into.flags = bytes[offset + at.flags]!;
  into.payloadLength = getU32(bytes, offset + at.payloadLength);
  into.payloadCrc = getU32(bytes, offset + at.payloadCrc);
  into.count = getU32(bytes, offset + at.count);
  into.rawLength = getU32(bytes, offset + at.rawLength);
  into.sessionLow = getU32(bytes, offset + at.sessionLow);
  into.sessionHigh = getU32(bytes, offset + at.sessionHigh);
  into.number = getU64(bytes, offset + at.number);
  return undefined;
}

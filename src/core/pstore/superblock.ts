/**
 * The superblock of the pstore: who this host is and how many slots there are. It lies twice and is
 * written one copy after the other, each made durable before the next, so that one of them is whole
 * at every instant and a later bad one loses nothing. Encode, decode, choose; no I/O.
 */
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import {
  logPagesMax,
  logPagesMin,
  pstorePageBytes,
  pstoreVersion,
  slotBytes,
  slotsMax,
  superblockLayout,
  superblockMagic,
} from './layout.js';

export interface Superblock {
  /** 32 hex digits. */
  readonly nodeId: string;
  readonly slots: number;
  readonly sequence: number;
  readonly createdAt: number;
  /** Pages of each half of the log. */
  readonly logPages: number;
  /** The pstore lies elsewhere now (Rule 54b). */
  readonly moved: boolean;
}

export type DecodedSuperblock =
  | { readonly state: 'good'; readonly superblock: Superblock }
  | { readonly state: 'bad' }
  /** No superblock at all: another file, or a device that init never touched. */
  | { readonly state: 'foreign' }
  | { readonly state: 'newer'; readonly version: number }
  /** Of a layout that this version does not read any more. */
  | { readonly state: 'older'; readonly version: number };

export type ChosenSuperblock =
  | { readonly superblock: Superblock; readonly problem?: undefined }
  | { readonly problem: 'foreign' | 'damaged' }
  | { readonly problem: 'newer' | 'older'; readonly version: number };

const { at, sizeBytes } = superblockLayout;
/** The first layout said so in its last letter. */
const oldMagicDigit = 0x31;

/** A page of its own. */
export function encodeSuperblock(superblock: Superblock, crc32c: Crc32c): Uint8Array {
  const page = new Uint8Array(pstorePageBytes);
  page.set(superblockMagic, at.magic);
  putU32(page, at.version, pstoreVersion);
  putU64(page, at.sequence, superblock.sequence);
  page.set(bytesOfHex(superblock.nodeId), at.nodeId);
  putU32(page, at.slots, superblock.slots);
  putU32(page, at.slotBytes, slotBytes);
  putU64(page, at.createdAt, superblock.createdAt);
  putU32(page, at.logPages, superblock.logPages);
  putU32(page, at.state, superblock.moved ? 1 : 0);
  putU32(page, at.checksum, checksumOf(page, crc32c));
  return page;
}

export function decodeSuperblock(page: Uint8Array, crc32c: Crc32c): DecodedSuperblock {
  const letters = superblockMagic.length - 1;
  if (superblockMagic.some((byte, at) => at < letters && page[at] !== byte)) {
    return { state: 'foreign' };
  }
  if (page[letters] === oldMagicDigit) return { state: 'older', version: 1 };
  if (page[letters] !== superblockMagic[letters]) return { state: 'foreign' };
  if (getU32(page, at.checksum) !== checksumOf(page, crc32c)) return { state: 'bad' };
  const version = getU32(page, at.version);
  if (version > pstoreVersion) return { state: 'newer', version };
  const slots = getU32(page, at.slots);
  const sequence = getU64(page, at.sequence);
  const createdAt = getU64(page, at.createdAt);
  const logPages = getU32(page, at.logPages);
  const moved = getU32(page, at.state) !== 0;
  const badLog = logPages < logPagesMin || logPages > logPagesMax;
  if (getU32(page, at.slotBytes) !== slotBytes || slots > slotsMax || sequence < 1 || badLog) {
    return { state: 'bad' };
  }
  const nodeId = hexOfBytes(page.subarray(at.nodeId, at.nodeId + 16));
  return { state: 'good', superblock: { nodeId, slots, sequence, createdAt, logPages, moved } };
}

/** The later of the good copies. Either is enough: nothing is used before both are durable. */
export function chooseSuperblock(
  first: DecodedSuperblock,
  second: DecodedSuperblock,
): ChosenSuperblock {
  for (const copy of [first, second]) {
    if (copy.state === 'newer' || copy.state === 'older') {
      return { problem: copy.state, version: copy.version };
    }
  }
  const good = [first, second].flatMap((copy) => (copy.state === 'good' ? [copy.superblock] : []));
  const [one, other] = good;
  if (one !== undefined && other !== undefined) {
    if (one.nodeId !== other.nodeId) return { problem: 'damaged' };
    return { superblock: other.sequence > one.sequence ? other : one };
  }
  if (one !== undefined) return { superblock: one };
  const foreign = first.state === 'foreign' && second.state === 'foreign';
  return { problem: foreign ? 'foreign' : 'damaged' };
}

function checksumOf(page: Uint8Array, crc32c: Crc32c): number {
  const after = at.checksum + 4;
  return crc32c(page, after, sizeBytes - after, crc32c(page, 0, at.checksum));
}

export function hexOfBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, index) =>
    Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16),
  );
}

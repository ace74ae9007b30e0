/**
 * Makes a pstore (`tdmfctl init`). The superblock comes last and its copies one after the other, each durable before the next: a crash in between leaves no pstore, or the old one.
 * Nothing of an older pstore on the same device survives a format (Rule 54c: no lineage).
 */
import type { Crc32c } from '../core/checksum.js';
import { zeroStepBytes } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import {
  logPagesMax,
  pstoreBytes,
  pstorePageBytes,
  slotsMax,
  superblockBytes,
} from '../core/pstore/layout.js';
import {
  type ChosenSuperblock,
  chooseSuperblock,
  type DecodedSuperblock,
  decodeSuperblock,
  encodeSuperblock,
  hexOfBytes,
  type Superblock,
} from '../core/pstore/superblock.js';
import type { BlockDevice, DeviceOpener, Digest } from '../ports/block-device.js';
import type { Clock } from '../ports/clock.js';
import type { Random } from '../ports/random.js';
import { DeviceCalls } from './device-calls.js';

export interface PstorePlace {
  readonly device: BlockDevice;
  readonly opener: DeviceOpener;
  /** Of a block device; a file grows. */
  readonly capacityBytes?: number | undefined;
}

export interface FormatOptions extends PstorePlace {
  readonly clock: Clock;
  readonly random: Random;
  /** Groups it has room for; a file grows to the size that needs. */
  readonly slots: number;
  /** Pages of a half of the log: few in tests, so that it is often full. */
  readonly logPages?: number;
}

/** @throws TDMF_USAGE, TDMF_DEVICE_SIZE, TDMF_PSTORE_FAILED */
export async function formatPstore(options: FormatOptions): Promise<Superblock> {
  const { slots, random, clock } = options;
  checkSlots(slots);
  const calls = new DeviceCalls(options.device, options.opener);
  const nodeId = new Uint8Array(16);
  const superblock: Superblock = {
    nodeId: hexOfBytes(random.fill(nodeId)),
    slots,
    sequence: 1,
    createdAt: clock.wallNow(),
    logPages: options.logPages ?? logPagesMax,
    moved: false,
  };
  await zeroDurably(calls, 0, superblockBytes);
  await zeroDurably(calls, superblockBytes, pstoreBytes(slots));
  await writeSuperblock(calls, superblock, checksumOf(options.opener.digest));
  return superblock;
}

/** @throws TDMF_PSTORE_DAMAGED, TDMF_PSTORE_VERSION, TDMF_PSTORE_OLD, TDMF_PSTORE_MOVED */
export async function readSuperblock(calls: DeviceCalls, crc32c: Crc32c): Promise<Superblock> {
  const { path } = calls.device;
  const bytes = await calls.read(0, superblockBytes);
  if (typeof bytes === 'number') throw pstoreFailed(path, bytes);
  if (bytes.length < superblockBytes) {
    throw new TdmfError('TDMF_PSTORE_DAMAGED', { path, what: 'it is shorter than its superblock' });
  }
  const chosen: ChosenSuperblock = chooseSuperblock(...superblocksOf(bytes, crc32c));
  if (chosen.problem === undefined) {
    if (chosen.superblock.moved) throw new TdmfError('TDMF_PSTORE_MOVED', { path });
    return chosen.superblock;
  }
  if (chosen.problem === 'newer' || chosen.problem === 'older') {
    const code = chosen.problem === 'newer' ? 'TDMF_PSTORE_VERSION' : 'TDMF_PSTORE_OLD';
    throw new TdmfError(code, { path, version: chosen.version });
  }
  const what =
    chosen.problem === 'foreign' ? 'it is no pstore' : 'no copy of the superblock is whole';
  throw new TdmfError('TDMF_PSTORE_DAMAGED', { path, what });
}

export function superblocksOf(
  bytes: Uint8Array,
  crc32c: Crc32c,
): [DecodedSuperblock, DecodedSuperblock] {
  return [
    decodeSuperblock(bytes.subarray(0, pstorePageBytes), crc32c),
    decodeSuperblock(bytes.subarray(pstorePageBytes, superblockBytes), crc32c),
  ];
}

/** The port's checksum as the function that core/pstore asks for. */
export function checksumOf(digest: Digest): Crc32c {
  return (bytes, offset, length, seed) => digest.crc32c(bytes, offset, length, seed);
}

export function pstoreFailed(path: string, result: number): TdmfError {
  return new TdmfError('TDMF_PSTORE_FAILED', { path, errno: -result });
}

function checkSlots(slots: number): void {
  if (Number.isSafeInteger(slots) && slots >= 1 && slots <= slotsMax) return;
  throw new TdmfError('TDMF_USAGE', { problem: `a pstore holds 1 to ${slotsMax} groups` });
}

export async function writeSuperblock(
  calls: DeviceCalls,
  superblock: Superblock,
  crc32c: Crc32c,
): Promise<void> {
  const page = encodeSuperblock(superblock, crc32c);
  for (const offset of [0, pstorePageBytes]) {
    await mustSucceed(calls, calls.write(page, offset));
    await mustSucceed(calls, calls.flush());
  }
}

export async function zeroDurably(calls: DeviceCalls, from: number, to: number): Promise<void> {
  for (let offset = from; offset < to; offset += zeroStepBytes) {
    await mustSucceed(calls, calls.zero(offset, Math.min(zeroStepBytes, to - offset)));
  }
  await mustSucceed(calls, calls.flush());
}

export async function mustSucceed(calls: DeviceCalls, result: Promise<number>): Promise<void> {
  const outcome = await result;
  if (outcome < 0) throw pstoreFailed(calls.device.path, outcome);
}

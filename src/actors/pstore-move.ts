/**
 * Moves a pstore to another file or device (Rule 54b): everything but the superblock is copied and made
 * durable, then the superblock, one number higher. The caller then switches the pointer durably, and
 * only then the old one is retired. A crash in between leaves one pstore that the pointer names, whole;
 * the other is a copy that nobody uses, and that a second try overwrites.
 */
import { TdmfError } from '../core/errors.js';
import {
  pstoreBytes,
  pstorePageBytes,
  recordCopyBytes,
  slotAt,
  slotBytes,
  superblockBytes,
} from '../core/pstore/layout.js';
import { recoverSlot } from '../core/pstore/recovery.js';
import { decodeAck, decodeCopy } from '../core/pstore/slot.js';
import { decodeSlotPayload } from '../core/pstore/slot-payload.js';
import type { Superblock } from '../core/pstore/superblock.js';
import { DeviceCalls } from './device-calls.js';
import {
  checksumOf,
  mustSucceed,
  type PstorePlace,
  pstoreFailed,
  readSuperblock,
  superblocksOf,
  writeSuperblock,
  zeroDurably,
} from './pstore-format.js';

const copyStepBytes = 1024 * 1024;

/**
 * `to` is blank, or holds an earlier copy of this very pstore.
 * @throws TDMF_PSTORE_FOREIGN, TDMF_PSTORE_OTHER, TDMF_DEVICE_SIZE, TDMF_PSTORE_FAILED, and what reading
 * a pstore throws
 */
export async function copyPstore(from: PstorePlace, to: PstorePlace): Promise<Superblock> {
  const source = new DeviceCalls(from.device, from.opener);
  const target = new DeviceCalls(to.device, to.opener);
  const crc32c = checksumOf(from.opener.digest);
  const superblock = await readSuperblock(source, crc32c);
  await mayTake(target, superblock, crc32c);
  const end = await usedBytes(source, superblock, crc32c);
  const { capacityBytes } = to;
  if (capacityBytes !== undefined && capacityBytes < end) {
    const { path } = to.device;
    throw new TdmfError('TDMF_DEVICE_SIZE', { path, actual: capacityBytes, expected: end });
  }
  await zeroDurably(target, 0, superblockBytes);
  for (let at = superblockBytes; at < end; at += copyStepBytes) {
    const bytes = await source.read(at, Math.min(copyStepBytes, end - at));
    if (typeof bytes === 'number') throw pstoreFailed(from.device.path, bytes);
    // A file that was never written so far reads short; behind its end there is nothing to copy.
    if (bytes.length > 0) await mustSucceed(target, target.write(bytes, at));
  }
  await mustSucceed(target, target.flush());
  const moved = { ...superblock, sequence: superblock.sequence + 1 };
  await writeSuperblock(target, moved, crc32c);
  return moved;
}

/** The pointer names another place now: this one is never used again, whatever a configuration says. */
export async function retirePstore(place: PstorePlace): Promise<void> {
  const calls = new DeviceCalls(place.device, place.opener);
  const crc32c = checksumOf(place.opener.digest);
  const superblock = await readSuperblock(calls, crc32c);
  await writeSuperblock(calls, { ...superblock, moved: true }, crc32c);
}

async function mayTake(
  target: DeviceCalls,
  { nodeId }: Superblock,
  crc32c: ReturnType<typeof checksumOf>,
): Promise<void> {
  const { path } = target.device;
  const head = await target.read(0, superblockBytes);
  if (typeof head === 'number') throw pstoreFailed(path, head);
  if (head.every((byte) => byte === 0)) return;
  const found = superblocksOf(head, crc32c);
  const own = found.some((copy) => copy.state === 'good' && copy.superblock.nodeId === nodeId);
  if (own) return;
  const foreign = found.every((copy) => copy.state === 'foreign');
  throw new TdmfError(foreign ? 'TDMF_PSTORE_FOREIGN' : 'TDMF_PSTORE_OTHER', { path });
}

/** Where the heap ends, as far as any slot says. */
async function usedBytes(
  calls: DeviceCalls,
  { nodeId, slots }: Superblock,
  crc32c: ReturnType<typeof checksumOf>,
): Promise<number> {
  let end = pstoreBytes(slots);
  for (let slot = 0; slot < slots; slot++) {
    const found = await calls.read(slotAt(slot), slotBytes);
    if (typeof found === 'number') throw pstoreFailed(calls.device.path, found);
    const bytes = new Uint8Array(slotBytes);
    bytes.set(found);
    const place = { nodeId, slot };
    const copies = [0, 1].map((copy) => {
      const at = copy * recordCopyBytes;
      return decodeCopy(bytes.subarray(at, at + recordCopyBytes), place, copy, crc32c);
    });
    const acknowledged = decodeAck(bytes.subarray(slotBytes - pstorePageBytes), place, crc32c);
    const state = recoverSlot(copies[0]!, copies[1]!, acknowledged);
    if (state.decision !== 'newest') continue;
    for (const { page, pages } of decodeSlotPayload(state.newest.payload)?.extents ?? []) {
      end = Math.max(end, (page + 2 * pages) * pstorePageBytes);
    }
  }
  return end;
}

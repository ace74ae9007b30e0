/**
 * What the pstore of a simulated primary says of a group, as a start that happened now would read it
 * (I6): the newest acknowledged record, and what is hot or dirty, straight from the simulated disk
 * with the product's own decoding. `live`: after a kill; `durable`: what a power cut leaves at least.
 */
import { crc32c } from '../core/checksum.js';
import { decodeGroupRecord } from '../core/pstore/codec.js';
import { decodeImage, type HeatImage } from '../core/pstore/heat-image.js';
import { findRecords } from '../core/pstore/heat-log.js';
import { recoverHeat, recoverLog } from '../core/pstore/heat-recovery.js';
import {
  logAckAt,
  logAckSlot,
  logHalfAt,
  pstorePageBytes,
  recordCopyBytes,
  slotAt,
  slotBytes,
} from '../core/pstore/layout.js';
import type { GroupRecord } from '../core/pstore/record.js';
import { recoverSlot } from '../core/pstore/recovery.js';
import { decodeAck, decodeCopy } from '../core/pstore/slot.js';
import { decodeSlotPayload, type Extent } from '../core/pstore/slot-payload.js';
import { decodeSuperblock, type Superblock } from '../core/pstore/superblock.js';
import { pstorePath } from './cluster-options.js';
import type { SimNode } from './node.js';

export interface StoredGroup {
  readonly record: GroupRecord;
  /** By device; undefined: nothing is known, or nothing is believed. */
  readonly images: readonly (HeatImage | undefined)[];
}

export function recordInPstore(node: SimNode, group: number): GroupRecord | undefined {
  const bytes = node.disk(pstorePath).live;
  const superblock = superblockOf(bytes);
  return superblock && slotOf(bytes, superblock, group)?.record;
}

export function groupInPstore(
  node: SimNode,
  group: number,
  survival: 'live' | 'durable',
): StoredGroup | undefined {
  const bytes = node.disk(pstorePath)[survival];
  const superblock = superblockOf(bytes);
  const found = superblock && slotOf(bytes, superblock, group);
  if (superblock === undefined || found === undefined) return undefined;
  const { nodeId, logPages } = superblock;
  const halves = [0, 1].map((half) => {
    const at = logHalfAt(half);
    return findRecords(bytes.subarray(at, at + logPages * pstorePageBytes), nodeId, crc32c);
  });
  const ack = bytes.subarray(logAckAt, logAckAt + pstorePageBytes);
  const log = recoverLog(halves, decodeAck(ack, { nodeId, slot: logAckSlot }, crc32c));
  const images = found.extents.map((extent, device) => {
    const { page, pages, allocation } = extent;
    const place = { nodeId, slot: found.slot, device, allocation };
    const copies = [0, 1].map((copy) => {
      const at = (page + copy * pages) * pstorePageBytes;
      return decodeImage(bytes.subarray(at, at + pages * pstorePageBytes), place, crc32c);
    });
    const batches = log.batches.filter(
      (batch) =>
        batch.slot === found.slot && batch.device === device && batch.allocation === allocation,
    );
    const state = recoverHeat(copies, batches, log.damage !== undefined);
    return state.decision === 'newest' ? state.image : undefined;
  });
  return { record: found.record, images };
}

interface FoundSlot {
  readonly slot: number;
  readonly record: GroupRecord;
  readonly extents: readonly Extent[];
}

function superblockOf(bytes: Uint8Array): Superblock | undefined {
  const found = decodeSuperblock(bytes.subarray(0, pstorePageBytes), crc32c);
  return found.state === 'good' ? found.superblock : undefined;
}

function slotOf(
  bytes: Uint8Array,
  { nodeId, slots }: Superblock,
  group: number,
): FoundSlot | undefined {
  for (let slot = 0; slot < slots; slot++) {
    const own = bytes.subarray(slotAt(slot), slotAt(slot) + slotBytes);
    const place = { nodeId, slot };
    const copies = [0, 1].map((copy) => {
      const at = copy * recordCopyBytes;
      return decodeCopy(own.subarray(at, at + recordCopyBytes), place, copy, crc32c);
    });
    const acknowledged = decodeAck(own.subarray(slotBytes - pstorePageBytes), place, crc32c);
    const state = recoverSlot(copies[0]!, copies[1]!, acknowledged);
    if (state.decision !== 'newest' || state.newest.group !== group) continue;
    const payload = decodeSlotPayload(state.newest.payload);
    const record = payload && decodeGroupRecord(payload.record);
    return record && { slot, record, extents: payload.extents };
  }
  return undefined;
}

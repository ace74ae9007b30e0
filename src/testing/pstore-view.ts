/**
 * What the pstore of a simulated primary says of a group, as a start that happened now would read it
 * (I6): the newest acknowledged record, straight from the simulated disk.
 */
import { crc32c } from '../core/checksum.js';
import { decodeGroupRecord } from '../core/pstore/codec.js';
import { pstorePageBytes, recordCopyBytes, slotAt, slotBytes } from '../core/pstore/layout.js';
import type { GroupRecord } from '../core/pstore/record.js';
import { recoverSlot } from '../core/pstore/recovery.js';
import { decodeAck, decodeCopy } from '../core/pstore/slot.js';
import { decodeSlotPayload } from '../core/pstore/slot-payload.js';
import { decodeSuperblock } from '../core/pstore/superblock.js';
import { pstorePath } from './cluster-options.js';
import type { SimDisk } from './disk.js';
import type { SimNode } from './node.js';

interface Known {
  readonly version: number;
  readonly records: Map<number, GroupRecord | undefined>;
}

const known = new WeakMap<SimDisk, Known>();

export function recordInPstore(node: SimNode, group: number): GroupRecord | undefined {
  const disk = node.disk(pstorePath);
  let { version, records } = known.get(disk) ?? { version: -1, records: new Map() };
  if (version !== disk.liveVersion) {
    version = disk.liveVersion;
    records = new Map();
    known.set(disk, { version, records });
  }
  if (!records.has(group)) records.set(group, readRecord(node, group));
  return records.get(group);
}

function readRecord(node: SimNode, group: number): GroupRecord | undefined {
  const { live } = node.disk(pstorePath);
  const superblock = decodeSuperblock(live.subarray(0, pstorePageBytes), crc32c);
  if (superblock.state !== 'good') return undefined;
  const { nodeId, slots } = superblock.superblock;
  for (let slot = 0; slot < slots; slot++) {
    const bytes = live.subarray(slotAt(slot), slotAt(slot) + slotBytes);
    const place = { nodeId, slot };
    const first = decodeCopy(bytes.subarray(0, recordCopyBytes), place, 0, crc32c);
    const second = decodeCopy(
      bytes.subarray(recordCopyBytes, 2 * recordCopyBytes),
      place,
      1,
      crc32c,
    );
    const acknowledged = decodeAck(bytes.subarray(slotBytes - pstorePageBytes), place, crc32c);
    const state = recoverSlot(first, second, acknowledged);
    if (state.decision !== 'newest' || state.newest.group !== group) continue;
    const payload = decodeSlotPayload(state.newest.payload);
    return payload && decodeGroupRecord(payload.record);
  }
  return undefined;
}

/**
 * What the pstore of a simulated primary says, as a start that happened now would read it (I6): the
 * newest acknowledged record of a group, and what may differ from the mirror (hot or dirty), straight
 * from the simulated disk with the product's formats.
 *
 *   live     what a killed process leaves        durable  what a power cut leaves at the worst
 */

import { crc32c } from '../core/checksum.js';
import { mapBlockBytes, sectorBytes } from '../core/constants.js';
import { hasBit } from '../core/pstore/bits.js';
import { decodeGroupRecord } from '../core/pstore/codec.js';
import { regionsOf, unitsOf } from '../core/pstore/geometry.js';
import { decodeImage, type HeatImage } from '../core/pstore/heat-image.js';
import { findRecords } from '../core/pstore/heat-log.js';
import { type RecoveredLog, recoverHeat, recoverLog } from '../core/pstore/heat-recovery.js';
import {
  logAckAt,
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
import { decodeSuperblock } from '../core/pstore/superblock.js';
import { pstorePath } from './cluster-options.js';
import type { SimDisk } from './disk.js';
import type { SimNode } from './node.js';
import type { Survival } from './secondary-view.js';

/** What the pstore keeps of a group. */
export interface KeptGroup {
  readonly record: GroupRecord;
  /** By device: one byte a sector, set where the mirror may differ; undefined: nobody knows. */
  readonly dirt: readonly (Uint8Array | undefined)[];
}

interface Known {
  readonly version: number;
  readonly groups: ReadonlyMap<number, KeptGroup>;
}

const known: Readonly<Record<Survival, WeakMap<SimDisk, Known>>> = {
  live: new WeakMap(),
  durable: new WeakMap(),
};

export function keptInPstore(
  node: SimNode,
  group: number,
  survival: Survival,
): KeptGroup | undefined {
  const disk = node.disk(pstorePath);
  const version = survival === 'live' ? disk.liveVersion : disk.durableVersion;
  let last = known[survival].get(disk);
  if (last?.version !== version) {
    last = { version, groups: new PstoreReader(disk[survival]).groups() };
    known[survival].set(disk, last);
  }
  return last.groups.get(group);
}

/** The log as the superblock's slot number says where its acknowledgement lies. */
const logSlot = 0xffff_ffff;

class PstoreReader {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  groups(): Map<number, KeptGroup> {
    const groups = new Map<number, KeptGroup>();
    const superblock = decodeSuperblock(this.#bytes.subarray(0, pstorePageBytes), crc32c);
    if (superblock.state !== 'good') return groups;
    const { nodeId, slots, logPages } = superblock.superblock;
    const log = this.#log(nodeId, logPages);
    for (let slot = 0; slot < slots; slot++) {
      const payload = this.#slot(nodeId, slot);
      const record = payload && decodeGroupRecord(payload.record);
      if (payload === undefined || record === undefined) continue;
      const dirt = payload.extents.map((extent, device) => {
        const image = this.#image(nodeId, slot, device, extent, log);
        return image && sectorsOf(image);
      });
      groups.set(record.group, { record, dirt });
    }
    return groups;
  }

  #slot(nodeId: string, slot: number) {
    const bytes = this.#bytes.subarray(slotAt(slot), slotAt(slot) + slotBytes);
    const place = { nodeId, slot };
    const first = decodeCopy(bytes.subarray(0, recordCopyBytes), place, 0, crc32c);
    const behind = bytes.subarray(recordCopyBytes, 2 * recordCopyBytes);
    const second = decodeCopy(behind, place, 1, crc32c);
    const acknowledged = decodeAck(bytes.subarray(slotBytes - pstorePageBytes), place, crc32c);
    const state = recoverSlot(first, second, acknowledged);
    return state.decision === 'newest' ? decodeSlotPayload(state.newest.payload) : undefined;
  }

  #log(nodeId: string, logPages: number): RecoveredLog {
    const halves = [0, 1].map((half) => {
      const at = logHalfAt(half);
      return findRecords(this.#bytes.subarray(at, at + logPages * pstorePageBytes), nodeId, crc32c);
    });
    const ack = this.#bytes.subarray(logAckAt, logAckAt + pstorePageBytes);
    return recoverLog(halves, decodeAck(ack, { nodeId, slot: logSlot }, crc32c));
  }

  #image(
    nodeId: string,
    slot: number,
    device: number,
    { allocation, page, pages }: Extent,
    log: RecoveredLog,
  ): HeatImage | undefined {
    const place = { nodeId, slot, device, allocation };
    const images = [0, 1].map((copy) => {
      const at = (page + copy * pages) * pstorePageBytes;
      return decodeImage(this.#bytes.subarray(at, at + pages * pstorePageBytes), place, crc32c);
    });
    const mine = log.batches.filter(
      (batch) => batch.slot === slot && batch.device === device && batch.allocation === allocation,
    );
    const state = recoverHeat(images, mine, log.damage !== undefined);
    return state.decision === 'newest' ? state.image : undefined;
  }
}

function sectorsOf({ geometry, hot, dirty }: HeatImage): Uint8Array {
  const sectors = new Uint8Array(Math.ceil(geometry.sizeBytes / sectorBytes));
  const cover = (bits: Uint8Array, count: number, bytes: number) => {
    for (let bit = 0; bit < count; bit++) {
      if (!hasBit(bits, bit)) continue;
      sectors.fill(1, (bit * bytes) / sectorBytes, ((bit + 1) * bytes) / sectorBytes);
    }
  };
  cover(hot, regionsOf(geometry), geometry.regionBytes);
  cover(dirty, unitsOf(geometry), Math.max(geometry.unitBytes, mapBlockBytes));
  return sectors;
}

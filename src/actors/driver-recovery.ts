/**
 * A driver died with writes in flight; its I/O has ended (Rule 22: the devices are locked by us now).
 * What is on the disk of those ranges is old, new or a mixture, and nobody else knows (H23). Before
 * the first connection is accepted each range is read back and published as an entry, in the same
 * era, so the group goes on in its mode. Why that is right:
 *
 * - No write that was answered is missing from the BAB: publishing comes before answering, in one
 *   turn. Numbers are given at publication, so the order has no hole; the era is unbroken (8a).
 * - A write in flight was not answered. In or out, down to the sector, is a legal outcome of it, and
 *   what the disk holds *is* the outcome: the entry makes the mirror equal to it.
 * - The ranges do not overlap (range locks), and each entry depends on everything stamped before it,
 *   so the mirror cannot show the outcome without what came before.
 * - A slot is freed when its range is published or marked; a crash in the middle repeats the rest.
 *
 * What cannot be read or has no room is marked, which is an overflow (T2) if the group appends.
 */

import { slotState } from '../core/bab/layout.js';
import { babChunkBytes, writesInFlightMax } from '../core/constants.js';
import type { WriteTracker } from '../core/engine/write-tracker.js';
import { IoVector } from '../core/io-vector.js';
import { pageBytes } from '../core/page-pool.js';
import type { Digest } from '../ports/block-device.js';
import type { Clock } from '../ports/clock.js';
import type { DriverDevice } from './driver-device.js';

export interface RecoveryOptions {
  readonly tracker: WriteTracker;
  readonly devices: readonly DriverDevice[];
  readonly digest: Digest;
  readonly clock: Clock;
}

/** Returns how many writes were in flight. */
export async function recoverWritesInFlight(options: RecoveryOptions): Promise<number> {
  const { tracker } = options;
  const { slots } = tracker.writer;
  let found = 0;
  for (let slot = 0; slot < writesInFlightMax; slot++) {
    if (slots.stateOf(slot) !== slotState.started) continue;
    found++;
    if (slots.dutiesOf(slot) !== 0 && !(await publishFound(slot, options))) tracker.giveUp(slot);
    slots.free(slot);
  }
  return found;
}

/** Publishes what the disk holds of the slot's range; false when it must be marked instead. */
async function publishFound(slot: number, options: RecoveryOptions): Promise<boolean> {
  const { tracker, devices, digest, clock } = options;
  const { writer } = tracker;
  // The driver may have died between switching append off and demoting this write.
  if (!tracker.appending || !tracker.appends(slot)) return false;
  const index = writer.slots.deviceOf(slot);
  const start = writer.slots.offsetOf(slot);
  const end = start + writer.slots.lengthOf(slot);
  tracker.markAgain(slot);
  const memory = new IoVector(1);
  for (let offset = start; offset < end; offset += memory.totalBytes) {
    const length = Math.min(babChunkBytes, end - offset);
    if (!writer.reserve(length, pageBytes, memory)) return false;
    const bytes = writer.pool.bytes[memory.arena]!;
    const result = await readBack(devices[index]!, memory, bytes, offset);
    const room = result === length && writer.prepare(1);
    if (!room) {
      writer.unreserve(memory);
      return false;
    }
    if (digest.isZero(bytes, memory.offsets[0]!, length)) {
      writer.unreserve(memory);
      writer.publishFoundZero(index, offset, length, clock.wallNow());
    } else {
      writer.publishFound(index, offset, memory, clock.wallNow());
    }
  }
  return true;
}

function readBack(
  device: DriverDevice,
  memory: IoVector,
  bytes: Uint8Array,
  offset: number,
): Promise<number> {
  return new Promise((resolve) => {
    device.read(memory, bytes, offset, { completed: (_, result) => resolve(result) }, 0);
  });
}

/**
 * What a new driver makes of the BAB that a dead one left (H22, H23): published entries are good,
 * everything else is accounted for anew. Runs after the dead driver's I/O has ended and before the
 * new one takes any memory; the PMD may go on reading and acknowledging meanwhile.
 *
 * An instant at which a driver may have died, and what is done about it:
 *
 *   chunk taken, not yet in use            no held entry needs it → given back
 *   descriptors written, not published     not held → the numbers were not given either
 *   published advanced, `stamped` not      the last descriptor says what was stamped
 *   memory of durable entries half freed   they count as released; what they still own → given back
 *   slot FILLING                           nothing has reached the disk → freed
 *   slot STARTED                           the disk may hold anything of it → left to the caller
 */
import { writesInFlightMax } from '../constants.js';
import { entryFlags } from '../wire/messages.js';
import type { GroupControlView } from './control.js';
import { type DescriptorRing, newBabEntry } from './descriptors.js';
import {
  controlLayout,
  descriptorsMax,
  descriptorsPerChunk,
  slotBytes,
  slotLayout,
  slotState,
} from './layout.js';
import type { PayloadLog } from './payload-log.js';
import type { BabPool } from './pool.js';

export function recoverHeld(
  pool: BabPool,
  poolSlot: number,
  control: GroupControlView,
  descriptors: DescriptorRing,
  payload: PayloadLog,
): void {
  control.settleEra();
  // Of entries that are durable the memory may be half given back, and nobody reads them again.
  control.setCursor('released', control.cursor('durable'));
  settleSlots(control);
  countHeldEntries(control, descriptors, payload);
  giveBackOrphans(pool, poolSlot, control, descriptors, payload);
}

function settleSlots(control: GroupControlView): void {
  for (let slot = 0; slot < writesInFlightMax; slot++) {
    const base = (controlLayout.at.slots + slot * slotBytes) / 4;
    const state = base + slotLayout.at.state / 4;
    if (Atomics.load(control.i32, state) === slotState.filling) {
      Atomics.store(control.i32, state, slotState.free);
    }
    // Promises died with the driver that made them.
    control.i32[base + slotLayout.at.entries / 4] = 0;
  }
}

function countHeldEntries(
  control: GroupControlView,
  descriptors: DescriptorRing,
  payload: PayloadLog,
): void {
  const entry = newBabEntry();
  const released = control.cursor('released');
  const held = control.held;
  control.clearHeld();
  for (let index = 0; index < held; index++) {
    descriptors.read(released + index, entry);
    const bytes = (entry.flags & entryFlags.zero) !== 0 ? 0 : entry.length;
    if (bytes > 0) payload.hold(entry.arena, entry.memoryOffset, bytes);
    control.countHeld(entry.device, 1, bytes);
    if (index === 0) control.oldestAt = entry.publishedAt;
  }
  if (held > 0 && entry.generation === control.generation) control.stamped = entry.sequence;
}

function giveBackOrphans(
  pool: BabPool,
  poolSlot: number,
  control: GroupControlView,
  descriptors: DescriptorRing,
  payload: PayloadLog,
): void {
  const needed = new Set<number>();
  const released = control.cursor('released');
  for (let index = 0; index < control.held; index++) {
    needed.add(descriptors.partOf(released + index));
  }
  const owned = new Set(pool.ownedBy(poolSlot));
  for (let part = 0; part < descriptorsMax / descriptorsPerChunk; part++) {
    if (needed.has(part)) owned.delete(descriptors.chunkOfPart(part));
    else descriptors.setChunkOfPart(part, -1);
  }
  pool.settle(poolSlot);
  for (const chunk of owned) {
    if (payload.liveBytes(chunk) === 0) pool.giveBack(poolSlot, chunk);
  }
}

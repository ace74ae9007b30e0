/**
 * The driver's side of the BAB: memory for payload, the promise that a started write can be
 * published, the stamp, and giving memory back.
 *
 *   reserve ─► (payload received) ─► admit ─► start ─► local write ─► publish ─► … durable ─► reclaim
 *                                              │                        ▲
 *                                              └── demote (T2, R9): ────┘ no entry, a mark instead
 *
 * Keeps I17 (a sequence is given once: `start` reserves numbers within the lease, `publish` uses
 * them), I4 (nothing is released before `durable` has passed it) and H23 (numbers are given at
 * completion, so there is no hole to wait for). Deciding what an overflow means is the driver's.
 */
import { assert } from '../assert.js';
import { babEntryPayloadMax } from '../constants.js';
import type { IoVector } from '../io-vector.js';
import { entryFlags } from '../wire/messages.js';
import { GroupControlView } from './control.js';
import { type BabEntry, DescriptorRing, newBabEntry } from './descriptors.js';
import { descriptorsMax, descriptorsPerChunk, duty } from './layout.js';
import { PayloadLog } from './payload-log.js';
import type { BabPool } from './pool.js';
import { recoverHeld } from './recover.js';
import { InFlightSlots } from './slots.js';

export interface BabWriterOptions {
  readonly pool: BabPool;
  /** Slot of the group in the pool's accounts. */
  readonly poolSlot: number;
  readonly control: SharedArrayBuffer;
  /**
   * True when a driver was here before and may have died: what it held is counted anew, FILLING
   * slots are freed, STARTED ones are left for the caller.
   */
  readonly recovering?: boolean;
}

/** Told of every entry for as long as it is in the BAB (Rule 18). */
export interface EntryPins {
  hold(device: number, offset: number, length: number): void;
  release(device: number, offset: number, length: number): void;
}

const noPins: EntryPins = { hold: () => {}, release: () => {} };

export class BabWriter {
  readonly pool: BabPool;
  readonly control: GroupControlView;
  readonly slots: InFlightSlots;
  readonly #poolSlot: number;
  readonly #descriptors: DescriptorRing;
  readonly #payload: PayloadLog;
  readonly #entry = newBabEntry();
  #pins = noPins;
  /** Something was published since the driver last looked. */
  publishedAny = false;
  /** Descriptors, and sequence numbers, promised to started writes. */
  #reserved = 0;

  constructor(options: BabWriterOptions) {
    this.pool = options.pool;
    this.#poolSlot = options.poolSlot;
    this.control = new GroupControlView(options.control);
    this.#descriptors = new DescriptorRing(this.pool, this.control);
    this.#payload = new PayloadLog(this.pool, this.#poolSlot);
    if (options.recovering === true) {
      recoverHeld(this.pool, this.#poolSlot, this.control, this.#descriptors, this.#payload);
    }
    this.slots = new InFlightSlots(this.control);
  }

  /** From now on; entries that are held already are told at once. */
  pinWith(pins: EntryPins): void {
    this.#pins = pins;
    const released = this.control.cursor('released');
    const { held } = this.control;
    for (let index = 0; index < held; index++) {
      this.#descriptors.read((released + index) >>> 0, this.#entry);
      pins.hold(this.#entry.device, this.#entry.offset, this.#entry.length);
    }
  }

  /** Memory for a payload, as pieces; false when the group may not take so much now. */
  reserve(length: number, alignment: number, into: IoVector): boolean {
    if (this.#payload.reserve(length, alignment, into)) return true;
    return this.reclaim() > 0 && this.#payload.reserve(length, alignment, into);
  }

  /** Gives memory back that was reserved and never published. */
  unreserve(memory: IoVector): void {
    this.#payload.releaseAll(memory);
  }

  /** How many entries this payload becomes. */
  static entriesOf(memory: IoVector): number {
    let entries = 0;
    for (let piece = 0; piece < memory.count; piece++) {
      entries += Math.ceil(memory.lengths[piece]! / babEntryPayloadMax);
    }
    return entries;
  }

  /**
   * Promises descriptors and sequence numbers for `entries` entries; the promise is kept by
   * `publish`, or ended by `demote`. False: the BAB is full, or the lease is used up (T2).
   */
  prepare(entries: number): boolean {
    if (this.control.stamped + this.#reserved + entries > this.control.lease) return false;
    if (!this.#extend(entries) && (this.reclaim() === 0 || !this.#extend(entries))) return false;
    this.#reserved += entries;
    return true;
  }

  /** The next entry is number `first` of `era`; no write in flight may still be promised a number. */
  beginEra(era: string, first: number, lease: number): void {
    assert(this.#reserved === 0, 'I17: an era begins when nothing is promised in the old one');
    this.control.beginEra(era, first, lease);
  }

  /** Sequences that may still be promised within the lease. */
  get leaseLeft(): number {
    return this.control.lease - this.control.stamped - this.#reserved;
  }

  /** The group has chunks: entries, payload under way, or what it keeps for the next write. */
  get holdsMemory(): boolean {
    return this.pool.usedChunks(this.#poolSlot) > 0;
  }

  get reserved(): number {
    return this.#reserved;
  }

  /** The started write will not be published: its slot says mark-only from now on. */
  demote(slot: number): void {
    this.#reserved -= this.slots.entriesOf(slot);
    this.slots.setEntries(slot, 0);
    this.slots.setDuties(slot, duty.mark);
  }

  /**
   * The local write is complete: stamps its entries with the next sequences and publishes them in
   * one step. The payload belongs to the BAB from now on. Returns the last sequence.
   */
  publish(slot: number, memory: IoVector, wallMs: number): number {
    const count = this.#writePieces(
      this.slots.deviceOf(slot),
      this.slots.offsetOf(slot),
      memory,
      this.slots.depOf(slot),
      wallMs,
    );
    assert(count === this.slots.entriesOf(slot), 'a write publishes what it has reserved');
    return this.#commit(count);
  }

  /** As `publish`, for a range that reads as zeroes (H32): one entry without payload. */
  publishZero(slot: number, mayUnmap: boolean, wallMs: number): number {
    assert(this.slots.entriesOf(slot) === 1, 'a zeroing publishes what it has reserved');
    this.#writeZero(
      this.slots.deviceOf(slot),
      this.slots.offsetOf(slot),
      this.slots.lengthOf(slot),
      mayUnmap,
      this.slots.depOf(slot),
      wallMs,
    );
    return this.#commit(1);
  }

  /**
   * Recovery (H23): publishes what the disk holds of a part of a STARTED slot's range, behind
   * `prepare(1)`. Everything stamped before is a dependency: stricter than needed, never wrong.
   */
  publishFound(device: number, offset: number, memory: IoVector, wallMs: number): number {
    const count = this.#writePieces(device, offset, memory, this.control.stamped, wallMs);
    assert(count === 1, 'what is found is published in single pieces');
    return this.#commit(count);
  }

  publishFoundZero(device: number, offset: number, length: number, wallMs: number): number {
    this.#writeZero(device, offset, length, false, this.control.stamped, wallMs);
    return this.#commit(1);
  }

  /**
   * Publishes a checkpoint marker (Rule 15b): no payload, no range, behind everything stamped so far.
   * Behind `prepare(1)`. Returns its sequence.
   */
  publishMarker(wallMs: number): number {
    const entry = this.#entry;
    entry.dep = this.control.stamped;
    entry.device = 0;
    entry.arena = 0;
    entry.memoryOffset = 0;
    entry.publishedAt = wallMs;
    entry.offset = 0;
    entry.length = 0;
    entry.flags = entryFlags.checkpoint;
    this.#write(0, 0);
    return this.#commit(1);
  }

  /** Calls `visit` with every entry that the secondary does not have durably; rare, for `clear BAB`. */
  eachPending(visit: (entry: Readonly<BabEntry>) => void): void {
    const entry = newBabEntry();
    const published = this.control.cursor('published');
    // A superset when the PMD moves `durable` meanwhile: memory is given back by this thread only.
    for (
      let count = this.control.cursor('durable');
      count !== published;
      count = (count + 1) >>> 0
    ) {
      this.#descriptors.read(count, entry);
      visit(entry);
    }
  }

  /**
   * Gives back the memory of entries that are durable on the secondary (I4). Returns how many. With
   * `idle` an empty BAB also gives up the chunks it keeps for the next write.
   */
  reclaim(idle = false): number {
    const control = this.control;
    const durable = control.cursor('durable');
    let released = control.cursor('released');
    const count = (durable - released) >>> 0;
    const entry = this.#entry;
    for (let index = 0; index < count; index++) {
      this.#descriptors.read(released, entry);
      const bytes = (entry.flags & entryFlags.zero) !== 0 ? 0 : entry.length;
      if (bytes > 0) this.#payload.release(entry.arena, entry.memoryOffset, bytes);
      control.countHeld(entry.device, -1, -bytes);
      this.#pins.release(entry.device, entry.offset, entry.length);
      const part = this.#descriptors.partOf(released);
      released = (released + 1) >>> 0;
      control.setCursor('released', released);
      if (this.#descriptors.partOf(released) !== part) this.#giveBackPart(part);
    }
    if (count > 0) {
      // Numbers begin anew with every era; of an older one this says nothing (H8).
      if (entry.generation === control.generation) control.releasedSequence = entry.sequence;
      if (control.held > 0) control.oldestAt = this.#descriptors.publishedAt(released);
    }
    if (idle && control.held === 0 && this.#reserved === 0) {
      const part = this.#descriptors.partOf(released);
      if (this.#descriptors.chunkOfPart(part) >= 0) this.#giveBackPart(part);
      this.#payload.trim();
    }
    return count;
  }

  /** Makes sure that the descriptors behind those reserved have memory. */
  #extend(entries: number): boolean {
    const held = this.control.held;
    if (held + this.#reserved + entries > descriptorsMax - descriptorsPerChunk) return false;
    const published = this.control.cursor('published');
    for (let count = published + this.#reserved, left = entries; left > 0; ) {
      const part = this.#descriptors.partOf(count);
      if (this.#descriptors.chunkOfPart(part) < 0) {
        const chunk = this.pool.take(this.#poolSlot);
        if (chunk < 0) return false;
        this.#descriptors.setChunkOfPart(part, chunk);
      }
      const step = descriptorsPerChunk - (count % descriptorsPerChunk);
      count += step;
      left -= step;
    }
    return true;
  }

  #giveBackPart(part: number): void {
    const chunk = this.#descriptors.chunkOfPart(part);
    this.#descriptors.setChunkOfPart(part, -1);
    this.pool.giveBack(this.#poolSlot, chunk);
  }

  #writePieces(
    device: number,
    offset: number,
    memory: IoVector,
    dep: number,
    wallMs: number,
  ): number {
    const entry = this.#entry;
    // A write admitted in an earlier era depends on nothing of this one.
    entry.dep = Math.min(dep, this.control.stamped);
    entry.device = device;
    entry.arena = memory.arena;
    entry.publishedAt = wallMs;
    let count = 0;
    let left = memory.totalBytes;
    for (let piece = 0; piece < memory.count; piece++) {
      const length = memory.lengths[piece]!;
      for (let done = 0; done < length; done += entry.length) {
        entry.length = Math.min(babEntryPayloadMax, length - done);
        entry.memoryOffset = memory.offsets[piece]! + done;
        entry.offset = offset + memory.totalBytes - left;
        left -= entry.length;
        entry.flags = left > 0 ? entryFlags.continues : 0;
        this.#write(count++, entry.length);
      }
    }
    return count;
  }

  #writeZero(
    device: number,
    offset: number,
    length: number,
    mayUnmap: boolean,
    dep: number,
    wallMs: number,
  ): void {
    const entry = this.#entry;
    // A write admitted in an earlier era depends on nothing of this one.
    entry.dep = Math.min(dep, this.control.stamped);
    entry.device = device;
    entry.arena = 0;
    entry.memoryOffset = 0;
    entry.publishedAt = wallMs;
    entry.offset = offset;
    entry.length = length;
    entry.flags = entryFlags.zero | (mayUnmap ? entryFlags.mayUnmap : 0);
    this.#write(0, 0);
  }

  /** Writes `#entry` as the `index`-th behind the published ones; nobody sees it yet. */
  #write(index: number, payloadBytes: number): void {
    const entry = this.#entry;
    entry.sequence = this.control.stamped + 1 + index;
    entry.generation = this.control.generation;
    this.#descriptors.write(this.control.cursor('published') + index, entry);
    this.control.countPublished(entry.device, payloadBytes, entry.publishedAt);
    this.#pins.hold(entry.device, entry.offset, entry.length);
  }

  #commit(count: number): number {
    this.#reserved -= count;
    assert(this.#reserved >= 0, 'entries are promised before they are published');
    this.control.setCursor('published', this.control.cursor('published') + count);
    this.publishedAny = true;
    // Behind the cursor: after a crash in between, the last descriptor tells the number (recover.ts).
    this.control.stamped += count;
    assert(this.control.stamped <= this.control.lease, 'I17: no sequence beyond the lease');
    return this.control.stamped;
  }
}

/**
 * Blocks of the local devices onto the link: takes them from the walk (core/engine/refresh.ts), reads
 * several pieces at a time into memory of its own, and sends them as BLOCKS frames in the order they
 * were taken, whatever order the reads end in (H2, H12). A frame is built around the data where it
 * was read, so nothing is copied:
 *
 *   slot  │ … │ header │ table │ data, aligned for direct reads … │
 *
 * What may be equal is hashed and compared first; it is read once, and what differs is sent from the
 * memory it was read to (Rule 17). Zeroes become records without data, joined over neighbours; a hole
 * is not even read. Blocks that were taken and not sent go back to `todo` when the session ends or an
 * attempt is aborted.
 */
import { assert } from '../core/assert.js';
import {
  babEntryPayloadMax,
  hashBatchesMax,
  hashBlocksMax,
  mapBlockBytes,
} from '../core/constants.js';
import type { Refresh } from '../core/engine/refresh.js';
import type { Window } from '../core/engine/window.js';
import { IoVector } from '../core/io-vector.js';
import { type Differs, frameKinds } from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice, Extent } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { ActorContext } from './actor.js';
import { BlocksFrame, frontBytes, readBlocksMax, zeroBlocksMax } from './blocks-frame.js';
import { CompareBatches } from './compare-batches.js';
import type { PmdSession } from './pmd-session.js';
import {
  dataOf,
  type Item,
  ready,
  slotBytes,
  slotsPerBatch,
  splitCompared,
} from './refresh-item.js';
import type { RefreshThrottle } from './refresh-throttle.js';

export interface RefreshSenderOptions {
  readonly devices: readonly BlockDevice[];
  readonly refresh: Refresh;
  /** There is something to compare: memory for it is needed too. */
  readonly compares: boolean;
  /** Something became ready to be sent, or memory became free. */
  readonly changed: () => void;
  /** Holds reads back (REFRESHRATE). */
  readonly throttle: RefreshThrottle;
  /** So many bytes are equal over there, and were not sent. */
  readonly skipped: (bytes: number) => void;
  readonly failed: (path: string, errno: number) => void;
}

/** Blocks whose extent is being asked for. */
interface Probe {
  readonly device: number;
  readonly first: number;
  readonly count: number;
  readonly compare: boolean;
}

export class RefreshSender implements CompletionSink {
  readonly #context: ActorContext;
  readonly #options: RefreshSenderOptions;
  readonly #slotCount: number;
  readonly #memory: ArenaMemory;
  readonly #frame: BlocksFrame;
  readonly #batches: CompareBatches;
  readonly #vectors: readonly IoVector[];
  /** The item that each slot is read for; of several slots the first names the read. */
  readonly #reading: (Item | undefined)[];
  readonly #free: number[];
  #queue: Item[] = [];
  /** No other is taken meanwhile. */
  #probed: Probe | undefined;
  /** Per device: up to here it was said to hold data, no need to ask again. */
  readonly #dataUntil: number[];
  #closed = false;
  #readCount = 0;
  #readsEnded: (() => void) | undefined;

  constructor(context: ActorContext, options: RefreshSenderOptions) {
    this.#context = context;
    this.#options = options;
    const slots = options.compares ? slotsFor(options.devices) : plainSlots;
    this.#slotCount = slots;
    const { devices } = context.ports;
    this.#memory = devices.allocate(slots * slotBytes);
    this.#frame = new BlocksFrame(devices.digest, options.refresh);
    this.#batches = new CompareBatches(devices.digest, options.refresh);
    this.#vectors = Array.from({ length: slots }, () => new IoVector(slotsPerBatch));
    this.#reading = Array.from({ length: slots }, () => undefined);
    this.#free = Array.from({ length: slots }, (_, slot) => slot);
    this.#dataUntil = options.devices.map(() => 0);
  }

  /** Every taken block was read: once F is all taken, this ends R5. */
  get allRead(): boolean {
    return this.#probed === undefined && this.#queue.every((item) => item.state !== 'reading');
  }

  /** Every taken block was sent, or is equal. */
  get allSent(): boolean {
    return (
      this.#probed === undefined && this.#queue.length === 0 && this.#frame.zeroes.length === 0
    );
  }

  /** Some of it waits for an answer of the secondary, or for being asked. */
  get comparing(): boolean {
    return this.#queue.some(({ compare }) => compare);
  }

  /** A new session. Everything of the last one was given back. */
  beginSession(): void {
    assert(this.#queue.length === 0, 'nothing of an earlier session is sent in a later one');
    this.#batches.restart();
  }

  /** Starts reads while there is memory, and credit for what they will become. */
  readAhead(creditBytes: number): void {
    const { refresh, throttle } = this.#options;
    let unsent = this.#unsentBytes();
    while (this.#free.length > 0 && this.#probed === undefined && !this.#closed) {
      if (this.#queue.length >= queueMax) return;
      if (unsent > 0 && unsent + babEntryPayloadMax > creditBytes) return;
      if (refresh.phase !== 'b' && !throttle.mayRead()) return;
      const known = refresh.walkOffset < (this.#dataUntil[refresh.walkDevice] ?? 0);
      if (!refresh.take(known ? this.#readMax : zeroBlocksMax, this.#context.clock.now())) return;
      const { device, first, count, compare } = refresh.taken;
      if (first * mapBlockBytes < this.#dataUntil[device]!) this.#read();
      else this.#probe({ device, first, count, compare });
      if (!compare) unsent += babEntryPayloadMax;
    }
  }

  /** Sends the hashes of what was read, as far as the secondary takes them. */
  askAhead(session: PmdSession): void {
    for (const item of this.#queue) {
      if (session.hashesUnderWay >= hashBatchesMax || !session.writable) return;
      if (item.compare && item.state === 'read') {
        this.#batches.ask(session, item, this.#memory.bytes);
      }
    }
  }

  /** What is wrong with this answer, if anything. */
  compared(answer: Differs): string | undefined {
    const item = this.#batches.answered(answer);
    if (item === undefined || typeof item === 'string') return item;
    const { bits } = answer;
    const all = 2 ** item.count - 1;
    const differs = (bits[0]! | ((bits[1] ?? 0) << 8)) & all;
    const { refresh, skipped } = this.#options;
    for (let block = 0; block < item.count; block += 1) {
      if ((differs & (1 << block)) !== 0) continue;
      refresh.equal(item.device, item.first + block, 1);
      skipped(refresh.lengthOf(item.device, item.first + block, 1));
    }
    const { pieces, unused } = splitCompared(item, differs);
    this.#queue.splice(this.#queue.indexOf(item), 1, ...pieces);
    for (const slot of unused) this.#giveBackSlot(slot);
    refresh.progressed(!this.allSent, this.#context.clock.now());
    this.#options.changed();
    return undefined;
  }

  /** Sends one frame of at most `creditBytes`. False: nothing is ready, or there is no credit. */
  send(session: PmdSession, window: Window, creditBytes: number, sent: () => void): boolean {
    const frame = this.#frame;
    let head = this.#queue[0];
    for (; head !== undefined && isZeroes(head) && !frame.zeroesFull; head = this.#queue[0]) {
      frame.addZeroes(head);
      this.#queue.shift();
    }
    const slot = head?.state === 'ready' ? head.slots[0] : undefined;
    const piece = slot === undefined ? undefined : head;
    if (piece === undefined) {
      // Zeroes wait for neighbours while more is on its way.
      const last = this.#queue.length === 0 && this.#probed === undefined;
      if (frame.zeroes.length === 0 || !(last || frame.zeroesFull)) return false;
    }
    if (frame.payloadOf(piece) > creditBytes) return false;
    if (frame.count > this.#options.refresh.records.room) return false;
    const bytes = slot === undefined ? new Uint8Array(frontBytes) : this.#memory.bytes;
    frame.layOut(piece, bytes, slot === undefined ? frontBytes : dataOf(slot));
    if (piece !== undefined) this.#queue.shift();
    const { count, payloadBytes } = frame;
    window.sentBytes += payloadBytes;
    session.data(frameKinds.blocks, bytes, frame.start, count, payloadBytes, () => {
      if (slot !== undefined) this.#giveBackSlot(slot);
      sent();
    });
    return true;
  }

  /** Bytes of the device that the last frame stands for, zeroes included (MD 36). */
  get lastFrameBytes(): number {
    return this.#frame.coveredBytes;
  }

  completed(tag: number, result: number): void {
    const item = this.#reading[tag]!;
    this.#reading[tag] = undefined;
    this.#readCount -= 1;
    if (this.#readCount === 0) this.#readsEnded?.();
    if (item.dropped) {
      this.#giveBackSlots(item);
      return;
    }
    const { devices, refresh, failed, changed } = this.#options;
    item.state = 'read';
    if (result !== refresh.lengthOf(item.device, item.first, item.count)) {
      this.reset();
      failed(devices[item.device]!.path, result < 0 ? -result : EIO);
      return;
    }
    item.zeroMask = this.#zeroMask(item);
    if (!item.compare) {
      item.state = 'ready';
      if (item.zeroMask === 2 ** item.count - 1) this.#giveBackSlots(item);
    }
    changed();
  }

  /** Nothing of what was taken so far will be sent: back into `todo` with it. */
  reset(): void {
    const { refresh } = this.#options;
    const probed = this.#probed;
    this.#probed = undefined;
    if (probed !== undefined) {
      refresh.giveBack(probed.device, probed.first, probed.count, probed.compare);
    }
    for (const { device, first, count } of this.#frame.zeroes) {
      refresh.giveBack(device, first, count, false);
    }
    this.#frame.forgetZeroes();
    this.#batches.forget();
    const queue = this.#queue;
    this.#queue = [];
    for (const item of queue) {
      refresh.giveBack(item.device, item.first, item.count, item.compare);
      // A read under way ends in memory that nobody looks at, and frees its slots then.
      if (item.state === 'reading') item.dropped = true;
      else this.#giveBackSlots(item);
    }
  }

  /** Resolves when no read is under way; the memory is given up when no frame uses it either. */
  async close(): Promise<void> {
    assert(!this.#closed, 'a sender is closed once');
    this.#closed = true;
    this.reset();
    this.#releaseIfFree();
    if (this.#readCount === 0) return;
    await new Promise<void>((resolve) => {
      this.#readsEnded = resolve;
    });
  }

  get #readMax(): number {
    return this.#options.compares ? hashBlocksMax : readBlocksMax;
  }

  /** Of what waits to be sent without a comparison; what is compared may well not travel. */
  #unsentBytes(): number {
    let items = 0;
    for (const { compare } of this.#queue) if (!compare) items += 1;
    return items * babEntryPayloadMax;
  }

  #read(): void {
    const { devices, refresh } = this.#options;
    const { taken } = refresh;
    const slotsMax = taken.compare ? Math.min(slotsPerBatch, this.#free.length) : 1;
    refresh.keep(Math.min(taken.count, slotsMax * readBlocksMax));
    const { device, first, count, compare } = taken;
    const slots: number[] = [];
    for (let block = 0; block < count; block += readBlocksMax) slots.push(this.#free.pop()!);
    const tag = slots[0]!;
    const vector = this.#vectors[tag]!.reset(this.#memory.arena);
    for (const [index, slot] of slots.entries()) {
      const block = index * readBlocksMax;
      const blocks = Math.min(readBlocksMax, count - block);
      vector.push(dataOf(slot), refresh.lengthOf(device, first + block, blocks));
    }
    const item: Item = {
      ...ready(device, first, count, 0, 0, slots),
      state: 'reading',
      compare,
    };
    this.#options.throttle.read(vector.totalBytes);
    this.#queue.push(item);
    this.#reading[tag] = item;
    this.#readCount += 1;
    devices[device]!.read(vector, first * mapBlockBytes, this, tag);
  }

  #zeroMask(item: Item): number {
    let mask = 0;
    for (let block = 0; block < item.count; block += 1) {
      const slot = item.slots[Math.floor(block / readBlocksMax)]!;
      const at = dataOf(slot) + (block % readBlocksMax) * mapBlockBytes;
      const { device, first } = item;
      if (this.#frame.isZero(device, first + block, this.#memory.bytes, at)) mask |= 1 << block;
    }
    return mask;
  }

  /** The bits are clear already, so the question counts as a read (Rule 2). */
  #probe(probe: Probe): void {
    this.#probed = probe;
    const offset = probe.first * mapBlockBytes;
    const answer = this.#context.guard((extent: Extent) => {
      if (this.#probed !== probe) return;
      this.#probed = undefined;
      this.#extentKnown(probe, extent);
      this.#options.changed();
    });
    this.#options.devices[probe.device]!.extentAt(offset).then(answer, () =>
      // Whoever cannot say is read.
      answer({ length: mapBlockBytes, hole: false }),
    );
  }

  #extentKnown({ device, first, count, compare }: Probe, extent: Extent): void {
    const { refresh } = this.#options;
    const length = refresh.lengthOf(device, first, count);
    const blocks = extent.length >= length ? count : Math.floor(extent.length / mapBlockBytes);
    if (!extent.hole || blocks === 0) {
      this.#dataUntil[device] = first * mapBlockBytes + Math.max(mapBlockBytes, extent.length);
      this.#read();
      return;
    }
    refresh.keep(blocks);
    if (!compare) {
      this.#queue.push(ready(device, first, blocks, 0, 0, []));
      return;
    }
    for (let block = 0; block < blocks; block += hashBlocksMax) {
      const part = Math.min(hashBlocksMax, blocks - block);
      const item = ready(device, first + block, part, 2 ** part - 1, 0, []);
      this.#queue.push({ ...item, state: 'read', compare });
    }
  }

  #giveBackSlots(item: Item): void {
    const { slots } = item;
    item.slots = [];
    for (const slot of slots) this.#giveBackSlot(slot);
  }

  #giveBackSlot(slot: number): void {
    this.#free.push(slot);
    if (this.#closed) this.#releaseIfFree();
    else this.#options.changed();
  }

  #releaseIfFree(): void {
    if (this.#free.length === this.#slotCount) this.#context.ports.devices.release(this.#memory);
  }
}

/** Zeroes that travel as a record without data. */
function isZeroes({ state, slots }: Item): boolean {
  return state === 'ready' && slots.length === 0;
}

/** Enough for every batch that may be under way, and for what is sent meanwhile. */
function slotsFor(devices: readonly BlockDevice[]): number {
  const pieces = devices.reduce((sum, { sizeBytes }) => sum + sizeBytes / babEntryPayloadMax, 0);
  return plainSlots + Math.min(hashBatchesMax * slotsPerBatch, Math.ceil(pieces));
}

const plainSlots = 8;
/** Holes take no memory, so their number is bounded by itself. */
const queueMax = 256;
const EIO = 5;

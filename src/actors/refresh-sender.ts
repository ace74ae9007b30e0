/**
 * Blocks of the local devices onto the link: takes them from the walk (core/engine/refresh.ts), reads
 * several pieces at a time into memory of its own, and sends them as BLOCKS frames in the order they
 * were taken, whatever order the reads end in (H2, H12). A frame is built around the data where it
 * was read, so nothing is copied:
 *
 *   slot  │ … │ header │ table │ data, aligned for direct reads … │
 *
 * Zeroes become records without data, joined over neighbours; a hole is not even read. Blocks that
 * were taken and not sent go back to `todo` when the session ends or an attempt is aborted.
 */
import { assert } from '../core/assert.js';
import { babEntryPayloadMax, frameHeaderBytes, mapBlockBytes } from '../core/constants.js';
import type { Refresh } from '../core/engine/refresh.js';
import type { Window } from '../core/engine/window.js';
import { IoVector } from '../core/io-vector.js';
import { frameKinds } from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice, Extent } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { ActorContext } from './actor.js';
import {
  type BlockPiece,
  BlocksFrame,
  frontBytes,
  type ReadPiece,
  readBlocksMax,
  zeroBlocksMax,
} from './blocks-frame.js';
import type { PmdSession } from './pmd-session.js';

/** A piece in the order of the walk: being read, read, or known to be zeroes (no slot). */
interface Item extends ReadPiece {
  readonly slot: number;
  ready: boolean;
}

export interface RefreshSenderOptions {
  readonly devices: readonly BlockDevice[];
  readonly refresh: Refresh;
  /** Something became ready to be sent, or memory became free. */
  readonly changed: () => void;
  readonly failed: (path: string, errno: number) => void;
}

export class RefreshSender implements CompletionSink {
  readonly #context: ActorContext;
  readonly #options: RefreshSenderOptions;
  readonly #memory: ArenaMemory;
  readonly #frame: BlocksFrame;
  readonly #vectors: readonly IoVector[];
  /** The item each slot is read for; undefined when it was given up meanwhile. */
  readonly #reading: (Item | undefined)[];
  readonly #free: number[];
  #queue: Item[] = [];
  /** The piece whose extent is being asked for. No other is taken meanwhile. */
  #probed: BlockPiece | undefined;
  /** Per device: up to here it was said to hold data, no need to ask again. */
  readonly #dataUntil: number[];
  #closed = false;
  #readCount = 0;
  #readsEnded: (() => void) | undefined;

  constructor(context: ActorContext, options: RefreshSenderOptions) {
    this.#context = context;
    this.#options = options;
    this.#memory = context.ports.devices.allocate(slotCount * slotBytes);
    this.#frame = new BlocksFrame(context.ports.devices.digest, options.refresh);
    this.#vectors = Array.from({ length: slotCount }, () => new IoVector(1));
    this.#reading = Array.from({ length: slotCount }, () => undefined);
    this.#free = Array.from({ length: slotCount }, (_, slot) => slot);
    this.#dataUntil = options.devices.map(() => 0);
  }

  /** Every taken block was read: once F is all taken, this ends R5. */
  get allRead(): boolean {
    return this.#probed === undefined && this.#queue.every((item) => item.ready);
  }

  /** Every taken block was sent. */
  get allSent(): boolean {
    return (
      this.#probed === undefined && this.#queue.length === 0 && this.#frame.zeroes.length === 0
    );
  }

  /** Starts reads while there is memory, and credit for what they will become. */
  readAhead(creditBytes: number): void {
    const { refresh } = this.#options;
    let unsent = this.#queue.length * babEntryPayloadMax;
    while (this.#free.length > 0 && this.#probed === undefined && !this.#closed) {
      if (unsent > 0 && unsent + babEntryPayloadMax > creditBytes) return;
      const known = refresh.walkOffset < (this.#dataUntil[refresh.walkDevice] ?? 0);
      if (!refresh.take(known ? readBlocksMax : zeroBlocksMax, this.#context.clock.now())) return;
      const { device, first, count } = refresh.taken;
      if (first * mapBlockBytes < this.#dataUntil[device]!) this.#read();
      else this.#probe({ device, first, count });
      unsent += babEntryPayloadMax;
    }
  }

  /** Sends one frame of at most `creditBytes`. False: nothing is ready, or there is no credit. */
  send(session: PmdSession, window: Window, creditBytes: number, sent: () => void): boolean {
    const frame = this.#frame;
    let head = this.#queue[0];
    for (; head?.ready && head.slot < 0 && !frame.zeroesFull; head = this.#queue[0]) {
      frame.addZeroes(head);
      this.#queue.shift();
    }
    const piece = head?.ready && head.slot >= 0 ? head : undefined;
    if (piece === undefined) {
      // Zeroes wait for neighbours while more is on its way.
      const last = this.#queue.length === 0 && this.#probed === undefined;
      if (frame.zeroes.length === 0 || !(last || frame.zeroesFull)) return false;
    }
    if (frame.payloadOf(piece) > creditBytes) return false;
    if (frame.count > this.#options.refresh.records.room) return false;
    const bytes = piece === undefined ? new Uint8Array(frontBytes) : this.#memory.bytes;
    const data = piece === undefined ? frontBytes : dataOf(piece.slot);
    frame.layOut(piece, bytes, data);
    if (piece !== undefined) this.#queue.shift();
    const { count, payloadBytes } = frame;
    window.sentBytes += payloadBytes;
    session.data(frameKinds.blocks, bytes, frame.start, count, payloadBytes, () => {
      if (piece !== undefined) this.#giveBackSlot(piece.slot);
      sent();
    });
    return true;
  }

  /** Bytes that the last frame gave to the link, and those of them that are data. */
  get lastFrame(): { readonly linkBytes: number; readonly dataBytes: number } {
    const { payloadBytes, dataBytes } = this.#frame;
    return { linkBytes: frameHeaderBytes + payloadBytes, dataBytes };
  }

  completed(tag: number, result: number): void {
    const item = this.#reading[tag];
    this.#reading[tag] = undefined;
    this.#readCount -= 1;
    if (this.#readCount === 0) this.#readsEnded?.();
    if (item === undefined) {
      this.#giveBackSlot(tag);
      return;
    }
    const { devices, refresh, failed, changed } = this.#options;
    const wanted = refresh.lengthOf(item.device, item.first, item.count);
    if (result !== wanted) {
      this.#giveBackSlot(tag);
      this.reset();
      failed(devices[item.device]!.path, result < 0 ? -result : EIO);
      return;
    }
    item.zeroMask = this.#frame.zeroMask(item, this.#memory.bytes, dataOf(tag));
    item.ready = true;
    if (item.zeroMask === 2 ** item.count - 1) {
      this.#queue[this.#queue.indexOf(item)] = { ...item, slot: -1 };
      this.#giveBackSlot(tag);
    }
    changed();
  }

  /** Nothing of what was taken so far will be sent: back into `todo` with it. */
  reset(): void {
    if (this.#probed !== undefined) this.#giveBack(this.#probed);
    this.#probed = undefined;
    for (const zeroes of this.#frame.zeroes) this.#giveBack(zeroes);
    this.#frame.forgetZeroes();
    const queue = this.#queue;
    this.#queue = [];
    for (const item of queue) {
      this.#giveBack(item);
      if (item.ready && item.slot >= 0) this.#giveBackSlot(item.slot);
      // A read under way ends in memory that nobody looks at, and frees the slot then.
      if (!item.ready) this.#reading[item.slot] = undefined;
    }
  }

  /** Resolves when no read is under way; the memory is given up when no frame uses it either. */
  async close(): Promise<void> {
    assert(!this.#closed, 'a sender is closed once');
    this.#closed = true;
    this.reset();
    if (this.#free.length === slotCount) this.#context.ports.devices.release(this.#memory);
    if (this.#readCount === 0) return;
    await new Promise<void>((resolve) => {
      this.#readsEnded = resolve;
    });
  }

  #read(): void {
    const { devices, refresh } = this.#options;
    refresh.keep(Math.min(refresh.taken.count, readBlocksMax));
    const { device, first, count } = refresh.taken;
    const slot = this.#free.pop()!;
    const item: Item = { device, first, count, zeroMask: 0, slot, ready: false };
    this.#queue.push(item);
    this.#reading[slot] = item;
    this.#readCount += 1;
    const length = refresh.lengthOf(device, first, count);
    const vector = this.#vectors[slot]!.single(this.#memory.arena, dataOf(slot), length);
    devices[device]!.read(vector, first * mapBlockBytes, this, slot);
  }

  /** The bits are clear already, so the question counts as a read (Rule 2). */
  #probe(piece: BlockPiece): void {
    this.#probed = piece;
    const offset = piece.first * mapBlockBytes;
    const answer = this.#context.guard((extent: Extent) => {
      if (this.#probed !== piece) return;
      this.#probed = undefined;
      this.#extentKnown(piece, extent);
      this.#options.changed();
    });
    this.#options.devices[piece.device]!.extentAt(offset).then(answer, () =>
      // Whoever cannot say is read.
      answer({ length: mapBlockBytes, hole: false }),
    );
  }

  #extentKnown({ device, first, count }: BlockPiece, extent: Extent): void {
    const { refresh } = this.#options;
    const length = refresh.lengthOf(device, first, count);
    const blocks = extent.length >= length ? count : Math.floor(extent.length / mapBlockBytes);
    if (extent.hole && blocks > 0) {
      refresh.keep(blocks);
      this.#queue.push({ device, first, count: blocks, zeroMask: 0, slot: -1, ready: true });
      return;
    }
    this.#dataUntil[device] = first * mapBlockBytes + Math.max(mapBlockBytes, extent.length);
    this.#read();
  }

  #giveBack({ device, first, count }: BlockPiece): void {
    this.#options.refresh.giveBack(device, first, count);
  }

  #giveBackSlot(slot: number): void {
    this.#free.push(slot);
    if (!this.#closed) this.#options.changed();
    else if (this.#free.length === slotCount) this.#context.ports.devices.release(this.#memory);
  }
}

const slotCount = 8;
const slotBytes = frontBytes + babEntryPayloadMax;
const EIO = 5;

/** Where the data of a slot begins. */
function dataOf(slot: number): number {
  return slot * slotBytes + frontBytes;
}

/**
 * The batches of a backfresh that are under way, and their memory: read from the local device, hashed,
 * and, when the other side says what differs, filled with its blocks and written back (Rule 30).
 *
 *   reading ─► asked ─ differs ─► filling ─ blocks, writes ─► done
 *
 * One slot of memory a batch; what was read is not needed any more when blocks come for it. A batch that
 * was given up keeps its slot until its I/O has ended, and nobody looks at what that brought.
 */
import { hashBlocksMax, mapBlockBytes } from '../core/constants.js';
import type { Backfresh, BackfreshRun } from '../core/engine/backfresh.js';
import { IoVector } from '../core/io-vector.js';
import { type Differs, entryFlags, type WireEntry } from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { ActorContext } from './actor.js';
import type { PmdSession } from './pmd-session.js';

interface Batch {
  readonly run: BackfreshRun;
  readonly slot: number;
  number: number;
  /** Blocks that differ and have not come; and those that came and are being written. */
  missing: number;
  writes: number;
  /** I/O of it is under way, of whatever kind. */
  busy: number;
  dropped: boolean;
}

interface Operation {
  readonly batch: Batch;
  readonly wanted: number;
  readonly read: boolean;
}

export interface BatchHooks {
  readonly done: (run: BackfreshRun, writtenBytes: number) => void;
  readonly failed: (path: string, operation: 'read' | 'write', errno: number) => void;
  /** Something became possible. */
  readonly changed: () => void;
}

export class BackfreshBatches implements CompletionSink {
  readonly #context: ActorContext;
  readonly #devices: readonly BlockDevice[];
  readonly #walk: Backfresh;
  readonly #hooks: BatchHooks;
  readonly #memory: ArenaMemory;
  readonly #free = Array.from({ length: slotCount }, (_, slot) => slot);
  readonly #operations = new Map<number, Operation>();
  #nextTag = 1;
  /** Read, and not asked for yet. */
  #read: Batch[] = [];
  #asked = new Map<number, Batch>();
  #filling: Batch[] = [];
  #idle: (() => void)[] = [];

  constructor(
    context: ActorContext,
    devices: readonly BlockDevice[],
    walk: Backfresh,
    hooks: BatchHooks,
  ) {
    this.#context = context;
    this.#devices = devices;
    this.#walk = walk;
    this.#hooks = hooks;
    this.#memory = context.ports.devices.allocate(slotCount * slotBytes);
  }

  /** Reads as much as there is memory for. */
  readAhead(): void {
    while (this.#free.length > 0) {
      const run = this.#walk.take();
      if (run === undefined) return;
      const slot = this.#free.pop()!;
      const batch = { run, slot, number: 0, missing: 0, writes: 0, busy: 0, dropped: false };
      const length = this.#walk.lengthOf(run);
      const vector = new IoVector(1).single(this.#memory.arena, slot * slotBytes, length);
      const tag = this.#begin({ batch, wanted: length, read: true });
      this.#devices[run.device]!.read(vector, run.first * mapBlockBytes, this, tag);
    }
  }

  /** Sends the hashes of what was read. */
  ask(session: PmdSession): void {
    for (; this.#read.length > 0 && session.hashesUnderWay < underWayMax; ) {
      if (!session.writable) return;
      const batch = this.#read.shift()!;
      session.hashBatches += 1;
      session.hashesUnderWay += 1;
      batch.number = session.hashBatches;
      this.#asked.set(batch.number, batch);
      const { device, first } = batch.run;
      const hashes = this.#hash(session, batch);
      const offset = first * mapBlockBytes;
      session.control({ kind: 'hashes', batch: batch.number, device, offset, hashes });
    }
  }

  /** What is wrong with this answer, if anything. */
  differs({ batch: number, bits }: Differs): string | undefined {
    const batch = this.#asked.get(number);
    if (batch === undefined) return 'an answer to hashes that were never sent';
    const { count } = batch.run;
    if (bits.length !== Math.ceil(count / 8)) return 'an answer of another length';
    this.#asked.delete(number);
    batch.missing = (bits[0]! | ((bits[1] ?? 0) << 8)) & (2 ** count - 1);
    if (batch.missing === 0) this.#end(batch);
    else this.#filling.push(batch);
    return undefined;
  }

  /** One record of a BLOCKS frame, its data at `bytes[at…]`; what is wrong with it, if anything. */
  block(entry: Readonly<WireEntry>, bytes: Uint8Array, at: number): string | undefined {
    const { device, offset, length, flags } = entry;
    const first = offset / mapBlockBytes;
    const count = Math.ceil(length / mapBlockBytes);
    const batch = this.#filling.find(
      ({ run }) =>
        run.device === device && first >= run.first && first + count <= run.first + run.count,
    );
    if (batch === undefined) return 'blocks that nobody asked for';
    const run = { device, first, count };
    if (!Number.isInteger(first) || length !== this.#walk.lengthOf(run)) return 'half a block';
    const mask = (2 ** count - 1) << (first - batch.run.first);
    if ((batch.missing & mask) !== mask) return 'blocks that do not differ';
    batch.missing &= ~mask;
    batch.writes += 1;
    const target = this.#devices[device]!;
    if ((flags & entryFlags.zero) !== 0) {
      const tag = this.#begin({ batch, wanted: 0, read: false });
      target.zero(offset, length, { mayUnmap: false, fua: false }, this, tag);
      return undefined;
    }
    const place = batch.slot * slotBytes + (first - batch.run.first) * mapBlockBytes;
    this.#memory.bytes.set(bytes.subarray(at, at + length), place);
    const vector = new IoVector(1).single(this.#memory.arena, place, length);
    target.write(vector, offset, false, this, this.#begin({ batch, wanted: length, read: false }));
    return undefined;
  }

  completed(tag: number, result: number): void {
    const { batch, wanted, read } = this.#operations.get(tag)!;
    this.#operations.delete(tag);
    batch.busy -= 1;
    const { device, first } = batch.run;
    // A zeroing reports 0; what was read or written must be all of it.
    if (result < 0 || (wanted > 0 && result !== wanted)) {
      const { path } = this.#devices[device]!;
      const errno = result < 0 ? -result : EIO;
      if (!batch.dropped) this.#hooks.failed(path, read ? 'read' : 'write', errno);
      batch.dropped = true;
    } else if (!read) {
      batch.writes -= 1;
      this.#hooks.done({ device, first, count: 0 }, wanted);
    }
    if (batch.dropped) {
      if (batch.busy === 0) this.#release(batch);
    } else if (read) this.#read.push(batch);
    else if (batch.missing === 0 && batch.writes === 0) {
      this.#filling = this.#filling.filter((one) => one !== batch);
      this.#end(batch);
    }
    this.#hooks.changed();
    if (this.#operations.size > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Nothing of what is under way counts; resolves when none of its I/O is. */
  async giveUp(): Promise<void> {
    const waiting = [...this.#read, ...this.#asked.values(), ...this.#filling];
    for (const { batch } of this.#operations.values()) batch.dropped = true;
    this.#read = [];
    this.#asked = new Map();
    this.#filling = [];
    for (const batch of waiting) {
      batch.dropped = true;
      if (batch.busy === 0) this.#release(batch);
    }
    if (this.#operations.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve);
    });
  }

  async close(): Promise<void> {
    await this.giveUp();
    this.#context.ports.devices.release(this.#memory);
  }

  #begin(operation: Operation): number {
    const tag = this.#nextTag;
    this.#nextTag += 1;
    operation.batch.busy += 1;
    this.#operations.set(tag, operation);
    return tag;
  }

  #hash(session: PmdSession, { run, slot }: Batch): Uint8Array {
    const { digest } = this.#context.ports.devices;
    const { low, high } = session.hashSeed;
    const hashes = new Uint8Array(run.count * hashBytes);
    for (let block = 0; block < run.count; block += 1) {
      const one = { device: run.device, first: run.first + block, count: 1 };
      const at = slot * slotBytes + block * mapBlockBytes;
      const length = this.#walk.lengthOf(one);
      digest.xxh3(this.#memory.bytes, at, length, hashes, block * hashBytes, low, high);
    }
    return hashes;
  }

  #end(batch: Batch): void {
    this.#hooks.done(batch.run, 0);
    this.#release(batch);
  }

  #release({ slot }: Batch): void {
    this.#free.push(slot);
  }
}

const hashBytes = 16;
const slotBytes = hashBlocksMax * mapBlockBytes;
const slotCount = 8;
/** Fewer than the secondary takes: it counts a batch until its blocks are on their way. */
const underWayMax = slotCount;
const EIO = 5;

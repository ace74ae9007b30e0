/**
 * A driver of a device that is an array: the smallest thing an NBD connection can talk to, for
 * tests of the protocol without BAB, modes or disks. Payload memory is handed out in small chunks
 * that do not lie side by side, like the BAB's, and is bounded, so `reserve` does refuse.
 *
 * It executes each request in a turn of its own, in order, unless `held`; then a test executes them
 * one by one, in the order it likes. It does not order overlapping writes: that is the product's
 * driver's duty (I9).
 */
import {
  addExtent,
  type DriverRequest,
  type DriverSession,
  driverOp,
} from '../actors/driver-port.js';
import { assert } from '../core/assert.js';
import { IoVector } from '../core/io-vector.js';
import { allocationState } from '../core/nbd/constants.js';
import type { ArenaMemory } from '../ports/block-device.js';
import type { Clock } from '../ports/clock.js';
import type { Arenas } from './arenas.js';

export interface MemoryDriverOptions {
  readonly sizeBytes: number;
  /** Memory for payloads; a single write larger than that can never be received. */
  readonly payloadBytes?: number;
  readonly chunkBytes?: number;
  readonly held?: boolean;
}

const blockBytes = 4096;

export class MemoryDriver implements DriverSession {
  /** What the device holds; filled by writes and by `load`, which know where holes end. */
  readonly disk: Uint8Array;
  /** What was executed, oldest first: `write 4096+512 fua`. */
  readonly log: string[] = [];
  /** Requests that were submitted and not executed yet. */
  readonly waiting: DriverRequest[] = [];
  held: boolean;
  /** The error of every request executed from now on. */
  error = 0;

  readonly #clock: Clock;
  readonly #payloads: ArenaMemory;
  readonly #chunkBytes: number;
  readonly #freeChunks: number[] = [];
  readonly #chunkCount: number;
  /** One byte a block: whether it was ever written. */
  readonly #allocated: Uint8Array;
  #refused = new Set<DriverRequest['session']>();

  constructor(clock: Clock, arenas: Arenas, options: MemoryDriverOptions) {
    this.#clock = clock;
    this.held = options.held ?? false;
    this.disk = new Uint8Array(options.sizeBytes);
    this.#allocated = new Uint8Array(Math.ceil(options.sizeBytes / blockBytes));
    this.#chunkBytes = options.chunkBytes ?? 16 * 1024;
    this.#chunkCount = Math.ceil((options.payloadBytes ?? 2 ** 26) / this.#chunkBytes);
    this.#payloads = arenas.allocate(this.#chunkCount * this.#chunkBytes);
    // Every other chunk first, so that a payload is never one piece by luck.
    for (let chunk = 0; chunk < this.#chunkCount; chunk += 2) this.#freeChunks.push(chunk);
    for (let chunk = 1; chunk < this.#chunkCount; chunk += 2) this.#freeChunks.push(chunk);
  }

  /** Whether every chunk came back. */
  get idle(): boolean {
    return this.#freeChunks.length === this.#chunkCount && this.waiting.length === 0;
  }

  /** Puts data on the device as if it had been written long ago. */
  load(bytes: Uint8Array, offset = 0): void {
    this.disk.set(bytes, offset);
    this.#mark(offset, bytes.length, 1);
  }

  reserve(request: DriverRequest): boolean {
    const needed = Math.ceil(request.length / this.#chunkBytes);
    assert(needed <= this.#chunkCount, 'the payload memory holds the largest write');
    if (needed > this.#freeChunks.length) {
      this.#refused.add(request.session);
      return false;
    }
    if (request.memory.capacity < needed) request.memory = new IoVector(needed);
    request.memory.reset(this.#payloads.arena);
    request.bytes = this.#payloads.bytes;
    for (let left = request.length; left > 0; left -= this.#chunkBytes) {
      const offset = this.#freeChunks.pop()! * this.#chunkBytes;
      request.memory.push(offset, Math.min(left, this.#chunkBytes));
    }
    return true;
  }

  submit(request: DriverRequest): void {
    this.waiting.push(request);
    if (!this.held) this.#clock.after(0, () => this.waiting.length > 0 && this.execute());
  }

  abandon(request: DriverRequest): void {
    this.log.push(`abandon ${request.offset}+${request.length}`);
    this.#free(request);
  }

  /** Executes a waiting request, the oldest if not told otherwise, and gives it back. */
  execute(index = 0): void {
    const [request] = this.waiting.splice(index, 1);
    assert(request !== undefined, 'only waiting requests are executed');
    const name = Object.keys(driverOp)[request.op]!;
    const flags = (request.fua ? ' fua' : '') + (request.noHole ? ' nohole' : '');
    this.log.push(`${name} ${request.offset}+${request.length}${flags}`);
    request.error = this.error;
    if (this.error === 0) this.#run(request);
    if (request.op === driverOp.write) this.#free(request);
    request.session.executed(request);
  }

  #run(request: DriverRequest): void {
    const { op, offset, length } = request;
    if (op === driverOp.read) this.#read(request);
    else if (op === driverOp.write) this.#write(request);
    else if (op === driverOp.status) this.#status(request);
    else if (op === driverOp.trim || op === driverOp.zero) {
      this.disk.fill(0, offset, offset + length);
      if (!request.noHole) this.#mark(offset, length, 0);
    }
  }

  #read(request: DriverRequest): void {
    const { offset, length, memory, bytes } = request;
    if (request.mayHole && !this.#holds(offset, length)) {
      request.hole = true;
      return;
    }
    let from = offset;
    for (let piece = 0; piece < memory.count; piece++) {
      const count = memory.lengths[piece]!;
      bytes.set(this.disk.subarray(from, from + count), memory.offsets[piece]);
      from += count;
    }
    assert(from === offset + length, 'the memory of a read is as long as the read');
  }

  #write(request: DriverRequest): void {
    const { memory, bytes } = request;
    let to = request.offset;
    for (let piece = 0; piece < memory.count; piece++) {
      const start = memory.offsets[piece]!;
      const count = memory.lengths[piece]!;
      this.disk.set(bytes.subarray(start, start + count), to);
      to += count;
    }
    this.#mark(request.offset, request.length, 1);
  }

  #status(request: DriverRequest): void {
    let at = request.offset;
    const end = request.offset + request.length;
    while (at < end) {
      const block = Math.floor(at / blockBytes);
      const next = Math.min(end, (block + 1) * blockBytes);
      const state = this.#allocated[block] === 1 ? 0 : allocationState.hole | allocationState.zero;
      if (!addExtent(request, next - at, state)) return;
      at = next;
    }
  }

  /** Blocks that a range only touches become data, and stay data. */
  #mark(offset: number, length: number, value: 0 | 1): void {
    const round = value === 1 ? Math.floor : Math.ceil;
    const end = value === 1 ? Math.ceil : Math.floor;
    const first = round(offset / blockBytes);
    this.#allocated.fill(value, first, Math.max(first, end((offset + length) / blockBytes)));
  }

  #holds(offset: number, length: number): boolean {
    const last = Math.ceil((offset + length) / blockBytes);
    return this.#allocated.subarray(Math.floor(offset / blockBytes), last).includes(1);
  }

  #free(request: DriverRequest): void {
    const { memory } = request;
    for (let piece = 0; piece < memory.count; piece++) {
      const first = memory.offsets[piece]! / this.#chunkBytes;
      const count = Math.ceil(memory.lengths[piece]! / this.#chunkBytes);
      for (let chunk = first; chunk < first + count; chunk++) this.#freeChunks.push(chunk);
    }
    memory.reset(memory.arena);
    const waiters = this.#refused;
    this.#refused = new Set();
    for (const waiter of waiters) waiter.resumed();
  }
}

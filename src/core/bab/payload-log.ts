/**
 * Memory for payload, log-structured: a bump pointer in the current chunk, and per chunk the bytes
 * that are still needed; a chunk goes back to the pool when that is 0.
 *
 *   chunk 4        chunk 5        chunk 9 (current)
 *   │aaaa│bb│······│cccccccccccc│dd│e│→ bump
 *
 * A payload is one piece when it fits a chunk, and otherwise joins neighbouring chunks where the
 * pool has them. Private to the driver's thread; recovery rebuilds the counts from what is held.
 */
import { assert } from '../assert.js';
import { babChunkBytes, nbdRequestMax } from '../constants.js';
import type { IoVector } from '../io-vector.js';
import type { BabPool } from './pool.js';

const chunksOfRequestMax = nbdRequestMax / babChunkBytes + 1;

export class PayloadLog {
  readonly #pool: BabPool;
  readonly #slot: number;
  readonly #live: Int32Array;
  readonly #taken = new Int32Array(chunksOfRequestMax);
  #current = -1;
  #bump = 0;

  constructor(pool: BabPool, slot: number) {
    this.#pool = pool;
    this.#slot = slot;
    this.#live = new Int32Array(pool.chunkCount);
  }

  /**
   * Memory for `length` bytes, each piece beginning at a multiple of `alignment`, as pieces in
   * `into`. False: the group may not take so much now, and nothing was taken.
   */
  reserve(length: number, alignment: number, into: IoVector): boolean {
    assert(length > 0 && length <= nbdRequestMax, 'a payload has 1 byte to 32 MiB');
    const start = Math.ceil(this.#bump / alignment) * alignment;
    if (this.#current >= 0 && start + length <= babChunkBytes) {
      into.reset(this.#pool.memoryOf(this.#current));
      this.#place(this.#current, start, length, into);
      this.#bump = start + length;
      return true;
    }
    return this.#reserveFresh(length, start, into);
  }

  /** The bytes are not needed any more. A range may span neighbouring chunks. */
  release(memory: number, offset: number, length: number): void {
    let left = length;
    let from = offset;
    while (left > 0) {
      const chunk = this.#pool.chunkAt(memory, from);
      const inside = Math.min(left, babChunkBytes - (from % babChunkBytes));
      const live = this.#live[chunk]! - inside;
      assert(live >= 0, 'payload is released once');
      this.#live[chunk] = live;
      if (live === 0) this.#emptied(chunk);
      left -= inside;
      from += inside;
    }
  }

  releaseAll(memory: IoVector): void {
    for (let piece = 0; piece < memory.count; piece++) {
      this.release(memory.arena, memory.offsets[piece]!, memory.lengths[piece]!);
    }
  }

  /** Recovery: this range is held. */
  hold(memory: number, offset: number, length: number): void {
    let left = length;
    let from = offset;
    while (left > 0) {
      const chunk = this.#pool.chunkAt(memory, from);
      const inside = Math.min(left, babChunkBytes - (from % babChunkBytes));
      this.#live[chunk] = this.#live[chunk]! + inside;
      left -= inside;
      from += inside;
    }
  }

  liveBytes(chunk: number): number {
    return this.#live[chunk]!;
  }

  /** Gives the current chunk back if nothing lives in it: an idle group holds no memory. */
  trim(): void {
    if (this.#current < 0 || this.#live[this.#current] !== 0) return;
    this.#pool.giveBack(this.#slot, this.#current);
    this.#current = -1;
    this.#bump = 0;
  }

  #reserveFresh(length: number, start: number, into: IoVector): boolean {
    const pool = this.#pool;
    const before = this.#current;
    let first = pool.take(this.#slot, before);
    // The rest of the current chunk is used only if the payload stays in one piece.
    let tail = before >= 0 && this.#follows(before, first) ? Math.max(0, babChunkBytes - start) : 0;
    let count = 0;
    // A payload that would run from one memory into the next begins anew there.
    for (let memory = 0; count === 0; memory++) {
      if (first < 0 || memory > pool.memories.length) return false;
      count = this.#takeBehind(first, length - tail, into.capacity);
      if (count < 0) {
        first = -1 - count;
        count = 0;
        tail = 0;
      } else if (count === 0) {
        return false;
      }
    }
    into.reset(pool.memoryOf(first));
    if (tail > 0) this.#place(before, start, tail, into);
    let left = length - tail;
    for (let index = 0; index < count; index++) {
      this.#bump = Math.min(left, babChunkBytes);
      this.#place(this.#taken[index]!, 0, this.#bump, into);
      left -= this.#bump;
    }
    this.#current = this.#taken[count - 1]!;
    if (before >= 0 && this.#live[before] === 0) pool.giveBack(this.#slot, before);
    return true;
  }

  /**
   * Takes chunks behind `first` until they hold `bytes`, in one memory and at most `piecesMax`
   * pieces. Returns their count; or gives all back and returns 0 when it cannot be had, or
   * −1 − chunk when `chunk`, which is kept, is the first of another memory.
   */
  #takeBehind(first: number, bytes: number, piecesMax: number): number {
    const pool = this.#pool;
    let count = 0;
    let pieces = 1;
    let next = first;
    for (let left = bytes; ; left -= babChunkBytes) {
      this.#taken[count++] = next;
      if (left <= babChunkBytes) return count;
      const last = next;
      next = pool.take(this.#slot, last);
      if (next >= 0 && !this.#follows(last, next)) pieces++;
      const elsewhere = next >= 0 && pool.memoryOf(next) !== pool.memoryOf(first);
      if (next < 0 || elsewhere || pieces > piecesMax) {
        while (count > 0) pool.giveBack(this.#slot, this.#taken[--count]!);
        if (elsewhere) return -1 - next;
        if (next >= 0) pool.giveBack(this.#slot, next);
        return 0;
      }
    }
  }

  #follows(chunk: number, next: number): boolean {
    return next === chunk + 1 && this.#pool.memoryOf(chunk) === this.#pool.memoryOf(next);
  }

  #place(chunk: number, offset: number, length: number, into: IoVector): void {
    this.#live[chunk] = this.#live[chunk]! + length;
    into.push(this.#pool.offsetOf(chunk) + offset, length);
  }

  #emptied(chunk: number): void {
    if (chunk === this.#current) this.#bump = 0;
    else this.#pool.giveBack(this.#slot, chunk);
  }
}

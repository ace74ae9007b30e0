/**
 * A list of memory pieces that one device or socket operation reads or writes, in order.
 *
 * Memory is addressed as (arena, offset, length): an arena is one SharedArrayBuffer that the I/O
 * core knows by number. All pieces of one vector lie in the same arena. Vectors are allocated once
 * and refilled, so that the data path allocates nothing per request.
 */
import { assert } from './assert.js';

export class IoVector {
  arena = 0;
  count = 0;
  totalBytes = 0;
  readonly offsets: Float64Array;
  readonly lengths: Uint32Array;
  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.offsets = new Float64Array(capacity);
    this.lengths = new Uint32Array(capacity);
  }

  reset(arena: number): this {
    this.arena = arena;
    this.count = 0;
    this.totalBytes = 0;
    return this;
  }

  /** Appends a piece; one that continues the last piece in memory is merged into it. */
  push(offset: number, length: number): void {
    const last = this.count - 1;
    if (last >= 0 && offset === this.offsets[last]! + this.lengths[last]!) {
      this.lengths[last]! += length;
    } else {
      assert(this.count < this.capacity, 'an IoVector holds no more pieces than its capacity');
      this.offsets[this.count] = offset;
      this.lengths[this.count] = length;
      this.count++;
    }
    this.totalBytes += length;
  }

  /** A vector of the single piece (arena, offset, length). */
  single(arena: number, offset: number, length: number): this {
    this.reset(arena).push(offset, length);
    return this;
  }
}

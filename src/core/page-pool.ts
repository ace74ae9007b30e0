/**
 * Hands out runs of 4096-byte pages of one arena, for the answers of reads: aligned as direct
 * devices want it, next-fit so that equal small runs cost one look. It holds no memory itself, only
 * which pages are taken. A run that does not fit now is the caller's signal to wait (I12); since a
 * waiting caller takes nothing else meanwhile, a large run cannot be starved by small ones.
 */
import { assert } from './assert.js';

export const pageBytes = 4096;

export class PagePool {
  readonly pageCount: number;
  #freeCount: number;
  #cursor = 0;
  readonly #taken: Uint8Array;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.#freeCount = pageCount;
    this.#taken = new Uint8Array(pageCount);
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  /** The first page of a free run of `count`, now taken; −1 when there is none. */
  take(count: number): number {
    if (count > this.#freeCount) return -1;
    let start = this.#find(count, this.#cursor, this.pageCount);
    if (start < 0) start = this.#find(count, 0, Math.min(this.#cursor + count, this.pageCount));
    if (start < 0) return -1;
    this.#taken.fill(1, start, start + count);
    this.#cursor = start + count;
    this.#freeCount -= count;
    return start;
  }

  give(start: number, count: number): void {
    for (let page = start; page < start + count; page++) {
      assert(this.#taken[page] === 1, 'only taken pages are given back');
      this.#taken[page] = 0;
    }
    this.#freeCount += count;
  }

  #find(count: number, from: number, to: number): number {
    const taken = this.#taken;
    let run = 0;
    for (let page = from; page < to; page++) {
      run = taken[page] === 0 ? run + 1 : 0;
      if (run === count) return page + 1 - count;
    }
    return -1;
  }
}

/**
 * How far the secondary may be behind when a write is answered (I3, Rule 41): write i is answered
 * when everything up to write i − DEPTH + 1 is durable there, so that at most DEPTH − 1 writes up to
 * i lack it. Counts writes of the application, of all devices of the group in one order; a write
 * that became several entries is one. DEPTH 1 is full sync, 0 is async.
 *
 *   writes         … i−D    i−D+1   …   i
 *   entries before    │───────│─────────│  counts, they wrap; `ends` keeps the last D of them
 *                             └─ durable must have come here
 *
 * Pure numbers. Who waits, and for how long, is actors/driver-sync.ts.
 */
import { assert } from '../assert.js';
import { descriptorsMax } from '../bab/layout.js';
import { tunables } from '../tunables.js';

export class SyncDepth {
  #depth = 0;
  /** Count of entries behind each of the last writes, by number of the write. */
  #ends = new Int32Array(1);
  #mask = 0;
  #last = 0;

  get depth(): number {
    return this.#depth;
  }

  /**
   * A depth was set when `published` entries were in the BAB. What each write before was is not
   * known any more: every entry counts as one, which is stricter than needed, never laxer.
   */
  configure(depth: number, published: number): void {
    assert(depth >= 0 && depth <= tunables.SYNCMODEDEPTH.max, 'a depth is within its range');
    this.#depth = depth;
    let capacity = 1;
    while (capacity < depth) capacity *= 2;
    this.#mask = capacity - 1;
    this.#ends = new Int32Array(capacity);
    this.#last = 0;
    for (let back = 0; back < capacity; back++) this.#ends[-back & this.#mask] = published - back;
  }

  /**
   * A write of the application is in the BAB as a whole, the last of its entries is number
   * `published`. Returns the count of durable entries at which it may be answered.
   */
  published(published: number): number {
    this.#last = (this.#last + 1) | 0;
    this.#ends[this.#last & this.#mask] = published | 0;
    return this.until;
  }

  /** At this count of durable entries fewer than DEPTH of the writes so far lack durability. */
  get until(): number {
    return this.#ends[(this.#last - this.#depth + 1) & this.#mask]!;
  }
}

/** Whether a wrapping count of entries has come to `until`. */
export function reached(count: number, until: number): boolean {
  return ((count - until) | 0) >= 0;
}

assert(tunables.SYNCMODEDEPTH.max <= descriptorsMax, 'a depth is no more than what the BAB holds');

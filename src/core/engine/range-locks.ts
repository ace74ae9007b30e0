/**
 * Orders overlapping writes of a driver domain (I9, H1): a request gets its range when every request
 * that came before it and overlaps it has given its own back, so overlapping writes reach the disk,
 * and are stamped, in the order of arrival; nobody is overtaken, nobody starves.
 *
 *   device 3:  first ─► [held 0–8K] ─► [waits 4–12K, 1 blocker] ─► [held 64–68K] ─► last
 *
 * Ranges are rounded out to the block of the device (H16). Requests are numbers below a capacity
 * (in-flight slots); nothing is allocated. A request looks through those in flight on its device:
 * a few hundred comparisons of numbers, less than one system call.
 */
import { assert } from '../assert.js';

const none = -1;

export class RangeLocks {
  readonly #blockBytes: Int32Array;
  readonly #heads: Int32Array;
  readonly #tails: Int32Array;
  /** Requests of the device that wait; a release with none needs no search. */
  readonly #waiting: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #device: Int32Array;
  readonly #blockers: Int32Array;
  readonly #start: Float64Array;
  readonly #end: Float64Array;

  /** Requests that the last `release` let go, oldest first; the first `grantedCount` of them. */
  readonly granted: Int32Array;

  /** `blockBytes`: for each device, what overlap is rounded to. */
  constructor(capacity: number, blockBytes: readonly number[]) {
    this.#blockBytes = Int32Array.from(blockBytes);
    this.#heads = new Int32Array(blockBytes.length).fill(none);
    this.#tails = new Int32Array(blockBytes.length).fill(none);
    this.#waiting = new Int32Array(blockBytes.length);
    this.#next = new Int32Array(capacity).fill(none);
    this.#previous = new Int32Array(capacity).fill(none);
    this.#device = new Int32Array(capacity).fill(none);
    this.#blockers = new Int32Array(capacity);
    this.#start = new Float64Array(capacity);
    this.#end = new Float64Array(capacity);
    this.granted = new Int32Array(capacity);
  }

  /** True: the range is held. False: a later `release` will grant it. */
  acquire(request: number, device: number, offset: number, length: number): boolean {
    assert(this.#device[request] === none, 'a request holds one range at a time');
    const block = this.#blockBytes[device]!;
    const start = Math.floor(offset / block) * block;
    const end = Math.ceil((offset + length) / block) * block;
    let blockers = 0;
    for (let other = this.#heads[device]!; other !== none; other = this.#next[other]!) {
      if (this.#start[other]! < end && start < this.#end[other]!) blockers++;
    }
    this.#start[request] = start;
    this.#end[request] = end;
    this.#device[request] = device;
    this.#blockers[request] = blockers;
    this.#append(request, device);
    if (blockers > 0) this.#waiting[device]!++;
    return blockers === 0;
  }

  /** Gives a held range back. Returns how many requests hold theirs now, listed in `granted`. */
  release(request: number): number {
    const device = this.#device[request]!;
    assert(device !== none && this.#blockers[request] === 0, 'only a held range is given back');
    const start = this.#start[request]!;
    const end = this.#end[request]!;
    let grantedCount = 0;
    if (this.#waiting[device]! > 0) {
      // Only requests behind this one can have counted it.
      for (let other = this.#next[request]!; other !== none; other = this.#next[other]!) {
        if (this.#start[other]! < end && start < this.#end[other]!) {
          this.#blockers[other]!--;
          if (this.#blockers[other] === 0) this.granted[grantedCount++] = other;
        }
      }
      this.#waiting[device]! -= grantedCount;
    }
    this.#remove(request, device);
    return grantedCount;
  }

  #append(request: number, device: number): void {
    const tail = this.#tails[device]!;
    this.#previous[request] = tail;
    this.#next[request] = none;
    if (tail === none) this.#heads[device] = request;
    else this.#next[tail] = request;
    this.#tails[device] = request;
  }

  #remove(request: number, device: number): void {
    const next = this.#next[request]!;
    const previous = this.#previous[request]!;
    if (next === none) this.#tails[device] = previous;
    else this.#previous[next] = previous;
    if (previous === none) this.#heads[device] = next;
    else this.#next[previous] = next;
    this.#device[request] = none;
  }
}

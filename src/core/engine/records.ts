/**
 * The refresh records that were sent and are not yet acknowledged, by running number: what a broken
 * link or an aborted phase b gives back to `todo` (R3, R9). A ring of plain numbers with a fixed
 * bound (I12): when it is full, nothing more is sent until an acknowledgement comes.
 */
import { assert } from '../assert.js';

export type RecordSink = (number: number, device: number, first: number, count: number) => void;

export class Records {
  readonly capacity: number;
  /** Running number of the last record sent, and of the last one acknowledged. */
  sent = 0;
  acked = 0;
  /** What the secondary last said; behind `acked` after `giveBack`, which forgets records early. */
  #heard = 0;
  readonly #device: Uint16Array;
  readonly #first: Float64Array;
  readonly #count: Uint32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#device = new Uint16Array(capacity);
    this.#first = new Float64Array(capacity);
    this.#count = new Uint32Array(capacity);
  }

  get room(): number {
    return this.capacity - (this.sent - this.acked);
  }

  /** Numbers the record that covers `count` blocks from `first` on. */
  push(device: number, first: number, count: number): number {
    assert(this.room > 0, 'unacknowledged refresh records are bounded (I12)');
    this.sent += 1;
    const at = this.sent % this.capacity;
    this.#device[at] = device;
    this.#first[at] = first;
    this.#count[at] = count;
    return this.sent;
  }

  /**
   * Cumulative; returns the blocks that this acknowledgement covers, or −1 when it cannot be true.
   * `each` is called for every record that it covers.
   */
  acknowledge(upTo: number, each?: RecordSink): number {
    if (upTo < this.#heard || upTo > this.sent) return -1;
    this.#heard = upTo;
    let blocks = 0;
    while (this.acked < upTo) {
      this.acked += 1;
      const at = this.acked % this.capacity;
      blocks += this.#count[at]!;
      each?.(this.acked, this.#device[at]!, this.#first[at]!, this.#count[at]!);
    }
    return blocks;
  }

  /** Hands every unacknowledged record to `each` and forgets it; the numbers go on. */
  giveBack(each: (device: number, first: number, count: number) => void): void {
    for (let number = this.acked + 1; number <= this.sent; number += 1) {
      const at = number % this.capacity;
      each(this.#device[at]!, this.#first[at]!, this.#count[at]!);
    }
    this.acked = this.sent;
  }

  /** A new session numbers from 1 again. */
  restart(): void {
    this.sent = 0;
    this.acked = 0;
    this.#heard = 0;
  }
}

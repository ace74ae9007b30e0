/**
 * The sending side of one ordered pair of threads: the writer of its ring and a bounded queue of
 * envelopes that found it full.
 *
 * Only what must not be lost is parked: questions, answers, reports. A `tell` is refused instead
 * (H47), also while something is parked, so that nothing overtakes. The reader's bell is rung once
 * per flush, not per message. Nothing here waits; `resume` is called when the reader rang back.
 */
import type { ActorCell } from '../actors/cell.js';
import { assert } from '../core/assert.js';
import { RingWriter } from '../core/ring/writer.js';
import type { Doorbell } from '../ports/doorbell.js';

/**
 * Envelopes parked for one reader. Questions are bounded by `questionsMax` of the asking thread,
 * answers by that of the other one, the rest is for reports.
 */
export const parkedMax = 4096;

export class Outbound {
  readonly #writer: RingWriter;
  readonly #bell: Doorbell;
  readonly #parked: Uint8Array[] = [];
  readonly #waiting = new Set<ActorCell>();
  #unrung = false;

  constructor(memory: SharedArrayBuffer, bell: Doorbell) {
    this.#writer = new RingWriter(memory);
    this.#bell = bell;
  }

  /** Whether the reader's progress is waited for. */
  get hungry(): boolean {
    return this.#parked.length > 0 || this.#waiting.size > 0;
  }

  /** False: no room, nothing was written; `sender.writable` follows. */
  tell(bytes: Uint8Array, sender: ActorCell | undefined): boolean {
    this.#assertSize(bytes);
    if (this.#parked.length === 0 && this.#write(bytes)) return true;
    if (sender !== undefined) this.#waiting.add(sender);
    return false;
  }

  /** Writes or parks. False: the queue is at its limit and the envelope is lost. */
  send(bytes: Uint8Array): boolean {
    this.#assertSize(bytes);
    if (this.#parked.length === 0 && this.#write(bytes)) return true;
    if (this.#parked.length >= parkedMax) return false;
    // Encoded bytes are views of the codec's larger buffer, which they would keep alive.
    this.#parked.push(bytes.slice());
    return true;
  }

  /** Moves what is parked into the ring, then lets refused senders try again. */
  resume(): void {
    let moved = 0;
    while (moved < this.#parked.length && this.#write(this.#parked[moved]!)) moved++;
    if (moved > 0) this.#parked.splice(0, moved);
    if (this.#parked.length > 0 || this.#waiting.size === 0 || !this.#writer.starve()) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const sender of waiting) sender.writable();
  }

  /** Rings the reader's bell if anything was written since. */
  flush(): void {
    if (!this.#unrung) return;
    this.#unrung = false;
    this.#bell.ring();
  }

  /** Here, where the sender is to blame, not later in the loop of the thread. */
  #assertSize(bytes: Uint8Array): void {
    assert(bytes.length <= this.#writer.messageBytesMax, 'a message fits into a quarter of a ring');
  }

  #write(bytes: Uint8Array): boolean {
    // When half of the ring is free every message fits, so the second write cannot fail.
    if (!this.#writer.write(bytes) && !(this.#writer.starve() && this.#writer.write(bytes))) {
      return false;
    }
    this.#unrung = true;
    return true;
  }
}

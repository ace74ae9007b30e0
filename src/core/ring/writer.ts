/**
 * The writing end of a ring (layout.ts has the drawing). Exactly one thread holds it.
 *
 * A record is published by writing its bytes first and storing the `written` cursor last; both are
 * ordered because the store is atomic, so a reader that sees the cursor sees the bytes. Nothing
 * here waits: a full ring is an answer (`false`), and `starve` asks the reader to ring the bell of
 * this thread once there is room (H47).
 */
import { assert } from '../assert.js';
import {
  type RingViews,
  recordBytes,
  releasedWord,
  ringMessageBytesMax,
  ringViews,
  skipMark,
  starvedWord,
  writtenWord,
} from './layout.js';

export class RingWriter {
  readonly messageBytesMax: number;
  readonly #ring: RingViews;
  readonly #mask: number;
  #written: number;
  /** What the reader had released when it was last looked at: loaded again only when it is needed. */
  #released: number;

  constructor(memory: ArrayBufferLike) {
    this.#ring = ringViews(memory);
    this.#mask = this.#ring.capacityBytes - 1;
    this.messageBytesMax = ringMessageBytesMax(this.#ring.capacityBytes);
    this.#written = Atomics.load(this.#ring.words, writtenWord) >>> 0;
    this.#released = Atomics.load(this.#ring.words, releasedWord) >>> 0;
  }

  /** Copies the message into the ring. False: no room, nothing was written. */
  write(message: Uint8Array): boolean {
    const { bytes, lengths, words, capacityBytes } = this.#ring;
    assert(message.length <= this.messageBytesMax, 'a message fits into a quarter of its ring');
    const record = recordBytes(message.length);
    const position = this.#written & this.#mask;
    const tail = capacityBytes - position;
    const skip = record > tail ? tail : 0;
    if (!this.#hasRoom(skip + record)) return false;
    let start = position;
    if (skip > 0) {
      lengths[position >>> 2] = skipMark;
      start = 0;
    }
    lengths[start >>> 2] = message.length;
    bytes.set(message, start + 4);
    this.#written = (this.#written + skip + record) >>> 0;
    Atomics.store(words, writtenWord, this.#written | 0);
    return true;
  }

  /**
   * Asks for the bell when at least half of the ring is free. True: that is so already, write
   * again now; no bell will come.
   *
   * No wake-up is lost: this stores the wish and then loads `released`; the reader stores
   * `released` and then loads the wish. All four are sequentially consistent, so at least one of
   * the two threads sees what the other one stored.
   */
  starve(): boolean {
    const { words, capacityBytes } = this.#ring;
    Atomics.store(words, starvedWord, 1);
    this.#released = Atomics.load(words, releasedWord) >>> 0;
    if (this.usedBytes > capacityBytes / 2) return false;
    Atomics.store(words, starvedWord, 0);
    return true;
  }

  /** As of the last look at the reader's cursor: never less than what really is in use. */
  get usedBytes(): number {
    return (this.#written - this.#released) >>> 0;
  }

  #hasRoom(needed: number): boolean {
    const { words, capacityBytes } = this.#ring;
    if (this.usedBytes + needed <= capacityBytes) return true;
    this.#released = Atomics.load(words, releasedWord) >>> 0;
    return this.usedBytes + needed <= capacityBytes;
  }
}

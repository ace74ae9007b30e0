/**
 * The reading end of a ring (layout.ts has the drawing). Exactly one thread holds it.
 *
 * The `written` cursor is loaded before the bytes under it are read, so what is read is complete.
 * Space goes back to the writer only in `release`: until then every view that `read` returned stays
 * as it is. A record that cannot be true (a length beyond the cursor) is an assertion, not a read
 * outside the ring.
 */
import { assert } from '../assert.js';
import {
  type RingViews,
  recordBytes,
  recordHeaderBytes,
  releasedWord,
  ringMessageBytesMax,
  ringViews,
  skipMark,
  starvedWord,
  writtenWord,
} from './layout.js';

export class RingReader {
  readonly #ring: RingViews;
  readonly #mask: number;
  readonly #messageBytesMax: number;
  #written: number;
  #position: number;
  #released: number;

  constructor(memory: ArrayBufferLike) {
    this.#ring = ringViews(memory);
    this.#mask = this.#ring.capacityBytes - 1;
    this.#messageBytesMax = ringMessageBytesMax(this.#ring.capacityBytes);
    this.#released = Atomics.load(this.#ring.words, releasedWord) >>> 0;
    this.#position = this.#released;
    this.#written = this.#released;
  }

  /** The next message, valid until `release`; undefined when the ring is empty. */
  read(): Uint8Array | undefined {
    if (this.isEmpty()) return undefined;
    const { bytes, lengths, capacityBytes } = this.#ring;
    let start = this.#position & this.#mask;
    if (lengths[start >>> 2] === skipMark) {
      this.#position = (this.#position + capacityBytes - start) >>> 0;
      start = 0;
    }
    const length = lengths[start >>> 2]!;
    assert(
      length <= this.#messageBytesMax &&
        recordBytes(length) <= (this.#written - this.#position) >>> 0,
      'a record lies wholly before the written cursor',
    );
    this.#position = (this.#position + recordBytes(length)) >>> 0;
    return bytes.subarray(start + recordHeaderBytes, start + recordHeaderBytes + length);
  }

  /** Whether `read` would return undefined. */
  isEmpty(): boolean {
    if (this.#position === this.#written) {
      this.#written = Atomics.load(this.#ring.words, writtenWord) >>> 0;
    }
    return this.#position === this.#written;
  }

  /**
   * Gives the space of everything read so far back to the writer. True: the writer starves for
   * room and at least half of the ring is free, so its bell must be rung (see RingWriter.starve).
   */
  release(): boolean {
    const { words, capacityBytes } = this.#ring;
    if (this.#released !== this.#position) {
      this.#released = this.#position;
      Atomics.store(words, releasedWord, this.#released | 0);
    }
    if (Atomics.load(words, starvedWord) === 0) return false;
    const used = ((Atomics.load(words, writtenWord) >>> 0) - this.#released) >>> 0;
    // While more than half is in use there is more to read, so a later release looks again.
    return used <= capacityBytes / 2 && Atomics.exchange(words, starvedWord, 0) === 1;
  }
}

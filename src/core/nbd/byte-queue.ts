/**
 * Bytes that have arrived and were not used yet, for the handshake only: it copies, which the data
 * path never does. Its user bounds what is kept by taking what it understands at once.
 */
import { assert } from '../assert.js';

export class ByteQueue {
  #bytes = new Uint8Array(256);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  append(bytes: Uint8Array): void {
    if (this.#end + bytes.length > this.#bytes.length) {
      const needed = this.length + bytes.length;
      const room = needed > this.#bytes.length ? new Uint8Array(2 * needed) : this.#bytes;
      room.set(this.#bytes.subarray(this.#start, this.#end));
      this.#end -= this.#start;
      this.#start = 0;
      this.#bytes = room;
    }
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** The big-endian word `at` bytes behind the front; it must be there. */
  peekUint32(at: number): number {
    assert(at + 4 <= this.length, 'only bytes that have arrived are looked at');
    const bytes = this.#bytes;
    const from = this.#start + at;
    const high = (bytes[from]! << 24) | (bytes[from + 1]! << 16);
    return (high | (bytes[from + 2]! << 8) | bytes[from + 3]!) >>> 0;
  }

  /** Removes and returns a copy of the first `length` bytes. */
  take(length: number): Uint8Array {
    assert(length <= this.length, 'only bytes that have arrived are taken');
    const taken = this.#bytes.slice(this.#start, this.#start + length);
    this.#start += length;
    return taken;
  }
}

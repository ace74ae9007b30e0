/**
 * Where the payload of the write that is arriving goes next. What is already in the receive buffer
 * is copied once into the driver's memory; for the rest it names the pieces that are still empty,
 * so that the socket fills them directly (design.md 3.3, step 1).
 */
import { assert } from '../assert.js';
import type { IoVector } from '../io-vector.js';

export class PayloadCursor {
  #vector: IoVector | undefined;
  #bytes: Uint8Array = new Uint8Array(0);
  #piece = 0;
  #inPiece = 0;
  #missing = 0;

  /** `bytes` is the memory of the vector's arena. */
  begin(vector: IoVector, bytes: Uint8Array): void {
    this.#vector = vector;
    this.#bytes = bytes;
    this.#piece = 0;
    this.#inPiece = 0;
    this.#missing = vector.totalBytes;
  }

  get missing(): number {
    return this.#missing;
  }

  /** Copies as much of `source[from, to)` as is missing; returns how much that was. */
  copyFrom(source: Uint8Array, from: number, to: number): number {
    const vector = this.#vector!;
    let left = Math.min(to - from, this.#missing);
    const copied = left;
    while (left > 0) {
      const target = vector.offsets[this.#piece]! + this.#inPiece;
      const count = Math.min(left, vector.lengths[this.#piece]! - this.#inPiece);
      this.#bytes.set(source.subarray(from, from + count), target);
      from += count;
      left -= count;
      this.advance(count);
    }
    return copied;
  }

  /** The pieces that are still empty, as many as `into` can hold. */
  emptyPieces(into: IoVector): IoVector {
    const vector = this.#vector!;
    into.reset(vector.arena);
    let inPiece = this.#inPiece;
    for (let piece = this.#piece; piece < vector.count && into.count < into.capacity; piece++) {
      into.push(vector.offsets[piece]! + inPiece, vector.lengths[piece]! - inPiece);
      inPiece = 0;
    }
    return into;
  }

  /** `count` bytes were put into the first empty pieces. */
  advance(count: number): void {
    assert(count <= this.#missing, 'no more payload arrives than is missing');
    const vector = this.#vector!;
    this.#missing -= count;
    this.#inPiece += count;
    while (this.#piece < vector.count && this.#inPiece >= vector.lengths[this.#piece]!) {
      this.#inPiece -= vector.lengths[this.#piece]!;
      this.#piece++;
    }
  }
}

/**
 * Memory in which frames are put together: taken for one frame, given back when the link has no
 * more use for it. Two sizes, so that a group with small writes costs little; made on demand and
 * kept, bounded (I12): without a free buffer the sender waits for the link.
 */
import { assert } from '../assert.js';
import { frameHeaderBytes, framePayloadMax } from '../constants.js';

export class FrameBuffers {
  readonly #small: Uint8Array[] = [];
  readonly #large: Uint8Array[] = [];
  #smallMade = 0;
  #largeMade = 0;

  /** Memory of at least `bytes`, or undefined: all of it is under way. */
  take(bytes: number): Uint8Array | undefined {
    if (bytes <= smallBytes) {
      const free = this.#small.pop();
      if (free !== undefined || this.#smallMade === smallMax) return free;
      this.#smallMade += 1;
      return new Uint8Array(smallBytes);
    }
    assert(bytes <= largeBytes, 'a frame keeps the limit of its payload');
    const free = this.#large.pop();
    if (free !== undefined || this.#largeMade === largeMax) return free;
    this.#largeMade += 1;
    return new Uint8Array(largeBytes);
  }

  giveBack(buffer: Uint8Array): void {
    (buffer.length === smallBytes ? this.#small : this.#large).push(buffer);
  }
}

const smallBytes = 16 * 1024;
/** Pages that no frame reaches cost nothing. */
const largeBytes = frameHeaderBytes + framePayloadMax;
const smallMax = 32;
const largeMax = 6;

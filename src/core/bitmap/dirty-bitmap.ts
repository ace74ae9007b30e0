/**
 * A bitmap over shared words that several threads set and clear at once: the driver marks (T1), the
 * refresh clears a bit before it reads its block (R3). All changes are atomic, and each change of a
 * bit is seen by exactly one caller, so the count of set bits stays right.
 *
 *   words │ count │ … 60 bytes │ bits 0–31 │ bits 32–63 │ …
 *
 * A bit set while a run is taken is either in the run or still set afterwards; never lost (I5, I21).
 */
import { assert } from '../assert.js';

const headerWords = 16;

export class DirtyBitmap {
  readonly bits: number;
  readonly #words: Int32Array;

  static bytesFor(bits: number): number {
    const words = headerWords * (1 + Math.ceil(Math.ceil(bits / 32) / headerWords));
    return words * 4;
  }

  /** `byteOffset` is where this bitmap begins in the memory. */
  constructor(memory: SharedArrayBuffer | ArrayBuffer, bits: number, byteOffset = 0) {
    assert(bits > 0, 'a bitmap has bits');
    this.bits = bits;
    this.#words = new Int32Array(memory, byteOffset, DirtyBitmap.bytesFor(bits) / 4);
  }

  /** Set bits. */
  get count(): number {
    return Atomics.load(this.#words, 0);
  }

  has(bit: number): boolean {
    this.#check(bit, 1);
    return (Atomics.load(this.#words, wordOf(bit)) & (1 << (bit & 31))) !== 0;
  }

  /** Sets `length` bits from `first`; returns how many were not set before. */
  set(first: number, length: number): number {
    this.#check(first, length);
    let added = 0;
    for (let bit = first, end = first + length; bit < end; ) {
      const mask = maskOf(bit, end);
      const word = wordOf(bit);
      // Mostly set already: a look is cheaper than a locked instruction. The look is atomic too, so
      // a bit that a reader clears after it counts as cleared after this mark.
      if ((Atomics.load(this.#words, word) & mask) !== mask) {
        added += onesOf(mask & ~Atomics.or(this.#words, word, mask));
      }
      bit = (bit | 31) + 1;
    }
    if (added > 0) Atomics.add(this.#words, 0, added);
    return added;
  }

  /** Clears `length` bits from `first`; returns how many were set before. */
  clear(first: number, length: number): number {
    this.#check(first, length);
    let removed = 0;
    for (let bit = first, end = first + length; bit < end; ) {
      const mask = maskOf(bit, end);
      removed += onesOf(mask & Atomics.and(this.#words, wordOf(bit), ~mask));
      bit = (bit | 31) + 1;
    }
    if (removed > 0) Atomics.sub(this.#words, 0, removed);
    return removed;
  }

  fill(): void {
    this.set(0, this.bits);
  }

  empty(): void {
    this.clear(0, this.bits);
  }

  /** The first set bit at or behind `from`, −1 when there is none. */
  nextSet(from: number): number {
    let bit = from;
    while (bit < this.bits) {
      const word = Atomics.load(this.#words, wordOf(bit)) & (-1 << (bit & 31));
      if (word !== 0) {
        const found = (bit & ~31) + (31 - Math.clz32(word & -word));
        return found < this.bits ? found : -1;
      }
      bit = (bit | 31) + 1;
    }
    return -1;
  }

  /** Length of the run of set bits at `first`, at most `lengthMax`. */
  runAt(first: number, lengthMax: number): number {
    const end = Math.min(this.bits, first + lengthMax);
    let bit = first;
    while (bit < end) {
      const clear = ~Atomics.load(this.#words, wordOf(bit)) & (-1 << (bit & 31));
      if (clear !== 0) {
        const at = (bit & ~31) + (31 - Math.clz32(clear & -clear));
        return Math.min(at, end) - first;
      }
      bit = (bit | 31) + 1;
    }
    return end - first;
  }

  /**
   * Finds the next run of set bits at or behind `from`, clears it and returns its length; its first
   * bit is then in `taken`. 0: no bit is set from there on. What this call cleared, and only that,
   * is the caller's to read and send (Rule 2: clear, then read).
   */
  takeRun(from: number, lengthMax: number): number {
    for (let bit = this.nextSet(from); bit >= 0; bit = this.nextSet(bit)) {
      const length = this.runAt(bit, lengthMax);
      if (length === 0) continue;
      this.taken = bit;
      // Another thread may have cleared some of it meanwhile; reading those too does no harm.
      this.clear(bit, length);
      return length;
    }
    return 0;
  }

  /** First bit of the run that `takeRun` returned last. */
  taken = -1;

  /** Adds every set bit of `other`; returns how many were not set before. */
  addAll(other: DirtyBitmap): number {
    assert(other.bits === this.bits, 'bitmaps of one device have one size');
    let added = 0;
    for (let bit = other.nextSet(0); bit >= 0; ) {
      const length = other.runAt(bit, other.bits);
      if (length > 0) added += this.set(bit, length);
      bit = other.nextSet(bit + Math.max(1, length));
    }
    return added;
  }

  #check(first: number, length: number): void {
    assert(
      first >= 0 && length >= 0 && first + length <= this.bits,
      'bits lie within their bitmap',
    );
  }
}

function wordOf(bit: number): number {
  return headerWords + (bit >>> 5);
}

/** The bits of the word of `bit` that lie in [bit, end). */
function maskOf(bit: number, end: number): number {
  const low = -1 << (bit & 31);
  const last = Math.min(end - 1, bit | 31);
  return low & (-1 >>> (31 - (last & 31)));
}

function onesOf(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

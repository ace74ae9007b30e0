/**
 * The receive memory of the RMD: data frames lie in one arena as a ring, in order of arrival, from
 * the first byte received until every entry of the frame is on the mirror (or the frame is in the
 * journal). The header, the table and the data of a frame are contiguous, so that the frame goes to
 * the journal as it came; the data begins at a multiple of `alignment`, so that a direct mirror takes
 * it as it lies.
 *
 *   │ pad │ header 64 │ table n × 48 │ data … │ pad │ header 64 │ …
 *                                    └ aligned
 *
 * Memory is given back in order of arrival; `freedBytes` is the credit of the primary. Numbers only,
 * no bytes; nothing is allocated per frame.
 */
import { assert } from '../assert.js';
import { frameHeaderBytes, wireEntryBytes } from '../constants.js';

export class FrameRing {
  /** Payload bytes of network frames whose memory is free again, ever. */
  freedBytes = 0;
  readonly #sizeBytes: number;
  readonly #alignment: number;
  readonly #mask: number;
  readonly #begin: Float64Array;
  readonly #header: Float64Array;
  readonly #payloadBytes: Float64Array;
  readonly #credited: Uint8Array;
  readonly #entries: Uint32Array;
  readonly #kind: Uint8Array;
  readonly #holds: Int32Array;
  /** Counts of frames ever placed and ever freed; a frame's number is its count & mask. */
  #placed = 0;
  #freed = 0;
  #head = 0;

  constructor(sizeBytes: number, framesMax: number, alignment: number) {
    assert((framesMax & (framesMax - 1)) === 0, 'frames are counted by a power of two');
    this.#sizeBytes = sizeBytes;
    this.#alignment = alignment;
    this.#mask = framesMax - 1;
    this.#begin = new Float64Array(framesMax);
    this.#header = new Float64Array(framesMax);
    this.#payloadBytes = new Float64Array(framesMax);
    this.#credited = new Uint8Array(framesMax);
    this.#entries = new Uint32Array(framesMax);
    this.#kind = new Uint8Array(framesMax);
    this.#holds = new Int32Array(framesMax);
  }

  get framesHeld(): number {
    return this.#placed - this.#freed;
  }

  /**
   * Memory for a frame of `count` entries, held once; its number, or −1 when there is no room now.
   * `credited`: the primary paid for it (a frame read back from the journal is free of charge).
   */
  place(kind: number, count: number, payloadBytes: number, credited: boolean): number {
    const held = this.framesHeld;
    if (held > this.#mask) return -1;
    if (held === 0) this.#head = 0;
    const lead = frameHeaderBytes + count * wireEntryBytes;
    let begin = this.#head;
    let header = this.#headerAt(begin, lead);
    let end = header + frameHeaderBytes + payloadBytes;
    const tail = held === 0 ? this.#sizeBytes : this.#begin[this.#freed & this.#mask]!;
    if (held > 0 && this.#head <= tail) {
      if (end > tail) return -1;
    } else if (end > this.#sizeBytes) {
      begin = 0;
      header = this.#headerAt(0, lead);
      end = header + frameHeaderBytes + payloadBytes;
      if (end > (held === 0 ? this.#sizeBytes : tail)) return -1;
    }
    const frame = this.#placed & this.#mask;
    this.#placed += 1;
    this.#head = end;
    this.#begin[frame] = begin;
    this.#header[frame] = header;
    this.#payloadBytes[frame] = payloadBytes;
    this.#credited[frame] = credited ? 1 : 0;
    this.#entries[frame] = count;
    this.#kind[frame] = kind;
    this.#holds[frame] = 1;
    return frame;
  }

  /** Where the 64-byte header lies; the table follows it, then the data. */
  headerOf(frame: number): number {
    return this.#header[frame]!;
  }

  tableOf(frame: number): number {
    return this.#header[frame]! + frameHeaderBytes;
  }

  dataOf(frame: number): number {
    return this.#header[frame]! + frameHeaderBytes + this.#entries[frame]! * wireEntryBytes;
  }

  payloadBytesOf(frame: number): number {
    return this.#payloadBytes[frame]!;
  }

  entriesOf(frame: number): number {
    return this.#entries[frame]!;
  }

  kindOf(frame: number): number {
    return this.#kind[frame]!;
  }

  hold(frame: number): void {
    assert(this.#holds[frame]! > 0, 'only a frame in memory can be held');
    this.#holds[frame]! += 1;
  }

  /** Drops one hold; memory is free when this and all earlier frames have none. */
  release(frame: number): void {
    const holds = this.#holds[frame]! - 1;
    assert(holds >= 0, 'a hold is dropped once');
    this.#holds[frame] = holds;
    if (holds > 0) return;
    while (this.#freed < this.#placed) {
      const oldest = this.#freed & this.#mask;
      if (this.#holds[oldest]! > 0) break;
      if (this.#credited[oldest]) this.freedBytes += this.#payloadBytes[oldest]!;
      this.#freed += 1;
    }
  }

  #headerAt(begin: number, lead: number): number {
    return Math.ceil((begin + lead) / this.#alignment) * this.#alignment - lead;
  }
}

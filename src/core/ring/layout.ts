/**
 * The memory of one ring: bytes that one thread writes and one other thread reads (SPSC), in order,
 * without locks. Rings carry the messages between actors on different threads.
 *
 *   offset 0        64       128      192                               192 + capacity
 *          ┌────────┬────────┬────────┬──────────────────────────────────┐
 *          │written │released│starved │ records ...                      │
 *          └────────┴────────┴────────┴──────────────────────────────────┘
 *           writer   reader   both     each cursor has a 64-byte line of its own, so that the
 *           stores   stores            two threads do not fight for one cache line
 *
 *   record: u32 length │ bytes, padded to 4.   skip: u32 0xFFFFFFFF, the rest of the ring is unused.
 *
 * Cursors count bytes and only grow; they are u32 and wrap, so `(written - released) >>> 0` is what
 * lies in the ring. A record never runs over the end: a skip fills the tail. The capacity is a power
 * of two, so that a position is `cursor & (capacity - 1)` also after the cursors have wrapped.
 */
import { assert } from '../assert.js';

export const ringHeaderBytes = 192;
export const writtenWord = 0;
export const releasedWord = 16;
export const starvedWord = 32;
export const skipMark = 0xffff_ffff;
export const recordHeaderBytes = 4;

const capacityBytesMin = 256;
/** A cursor may never be a whole u32 ahead of the other, and Int32 views must reach every byte. */
const capacityBytesMax = 2 ** 30;

export interface RingViews {
  readonly words: Int32Array;
  readonly lengths: Uint32Array;
  readonly bytes: Uint8Array;
  readonly capacityBytes: number;
}

export const ringMemoryBytes = (capacityBytes: number): number => ringHeaderBytes + capacityBytes;

/**
 * The largest message: a record of a quarter. Then a record with its skip is below half of the
 * ring, so that it always fits once half is free, which is when a starved writer is woken.
 */
export const ringMessageBytesMax = (capacityBytes: number): number =>
  capacityBytes / 4 - recordHeaderBytes;

export function ringViews(memory: ArrayBufferLike): RingViews {
  const capacityBytes = memory.byteLength - ringHeaderBytes;
  assert(
    capacityBytes >= capacityBytesMin &&
      capacityBytes <= capacityBytesMax &&
      (capacityBytes & (capacityBytes - 1)) === 0,
    'the capacity of a ring is a power of two within its limits',
  );
  return {
    words: new Int32Array(memory, 0, ringHeaderBytes / 4),
    lengths: new Uint32Array(memory, ringHeaderBytes, capacityBytes / 4),
    bytes: new Uint8Array(memory, ringHeaderBytes, capacityBytes),
    capacityBytes,
  };
}

export const recordBytes = (length: number): number => recordHeaderBytes + ((length + 3) & ~3);

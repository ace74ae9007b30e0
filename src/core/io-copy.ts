/**
 * Copies between the pieces of an IoVector and one plain range of memory. Off the fast path: only
 * payloads that could not land where they belong, and unaligned I/O on direct devices, are copied.
 */
import type { IoVector } from './io-vector.js';

/** Copies `length` bytes from position `skip` of the pieces to `target` at `targetOffset`. */
export function copyFromPieces(
  pieces: IoVector,
  bytes: Uint8Array,
  skip: number,
  target: Uint8Array,
  targetOffset: number,
  length: number,
): void {
  let from = skip;
  let done = 0;
  for (let piece = 0; piece < pieces.count && done < length; piece++) {
    const pieceLength = pieces.lengths[piece]!;
    if (from < pieceLength) {
      const count = Math.min(pieceLength - from, length - done);
      const start = pieces.offsets[piece]! + from;
      target.set(bytes.subarray(start, start + count), targetOffset + done);
      done += count;
      from = 0;
    } else {
      from -= pieceLength;
    }
  }
}

/** Copies `length` bytes of `source` at `sourceOffset` to position `skip` of the pieces. */
export function copyToPieces(
  source: Uint8Array,
  sourceOffset: number,
  length: number,
  pieces: IoVector,
  bytes: Uint8Array,
  skip: number,
): void {
  let to = skip;
  let done = 0;
  for (let piece = 0; piece < pieces.count && done < length; piece++) {
    const pieceLength = pieces.lengths[piece]!;
    if (to < pieceLength) {
      const count = Math.min(pieceLength - to, length - done);
      const start = sourceOffset + done;
      bytes.set(source.subarray(start, start + count), pieces.offsets[piece]! + to);
      done += count;
      to = 0;
    } else {
      to -= pieceLength;
    }
  }
}

/**
 * Compression of data frames (COMPRESSION): the payload becomes one LZ4 block in memory of its own,
 * so that the memory of the frame is free at once. What does not get smaller by 6 % goes as it is,
 * and then the next frames are not even tried, up to sixteen: data that cannot be compressed comes in
 * runs, and costs the time of one try in seventeen. What a frame says of it is core/wire/frame.ts's.
 */
import { frameHeaderBytes, framePayloadMax } from '../constants.js';
import type { Lz4Compress } from '../wire/lz4.js';

/** Shorter payloads are one packet either way. */
const payloadMin = 512;
const gainMin = 0.06;
const skipMax = 16;

export class FrameCompressor {
  /** COMPRESSION is on, and the other side takes it. */
  enabled = false;
  readonly #compress: Lz4Compress;
  /** Made with the first frame. */
  #scratch: Uint8Array | undefined;
  #failures = 0;
  #skip = 0;

  constructor(compress: Lz4Compress) {
    this.#compress = compress;
  }

  /**
   * `bytes[at, at + length)` compressed, behind room for a frame header, in memory that nobody else
   * uses. Undefined: it goes as it is.
   */
  pack(bytes: Uint8Array, at: number, length: number): Uint8Array | undefined {
    if (!this.enabled || length < payloadMin) return undefined;
    if (this.#skip > 0) {
      this.#skip -= 1;
      return undefined;
    }
    this.#scratch ??= new Uint8Array(frameHeaderBytes + framePayloadMax);
    const room = Math.floor(length * (1 - gainMin));
    const packed = this.#compress(bytes, at, length, this.#scratch, frameHeaderBytes, room);
    if (packed > 0) {
      this.#failures = 0;
      return this.#scratch.slice(0, frameHeaderBytes + packed);
    }
    this.#failures += 1;
    this.#skip = Math.min(skipMax, 2 ** (this.#failures - 1));
    return undefined;
  }
}

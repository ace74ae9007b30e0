/**
 * Messages between threads as bytes: one configured msgpackr. Self-describing maps, no records,
 * because a ring may be dropped and begun anew at any message, so decoding may not depend on what
 * was decoded before. Both ends are this program, so decoded values are not checked here; bytes
 * from the network have their own codec in core/wire.
 */
import { Packr } from 'msgpackr';

const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  // Without this decoded binary values would be views of memory that the writer will overwrite.
  copyBuffers: true,
});

/** The bytes are the caller's. */
export function encodeMessage(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** `bytes` must not be shared memory: msgpackr's native helper is many times slower on it. */
export function decodeMessage(bytes: Uint8Array, length: number): unknown {
  return packr.unpack(bytes, { start: 0, end: length });
}

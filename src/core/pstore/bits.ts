/**
 * Bits in bytes, lowest bit first, as the pstore keeps them: one thread, no atomics, exact bytes.
 * (The shared maps of a device are core/bitmap.) Bounds are asserted: a bit beside its bitmap would
 * be dirt that nobody finds.
 */
import { assert } from '../assert.js';

export const bytesOfBits = (bits: number): number => Math.ceil(bits / 8);

export function hasBit(bytes: Uint8Array, bit: number): boolean {
  return (bytes[bit >>> 3]! & (1 << (bit & 7))) !== 0;
}

export function setBits(bytes: Uint8Array, first: number, count: number): void {
  change(bytes, first, count, (byte, mask) => byte | mask);
}

export function clearBits(bytes: Uint8Array, first: number, count: number): void {
  change(bytes, first, count, (byte, mask) => byte & ~mask);
}

export function countBits(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) for (let left = byte; left !== 0; left &= left - 1) count++;
  return count;
}

/** Calls `run` with every run of set bits among the first `bits`. */
export function eachRun(
  bytes: Uint8Array,
  bits: number,
  run: (first: number, count: number) => void,
): void {
  let first = -1;
  for (let bit = 0; bit <= bits; bit++) {
    if (bit < bits && first < 0 && (bit & 7) === 0 && bytes[bit >>> 3] === 0) {
      bit += 7;
      continue;
    }
    const set = bit < bits && hasBit(bytes, bit);
    if (set && first < 0) first = bit;
    if (!set && first >= 0) {
      run(first, bit - first);
      first = -1;
    }
  }
}

function change(
  bytes: Uint8Array,
  first: number,
  count: number,
  changed: (byte: number, mask: number) => number,
): void {
  const end = first + count;
  assert(first >= 0 && count >= 0 && end <= bytes.length * 8, 'bits lie within their bitmap');
  for (let bit = first; bit < end; ) {
    const next = Math.min(end, (bit | 7) + 1);
    const mask = ((1 << (next - bit)) - 1) << (bit & 7);
    bytes[bit >>> 3] = changed(bytes[bit >>> 3]!, mask);
    bit = next;
  }
}

/**
 * Every sector of 512 bytes that a simulated application writes names the write that made it: number,
 * sector, device, and a word that ties them together. So any sector on any disk or in any journal
 * says where it comes from, and data in the wrong place is seen at once.
 *
 *   0 write number │ 4 sector │ 8 device │ 12 number ^ magic │ 16 … filler, made of the number
 */
import { sectorBytes } from '../core/constants.js';

/** A sector of zeroes: never written, or zeroed. */
export const zeroValue = 0;
/** A sector that nobody of this simulation wrote there. */
export const foreignValue = -1;

const magic = 0x54444d46;
const sectorWords = sectorBytes / 4;

/** Fills `bytes`, which begin at sector `first` of the device, with the stamps of write `id`. */
export function stamp(bytes: Uint8Array, device: number, first: number, id: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  words.fill(Math.imul(id, 0x9e3779b9) | 1);
  for (let at = 0, sector = first; at < words.length; at += sectorWords, sector++) {
    words[at] = id;
    words[at + 1] = sector;
    words[at + 2] = device;
    words[at + 3] = (id ^ magic) >>> 0;
  }
}

/** Reads one sector as a value: the number of the write, `zeroValue` or `foreignValue`. */
export function sectorValueOf(
  words: Uint32Array,
  at: number,
  device: number,
  sector: number,
): number {
  const id = words[at]!;
  const check = words[at + 3]!;
  if (id === 0) {
    const zero = words[at + 1] === 0 && words[at + 2] === 0 && check === 0;
    return zero && words[at + sectorWords - 1] === 0 ? zeroValue : foreignValue;
  }
  const right =
    check === (id ^ magic) >>> 0 && words[at + 1] === sector && words[at + 2] === device;
  // The filler tells a sector that was put together from two writes.
  return right && words[at + sectorWords - 1] === (Math.imul(id, 0x9e3779b9) | 1) >>> 0
    ? id
    : foreignValue;
}

/** The values of `bytes`, which begin at sector `first` of the device, into `into` from there on. */
export function readValues(
  bytes: Uint8Array,
  device: number,
  first: number,
  into: Int32Array,
  count = Math.floor(bytes.length / sectorBytes),
): void {
  const words = wordsOf(bytes);
  for (let index = 0; index < count; index++) {
    into[first + index] = sectorValueOf(words, index * sectorWords, device, first + index);
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  if (bytes.byteOffset % 4 !== 0) return wordsOf(bytes.slice());
  return new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
}

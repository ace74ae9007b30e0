/**
 * LZ4 blocks in TypeScript, after the published description of the format: what the simulation uses,
 * and what native/lz4.cc is tested against. Pieces of literals and a match:
 *
 *   token │ more literal length │ literals │ offset (2) │ more match length     the last: literals only
 *
 * Decompression believes no length (Rule 55): each is compared with what is left on both sides before
 * a byte moves, and the result is right only when it is exactly as long as declared.
 */

/** Returns the bytes written to `out[outOffset…]`, at most `outMax`; 0 when they do not fit. */
export type Lz4Compress = (
  bytes: Uint8Array,
  offset: number,
  length: number,
  out: Uint8Array,
  outOffset: number,
  outMax: number,
) => number;

/** Fills exactly `out[outOffset, outOffset + rawLength)`. False: the block is damaged. */
export type Lz4Decompress = (
  bytes: Uint8Array,
  offset: number,
  length: number,
  out: Uint8Array,
  outOffset: number,
  rawLength: number,
) => boolean;

const matchMin = 4;
const distanceMax = 65_535;
/** The format wants the last bytes as literals, and no match to begin near the end. */
const tailLiterals = 5;
const tailNoMatch = 12;
const tableBits = 12;

export const lz4Compress: Lz4Compress = (bytes, offset, length, out, outOffset, outMax) => {
  const end = offset + length;
  const outEnd = outOffset + outMax;
  // Positions behind the offset; 0 is also "none yet", which the comparison finds out.
  const table = new Uint32Array(1 << tableBits);
  let anchor = offset;
  let to = outOffset;
  for (let at = offset + 1; at <= end - tailNoMatch; ) {
    const slot = slotOf(bytes, at);
    const from = offset + table[slot]!;
    table[slot] = at - offset;
    if (at - from > distanceMax || !sameFour(bytes, from, at)) {
      at += 1;
      continue;
    }
    let match = matchMin;
    while (at + match < end - tailLiterals && bytes[from + match] === bytes[at + match]) match += 1;
    to = putPiece(bytes, anchor, at - anchor, at - from, match, out, to, outEnd);
    if (to < 0) return 0;
    at += match;
    anchor = at;
  }
  to = putPiece(bytes, anchor, end - anchor, 0, 0, out, to, outEnd);
  return to < 0 ? 0 : to - outOffset;
};

export const lz4Decompress: Lz4Decompress = (bytes, offset, length, out, outOffset, rawLength) => {
  const end = offset + length;
  const outEnd = outOffset + rawLength;
  let at = offset;
  let to = outOffset;
  while (at < end) {
    const token = bytes[at]!;
    at += 1;
    let literals = token >> 4;
    if (literals === 15) {
      for (let more = 255; more === 255; ) {
        if (at === end) return false;
        more = bytes[at]!;
        at += 1;
        literals += more;
      }
    }
    if (literals > end - at || literals > outEnd - to) return false;
    for (let index = 0; index < literals; index += 1) out[to + index] = bytes[at + index]!;
    at += literals;
    to += literals;
    if (at === end) return to === outEnd;
    if (end - at < 2) return false;
    const distance = bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
    if (distance === 0 || distance > to - outOffset) return false;
    let match = token & 15;
    if (match === 15) {
      for (let more = 255; more === 255; ) {
        if (at === end) return false;
        more = bytes[at]!;
        at += 1;
        match += more;
      }
    }
    match += matchMin;
    if (match > outEnd - to) return false;
    // Byte by byte: a match may overlap what it makes.
    for (let index = 0; index < match; index += 1) out[to + index] = out[to + index - distance]!;
    to += match;
  }
  return false;
};

/** Writes a piece at `out[to…]`, the last one without a match; where it ends, −1: no room. */
function putPiece(
  bytes: Uint8Array,
  literalsAt: number,
  literals: number,
  distance: number,
  match: number,
  out: Uint8Array,
  to: number,
  outEnd: number,
): number {
  const matchCode = match === 0 ? 0 : match - matchMin;
  const matchBytes = match === 0 ? 0 : 2 + lengthBytes(matchCode);
  if (1 + lengthBytes(literals) + literals + matchBytes > outEnd - to) return -1;
  let at = to;
  out[at] = (Math.min(literals, 15) << 4) | Math.min(matchCode, 15);
  at = putLength(out, at + 1, literals);
  for (let index = 0; index < literals; index += 1) out[at + index] = bytes[literalsAt + index]!;
  at += literals;
  if (match === 0) return at;
  out[at] = distance & 0xff;
  out[at + 1] = distance >> 8;
  return putLength(out, at + 2, matchCode);
}

function lengthBytes(length: number): number {
  return length < 15 ? 0 : Math.floor((length - 15) / 255) + 1;
}

function putLength(out: Uint8Array, to: number, length: number): number {
  if (length < 15) return to;
  let at = to;
  let left = length - 15;
  for (; left >= 255; left -= 255) out[at++] = 255;
  out[at++] = left;
  return at;
}

function fourAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function sameFour(bytes: Uint8Array, a: number, b: number): boolean {
  return fourAt(bytes, a) === fourAt(bytes, b);
}

function slotOf(bytes: Uint8Array, at: number): number {
  return Math.imul(fourAt(bytes, at), 0x9e3779b1) >>> (32 - tableBits);
}

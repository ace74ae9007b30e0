/**
 * CRC32C (Castagnoli), the checksum of frames, journal records and saved pages. The native addon
 * computes it with the processor's instruction and is injected where it is there; this table
 * version, eight bytes a step, is the fallback and the reference the addon is tested against. It
 * finds damage, not malice: TLS does that.
 */

/**
 * Continues `seed`, the checksum of the bytes before (0 at the start), over
 * `bytes[offset, offset + length)`; an unsigned 32-bit number.
 */
export type Crc32c = (bytes: Uint8Array, offset: number, length: number, seed?: number) => number;

const polynomial = 0x82f63b78;
const tables = buildTables();

export const crc32c: Crc32c = (bytes, offset, length, seed = 0) => {
  let crc = ~seed;
  let at = offset;
  const end = offset + length;
  for (; end - at >= 8; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      tables[1792 + (crc & 0xff)]! ^
      tables[1536 + ((crc >>> 8) & 0xff)]! ^
      tables[1280 + ((crc >>> 16) & 0xff)]! ^
      tables[1024 + (crc >>> 24)]! ^
      tables[768 + bytes[at + 4]!]! ^
      tables[512 + bytes[at + 5]!]! ^
      tables[256 + bytes[at + 6]!]! ^
      tables[bytes[at + 7]!]!;
  }
  for (; at < end; at += 1) crc = (crc >>> 8) ^ tables[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
};

/** Table k, at 256·k: the effect of a byte that is k bytes further from the end. */
function buildTables(): Int32Array {
  const built = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1;
    built[byte] = crc;
  }
  for (let index = 256; index < built.length; index += 1) {
    const before = built[index - 256]!;
    built[index] = (before >>> 8) ^ built[before & 0xff]!;
  }
  return built;
}

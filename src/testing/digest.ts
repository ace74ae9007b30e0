/** Checksums for the simulated world: CRC-32C as everywhere; the 128-bit hash is a stand-in. */
import { crc32c } from '../core/checksum.js';
import { lz4Compress, lz4Decompress } from '../core/wire/lz4.js';
import type { Digest } from '../ports/block-device.js';

export const simDigest: Digest = {
  crc32c,
  xxh3(memory, offset, length, out, outOffset, seedLow = 0, seedHigh = 0) {
    const lanes = [0x811c9dc5 ^ seedLow, 0x01234567 ^ seedHigh, 0x89abcdef, 0x0badf00d];
    for (let i = 0; i < length; i++) {
      const lane = i & 3;
      lanes[lane] = Math.imul(lanes[lane]! ^ memory[offset + i]!, 0x01000193) + i;
    }
    for (let i = 0; i < 16; i++) out[outOffset + i] = lanes[i >> 2]! >>> ((i & 3) * 8);
  },
  lz4Compress,
  lz4Decompress,
  isZero(memory, offset, length) {
    for (let i = offset; i < offset + length; i++) if (memory[i] !== 0) return false;
    return true;
  },
};

/**
 * Bits that the other side sent as its own changes (`dirt`, Rule 10b) into the map of a device. They
 * come from the network: what lies behind the end of the device is refused, not asserted.
 */
import { mapBlockBytes } from '../constants.js';
import type { DeviceMap } from './device-map.js';

/** Lowest bit first. Returns what is wrong, in words; nothing is marked then. */
export function markBits(map: DeviceMap, firstBlock: number, bits: Uint8Array): string | undefined {
  let last = bits.length - 1;
  while (last >= 0 && bits[last] === 0) last -= 1;
  if (last < 0) return undefined;
  const highest = 31 - Math.clz32(bits[last]!);
  if (firstBlock + last * 8 + highest >= map.blockCount) return 'dirt behind the end of its device';
  const isSet = (bit: number) => ((bits[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  for (let bit = 0; bit <= last * 8 + highest; bit += 1) {
    if (!isSet(bit)) continue;
    let end = bit + 1;
    while (isSet(end)) end += 1;
    const offset = (firstBlock + bit) * mapBlockBytes;
    map.mark(offset, Math.min((end - bit) * mapBlockBytes, map.sizeBytes - offset));
    bit = end;
  }
  return undefined;
}

/**
 * Little-endian numbers in byte arrays, without a DataView per record: the codecs of the data plane
 * run once per frame and may not allocate. Works on shared and on private memory alike. The caller
 * has checked the bounds.
 */

/** What `getU64` gives for a value above 2^53 − 1; every valid value is ≥ 0. */
export const unsafeNumber = -1;

export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function putU64(bytes: Uint8Array, at: number, value: number): void {
  const low = value >>> 0;
  putU32(bytes, at, low);
  putU32(bytes, at + 4, (value - low) / 0x1_0000_0000);
}

export function getU16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

export function getU32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

export function getU64(bytes: Uint8Array, at: number): number {
  const high = getU32(bytes, at + 4);
  if (high > 0x1f_ffff) return unsafeNumber;
  return high * 0x1_0000_0000 + getU32(bytes, at);
}

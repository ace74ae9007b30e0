/**
 * How finely the pstore remembers a device (Rule 49b): a region is what one hot mark covers, a unit
 * what one dirty mark covers. Both are the smallest powers of two with which no device needs more
 * than 2^18 bits, so that two images of both bitmaps fit the 140 KB the manual allows a device.
 */
import { assert } from '../assert.js';
import { mapBlockBytes, regionBytesMin, regionsMax } from '../constants.js';
import { bytesOfBits } from './bits.js';
import { extentBytesMax, imageLayout, pstorePageBytes } from './layout.js';

export interface HeatGeometry {
  readonly sizeBytes: number;
  readonly regionBytes: number;
  readonly unitBytes: number;
}

/** `regionMin`: a power of two; a setting of the host, and smaller in tests. */
export function heatGeometry(sizeBytes: number, regionMin = regionBytesMin): HeatGeometry {
  assert(sizeBytes > 0, 'a device has bytes');
  let least = 1;
  while (least < sizeBytes / regionsMax) least *= 2;
  return {
    sizeBytes,
    regionBytes: Math.max(regionMin, least),
    unitBytes: Math.max(mapBlockBytes, least),
  };
}

export function regionsOf({ sizeBytes, regionBytes }: HeatGeometry): number {
  return Math.ceil(sizeBytes / regionBytes);
}

export function unitsOf({ sizeBytes, unitBytes }: HeatGeometry): number {
  return Math.ceil(sizeBytes / unitBytes);
}

export function bodyBytesOf(geometry: HeatGeometry): number {
  return bytesOfBits(regionsOf(geometry)) + bytesOfBits(unitsOf(geometry));
}

/** Pages of one image. */
export function imagePagesOf(geometry: HeatGeometry): number {
  const pages = Math.ceil((imageLayout.sizeBytes + bodyBytesOf(geometry)) / pstorePageBytes);
  assert(2 * pages * pstorePageBytes <= extentBytesMax, 'both images of a device fit 140 KB');
  return pages;
}

export function sameGeometry(a: HeatGeometry, b: HeatGeometry): boolean {
  return (
    a.sizeBytes === b.sizeBytes && a.regionBytes === b.regionBytes && a.unitBytes === b.unitBytes
  );
}

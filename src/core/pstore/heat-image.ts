/**
 * What the pstore knows of one device: which regions are hot (a write may have changed them), which
 * units are dirty (they may differ from the mirror), and how far the secondary had everything. An
 * image is that state as bytes, up to batch `sequence` of the log; each device has two, written in
 * turn. Encode, decode, apply; what a pair of images means is decided in heat-recovery.ts.
 */
import { assert } from '../assert.js';
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { bytesOfBits, clearBits, countBits, eachRun, hasBit, setBits } from './bits.js';
import { bodyBytesOf, type HeatGeometry, imagePagesOf, regionsOf, unitsOf } from './geometry.js';
import { type heatChanges, imageLayout, imageMagic, pstorePageBytes } from './layout.js';
import type { RecordPosition } from './record.js';
import { bytesOfHex, hexOfBytes } from './superblock.js';

/** Whose image it is; one of another allocation is left over from a device that is gone. */
export interface ImagePlace {
  readonly nodeId: string;
  readonly slot: number;
  readonly device: number;
  readonly allocation: number;
}

export interface HeatChange {
  readonly kind: keyof typeof heatChanges;
  readonly first: number;
  readonly count: number;
}

export type DecodedImage =
  | { readonly state: 'good'; readonly image: HeatImage }
  | { readonly state: 'bad' };

const at = imageLayout.at;
const noEra = '0'.repeat(32);

export class HeatImage {
  readonly name: string;
  readonly geometry: HeatGeometry;
  readonly hot: Uint8Array;
  readonly dirty: Uint8Array;
  sequence = 0;
  /** The boot in which a flush failed, as a number; 0: none did (H21). */
  kept = 0;
  /** Rule 26; undefined: nothing was ever released. */
  released: RecordPosition | undefined;

  constructor(name: string, geometry: HeatGeometry) {
    this.name = name;
    this.geometry = geometry;
    this.hot = new Uint8Array(bytesOfBits(regionsOf(geometry)));
    this.dirty = new Uint8Array(bytesOfBits(unitsOf(geometry)));
  }

  get hotCount(): number {
    return countBits(this.hot);
  }

  isHot(region: number): boolean {
    return hasBit(this.hot, region);
  }

  isDirty(unit: number): boolean {
    return hasBit(this.dirty, unit);
  }

  apply(changes: readonly HeatChange[]): void {
    for (const { kind, first, count } of changes) {
      if (kind === 'heat') setBits(this.hot, first, count);
      else if (kind === 'cool') clearBits(this.hot, first, count);
      else if (kind === 'dirty') setBits(this.dirty, first, count);
      else if (kind === 'clean') clearBits(this.dirty, first, count);
      else this.kept = first;
    }
  }

  /** The same in regions and units of other sizes: whatever was hot or dirty still is, and more. */
  as(geometry: HeatGeometry): HeatImage {
    const image = new HeatImage(this.name, geometry);
    const rounded =
      (to: Uint8Array, from: number, into: number, bits: number) =>
      (first: number, count: number) => {
        const start = Math.floor((first * from) / into);
        const end = Math.min(bits, Math.ceil(((first + count) * from) / into));
        setBits(to, start, end - start);
      };
    const { regionBytes, unitBytes } = this.geometry;
    const hot = rounded(image.hot, regionBytes, geometry.regionBytes, regionsOf(geometry));
    const dirty = rounded(image.dirty, unitBytes, geometry.unitBytes, unitsOf(geometry));
    eachRun(this.hot, regionsOf(this.geometry), hot);
    eachRun(this.dirty, unitsOf(this.geometry), dirty);
    image.released = this.released;
    image.kept = this.kept;
    return image;
  }

  /** Nothing is known any more: every block may differ (Rule 28a). */
  distrust(): void {
    this.hot.fill(0);
    clearBits(this.dirty, 0, this.dirty.length * 8);
    setBits(this.dirty, 0, unitsOf(this.geometry));
  }
}

/** Whether the change lies within the device. */
export function fitsGeometry(change: HeatChange, geometry: HeatGeometry): boolean {
  if (change.kind === 'keep') return change.first >= 0 && change.first <= 0xffff_ffff;
  const regions = change.kind === 'heat' || change.kind === 'cool';
  const bits = regions ? regionsOf(geometry) : unitsOf(geometry);
  return change.count >= 1 && change.first >= 0 && change.first + change.count <= bits;
}

export function encodeImage(place: ImagePlace, image: HeatImage, crc32c: Crc32c): Uint8Array {
  const { geometry, hot, dirty } = image;
  const bytes = new Uint8Array(imagePagesOf(geometry) * pstorePageBytes);
  const start = imageLayout.sizeBytes;
  bytes.set(hot, start);
  bytes.set(dirty, start + hot.length);
  putU32(bytes, at.magic, imageMagic);
  bytes.set(bytesOfHex(place.nodeId), at.nodeId);
  putU32(bytes, at.slot, place.slot);
  putU32(bytes, at.device, place.device);
  putU64(bytes, at.allocation, place.allocation);
  putU64(bytes, at.sequence, image.sequence);
  putU64(bytes, at.sizeBytes, geometry.sizeBytes);
  putU64(bytes, at.regionBytes, geometry.regionBytes);
  putU64(bytes, at.unitBytes, geometry.unitBytes);
  bytes.set(bytesOfHex(image.released?.era ?? noEra), at.era);
  putU64(bytes, at.released, image.released?.sequence ?? 0);
  putU32(bytes, at.kept, image.kept);
  const name = encodeName(image.name);
  bytes.set(name, at.name);
  const bodyBytes = bodyBytesOf(geometry);
  putU32(bytes, at.bodyBytes, bodyBytes);
  putU32(bytes, at.bodyChecksum, crc32c(bytes, start, bodyBytes));
  putU32(bytes, at.checksum, crc32c(bytes, at.nodeId, start - at.nodeId));
  return bytes;
}

export function decodeImage(bytes: Uint8Array, place: ImagePlace, crc32c: Crc32c): DecodedImage {
  const start = imageLayout.sizeBytes;
  if (bytes.length < start) return { state: 'bad' };
  const believable =
    getU32(bytes, at.magic) === imageMagic &&
    getU32(bytes, at.checksum) === crc32c(bytes, at.nodeId, start - at.nodeId) &&
    hexOfBytes(bytes.subarray(at.nodeId, at.nodeId + 16)) === place.nodeId &&
    getU32(bytes, at.slot) === place.slot &&
    getU32(bytes, at.device) === place.device &&
    getU64(bytes, at.allocation) === place.allocation;
  if (!believable) return { state: 'bad' };
  const geometry: HeatGeometry = {
    sizeBytes: getU64(bytes, at.sizeBytes),
    regionBytes: getU64(bytes, at.regionBytes),
    unitBytes: getU64(bytes, at.unitBytes),
  };
  const bodyBytes = getU32(bytes, at.bodyBytes);
  if (!plausible(geometry) || bodyBytes !== bodyBytesOf(geometry)) return { state: 'bad' };
  if (start + bodyBytes > bytes.length) return { state: 'bad' };
  if (getU32(bytes, at.bodyChecksum) !== crc32c(bytes, start, bodyBytes)) return { state: 'bad' };
  const image = new HeatImage(decodeName(bytes.subarray(at.name, at.name + 32)), geometry);
  image.hot.set(bytes.subarray(start, start + image.hot.length));
  image.dirty.set(bytes.subarray(start + image.hot.length, start + bodyBytes));
  image.sequence = getU64(bytes, at.sequence);
  image.kept = getU32(bytes, at.kept);
  image.released = positionOf(bytes, at.era, at.released);
  return { state: 'good', image };
}

/** Zeroes for the era mean that nothing was released. */
export function positionOf(
  bytes: Uint8Array,
  eraAt: number,
  sequenceAt: number,
): RecordPosition | undefined {
  const era = hexOfBytes(bytes.subarray(eraAt, eraAt + 16));
  return era === noEra ? undefined : { era, sequence: getU64(bytes, sequenceAt) };
}

export function putPosition(
  bytes: Uint8Array,
  eraAt: number,
  sequenceAt: number,
  position: RecordPosition | undefined,
): void {
  bytes.set(bytesOfHex(position?.era ?? noEra), eraAt);
  putU64(bytes, sequenceAt, position?.sequence ?? 0);
}

function plausible({ sizeBytes, regionBytes, unitBytes }: HeatGeometry): boolean {
  return sizeBytes > 0 && regionBytes > 0 && unitBytes > 0;
}

/** Names of devices are letters, digits, `_`, `.`, `-`: a byte each. */
function encodeName(name: string): Uint8Array {
  assert(name.length < 32, 'the name of a device is short');
  return Uint8Array.from(name, (letter) => letter.charCodeAt(0));
}

function decodeName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}

/**
 * What a slot of the pstore holds behind its header: the group's record, and where the images of its
 * devices lie. Both are saved together, so the two copies and the ack page of the slot protect both
 * (recovery.ts).
 *
 *   │ record bytes u32 │ extents u32 │ record (msgpack) │ extent │ extent │ …
 */
import { assert } from '../assert.js';
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import { devicesPerGroupMax } from '../constants.js';
import { extentLayout } from './layout.js';
import { recordPayloadMax } from './slot.js';

/** Where the two images of a device lie, in pages; `pages` of one image. */
export interface Extent {
  readonly page: number;
  readonly pages: number;
  readonly allocation: number;
}

export interface SlotPayload {
  readonly record: Uint8Array;
  /** By index of the device. */
  readonly extents: readonly Extent[];
}

const head = 8;
const at = extentLayout.at;

export function encodeSlotPayload({ record, extents }: SlotPayload): Uint8Array {
  const bytes = new Uint8Array(head + record.length + extents.length * extentLayout.sizeBytes);
  assert(bytes.length <= recordPayloadMax, 'a slot holds its record and its extents');
  putU32(bytes, 0, record.length);
  putU32(bytes, 4, extents.length);
  bytes.set(record, head);
  let offset = head + record.length;
  for (const { page, pages, allocation } of extents) {
    putU32(bytes, offset + at.page, page);
    putU32(bytes, offset + at.pages, pages);
    putU64(bytes, offset + at.allocation, allocation);
    offset += extentLayout.sizeBytes;
  }
  return bytes;
}

/** Undefined when the bytes are not a payload. */
export function decodeSlotPayload(bytes: Uint8Array): SlotPayload | undefined {
  if (bytes.length < head) return undefined;
  const length = getU32(bytes, 0);
  const count = getU32(bytes, 4);
  if (count > devicesPerGroupMax) return undefined;
  if (bytes.length !== head + length + count * extentLayout.sizeBytes) return undefined;
  const extents: Extent[] = [];
  for (let index = 0; index < count; index++) {
    const offset = head + length + index * extentLayout.sizeBytes;
    extents.push({
      page: getU32(bytes, offset + at.page),
      pages: getU32(bytes, offset + at.pages),
      allocation: getU64(bytes, offset + at.allocation),
    });
  }
  return { record: bytes.subarray(head, head + length), extents };
}

/**
 * Where everything lies in the pstore, the one file (or block device) per host that survives a
 * crash. All numbers little endian, all places multiples of 4096.
 *
 *   ┌────────┬────────┬────────┬────────┬────────┬────────┬────────┬──────┬───┬──────────┬──────────┬─
 *   │ super  │ super  │ log    │ log    │ log    │ slot 0 │ slot 0 │ slot │ … │ image,   │ image,   │
 *   │ copy 0 │ copy 1 │ ack    │ half 0 │ half 1 │ copy 0 │ copy 1 │ 0 ack│   │ copy 0   │ copy 1   │ …
 *   └────────┴────────┴────────┴────────┴────────┴────────┴────────┴──────┴───┴──────────┴──────────┴─
 *                                                 slots, one per group          heap, one extent per device
 *
 * Save n of a slot goes to copy (n − 1) mod 2, so that the record before stays whole; the ack page
 * says afterwards that n was durable (see recovery.ts). What is hot and what is dirty is an image per
 * device and a log of changes over all of them (heat-log.ts). Checked against docs/pstore.md.
 */
import { layout } from '../layout.js';

export const pstorePageBytes = 4096;
export const pstoreVersion = 2;
/** Layout of a record's payload; counted apart from the layout of the file. */
export const recordVersion = 2;

/** One copy of a record: header and msgpack payload. */
export const recordCopyBytes = 4 * pstorePageBytes;
export const slotBytes = 2 * recordCopyBytes + pstorePageBytes;

/** Pages of one half of the log, at most; a pstore for tests uses fewer of them. */
export const logPagesMax = 64;
export const logPagesMin = 4;
export const superblockBytes = 2 * pstorePageBytes;
export const logAckAt = superblockBytes;
export const firstSlotAt = (3 + 2 * logPagesMax) * pstorePageBytes;
/** Bytes of both images of one device: what the manual promises for a device. */
export const extentBytesMax = 140 * 1024;

export const slotsMax = 4096;
export const slotsDefault = 128;

export const superblockMagic = Uint8Array.from('TDMFPST2', (letter) => letter.charCodeAt(0));
export const recordMagic = 0x50524754;
export const ackMagic = 0x4b434154;

export const recordKinds = { record: 1, removed: 2 } as const;

export const superblockLayout = layout({
  id: 'pstore.superblock',
  sizeBytes: 128,
  fields: [
    { offset: 0, size: 8, type: 'bytes', name: 'magic', meaning: 'the letters TDMFPST2' },
    { offset: 8, size: 4, type: 'u32', name: 'version', meaning: 'of the layout of the file: 2' },
    {
      offset: 12,
      size: 4,
      type: 'u32',
      name: 'checksum',
      meaning: 'CRC32C of bytes 0–11 and 16–127',
    },
    {
      offset: 16,
      size: 8,
      type: 'u64',
      name: 'sequence',
      meaning: 'counts changes of the superblock, from 1',
    },
    { offset: 24, size: 16, type: 'bytes', name: 'nodeId', meaning: 'random, made by init' },
    { offset: 40, size: 4, type: 'u32', name: 'slots', meaning: 'number of slots, one per group' },
    { offset: 44, size: 4, type: 'u32', name: 'slotBytes', meaning: 'size of a slot: 36864' },
    {
      offset: 48,
      size: 8,
      type: 'u64',
      name: 'createdAt',
      meaning: 'milliseconds since 1970, for people',
    },
    {
      offset: 56,
      size: 4,
      type: 'u32',
      name: 'logPages',
      meaning: 'pages of each half of the log that are used',
    },
    {
      offset: 60,
      size: 4,
      type: 'u32',
      name: 'state',
      meaning: '0 in use, 1 moved: it lies elsewhere now',
    },
    { offset: 64, size: 64, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

export const recordHeaderLayout = layout({
  id: 'pstore.record',
  sizeBytes: 64,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: 'the letters TGRP' },
    { offset: 4, size: 4, type: 'u32', name: 'headerChecksum', meaning: 'CRC32C of bytes 8–63' },
    { offset: 8, size: 2, type: 'u16', name: 'version', meaning: 'of the payload: 2' },
    { offset: 10, size: 2, type: 'u16', name: 'kind', meaning: '1 record, 2 removed' },
    { offset: 12, size: 4, type: 'u32', name: 'group', meaning: 'number of the logical group' },
    {
      offset: 16,
      size: 8,
      type: 'u64',
      name: 'sequence',
      meaning: 'number of this save of the slot, from 1, without gaps',
    },
    { offset: 24, size: 8, type: 'u64', name: 'savedAt', meaning: 'milliseconds since 1970' },
    { offset: 32, size: 4, type: 'u32', name: 'payloadLength', meaning: 'bytes after the header' },
    { offset: 36, size: 4, type: 'u32', name: 'payloadChecksum', meaning: 'CRC32C of the payload' },
    { offset: 40, size: 16, type: 'bytes', name: 'nodeId', meaning: 'as in the superblock' },
    { offset: 56, size: 4, type: 'u32', name: 'slot', meaning: 'where it belongs' },
    { offset: 60, size: 4, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

export const ackLayout = layout({
  id: 'pstore.ack',
  sizeBytes: 64,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: 'the letters TACK' },
    { offset: 4, size: 4, type: 'u32', name: 'checksum', meaning: 'CRC32C of bytes 8–63' },
    {
      offset: 8,
      size: 8,
      type: 'u64',
      name: 'sequence',
      meaning: 'every save of the slot up to here was durable',
    },
    { offset: 16, size: 4, type: 'u32', name: 'slot', meaning: 'where it belongs' },
    { offset: 20, size: 16, type: 'bytes', name: 'nodeId', meaning: 'as in the superblock' },
    { offset: 36, size: 28, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const extentLayout = layout({
  id: 'pstore.extent',
  sizeBytes: 16,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'page', meaning: 'where its two images begin, in pages from the begin of the file' },
    { offset: 4, size: 4, type: 'u32', name: 'pages', meaning: 'of one image' },
    { offset: 8, size: 8, type: 'u64', name: 'allocation', meaning: 'number of this allocation, never used again' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const imageLayout = layout({
  id: 'pstore.image',
  sizeBytes: 160,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: 'the letters THOT' },
    { offset: 4, size: 4, type: 'u32', name: 'checksum', meaning: 'CRC32C of bytes 8–159' },
    { offset: 8, size: 16, type: 'bytes', name: 'nodeId', meaning: 'as in the superblock' },
    { offset: 24, size: 4, type: 'u32', name: 'slot', meaning: 'of the group' },
    { offset: 28, size: 4, type: 'u32', name: 'device', meaning: 'index of the device in the group' },
    { offset: 32, size: 8, type: 'u64', name: 'allocation', meaning: 'as in the extent' },
    { offset: 40, size: 8, type: 'u64', name: 'sequence', meaning: 'batches of the log that are in it' },
    { offset: 48, size: 8, type: 'u64', name: 'sizeBytes', meaning: 'of the device' },
    { offset: 56, size: 8, type: 'u64', name: 'regionBytes', meaning: 'one bit of hot' },
    { offset: 64, size: 8, type: 'u64', name: 'unitBytes', meaning: 'one bit of dirty' },
    { offset: 72, size: 16, type: 'bytes', name: 'era', meaning: 'of released' },
    { offset: 88, size: 8, type: 'u64', name: 'released', meaning: 'the secondary had everything of the era up to here (Rule 26)' },
    { offset: 96, size: 32, type: 'bytes', name: 'name', meaning: 'of the device, in UTF-8, zeroes behind it' },
    { offset: 128, size: 4, type: 'u32', name: 'bodyBytes', meaning: 'hot, then dirty, each in whole bytes, lowest bit first' },
    { offset: 132, size: 4, type: 'u32', name: 'bodyChecksum', meaning: 'CRC32C of the body' },
    { offset: 136, size: 4, type: 'u32', name: 'kept', meaning: '0, or the boot in which a flush of the device failed: nothing of it cools (H21)' },
    { offset: 140, size: 20, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const logLayout = layout({
  id: 'pstore.log',
  sizeBytes: 64,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: 'the letters TLOG' },
    { offset: 4, size: 4, type: 'u32', name: 'headerChecksum', meaning: 'CRC32C of bytes 8–63' },
    { offset: 8, size: 16, type: 'bytes', name: 'nodeId', meaning: 'as in the superblock' },
    { offset: 24, size: 8, type: 'u64', name: 'number', meaning: 'of the record, from 1, without gaps' },
    { offset: 32, size: 8, type: 'u64', name: 'cycle', meaning: 'of the log; its records lie in half cycle mod 2' },
    { offset: 40, size: 4, type: 'u32', name: 'batches', meaning: 'that follow the header' },
    { offset: 44, size: 4, type: 'u32', name: 'payloadBytes', meaning: 'of all batches' },
    { offset: 48, size: 4, type: 'u32', name: 'payloadChecksum', meaning: 'CRC32C of all batches' },
    { offset: 52, size: 12, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const batchLayout = layout({
  id: 'pstore.batch',
  sizeBytes: 56,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'slot', meaning: 'of the group' },
    { offset: 4, size: 4, type: 'u32', name: 'device', meaning: 'index of the device' },
    { offset: 8, size: 8, type: 'u64', name: 'allocation', meaning: 'as in the extent' },
    { offset: 16, size: 8, type: 'u64', name: 'sequence', meaning: 'of the batches of this device, without gaps' },
    { offset: 24, size: 16, type: 'bytes', name: 'era', meaning: 'of released; zero: nothing new' },
    { offset: 40, size: 8, type: 'u64', name: 'released', meaning: 'as in the image' },
    { offset: 48, size: 4, type: 'u32', name: 'changes', meaning: 'that follow' },
    { offset: 52, size: 4, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const changeLayout = layout({
  id: 'pstore.change',
  sizeBytes: 12,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'kind', meaning: '1 heat, 2 cool, 3 dirty, 4 clean, 5 keep' },
    { offset: 4, size: 4, type: 'u32', name: 'first', meaning: 'bit of hot (1, 2) or of dirty (3, 4); the new value of kept (5)' },
    { offset: 8, size: 4, type: 'u32', name: 'count', meaning: 'of bits; 1 (5)' },
  ],
});

export const imageMagic = 0x544f4854;
export const logMagic = 0x474f4c54;
export const heatChanges = { heat: 1, cool: 2, dirty: 3, clean: 4, keep: 5 } as const;

export const pstoreLayouts = [
  superblockLayout,
  recordHeaderLayout,
  ackLayout,
  extentLayout,
  imageLayout,
  logLayout,
  batchLayout,
  changeLayout,
] as const;

/** Where the ack page of the log says it belongs. */
export const logAckSlot = 0xffff_ffff;

export const logHalfAt = (half: number): number => (3 + half * logPagesMax) * pstorePageBytes;

export const slotAt = (slot: number): number => firstSlotAt + slot * slotBytes;
export const copyAt = (slot: number, copy: number): number => slotAt(slot) + copy * recordCopyBytes;
export const ackAt = (slot: number): number => slotAt(slot) + 2 * recordCopyBytes;
/** The copy that save number `sequence` goes to; the other one keeps the record before. */
export const copyOf = (sequence: number): number => (sequence - 1) % 2;
export const pstoreBytes = (slots: number): number => slotAt(slots);

/**
 * Where everything lies in the pstore, the one file (or block device) per host that survives a
 * crash. All numbers little endian, all places multiples of 4096.
 *
 *   0        4096     8192                       8192 + slotBytes
 *   ┌────────┬────────┬───────────┬───────────┬──────┬───────────┬─
 *   │ super  │ super  │ slot 0    │ slot 0    │ slot │ slot 1    │
 *   │ copy 0 │ copy 1 │ copy 0    │ copy 1    │ 0 ack│ copy 0    │ …
 *   └────────┴────────┴───────────┴───────────┴──────┴───────────┴─
 *
 * Save n of a slot goes to copy (n − 1) mod 2, so that the record before stays whole; the ack page
 * says afterwards that n was durable (see recovery.ts). Checked against docs/pstore.md.
 */
import { layout } from '../layout.js';

export const pstorePageBytes = 4096;
export const pstoreVersion = 1;
/** Layout of a record's payload; counted apart from the layout of the file. */
export const recordVersion = 1;

/** One copy of a record: header and msgpack payload. */
export const recordCopyBytes = 4 * pstorePageBytes;
export const slotBytes = 2 * recordCopyBytes + pstorePageBytes;
export const firstSlotAt = 2 * pstorePageBytes;
export const slotsMax = 4096;
export const slotsDefault = 128;

export const superblockMagic = Uint8Array.from('TDMFPST1', (letter) => letter.charCodeAt(0));
export const recordMagic = 0x50524754;
export const ackMagic = 0x4b434154;

export const recordKinds = { record: 1, removed: 2 } as const;

export const superblockLayout = layout({
  id: 'pstore.superblock',
  sizeBytes: 128,
  fields: [
    { offset: 0, size: 8, type: 'bytes', name: 'magic', meaning: 'the letters TDMFPST1' },
    { offset: 8, size: 4, type: 'u32', name: 'version', meaning: 'of the layout of the file: 1' },
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
    { offset: 56, size: 72, type: 'reserved', name: 'reserved', meaning: 'zero' },
  ],
});

export const recordHeaderLayout = layout({
  id: 'pstore.record',
  sizeBytes: 64,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: 'the letters TGRP' },
    { offset: 4, size: 4, type: 'u32', name: 'headerChecksum', meaning: 'CRC32C of bytes 8–63' },
    { offset: 8, size: 2, type: 'u16', name: 'version', meaning: 'of the payload: 1' },
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

export const pstoreLayouts = [superblockLayout, recordHeaderLayout, ackLayout] as const;

export const slotAt = (slot: number): number => firstSlotAt + slot * slotBytes;
export const copyAt = (slot: number, copy: number): number => slotAt(slot) + copy * recordCopyBytes;
export const ackAt = (slot: number): number => slotAt(slot) + 2 * recordCopyBytes;
/** The copy that save number `sequence` goes to; the other one keeps the record before. */
export const copyOf = (sequence: number): number => (sequence - 1) % 2;
export const pstoreBytes = (slots: number): number => slotAt(slots);

/**
 * The log of the pstore: every change of what is hot or dirty, for all groups of the host, one
 * numbered and checksummed record after the other, so that one flush makes durable what all of them
 * wait for (Rule 28a).
 *
 *   half 0   │ 41 │ 42 │ 43     │ 44 │ … old records │      cycle 8
 *   half 1   │ 31 │ 32 │ 33 │ 34 │ … │ 40 │                  cycle 7: its changes are in the images
 *
 * When a half is full the images of what it changed are written and flushed, and only then the next
 * cycle begins in the other half. Encode and decode; what is found is judged in heat-recovery.ts.
 */
import { assert } from '../assert.js';
import { getU32, getU64, putU32, putU64 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { type HeatChange, positionOf, putPosition } from './heat-image.js';
import {
  batchLayout,
  changeLayout,
  heatChanges,
  logLayout,
  logMagic,
  pstorePageBytes,
} from './layout.js';
import type { RecordPosition } from './record.js';
import { bytesOfHex, hexOfBytes } from './superblock.js';

/** Changes of one device, made together. */
export interface HeatBatch {
  readonly slot: number;
  readonly device: number;
  readonly allocation: number;
  readonly sequence: number;
  readonly released: RecordPosition | undefined;
  readonly changes: readonly HeatChange[];
}

export interface LogRecord {
  readonly number: number;
  readonly cycle: number;
  readonly batches: readonly HeatBatch[];
}

export interface FoundRecord extends LogRecord {
  /** Where it begins and how long it is, in pages. */
  readonly page: number;
  readonly pages: number;
}

const header = logLayout.at;
const batchAt = batchLayout.at;
const changeAt = changeLayout.at;
const kinds = Object.keys(heatChanges) as (keyof typeof heatChanges)[];

export function batchBytes({ changes }: Pick<HeatBatch, 'changes'>): number {
  return batchLayout.sizeBytes + changes.length * changeLayout.sizeBytes;
}

export function recordPages(batches: readonly Pick<HeatBatch, 'changes'>[]): number {
  const bytes = batches.reduce((sum, batch) => sum + batchBytes(batch), logLayout.sizeBytes);
  return Math.ceil(bytes / pstorePageBytes);
}

export function encodeLogRecord(nodeId: string, record: LogRecord, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(recordPages(record.batches) * pstorePageBytes);
  const start = logLayout.sizeBytes;
  let offset = start;
  for (const batch of record.batches) offset = encodeBatch(bytes, offset, batch);
  putU32(bytes, header.magic, logMagic);
  bytes.set(bytesOfHex(nodeId), header.nodeId);
  putU64(bytes, header.number, record.number);
  putU64(bytes, header.cycle, record.cycle);
  putU32(bytes, header.batches, record.batches.length);
  putU32(bytes, header.payloadBytes, offset - start);
  putU32(bytes, header.payloadChecksum, crc32c(bytes, start, offset - start));
  putU32(bytes, header.headerChecksum, crc32c(bytes, header.nodeId, start - header.nodeId));
  return bytes;
}

/** Every whole record that begins on a page of this half, whatever its number and cycle. */
export function findRecords(half: Uint8Array, nodeId: string, crc32c: Crc32c): FoundRecord[] {
  const found: FoundRecord[] = [];
  for (let page = 0; page < half.length / pstorePageBytes; page++) {
    const record = decodeLogRecord(half.subarray(page * pstorePageBytes), nodeId, crc32c);
    if (record !== undefined) found.push({ ...record, page, pages: recordPages(record.batches) });
  }
  return found;
}

function decodeLogRecord(bytes: Uint8Array, nodeId: string, crc32c: Crc32c): LogRecord | undefined {
  const start = logLayout.sizeBytes;
  const believable =
    getU32(bytes, header.magic) === logMagic &&
    getU32(bytes, header.headerChecksum) === crc32c(bytes, header.nodeId, start - header.nodeId) &&
    hexOfBytes(bytes.subarray(header.nodeId, header.nodeId + 16)) === nodeId;
  if (!believable) return undefined;
  const payloadBytes = getU32(bytes, header.payloadBytes);
  if (start + payloadBytes > bytes.length) return undefined;
  if (getU32(bytes, header.payloadChecksum) !== crc32c(bytes, start, payloadBytes)) {
    return undefined;
  }
  const batches: HeatBatch[] = [];
  let offset = start;
  for (let left = getU32(bytes, header.batches); left > 0; left--) {
    const batch = decodeBatch(bytes, offset);
    offset += batchBytes(batch);
    batches.push(batch);
  }
  assert(offset === start + payloadBytes, 'a record that is whole was written by this code');
  return {
    number: getU64(bytes, header.number),
    cycle: getU64(bytes, header.cycle),
    batches,
  };
}

function encodeBatch(bytes: Uint8Array, offset: number, batch: HeatBatch): number {
  putU32(bytes, offset + batchAt.slot, batch.slot);
  putU32(bytes, offset + batchAt.device, batch.device);
  putU64(bytes, offset + batchAt.allocation, batch.allocation);
  putU64(bytes, offset + batchAt.sequence, batch.sequence);
  putPosition(bytes, offset + batchAt.era, offset + batchAt.released, batch.released);
  putU32(bytes, offset + batchAt.changes, batch.changes.length);
  let next = offset + batchLayout.sizeBytes;
  for (const { kind, first, count } of batch.changes) {
    putU32(bytes, next + changeAt.kind, heatChanges[kind]);
    putU32(bytes, next + changeAt.first, first);
    putU32(bytes, next + changeAt.count, count);
    next += changeLayout.sizeBytes;
  }
  return next;
}

function decodeBatch(bytes: Uint8Array, offset: number): HeatBatch {
  const changes: HeatChange[] = [];
  const count = getU32(bytes, offset + batchAt.changes);
  for (let index = 0; index < count; index++) {
    const change = offset + batchLayout.sizeBytes + index * changeLayout.sizeBytes;
    const kind = kinds[getU32(bytes, change + changeAt.kind) - 1];
    assert(kind !== undefined, 'a change that is whole was written by this code');
    const first = getU32(bytes, change + changeAt.first);
    changes.push({ kind, first, count: getU32(bytes, change + changeAt.count) });
  }
  return {
    slot: getU32(bytes, offset + batchAt.slot),
    device: getU32(bytes, offset + batchAt.device),
    allocation: getU64(bytes, offset + batchAt.allocation),
    sequence: getU64(bytes, offset + batchAt.sequence),
    released: positionOf(bytes, offset + batchAt.era, offset + batchAt.released),
    changes,
  };
}

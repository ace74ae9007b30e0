/**
 * Puts together one BLOCKS frame: the table right before data that stays where it was read, and
 * records of zeroes, which have no data and join their neighbours. Each record gets its running
 * number here, in the moment before it is sent. Which blocks, and when, is refresh-sender.ts's.
 */
import { assert } from '../core/assert.js';
import {
  babEntryPayloadMax,
  frameHeaderBytes,
  mapBlockBytes,
  wireEntryBytes,
  zeroStepBytes,
} from '../core/constants.js';
import type { Refresh } from '../core/engine/refresh.js';
import { emptyWireEntry, encodeEntry } from '../core/wire/entry.js';
import { entryFlags } from '../core/wire/messages.js';
import type { Digest } from '../ports/block-device.js';

/** Blocks in a row on one device. */
export interface BlockPiece {
  readonly device: number;
  first: number;
  count: number;
}

/** Blocks of one read; which of them are all zeroes, and which do not travel (bit 0 is the first). */
export interface ReadPiece extends BlockPiece {
  zeroMask: number;
  skipMask: number;
}

export const readBlocksMax = babEntryPayloadMax / mapBlockBytes;
export const zeroBlocksMax = zeroStepBytes / mapBlockBytes;
const zeroPiecesMax = 32;

/** Memory before the data of a slot: a header and the longest table; keeps the data aligned. */
export const frontBytes = 4096;
assert(
  frameHeaderBytes + (zeroPiecesMax + readBlocksMax) * wireEntryBytes <= frontBytes,
  'header and table fit before the data',
);

export class BlocksFrame {
  /** Of the frame laid out last: where its header goes, and what it carries. */
  start = 0;
  count = 0;
  payloadBytes = 0;
  /** Bytes of the device that its records stand for. */
  coveredBytes = 0;
  readonly #digest: Digest;
  readonly #refresh: Refresh;
  #zeroes: BlockPiece[] = [];
  readonly #entry = emptyWireEntry();

  constructor(digest: Digest, refresh: Refresh) {
    this.#digest = digest;
    this.#refresh = refresh;
  }

  get zeroes(): readonly BlockPiece[] {
    return this.#zeroes;
  }

  get zeroesFull(): boolean {
    return this.#zeroes.length >= zeroPiecesMax;
  }

  addZeroes({ device, first, count }: BlockPiece): void {
    const last = this.#zeroes.at(-1);
    if (
      last?.device === device &&
      last.first + last.count === first &&
      last.count + count <= zeroBlocksMax
    ) {
      last.count += count;
    } else {
      this.#zeroes.push({ device, first, count });
    }
  }

  forgetZeroes(): void {
    this.#zeroes = [];
  }

  /** Whether one block that was read to `bytes[data…]` is all zeroes. */
  isZero(device: number, block: number, bytes: Uint8Array, data: number): boolean {
    return this.#digest.isZero(bytes, data, this.#refresh.lengthOf(device, block, 1));
  }

  /** Payload of the frame that `layOut` would make. */
  payloadOf(piece: ReadPiece | undefined): number {
    let records = this.#zeroes.length;
    let data = 0;
    if (piece !== undefined) {
      for (let block = 0; block < piece.count; ) {
        const run = runOf(piece, block);
        const kind = kindAt(piece, block);
        if (kind !== 'skip') records += 1;
        if (kind === 'data') {
          data += this.#refresh.lengthOf(piece.device, piece.first + block, run);
        }
        block += run;
      }
    }
    this.count = records;
    this.payloadBytes = records * wireEntryBytes + data;
    return this.payloadBytes;
  }

  /**
   * Lays the frame out around `bytes[data…]` and numbers its records; call `payloadOf` first. Blocks
   * inside the piece that have no data to send are closed up, so that the data is in one piece.
   */
  layOut(piece: ReadPiece | undefined, bytes: Uint8Array, data: number): void {
    let table = data - this.count * wireEntryBytes;
    this.start = table - frameHeaderBytes;
    this.coveredBytes = 0;
    assert(this.start >= 0, 'header and table fit before the data');
    for (const zeroes of this.#zeroes) {
      this.#record(bytes, table, zeroes.device, zeroes.first, zeroes.count, true);
      table += wireEntryBytes;
    }
    this.#zeroes = [];
    if (piece === undefined) return;
    let end = data;
    for (let block = 0; block < piece.count; ) {
      const run = runOf(piece, block);
      const kind = kindAt(piece, block);
      if (kind !== 'skip') {
        const zero = kind === 'zero';
        const length = this.#record(bytes, table, piece.device, piece.first + block, run, zero);
        table += wireEntryBytes;
        if (!zero) {
          const from = data + block * mapBlockBytes;
          if (from !== end) bytes.copyWithin(end, from, from + length);
          end += length;
        }
      }
      block += run;
    }
  }

  #record(
    bytes: Uint8Array,
    at: number,
    device: number,
    first: number,
    count: number,
    zero: boolean,
  ): number {
    const entry = this.#entry;
    entry.sequence = this.#refresh.records.push(device, first, count);
    entry.device = device;
    entry.flags = zero ? entryFlags.zero | entryFlags.mayUnmap : 0;
    entry.offset = first * mapBlockBytes;
    entry.length = this.#refresh.lengthOf(device, first, count);
    this.coveredBytes += entry.length;
    encodeEntry(bytes, at, entry);
    return entry.length;
  }
}

function kindAt(piece: ReadPiece, block: number): 'data' | 'zero' | 'skip' {
  if ((piece.skipMask & (1 << block)) !== 0) return 'skip';
  return (piece.zeroMask & (1 << block)) === 0 ? 'data' : 'zero';
}

/** Blocks from `block` on that are alike. */
function runOf(piece: ReadPiece, block: number): number {
  const kind = kindAt(piece, block);
  let end = block + 1;
  while (end < piece.count && kindAt(piece, end) === kind) end += 1;
  return end - block;
}

/**
 * Which blocks an image holds, in memory: what `.i` says in its table, by device and block. Only
 * stretches that hold something cost memory (5 bytes a block, 16 MiB for 200 GiB of changed data);
 * sectors are remembered only of blocks that are there in part, which is rare.
 *
 * `pageAt` gives the bytes of the table as they belong into the file; `dirtyPages` says which of them
 * have changed since they were last taken. It does no I/O.
 */
import { assert } from '../assert.js';
import { getU32, putU32 } from '../bytes.js';
import type { Crc32c } from '../checksum.js';
import { imageRecordBytes, imageRecordLayout, sectorsPerBlock, slotStates } from './image.js';

/** Blocks of one page of the table. */
export const blocksPerPage = 128;
export const tablePageBytes = blocksPerPage * imageRecordBytes;

interface TablePage {
  readonly state: Uint8Array;
  readonly crc: Uint32Array;
}

const at = imageRecordLayout.at;
const bitmapBytes = sectorsPerBlock / 8;

export class ImageTable {
  /** Blocks that are there. */
  count = 0;
  readonly #pages: readonly Map<number, TablePage>[];
  readonly #parts: readonly Map<number, Uint8Array>[];
  readonly #dirty: readonly Set<number>[];

  constructor(devices: number) {
    const each = <T>(make: () => T) => Array.from({ length: devices }, make);
    this.#pages = each(() => new Map<number, TablePage>());
    this.#parts = each(() => new Map<number, Uint8Array>());
    this.#dirty = each(() => new Set<number>());
  }

  stateOf(device: number, block: number): number {
    const page = this.#pages[device]!.get(Math.floor(block / blocksPerPage));
    return page?.state[block % blocksPerPage] ?? slotStates.absent;
  }

  crcOf(device: number, block: number): number {
    const page = this.#pages[device]!.get(Math.floor(block / blocksPerPage));
    return page?.crc[block % blocksPerPage] ?? 0;
  }

  /** One bit for each sector that is there; only of a block that is there in part. */
  sectorsOf(device: number, block: number): Uint8Array {
    const sectors = this.#parts[device]!.get(block);
    assert(sectors !== undefined, 'a block that is there in part has its sectors');
    return sectors;
  }

  set(device: number, block: number, state: number, crc: number, sectors?: Uint8Array): void {
    const index = Math.floor(block / blocksPerPage);
    const pages = this.#pages[device]!;
    let page = pages.get(index);
    if (page === undefined) {
      page = { state: new Uint8Array(blocksPerPage), crc: new Uint32Array(blocksPerPage) };
      pages.set(index, page);
    }
    const slot = block % blocksPerPage;
    if (page.state[slot] === slotStates.absent) this.count += 1;
    page.state[slot] = state;
    page.crc[slot] = crc;
    if (state === slotStates.part) {
      assert(sectors?.length === bitmapBytes, 'a bit for each sector');
      this.#parts[device]!.set(block, sectors);
    } else this.#parts[device]!.delete(block);
    this.#dirty[device]!.add(index);
  }

  /** Calls `take` with each page that changed since the last call. */
  takeDirty(take: (device: number, page: number) => void): void {
    for (const [device, dirty] of this.#dirty.entries()) {
      for (const page of dirty) take(device, page);
      dirty.clear();
    }
  }

  /** The pages that hold something, in order. */
  pagesOf(device: number): number[] {
    return [...this.#pages[device]!.keys()].sort((a, b) => a - b);
  }

  encodePage(device: number, page: number, into: Uint8Array, offset: number): void {
    into.fill(0, offset, offset + tablePageBytes);
    const { state, crc } = this.#pages[device]!.get(page)!;
    for (let slot = 0; slot < blocksPerPage; slot += 1) {
      if (state[slot] === slotStates.absent) continue;
      const position = offset + slot * imageRecordBytes;
      putU32(into, position + at.state, state[slot]!);
      putU32(into, position + at.crc, crc[slot]!);
      if (state[slot] !== slotStates.part) continue;
      into.set(this.sectorsOf(device, page * blocksPerPage + slot), position + at.sectors);
    }
  }

  /** Takes a page from the file. False: it is damaged. */
  decodePage(device: number, page: number, bytes: Uint8Array, offset: number): boolean {
    for (let slot = 0; slot < blocksPerPage; slot += 1) {
      const position = offset + slot * imageRecordBytes;
      const state = getU32(bytes, position + at.state);
      if (state === slotStates.absent) continue;
      if (state > slotStates.part) return false;
      const from = position + at.sectors;
      const sectors = state === slotStates.part ? bytes.slice(from, from + bitmapBytes) : undefined;
      this.set(
        device,
        page * blocksPerPage + slot,
        state,
        getU32(bytes, position + at.crc),
        sectors,
      );
    }
    this.#dirty[device]!.delete(page);
    return true;
  }

  /** One checksum over all that is there. */
  checksum(crc32c: Crc32c): number {
    const bytes = new Uint8Array(tablePageBytes);
    let crc = 0;
    for (const device of this.#pages.keys()) {
      for (const page of this.pagesOf(device)) {
        this.encodePage(device, page, bytes, 0);
        crc = crc32c(bytes, 0, tablePageBytes, crc);
      }
    }
    return crc;
  }
}

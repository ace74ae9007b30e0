/**
 * Memory for the data of one connection's reads: whole pages of the connection's arena, so that
 * direct devices can read into them and the socket can send from them without a copy. A read too
 * large for the pages gets memory of its own, one at a time, given back when it is sent. Bounded
 * (I12): when there is none left the connection waits.
 */
import { PagePool, pageBytes } from '../core/page-pool.js';
import type { ArenaMemory, DeviceOpener } from '../ports/block-device.js';
import type { NbdRequest } from './nbd-request.js';

export class ReadMemory {
  readonly #source: Pick<DeviceOpener, 'allocate' | 'release'>;
  readonly #arena: ArenaMemory;
  readonly #offset: number;
  readonly #pages: PagePool;
  readonly #pooledBytesMax: number;
  #largeReads = 0;

  /** The pages are what lies behind `offset` in the arena. */
  constructor(
    source: Pick<DeviceOpener, 'allocate' | 'release'>,
    arena: ArenaMemory,
    offset: number,
    pooledBytesMax: number,
  ) {
    this.#source = source;
    this.#arena = arena;
    this.#offset = offset;
    this.#pages = new PagePool(Math.floor((arena.bytes.length - offset) / pageBytes));
    this.#pooledBytesMax = pooledBytesMax;
  }

  /** Sets `memory` and `bytes` of a read; false when it has to wait. */
  find(request: NbdRequest): boolean {
    if (request.length > this.#pooledBytesMax) return this.#findLarge(request);
    const pageCount = Math.ceil(request.length / pageBytes);
    const firstPage = this.#pages.take(pageCount);
    if (firstPage < 0) return false;
    request.firstPage = firstPage;
    request.pageCount = pageCount;
    request.bytes = this.#arena.bytes;
    const start = this.#offset + firstPage * pageBytes;
    request.memory.single(this.#arena.arena, start, request.length);
    return true;
  }

  /** Takes back what `find` gave, if anything. */
  free(request: NbdRequest): void {
    if (request.pageCount > 0) this.#pages.give(request.firstPage, request.pageCount);
    if (request.largeRead !== undefined) {
      this.#source.release(request.largeRead);
      this.#largeReads--;
    }
  }

  #findLarge(request: NbdRequest): boolean {
    if (this.#largeReads > 0) return false;
    this.#largeReads++;
    // One page in front, for the header: its end touches the data, so both are one piece.
    const memory = this.#source.allocate(pageBytes + roundUpToPages(request.length));
    request.largeRead = memory;
    request.bytes = memory.bytes;
    request.memory.single(memory.arena, pageBytes, request.length);
    return true;
  }
}

export function roundUpToPages(byteCount: number): number {
  return Math.ceil(byteCount / pageBytes) * pageBytes;
}

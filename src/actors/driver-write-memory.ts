/**
 * Memory of one connection for payloads that the BAB does not take (Rule 42c): the group does not
 * append, or may take no more. Whole pages, so that direct devices can write from them; bounded; a
 * payload too large for the pages gets memory of its own, one at a time. So a write can always be
 * received and executed with the BAB at 100 %: when nothing of the connection is in flight, there is
 * room for any request.
 */
import { assert } from '../core/assert.js';
import { PagePool, pageBytes } from '../core/page-pool.js';
import type { ArenaMemory, DeviceOpener } from '../ports/block-device.js';
import type { DriverRequest } from './driver-port.js';

export const privateBytes = 2 * 1024 * 1024;

export class WriteMemory {
  readonly #source: Pick<DeviceOpener, 'allocate' | 'release'>;
  readonly #pages = new PagePool(privateBytes / pageBytes);
  /** Allocated when it is first needed: most connections of a healthy group never do. */
  #arena: ArenaMemory | undefined;
  #large: ArenaMemory | undefined;

  constructor(source: Pick<DeviceOpener, 'allocate' | 'release'>) {
    this.#source = source;
  }

  /** Sets `memory` and `bytes` of a write; false when it has to wait for another to end. */
  find(request: DriverRequest): boolean {
    if (request.length > privateBytes) return this.#findLarge(request);
    const first = this.#pages.take(Math.ceil(request.length / pageBytes));
    if (first < 0) return false;
    this.#arena ??= this.#source.allocate(privateBytes);
    request.memory.single(this.#arena.arena, first * pageBytes, request.length);
    request.bytes = this.#arena.bytes;
    return true;
  }

  /** Takes back what `find` gave. */
  free(request: DriverRequest): void {
    const { memory } = request;
    if (memory.arena === this.#large?.arena) {
      this.#source.release(this.#large);
      this.#large = undefined;
      return;
    }
    assert(memory.arena === this.#arena?.arena, 'a payload goes back where it came from');
    this.#pages.give(memory.offsets[0]! / pageBytes, Math.ceil(request.length / pageBytes));
  }

  release(): void {
    if (this.#arena !== undefined) this.#source.release(this.#arena);
    if (this.#large !== undefined) this.#source.release(this.#large);
    this.#arena = undefined;
    this.#large = undefined;
  }

  #findLarge(request: DriverRequest): boolean {
    if (this.#large !== undefined) return false;
    this.#large = this.#source.allocate(Math.ceil(request.length / pageBytes) * pageBytes);
    request.memory.single(this.#large.arena, 0, request.length);
    request.bytes = this.#large.bytes;
    return true;
  }
}

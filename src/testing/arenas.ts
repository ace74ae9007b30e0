/**
 * Arena memory without an I/O core: numbers for SharedArrayBuffers, and the bytes behind a number.
 * Counts what is still allocated, so that a test can say that an actor gave all of it back.
 */
import { assert } from '../core/assert.js';
import type { IoVector } from '../core/io-vector.js';
import type { ArenaMemory } from '../ports/block-device.js';

export class Arenas {
  readonly #memories = new Map<number, ArenaMemory>();
  #nextArena = 1;

  get liveCount(): number {
    return this.#memories.size;
  }

  allocate(byteCount: number): ArenaMemory {
    return this.attach(new SharedArrayBuffer(byteCount));
  }

  attach(buffer: SharedArrayBuffer): ArenaMemory {
    const memory = { arena: this.#nextArena++, bytes: new Uint8Array(buffer) };
    this.#memories.set(memory.arena, memory);
    return memory;
  }

  release(memory: ArenaMemory): void {
    assert(this.#memories.delete(memory.arena), 'an arena is released once');
  }

  bytesOf(arena: number): Uint8Array {
    const memory = this.#memories.get(arena);
    assert(memory !== undefined, 'I/O is done in memory that is allocated');
    return memory.bytes;
  }

  /** A copy of what the pieces of `vector` hold. */
  gather(vector: IoVector): Uint8Array {
    const bytes = this.bytesOf(vector.arena);
    const gathered = new Uint8Array(vector.totalBytes);
    let at = 0;
    for (let piece = 0; piece < vector.count; piece++) {
      const offset = vector.offsets[piece]!;
      const length = vector.lengths[piece]!;
      assert(offset + length <= bytes.length, 'a piece lies in its arena');
      gathered.set(bytes.subarray(offset, offset + length), at);
      at += length;
    }
    return gathered;
  }

  /** Puts `source` into the pieces, from the first on; returns how much fitted. */
  scatter(source: Uint8Array, vector: IoVector): number {
    const bytes = this.bytesOf(vector.arena);
    let at = 0;
    for (let piece = 0; piece < vector.count && at < source.length; piece++) {
      const offset = vector.offsets[piece]!;
      const length = Math.min(vector.lengths[piece]!, source.length - at);
      assert(offset + length <= bytes.length, 'a piece lies in its arena');
      bytes.set(source.subarray(at, at + length), offset);
      at += length;
    }
    return at;
  }
}

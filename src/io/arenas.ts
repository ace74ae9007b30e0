/**
 * The memories that this thread's I/O knows by number. Shared ones (the BAB) have agreed numbers
 * below 16, the same in every thread; private ones are numbered from 16. Each starts at an address
 * that is a multiple of 4096, so that direct I/O may use any aligned offset in it.
 */
import { assert } from '../core/assert.js';
import type { IoVector } from '../core/io-vector.js';
import type { ArenaMemory } from '../ports/block-device.js';
import { native } from './native.js';
import { uringLayout } from './uring-layout.js';

/** Who wants to hear of memories coming and going: the ring. */
export interface ArenaListener {
  setArena(arena: number, bytes: Uint8Array): void;
  clearArena(arena: number): void;
}

export class Arenas {
  readonly #known = new Map<number, Uint8Array>();
  /** How many hold each shared memory: all groups of a thread use the one BAB. */
  readonly #holders = new Map<number, number>();
  readonly #listener: ArenaListener | undefined;
  #zeroes: ArenaMemory | undefined;

  constructor(listener?: ArenaListener) {
    this.#listener = listener;
  }

  allocate(byteCount: number): ArenaMemory {
    let arena = sharedMax;
    while (this.#known.has(arena)) arena++;
    assert(arena < uringLayout.arenasMax, 'a thread has no more arenas than its ring can know');
    const bytes = aligned(new SharedArrayBuffer(byteCount + alignment)).subarray(0, byteCount);
    bytes.fill(0); // touched now, not when the kernel waits for us to free memory (Rule 52)
    return this.#add(arena, bytes);
  }

  attach(memory: SharedArrayBuffer, arena: number): ArenaMemory {
    assert(arena >= 0 && arena < sharedMax, 'shared memories have the arena numbers below 16');
    const known = this.#known.get(arena);
    assert(
      known === undefined || sameMemory(known.buffer, memory),
      `arena ${arena} is known as other memory`,
    );
    this.#holders.set(arena, (this.#holders.get(arena) ?? 0) + 1);
    return known === undefined ? this.#add(arena, aligned(memory)) : { arena, bytes: known };
  }

  release(memory: ArenaMemory): void {
    assert(this.#known.get(memory.arena) === memory.bytes, 'only a known arena is released');
    const others = (this.#holders.get(memory.arena) ?? 1) - 1;
    this.#holders.set(memory.arena, others);
    if (others > 0) return;
    this.#listener?.clearArena(memory.arena);
    this.#known.delete(memory.arena);
  }

  /** Memory that nobody writes, for writing zeroes. */
  zeroes(): ArenaMemory {
    this.#zeroes ??= this.allocate(zeroesBytes);
    return this.#zeroes;
  }

  /** The pieces of the vector as views, or undefined when one lies outside its arena. */
  views(vector: IoVector): Uint8Array[] | undefined {
    const bytes = this.#known.get(vector.arena);
    if (bytes === undefined) return undefined;
    const views: Uint8Array[] = [];
    for (let piece = 0; piece < vector.count; piece++) {
      const offset = vector.offsets[piece]!;
      const end = offset + vector.lengths[piece]!;
      if (!(offset >= 0 && end <= bytes.length && Number.isInteger(offset))) return undefined;
      if (end > offset) views.push(bytes.subarray(offset, end));
    }
    return views;
  }

  #add(arena: number, bytes: Uint8Array): ArenaMemory {
    this.#listener?.setArena(arena, bytes);
    this.#known.set(arena, bytes);
    return { arena, bytes };
  }
}

/** Each actor gets an object of its own for the one memory: only the address tells. */
function sameMemory(a: ArrayBufferLike, b: SharedArrayBuffer): boolean {
  const place = (memory: ArrayBufferLike) => native.addressModulo(new Uint8Array(memory), 2 ** 48);
  return a.byteLength === b.byteLength && place(a) === place(b);
}

function aligned(memory: SharedArrayBuffer): Uint8Array {
  const past = native.addressModulo(new Uint8Array(memory), alignment);
  const start = past === 0 ? 0 : alignment - past;
  assert(start < memory.byteLength, 'shared memory for I/O is larger than its alignment');
  return new Uint8Array(memory, start);
}

const alignment = 4096;
const sharedMax = 16;
const zeroesBytes = 256 * 1024;

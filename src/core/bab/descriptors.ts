/**
 * The ring of descriptors: entry `count` of a group lies in part (count / 1024) mod 64, and the part
 * in a chunk of the pool that the driver takes when the first entry needs it.
 *
 *   count   …  │ released │ … held entries … │ published │ … reserved … │
 *   parts      └── given back   └── chunk 17 ┴── chunk 4 ─┴── chunk 90 ─┘
 *
 * The driver writes a descriptor before it advances `published`, the PMD reads it after it has seen
 * the new `published` and never once `durable` has passed it, so fields need no atomics.
 */
import { assert } from '../assert.js';
import { babChunkBytes, babDescriptorBytes, babDescriptorChunksMax } from '../constants.js';
import type { GroupControlView } from './control.js';
import { controlLayout, descriptorLayout, descriptorsPerChunk } from './layout.js';
import type { BabPool } from './pool.js';

const at = descriptorLayout.at;
const tableWord = controlLayout.at.descriptorChunks / 4;
const partShift = Math.log2(descriptorsPerChunk);

/** What the BAB knows of one entry; reused by its reader. */
export interface BabEntry {
  sequence: number;
  dep: number;
  /** Index of the device in the group. */
  device: number;
  offset: number;
  length: number;
  /** entryFlags of core/wire/messages.ts; with `zero` there is no payload. */
  flags: number;
  /** Arena number: index of the BAB memory that holds the payload. */
  arena: number;
  memoryOffset: number;
  /** Counts eras; entries of one generation have consecutive sequences. */
  generation: number;
  /** Wall clock of the publication, ms. */
  publishedAt: number;
}

export function newBabEntry(): BabEntry {
  return {
    sequence: 0,
    dep: 0,
    device: 0,
    offset: 0,
    length: 0,
    flags: 0,
    arena: 0,
    memoryOffset: 0,
    generation: 0,
    publishedAt: 0,
  };
}

export class DescriptorRing {
  readonly #pool: BabPool;
  readonly #i32: Int32Array;
  #chunk = -1;
  #base = 0;
  #words: Int32Array;
  #numbers: Float64Array;

  constructor(pool: BabPool, control: GroupControlView) {
    this.#pool = pool;
    this.#i32 = control.i32;
    this.#words = pool.words[0]!;
    this.#numbers = pool.numbers[0]!;
  }

  /** Index of the part that holds entry `count`. */
  partOf(count: number): number {
    return (count >>> partShift) & (babDescriptorChunksMax - 1);
  }

  chunkOfPart(part: number): number {
    return Atomics.load(this.#i32, tableWord + part);
  }

  setChunkOfPart(part: number, chunk: number): void {
    Atomics.store(this.#i32, tableWord + part, chunk);
  }

  write(count: number, entry: BabEntry): void {
    const base = this.#locate(count);
    const words = this.#words;
    const numbers = this.#numbers;
    numbers[(base + at.sequence) / 8] = entry.sequence;
    numbers[(base + at.dep) / 8] = entry.dep;
    numbers[(base + at.offset) / 8] = entry.offset;
    numbers[(base + at.memoryOffset) / 8] = entry.memoryOffset;
    numbers[(base + at.publishedAt) / 8] = entry.publishedAt;
    words[(base + at.length) / 4] = entry.length;
    words[(base + at.device) / 4] = entry.device;
    words[(base + at.flags) / 4] = entry.flags;
    words[(base + at.memory) / 4] = entry.arena;
    words[(base + at.generation) / 4] = entry.generation;
  }

  read(count: number, into: BabEntry): void {
    const base = this.#locate(count);
    const words = this.#words;
    const numbers = this.#numbers;
    into.sequence = numbers[(base + at.sequence) / 8]!;
    into.dep = numbers[(base + at.dep) / 8]!;
    into.offset = numbers[(base + at.offset) / 8]!;
    into.memoryOffset = numbers[(base + at.memoryOffset) / 8]!;
    into.publishedAt = numbers[(base + at.publishedAt) / 8]!;
    into.length = words[(base + at.length) / 4]!;
    into.device = words[(base + at.device) / 4]!;
    into.flags = words[(base + at.flags) / 4]!;
    into.arena = words[(base + at.memory) / 4]!;
    into.generation = words[(base + at.generation) / 4]!;
  }

  sequenceAt(count: number): number {
    return this.#numbersAt(count, at.sequence);
  }

  publishedAt(count: number): number {
    return this.#numbersAt(count, at.publishedAt);
  }

  generationAt(count: number): number {
    const base = this.#locate(count);
    return this.#words[(base + at.generation) / 4]!;
  }

  #numbersAt(count: number, field: number): number {
    const base = this.#locate(count);
    return this.#numbers[(base + field) / 8]!;
  }

  #locate(count: number): number {
    const chunk = this.chunkOfPart(this.partOf(count));
    if (chunk !== this.#chunk) {
      assert(chunk >= 0, 'a descriptor that is used has memory');
      const memory = this.#pool.memoryOf(chunk);
      this.#words = this.#pool.words[memory]!;
      this.#numbers = this.#pool.numbers[memory]!;
      this.#base = this.#pool.offsetOf(chunk);
      this.#chunk = chunk;
    }
    return this.#base + (count & (descriptorsPerChunk - 1)) * babDescriptorBytes;
  }
}

assert(descriptorsPerChunk * babDescriptorBytes === babChunkBytes, 'descriptors fill their chunk');
assert((descriptorsPerChunk & (descriptorsPerChunk - 1)) === 0, 'counts wrap without a gap');
assert((babDescriptorChunksMax & (babDescriptorChunksMax - 1)) === 0, 'parts wrap without a gap');

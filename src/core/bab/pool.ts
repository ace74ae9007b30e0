/**
 * The memory of the BAB, shared by all groups of the host: chunks of 64 KiB in one or more
 * SharedArrayBuffers, and the accounts that keep one slow group from taking what belongs to others
 * (Rule 42a, H42, I11).
 *
 * The owner word of a chunk *is* its place in the free map: it is claimed by compare-and-swap from 0
 * to slot + 1, so there is no instant at which a chunk is taken and nobody knows by whom, and after
 * a crash `ownedBy` says exactly what the dead thread had. Accounts go up before a chunk is claimed
 * and down after it is free: claimed chunks never outnumber the accounts, hence whoever got past
 * the accounts finds a chunk.
 *
 * One thread at a time takes and gives back for one slot (the group's driver); different slots may
 * do so from different threads at once.
 */
import { assert } from '../assert.js';
import { babChunkBytes, groupsMax, sharedArenasMax } from '../constants.js';
import { guaranteedChunks, lentChunks, mayBorrow, mayPromise } from './fair-share.js';
import {
  accountBytes,
  accountLayout,
  layoutVersion,
  poolHeaderLayout,
  poolMagic,
} from './layout.js';

const at = poolHeaderLayout.at;
const chunkCountWord = at.chunkCount / 4;
const promisedWord = at.promised / 4;
const lentUsedWord = at.lentUsed / 4;
const usedWord = at.used / 4;
const memoriesWord = at.memories / 4;
const startsWord = at.starts / 4;
const accountsWord = at.accounts / 4;
const accountWords = accountBytes / 4;
const shareOf = accountLayout.at.share / 4;
const usedOf = accountLayout.at.used / 4;
const ownersWord = poolHeaderLayout.sizeBytes / 4;
/** A page: addresses of memory are multiples of 8 at least, I/O wants them to be of 4096. */
const startMax = 4096;
/** A claim that the accounts allowed finds a chunk in the first scan unless others race with it. */
const scansMax = 10_000;

export interface BabPoolOptions {
  /** Rounded down to whole chunks. */
  readonly bytes: number;
  /** How many SharedArrayBuffers to cut it into; 1 unless told. */
  readonly memories?: number;
  /**
   * Where the chunks shall begin in a memory so that their addresses are aligned for direct I/O;
   * only the I/O core knows addresses. Each memory is made `startMax` bytes larger for it.
   */
  readonly start?: (memory: SharedArrayBuffer, index: number) => number;
}

export class BabPool {
  readonly header: SharedArrayBuffer;
  readonly memories: readonly SharedArrayBuffer[];
  /** Views of each memory, for payload and descriptors. */
  readonly bytes: readonly Uint8Array[];
  readonly words: readonly Int32Array[];
  readonly numbers: readonly Float64Array[];
  readonly chunkCount: number;
  readonly #i32: Int32Array;
  readonly #firstChunks: Int32Array;

  static create(options: BabPoolOptions): BabPool {
    const memoryCount = options.memories ?? 1;
    assert(memoryCount >= 1 && memoryCount <= sharedArenasMax, 'a BAB has 1 to 16 memories');
    const chunkCount = Math.floor(options.bytes / babChunkBytes);
    assert(chunkCount >= 2 * memoryCount, 'a BAB has at least two chunks per memory');
    const header = new SharedArrayBuffer(poolHeaderLayout.sizeBytes + 4 * chunkCount);
    const i32 = new Int32Array(header);
    const memories: SharedArrayBuffer[] = [];
    let first = 0;
    for (let index = 0; index < memoryCount; index++) {
      const end = Math.floor((chunkCount * (index + 1)) / memoryCount);
      i32[memoriesWord + 2 * index] = first;
      i32[memoriesWord + 2 * index + 1] = end - first;
      const spare = options.start === undefined ? 0 : startMax;
      const memory = new SharedArrayBuffer((end - first) * babChunkBytes + spare);
      i32[startsWord + index] = options.start?.(memory, index) ?? 0;
      memories.push(memory);
      first = end;
    }
    i32[at.magic / 4] = poolMagic;
    i32[at.version / 4] = layoutVersion;
    i32[at.memoryCount / 4] = memoryCount;
    Atomics.store(i32, chunkCountWord, chunkCount);
    return new BabPool(header, memories);
  }

  static attach(header: SharedArrayBuffer, memories: readonly SharedArrayBuffer[]): BabPool {
    return new BabPool(header, memories);
  }

  private constructor(header: SharedArrayBuffer, memories: readonly SharedArrayBuffer[]) {
    const i32 = new Int32Array(header);
    assert(i32[at.magic / 4] === poolMagic, 'this is a BAB pool');
    assert(i32[at.version / 4] === layoutVersion, 'the BAB pool has the layout of this code');
    assert(i32[at.memoryCount / 4] === memories.length, 'all memories of the BAB are given');
    this.header = header;
    this.memories = memories;
    const starts = memories.map((_, index) => i32[startsWord + index]!);
    this.bytes = memories.map((memory, index) => new Uint8Array(memory, starts[index]));
    this.words = memories.map((memory, index) => new Int32Array(memory, starts[index]));
    this.numbers = memories.map((memory, index) => new Float64Array(memory, starts[index]));
    this.chunkCount = Atomics.load(i32, chunkCountWord);
    this.#i32 = i32;
    this.#firstChunks = Int32Array.from(memories, (_, index) => i32[memoriesWord + 2 * index]!);
  }

  /** Promises the group at least `bytes` for as long as it is started; false: cannot be kept. */
  promiseShare(slot: number, bytes: number): boolean {
    const account = this.#account(slot);
    assert(this.#load(account + usedOf) === 0, 'a share is promised before the group uses memory');
    assert(this.#load(account + shareOf) === 0, 'a group has one share');
    const wanted = Math.ceil(bytes / babChunkBytes);
    for (;;) {
      const promised = this.#load(promisedWord);
      if (!mayPromise(promised, wanted, this.chunkCount)) return false;
      const seen = Atomics.compareExchange(this.#i32, promisedWord, promised, promised + wanted);
      if (seen === promised) break;
    }
    Atomics.store(this.#i32, account + shareOf, wanted);
    return true;
  }

  /** The group is stopped, its driver and PMD have ended: what it owned and its share are free. */
  withdraw(slot: number): void {
    for (const chunk of this.ownedBy(slot)) this.giveBack(slot, chunk);
    const account = this.#account(slot);
    const share = this.#load(account + shareOf);
    Atomics.store(this.#i32, account + shareOf, 0);
    Atomics.sub(this.#i32, promisedWord, share);
  }

  /**
   * One more chunk for the group, −1 when it may not have one. `near` is a chunk behind which the
   * new one is wanted, so that payload pieces join.
   */
  take(slot: number, near = -1): number {
    const account = this.#account(slot);
    const used = this.#load(account + usedOf);
    const share = this.#load(account + shareOf);
    if (used >= share && !this.#borrow(used - share)) return -1;
    Atomics.store(this.#i32, account + usedOf, used + 1);
    Atomics.add(this.#i32, usedWord, 1);
    return this.#claim(slot, near >= 0 ? near + 1 : (slot * 97) % this.chunkCount);
  }

  giveBack(slot: number, chunk: number): void {
    const account = this.#account(slot);
    const owner = Atomics.compareExchange(this.#i32, ownersWord + chunk, slot + 1, 0);
    assert(owner === slot + 1, 'a chunk is given back by its owner, once');
    const used = this.#load(account + usedOf);
    Atomics.store(this.#i32, account + usedOf, used - 1);
    Atomics.sub(this.#i32, usedWord, 1);
    if (used > this.#load(account + shareOf)) Atomics.sub(this.#i32, lentUsedWord, 1);
  }

  /** The chunks of the group, in ascending order. For recovery; walks the whole pool. */
  ownedBy(slot: number): number[] {
    const chunks: number[] = [];
    for (let chunk = 0; chunk < this.chunkCount; chunk++) {
      if (this.#load(ownersWord + chunk) === slot + 1) chunks.push(chunk);
    }
    return chunks;
  }

  /**
   * After a crash: a thread that died between its account and the claim left the account one too
   * high. Makes it what the owner words say.
   */
  settle(slot: number): void {
    const account = this.#account(slot);
    const used = this.#load(account + usedOf);
    const share = this.#load(account + shareOf);
    const owned = this.ownedBy(slot).length;
    Atomics.store(this.#i32, account + usedOf, owned);
    Atomics.sub(this.#i32, usedWord, used - owned);
    const lent = Math.max(0, used - share) - Math.max(0, owned - share);
    Atomics.sub(this.#i32, lentUsedWord, lent);
  }

  memoryOf(chunk: number): number {
    let memory = this.#firstChunks.length - 1;
    while (this.#firstChunks[memory]! > chunk) memory--;
    return memory;
  }

  /** Where the chunk begins in its memory. */
  offsetOf(chunk: number): number {
    return (chunk - this.#firstChunks[this.memoryOf(chunk)]!) * babChunkBytes;
  }

  chunkAt(memory: number, offset: number): number {
    return this.#firstChunks[memory]! + Math.floor(offset / babChunkBytes);
  }

  usedChunks(slot: number): number {
    return this.#load(this.#account(slot) + usedOf);
  }

  shareChunks(slot: number): number {
    return this.#load(this.#account(slot) + shareOf);
  }

  /** What the group could have now beyond what it has; an estimate while others move (Rule 43a). */
  availableBytes(slot: number): number {
    const used = this.usedChunks(slot);
    const share = this.shareChunks(slot);
    const lentUsed = this.#load(lentUsedWord);
    const mine = Math.max(0, used - share);
    const free = lentChunks(this.chunkCount) - lentUsed;
    // Borrowing n more leaves free − n: it stops where mine + n reaches it, half way.
    const lendable = mine === lentUsed ? free : Math.max(0, Math.ceil((free - mine) / 2));
    return (Math.max(0, share - used) + lendable) * babChunkBytes;
  }

  get actualBytes(): number {
    return this.chunkCount * babChunkBytes;
  }

  get usedBytes(): number {
    return this.#load(usedWord) * babChunkBytes;
  }

  /** What could still be promised to another group. */
  get promisableBytes(): number {
    return (guaranteedChunks(this.chunkCount) - this.#load(promisedWord)) * babChunkBytes;
  }

  get lentUsedBytes(): number {
    return this.#load(lentUsedWord) * babChunkBytes;
  }

  #borrow(mine: number): boolean {
    const lentTotal = lentChunks(this.chunkCount);
    for (;;) {
      const lentUsed = this.#load(lentUsedWord);
      if (!mayBorrow(mine, lentUsed, lentTotal)) return false;
      const seen = Atomics.compareExchange(this.#i32, lentUsedWord, lentUsed, lentUsed + 1);
      if (seen === lentUsed) return true;
    }
  }

  #claim(slot: number, from: number): number {
    for (let scan = 0; scan < scansMax; scan++) {
      for (let step = 0; step < this.chunkCount; step++) {
        let chunk = from + step;
        if (chunk >= this.chunkCount) chunk -= this.chunkCount;
        const word = ownersWord + chunk;
        if (this.#load(word) === 0) {
          if (Atomics.compareExchange(this.#i32, word, 0, slot + 1) === 0) return chunk;
        }
      }
    }
    throw new Error('the BAB has no chunk although its accounts allow one');
  }

  #account(slot: number): number {
    assert(slot >= 0 && slot < groupsMax, 'a group slot is within the accounts');
    return accountsWord + slot * accountWords;
  }

  #load(word: number): number {
    return Atomics.load(this.#i32, word);
  }
}

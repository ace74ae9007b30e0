/**
 * Compares blocks of the primary with the logical view of the mirror (Rule 17): the image of this refresh
 * over the mirror, whose chain is empty and flushed by then. One XXH3-128 a block, seeded from the
 * session, so that nobody can prepare two blocks that look alike. Under a checkpoint the mirror belongs to
 * others: what is not in the image differs. Several batches may be under way; blocks that arrive wait for
 * them, so that a batch sees what was there when it came.
 */
import { hashBatchesMax, hashBlocksMax, mapBlockBytes } from '../core/constants.js';
import { IoVector } from '../core/io-vector.js';
import { slotStates } from '../core/journal/image.js';
import type { Differs, Hashes } from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice } from '../ports/block-device.js';
import { deviceCall } from './device-call.js';
import { piecesOf } from './image-reader.js';
import type { ImageFile } from './journal-image.js';
import { deviceFailed } from './mirror.js';
import type { MirrorCore } from './mirror-core.js';
import { broken } from './mirror-errors.js';

const hashBytes = 16;
const batchBytes = hashBlocksMax * mapBlockBytes;

export class MirrorCompare {
  readonly #core: MirrorCore;
  readonly #image: () => ImageFile | undefined;
  readonly #memory: ArenaMemory;
  readonly #free: number[];
  readonly #hash = new Uint8Array(hashBytes);
  #underWay = 0;
  #waiters: (() => void)[] = [];

  constructor(core: MirrorCore, image: () => ImageFile | undefined) {
    this.#core = core;
    this.#image = image;
    const slots = 4;
    this.#memory = core.place.opener.allocate(slots * (batchBytes + mapBlockBytes));
    this.#free = Array.from({ length: slots }, (_, index) => index);
  }

  /** No batch is under way: blocks may change. */
  get idle(): boolean {
    return this.#underWay === 0;
  }

  /** Answers when it is known; `found` gets the memory the blocks lie in, until it resolves. */
  compare(
    message: Hashes,
    found: (differs: Differs, memory: ArenaMemory, from: number) => Promise<void>,
  ): void {
    const { device, offset, hashes } = message;
    const { sizes } = this.#core;
    const count = hashes.length / hashBytes;
    const size = sizes[device];
    const fits =
      size !== undefined &&
      Number.isInteger(count) &&
      count >= 1 &&
      offset % mapBlockBytes === 0 &&
      offset + (count - 1) * mapBlockBytes < size;
    if (!fits) throw broken('hashes outside the device');
    if (this.#underWay >= hashBatchesMax) throw broken('too many batches of hashes');
    this.#underWay += 1;
    this.#run(message, count, found).then(
      () => this.#done(),
      (error: unknown) => {
        this.#done();
        this.#core.fail(error);
      },
    );
  }

  /** Resolves when no batch is under way. */
  async settle(): Promise<void> {
    while (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
  }

  async close(): Promise<void> {
    await this.settle();
    this.#core.place.opener.release(this.#memory);
  }

  #done(): void {
    this.#underWay -= 1;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
    this.#core.options.events.roomFreed();
  }

  async #run(
    message: Hashes,
    count: number,
    found: (differs: Differs, memory: ArenaMemory, from: number) => Promise<void>,
  ): Promise<void> {
    const { batch, device, offset, hashes } = message;
    const { options, place, sizes, stopped } = this.#core;
    const { low, high } = options.hashSeed;
    const slot = await this.#slot();
    const from = slot * (batchBytes + mapBlockBytes);
    try {
      const image = this.#image();
      await image?.settle();
      if (stopped || this.#core.stopped) return;
      const length = Math.min(sizes[device]!, offset + count * mapBlockBytes) - offset;
      const known = await this.#read(device, offset, length, from, image);
      const bits = new Uint8Array(Math.ceil(count / 8));
      for (let index = 0; index < count; index += 1) {
        const at = from + index * mapBlockBytes;
        const bytes = Math.min(mapBlockBytes, length - index * mapBlockBytes);
        if (known[index] === 1) {
          place.opener.digest.xxh3(this.#memory.bytes, at, bytes, this.#hash, 0, low, high);
          const same = this.#hash.every((byte, n) => byte === hashes[index * hashBytes + n]);
          if (same) continue;
        }
        bits[index >> 3]! |= 1 << (index & 7);
      }
      if (this.#core.stopped) return;
      await found({ kind: 'differs', batch, bits }, this.#memory, from);
    } finally {
      this.#free.push(slot);
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const resolve of waiters) resolve();
    }
  }

  async #slot(): Promise<number> {
    for (;;) {
      const slot = this.#free.pop();
      if (slot !== undefined) return slot;
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
  }

  /** The logical view of some blocks; of each, whether it is known. */
  async #read(
    device: number,
    offset: number,
    length: number,
    from: number,
    image: ImageFile | undefined,
  ): Promise<Uint8Array> {
    const first = offset / mapBlockBytes;
    const count = Math.ceil(length / mapBlockBytes);
    const known = new Uint8Array(count);
    const states = Array.from(
      { length: count },
      (_, index) => image?.table.stateOf(device, first + index) ?? slotStates.absent,
    );
    const mirror = this.#core.mirror?.devices[device];
    const under = states.some((state) => state === slotStates.absent || state === slotStates.part);
    if (mirror !== undefined && under) {
      await this.#load(mirror, offset, length, from);
      known.fill(1);
    }
    for (const [index, state] of states.entries()) {
      const at = from + index * mapBlockBytes;
      const bytes = Math.min(mapBlockBytes, length - index * mapBlockBytes);
      if (state === slotStates.zero) {
        this.#memory.bytes.fill(0, at, at + bytes);
        known[index] = 1;
      } else if (state === slotStates.data) {
        await this.#slotOf(image!, device, first + index, bytes, at);
        known[index] = 1;
      } else if (state === slotStates.part) {
        const scratch =
          Math.floor(from / (batchBytes + mapBlockBytes)) * (batchBytes + mapBlockBytes);
        const spare = scratch + batchBytes;
        await this.#slotOf(image!, device, first + index, bytes, spare);
        const sectors = image!.table.sectorsOf(device, first + index);
        for (const piece of piecesOf(sectors, bytes)) {
          const begin = spare + piece.at;
          this.#memory.bytes.copyWithin(at + piece.at, begin, begin + piece.bytes);
        }
      }
    }
    return known;
  }

  async #slotOf(
    image: ImageFile,
    device: number,
    block: number,
    bytes: number,
    at: number,
  ): Promise<void> {
    const file = await image.file.hold();
    try {
      await this.#load(file, image.slotOf(device, block), bytes, at);
    } finally {
      await image.file.release();
    }
  }

  async #load(device: BlockDevice, offset: number, length: number, at: number): Promise<void> {
    const vector = new IoVector(1).single(this.#memory.arena, at, length);
    const result = await deviceCall((sink) => device.read(vector, offset, sink, 0));
    if (result < 0) throw deviceFailed(device.path, 'read', -result);
    this.#memory.bytes.fill(0, at + result, at + length);
  }
}

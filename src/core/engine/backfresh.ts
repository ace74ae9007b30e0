/**
 * The walk of a backfresh on the primary (Rule 30): which blocks are compared next, and up to where all
 * of it is done. Blocks are everything, or what either side changed since both were equal (the map of
 * this side with the `dirt` of the other). The cursor stands before the first block that is not done; it
 * counts only after a flush, which is the caller's. Reads, writes and messages are not here.
 */
import type { DirtyBitmap } from '../bitmap/dirty-bitmap.js';
import { hashBlocksMax, mapBlockBytes } from '../constants.js';

export interface BackfreshDevice {
  /** The union of both sides' changes. */
  readonly persisted: DirtyBitmap;
  readonly sizeBytes: number;
}

export interface BackfreshPlace {
  readonly device: number;
  readonly offset: number;
}

/** Blocks in a row on one device that are compared together. */
export interface BackfreshRun {
  readonly device: number;
  readonly first: number;
  readonly count: number;
}

export class Backfresh {
  readonly #devices: readonly BackfreshDevice[];
  #all = true;
  #device = 0;
  #block = 0;
  /** Runs that were taken and are not done, in the order of the walk. */
  #open: BackfreshRun[] = [];

  constructor(devices: readonly BackfreshDevice[]) {
    this.#devices = devices;
  }

  /** Begins at `from`; whatever was under way is forgotten. */
  begin(all: boolean, from: BackfreshPlace): void {
    this.#all = all;
    this.#device = from.device;
    this.#block = Math.floor(from.offset / mapBlockBytes);
    this.#open = [];
  }

  /** The next run to compare, of at most `hashBlocksMax` blocks; undefined: the walk is at its end. */
  take(): BackfreshRun | undefined {
    for (; this.#device < this.#devices.length; this.#device += 1, this.#block = 0) {
      const { persisted } = this.#devices[this.#device]!;
      const { bits } = persisted;
      if (this.#block >= bits) continue;
      const first = this.#all ? this.#block : persisted.nextSet(this.#block);
      if (first < 0) continue;
      const count = this.#all
        ? Math.min(hashBlocksMax, bits - first)
        : persisted.runAt(first, hashBlocksMax);
      this.#block = first + count;
      const run = { device: this.#device, first, count };
      this.#open.push(run);
      return run;
    }
    return undefined;
  }

  done(run: BackfreshRun): void {
    this.#open = this.#open.filter((one) => one !== run);
  }

  /** Every block was compared, and what differed is written. */
  get over(): boolean {
    return this.#device >= this.#devices.length && this.#open.length === 0;
  }

  /** Everything before it is done. */
  get cursor(): BackfreshPlace {
    const [first] = this.#open;
    if (first !== undefined) return { device: first.device, offset: first.first * mapBlockBytes };
    return { device: this.#device, offset: this.#block * mapBlockBytes };
  }

  get totalBytes(): number {
    return this.#devices.reduce((sum, device) => sum + this.#bytesOf(device), 0);
  }

  /** What lies before the cursor, as part of `totalBytes`. */
  get doneBytes(): number {
    const { device, offset } = this.cursor;
    return this.#devices.reduce((sum, one, index) => {
      if (index > device) return sum;
      return sum + (index < device ? this.#bytesOf(one) : this.#bytesBefore(one, offset));
    }, 0);
  }

  /** Byte offset and length of blocks, cut at the end of the device. */
  lengthOf({ device, first, count }: BackfreshRun): number {
    const end = Math.min((first + count) * mapBlockBytes, this.#devices[device]!.sizeBytes);
    return end - first * mapBlockBytes;
  }

  #bytesOf({ persisted, sizeBytes }: BackfreshDevice): number {
    return this.#all ? sizeBytes : Math.min(sizeBytes, persisted.count * mapBlockBytes);
  }

  #bytesBefore({ persisted, sizeBytes }: BackfreshDevice, offset: number): number {
    if (this.#all) return Math.min(sizeBytes, offset);
    let blocks = 0;
    const end = offset / mapBlockBytes;
    for (let block = persisted.nextSet(0); block >= 0 && block < end; ) {
      const count = persisted.runAt(block, end - block);
      blocks += count;
      block = block + count < persisted.bits ? persisted.nextSet(block + count) : -1;
    }
    return Math.min(sizeBytes, blocks * mapBlockBytes);
  }
}

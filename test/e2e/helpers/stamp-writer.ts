/**
 * An application that knows what it was promised: it writes stamped blocks at random places, never
 * two at once to the same place, and remembers for each block the last stamp that was acknowledged.
 * After a pause nothing is in flight, so every block must hold exactly that stamp.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Chance } from './chance.js';
import type { NbdDevice } from './nbd-device.js';

const sectorBytes = 512;

export interface StampOptions {
  readonly device: NbdDevice;
  readonly chance: Chance;
  /** Of the part of the device that is written. */
  readonly bytes: number;
  readonly blockBytes?: number;
  readonly depth?: number;
  /** Writes per second at most, paced; without it as fast as they are answered. */
  readonly perSecond?: number;
  /** The part of the writes that asks for FUA: acknowledged means durable. */
  readonly fuaShare?: number;
  readonly onLatency?: (milliseconds: number, at: number) => void;
}

export class StampWriter {
  readonly #options: Required<Omit<StampOptions, 'perSecond'>> & { readonly perSecond: number };
  readonly #blocks: number;
  readonly #busy: Uint8Array;
  readonly acknowledged: Float64Array;
  /** Per block, in order: the last stamp known durable, and every one that was sent after it. */
  readonly #could = new Map<number, number[]>();
  #next = 0;
  #running = false;
  #flying = 0;
  #began = 0;
  #budget = 0;
  #idle: (() => void) | undefined;
  #failure: unknown;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StampOptions) {
    const defaults = { blockBytes: 4096, depth: 8, perSecond: Infinity, fuaShare: 0 };
    this.#options = { ...defaults, onLatency: () => undefined, ...options };
    this.#blocks = Math.floor(options.bytes / this.#options.blockBytes);
    this.#busy = new Uint8Array(this.#blocks);
    this.acknowledged = new Float64Array(this.#blocks);
  }

  /** Writes that were answered. */
  count = 0;

  run(): void {
    this.#running = true;
    this.#began = performance.now();
    this.#budget = 0;
    this.#pump();
  }

  /** Resolves when everything that was sent has been answered. */
  async pause(): Promise<void> {
    this.#running = false;
    clearTimeout(this.#timer);
    if (this.#flying > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #pump(): void {
    const { depth, perSecond } = this.#options;
    while (this.#running && this.#flying < depth) {
      if (perSecond !== Infinity) {
        const due = ((performance.now() - this.#began) / 1000) * perSecond;
        if (this.#budget >= due) {
          clearTimeout(this.#timer);
          this.#timer = setTimeout(() => this.#pump(), 2);
          return;
        }
        this.#budget++;
      }
      void this.#one();
    }
  }

  async #one(): Promise<void> {
    const { device, chance, blockBytes, fuaShare, onLatency } = this.#options;
    let block = chance.below(this.#blocks);
    while (this.#busy[block] === 1) block = (block + 1) % this.#blocks;
    this.#busy[block] = 1;
    this.#flying++;
    const stamp = ++this.#next;
    const fua = fuaShare > 0 && chance.happens(fuaShare);
    this.#possible(block).push(stamp);
    const sent = performance.now();
    try {
      await device.write(block * blockBytes, stamped(stamp, block, blockBytes), { fua });
      onLatency(performance.now() - sent, sent);
      this.acknowledged[block] = stamp;
      // Older ones cannot come back: this one, or something later, is what a power cut leaves.
      if (fua) this.#could.set(block, [stamp]);
      this.count++;
    } catch (failure) {
      this.#failure ??= failure;
      this.#running = false;
    }
    this.#busy[block] = 0;
    this.#flying--;
    if (this.#flying === 0 && !this.#running) this.#idle?.();
    this.#pump();
  }

  #possible(block: number): number[] {
    let stamps = this.#could.get(block);
    if (stamps === undefined) {
      stamps = [0];
      this.#could.set(block, stamps);
    }
    return stamps;
  }

  /** Everything acknowledged until now is durable: after a flush, or when both images are equal. */
  settle(): void {
    for (const block of this.#could.keys()) {
      if (this.#busy[block] === 0) this.#could.set(block, [this.acknowledged[block]!]);
    }
  }

  /**
   * Looks at the image after a power cut, before anything writes to it: every sector holds the last
   * stamp that was durable or one that was sent later. What is found is what must be found from
   * now on; blocks whose write is still unanswered will be written again.
   */
  adopt(path: string): string[] {
    const { blockBytes } = this.#options;
    const file = openSync(path, 'r');
    const found = Buffer.alloc(blockBytes);
    const wrong: string[] = [];
    for (const [block, stamps] of this.#could) {
      readSync(file, found, 0, blockBytes, block * blockBytes);
      for (let sector = 0; sector < blockBytes; sector += sectorBytes) {
        const stamp = found.readDoubleLE(sector);
        if (stamps.includes(stamp)) continue;
        wrong.push(`block ${block}: ${stamp}, and ${stamps.join(' or ')} is possible`);
        break;
      }
      const stamp = found.readDoubleLE(0);
      this.acknowledged[block] = stamp;
      if (this.#busy[block] === 0) this.#could.set(block, [stamp]);
    }
    closeSync(file);
    return wrong;
  }

  /** What is wrong with the image: blocks that do not hold their last acknowledged stamp. */
  wrongIn(path: string): string[] {
    const { blockBytes } = this.#options;
    const file = openSync(path, 'r');
    const found = Buffer.alloc(blockBytes);
    const wrong: string[] = [];
    for (let block = 0; block < this.#blocks; block++) {
      const stamp = this.acknowledged[block]!;
      readSync(file, found, 0, blockBytes, block * blockBytes);
      const expected = stamp === 0 ? Buffer.alloc(blockBytes) : stamped(stamp, block, blockBytes);
      if (!found.equals(expected)) {
        wrong.push(`block ${block}: ${found.readDoubleLE(0)} where ${stamp} was acknowledged`);
      }
    }
    closeSync(file);
    return wrong;
  }
}

/** Every 16 bytes tell the write and the place. */
export function stamped(stamp: number, place: number, bytes: number): Buffer {
  const pattern = Buffer.alloc(16);
  pattern.writeDoubleLE(stamp, 0);
  pattern.writeDoubleLE(place, 8);
  return Buffer.alloc(bytes, pattern);
}

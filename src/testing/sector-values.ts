/**
 * The values of all sectors of one simulated disk (stamp.ts), in the page cache and on the platter,
 * kept up to date as sectors land and are flushed, so that the checkers need not read the disk again
 * after every event.
 */
import { sectorBytes } from '../core/constants.js';
import type { SimDisk } from './disk.js';
import { readValues } from './stamp.js';

export class SectorValues {
  live: Int32Array;
  durable: Int32Array;
  readonly #disk: SimDisk;
  readonly #device: number;

  constructor(disk: SimDisk, device: number) {
    this.#disk = disk;
    this.#device = device;
    this.live = new Int32Array(0);
    this.durable = new Int32Array(0);
    this.#readAll();
    disk.observer = {
      live: (first, count) => this.#read(first, count),
      durable: (sector) => {
        this.durable[sector] = this.live[sector]!;
      },
      all: () => this.#readAll(),
    };
  }

  #read(first: number, count: number): void {
    const from = first * sectorBytes;
    const bytes = this.#disk.live.subarray(from, from + count * sectorBytes);
    readValues(bytes, this.#device, first, this.live);
  }

  #readAll(): void {
    const { live, durable } = this.#disk;
    this.live = new Int32Array(live.length / sectorBytes);
    this.durable = new Int32Array(durable.length / sectorBytes);
    readValues(live, this.#device, 0, this.live);
    readValues(durable, this.#device, 0, this.durable);
  }
}

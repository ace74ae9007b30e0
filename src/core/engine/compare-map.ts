/**
 * The blocks of one device that a refresh still compares before it sends them (Rules 17, 36): its own
 * copy of the shared `compare` map, which itself stays as it is until the commit, so that a refresh
 * that is killed leaves everything unproven that was unproven before. Private to one refresh.
 */
import { DirtyBitmap } from '../bitmap/dirty-bitmap.js';

export class CompareMap {
  readonly #bits: number;
  /** Made when there is something to compare. */
  #map: DirtyBitmap | undefined;

  constructor(bits: number) {
    this.#bits = bits;
  }

  /** Everything that is unproven is to be compared. */
  reset(unproven: DirtyBitmap): void {
    this.#map?.empty();
    if (unproven.count > 0) this.#own().addAll(unproven);
  }

  /** How many blocks from `first` on, at most `blocksMax`, are all compared, or all not. */
  alikeAt(first: number, blocksMax: number): number {
    const map = this.#map;
    if (map === undefined || map.count === 0) return blocksMax;
    if (map.has(first)) return map.runAt(first, blocksMax);
    const end = Math.min(first + blocksMax, map.bits);
    let block = first + 1;
    while (block < end && !map.has(block)) block += 1;
    return block - first;
  }

  /**
   * The blocks are compared, or sent, now: marked again later they are sent. False: they are not all
   * to be compared, and sending is always right.
   */
  take(first: number, count: number): boolean {
    const map = this.#map;
    if (map === undefined || map.count === 0) return false;
    return map.clear(first, count) === count;
  }

  /** Taken, and not compared after all. */
  giveBack(first: number, count: number): void {
    this.#own().set(first, count);
  }

  #own(): DirtyBitmap {
    this.#map ??= new DirtyBitmap(new ArrayBuffer(DirtyBitmap.bytesFor(this.#bits)), this.#bits);
    return this.#map;
  }
}

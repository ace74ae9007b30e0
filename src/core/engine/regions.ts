/**
 * Which regions of the local devices are durably marked hot, so that a write may change them (H18,
 * H49). Owned by the driver; the pstore only carries out.
 *
 *   COLD ──want──► WARMING ──warmed──► HOT ──beginCooling──► COOLING ──cooled──► COLD
 *     ▲               │ failed                                  │ wanted meanwhile
 *     └───────────────┘                                         └────────────────► WARMING
 *
 * Rule 18: a pin is taken before the state is looked at, and COOLING counts as cold, so no write lands
 * in a region that is being cooled. Pins are held by writes in flight and by BAB entries that are not
 * released. A region cools only without pins, and when it was not used since `mark`, behind which the
 * caller flushed. Synchronous, without I/O; nothing is allocated per write. There is no limit: when
 * everything is pinned the set grows (Rule 49).
 */
import { assert } from '../assert.js';
import { hotRegionsAhead } from '../constants.js';

export const heat = { cold: 0, warming: 1, hot: 2, cooling: 3 } as const;

export interface RegionsOfDevice {
  readonly regionBytes: number;
  readonly count: number;
  /** Whether this region is hot already. */
  hot(region: number): boolean;
}

export class Regions {
  readonly #bytes: Float64Array;
  /** First region of each device, and one more at the end. */
  readonly #first: Int32Array;
  readonly #states: Uint8Array;
  readonly #pins: Int32Array;
  /** When it was used last, in ticks of `mark`. */
  readonly #used: Float64Array;
  /** 1: wanted while it was cooling; or may never cool (H21). */
  readonly #wantedAgain: Uint8Array;
  readonly #kept: Uint8Array;
  #wanted: number[] = [];
  #tick = 1;
  #hotCount = 0;

  constructor(devices: readonly RegionsOfDevice[]) {
    this.#bytes = Float64Array.from(devices, ({ regionBytes }) => regionBytes);
    this.#first = new Int32Array(devices.length + 1);
    for (const [index, { count }] of devices.entries()) {
      this.#first[index + 1] = this.#first[index]! + count;
    }
    const total = this.#first[devices.length]!;
    this.#states = new Uint8Array(total);
    this.#pins = new Int32Array(total);
    this.#used = new Float64Array(total);
    this.#wantedAgain = new Uint8Array(total);
    this.#kept = new Uint8Array(total);
    for (const [index, { count, hot }] of devices.entries()) {
      for (let region = 0; region < count; region++) {
        if (hot(region)) this.#become(this.#first[index]! + region, heat.hot);
      }
    }
  }

  get hotCount(): number {
    return this.#hotCount;
  }

  get wants(): boolean {
    return this.#wanted.length > 0;
  }

  /** Pins the range; true when all of it is hot, so that a write may go on. */
  pin(device: number, offset: number, length: number): boolean {
    let hot = true;
    const end = this.#regionOf(device, offset + length - 1);
    for (let region = this.#regionOf(device, offset); region <= end; region++) {
      this.#pins[region]!++;
      this.#used[region] = this.#tick;
      if (this.#states[region] !== heat.hot) hot = false;
    }
    return hot;
  }

  unpin(device: number, offset: number, length: number): void {
    const end = this.#regionOf(device, offset + length - 1);
    for (let region = this.#regionOf(device, offset); region <= end; region++) {
      assert(this.#pins[region]! > 0, 'a pin is given back once');
      this.#pins[region]!--;
      // It was in use until now: a flush that began before says nothing about it.
      this.#used[region] = this.#tick;
    }
  }

  isHot(device: number, offset: number, length: number): boolean {
    const end = this.#regionOf(device, offset + length - 1);
    for (let region = this.#regionOf(device, offset); region <= end; region++) {
      if (this.#states[region] !== heat.hot) return false;
    }
    return true;
  }

  /** Every region of the range shall become hot; of a run that goes on, those ahead as well. */
  want(device: number, offset: number, length: number): void {
    const first = this.#regionOf(device, offset);
    let end = this.#regionOf(device, offset + length - 1);
    const goesOn = first > this.#first[device]! && this.#states[first - 1] === heat.hot;
    if (goesOn) {
      end = Math.max(end, Math.min(this.#first[device + 1]! - 1, first + hotRegionsAhead - 1));
    }
    for (let region = first; region <= end; region++) {
      if (this.#states[region] === heat.cooling) {
        this.#wantedAgain[region] = 1;
      } else if (this.#states[region] === heat.cold) {
        this.#become(region, heat.warming);
        this.#wanted.push(region);
      }
    }
  }

  /** The next regions to make hot, at most so many. They are in nobody's list any more. */
  takeWanted(most: number): readonly number[] {
    return this.#wanted.splice(0, most);
  }

  warmed(regions: readonly number[]): void {
    this.#tick++;
    for (const region of regions) {
      assert(this.#states[region] === heat.warming, 'only a warming region becomes hot');
      this.#become(region, heat.hot);
      this.#used[region] = this.#tick;
    }
  }

  /** They could not be made hot: nobody knows what the pstore says of them. */
  failed(regions: readonly number[]): void {
    for (const region of regions) this.#become(region, heat.cold);
  }

  /**
   * Regions that may cool once the devices are flushed, longest unused first. `beginCooling` with the
   * returned mark lets those cool that are not used until then.
   */
  coolable(most: number): { readonly mark: number; readonly regions: readonly number[] } {
    const mark = this.#tick++;
    const regions: number[] = [];
    for (let region = 0; region < this.#states.length; region++) {
      if (this.#mayCool(region, mark)) regions.push(region);
    }
    regions.sort((a, b) => this.#used[a]! - this.#used[b]! || a - b);
    return { mark, regions: regions.slice(0, most) };
  }

  /** Behind a flush that began after `coolable`. Returns those that cool now. */
  beginCooling(mark: number, regions: readonly number[]): readonly number[] {
    const cooling = regions.filter((region) => this.#mayCool(region, mark));
    for (const region of cooling) this.#become(region, heat.cooling);
    return cooling;
  }

  /** Durable, or failed: either way they are to be marked again before the next write. */
  cooled(regions: readonly number[]): void {
    for (const region of regions) {
      assert(this.#states[region] === heat.cooling, 'only a cooling region becomes cold');
      this.#become(region, heat.cold);
      if (this.#wantedAgain[region] === 0) continue;
      this.#wantedAgain[region] = 0;
      this.#become(region, heat.warming);
      this.#wanted.push(region);
    }
  }

  /** H21: a flush of the device failed: from now on none of its regions cools. */
  keep(device: number): void {
    this.#kept.fill(1, this.#first[device]!, this.#first[device + 1]!);
  }

  deviceOf(region: number): number {
    let device = 0;
    while (this.#first[device + 1]! <= region) device++;
    return device;
  }

  /** Its number among those of its device. */
  indexOf(region: number): number {
    return region - this.#first[this.deviceOf(region)]!;
  }

  stateOf(device: number, index: number): number {
    return this.#states[this.#first[device]! + index]!;
  }

  pinsOf(device: number, index: number): number {
    return this.#pins[this.#first[device]! + index]!;
  }

  #mayCool(region: number, mark: number): boolean {
    const idle = this.#pins[region] === 0 && this.#used[region]! <= mark;
    return idle && this.#states[region] === heat.hot && this.#kept[region] === 0;
  }

  #regionOf(device: number, offset: number): number {
    return this.#first[device]! + Math.floor(offset / this.#bytes[device]!);
  }

  #become(region: number, state: number): void {
    if (this.#states[region] === heat.hot) this.#hotCount--;
    if (state === heat.hot) this.#hotCount++;
    this.#states[region] = state;
  }
}

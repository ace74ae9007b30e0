/**
 * Between a write and the pstore: a write starts only where its regions are durably hot, so that
 * after a crash everything that may differ from the mirror is hot or in the persisted map (I5, H18).
 * Stands behind the range lock and before the duties are read (T1).
 *
 *   write ─admit─┬─ hot: goes on                                  one question to the pstore at a time;
 *                └─ cold: waits ─► heat ─► pstore ─► go on        what gathers meanwhile is the next
 *                                            └─ failed, late ─► refuse (Rule 28b, 28c: EIO)
 *   too many hot ─► flush the devices ─► those idle since: cool, with the map bits of the region
 *
 * Only the write that needs it waits; nothing here is touched by reads. In PASSTHRU nothing waits: its
 * map is broken, which the record says (Rule 10c). Decides nothing about states: core/engine/regions.
 */
import type { GroupControlView } from '../core/bab/control.js';
import { duty } from '../core/bab/layout.js';
import type { EntryPins } from '../core/bab/writer.js';
import type { DeviceMap } from '../core/bitmap/device-map.js';
import { heatLimitMs, hotRegionsTarget, mapBlockBytes } from '../core/constants.js';
import { Regions } from '../core/engine/regions.js';
import { isTdmfError, TdmfError } from '../core/errors.js';
import { hasBit } from '../core/pstore/bits.js';
import { regionsOf, unitsOf } from '../core/pstore/geometry.js';
import type { RecordPosition } from '../core/pstore/record.js';
import type { Clock, TimerHandle } from '../ports/clock.js';
import type { Address } from './actor.js';
import type { DriverDevice } from './driver-device.js';
import type { DriverFacts } from './driver-facts.js';
import { addChange, changesOfKind, type HeatAnswer, type HeatChanges } from './heat-messages.js';

/** Regions named in one question. */
const batchMax = 256;
/** So many more than the target are cooled at once; fewer are not worth a flush. */
const batchShare = 8;
/** A region with more runs of dirty units is dirty from the first to the last. */
const runsMax = 8;

export interface DriverHeatOptions {
  readonly group: number;
  readonly pstore: Address<never>;
  readonly answer: HeatAnswer;
  readonly names: readonly string[];
  readonly devices: readonly DriverDevice[];
  readonly maps: readonly DeviceMap[];
  readonly control: GroupControlView;
  readonly clock: Clock;
  readonly facts: DriverFacts;
  /** H21. */
  readonly flushFailed: (device: number) => void;
  /** A throw in a callback is the driver's. */
  readonly run: (run: () => void) => void;
  readonly target?: number | undefined;
  /** Names this boot of the host; never 0. */
  readonly boot: number;
}

/** Who waits for regions; a number names the write. */
export interface HeatWaiters {
  heated(write: number): void;
  notHeated(write: number): void;
}

interface Waiting {
  readonly write: number;
  readonly device: number;
  readonly offset: number;
  readonly length: number;
}

export class DriverHeat {
  readonly #options: DriverHeatOptions;
  readonly #regions: Regions;
  readonly #target: number;
  #waiters: HeatWaiters | undefined;
  #waiting: Waiting[] = [];
  /** Not yet asked; in the order in which it happened. */
  #changes: number[] = [];
  /** Could not be made durable, and goes with the next question: an empty map is worth it. */
  #owed: number[] = [];
  #cooling: readonly number[] = [];
  #asking = false;
  #coolsNow = false;
  /** The pstore did not answer in time: what is cold is refused until it does. */
  #late = false;
  #limit: TimerHandle | undefined;
  #closed = false;
  readonly #kept = new Set<number>();
  readonly #keptAll = new Set<number>();

  constructor(options: DriverHeatOptions) {
    this.#options = options;
    this.#target = options.target ?? hotRegionsTarget;
    this.#regions = new Regions(
      options.answer.devices.map((device) => {
        const hot = device.hot ?? undefined;
        const isHot = (region: number) => hot !== undefined && hasBit(hot, region);
        return { regionBytes: device.regionBytes, count: regionsOf(device), hot: isHot };
      }),
    );
    for (const [device, { kept }] of options.answer.devices.entries()) {
      if (kept === 0) continue;
      // After a boot the page cache is empty: what is read now is what is on the disk.
      if (kept === options.boot) this.#keepAll(device);
      else addChange(this.#changes, device, 'keep', 0, 1);
    }
  }

  set waiters(waiters: HeatWaiters) {
    this.#waiters = waiters;
  }

  get hotCount(): number {
    return this.#regions.hotCount;
  }

  /**
   * The write holds its range; pinned from now on, until `leave`. True: it may start in this turn.
   * False: `heated` or `notHeated` follows, never from inside this call.
   */
  admit(write: number, device: number, offset: number, length: number): boolean {
    const hot = this.#regions.pin(device, offset, length);
    if (hot || this.#options.control.duties === duty.none) return true;
    this.#waiting.push({ write, device, offset, length });
    if (this.#late) {
      // Not before the caller is done with this write.
      this.#options.clock.endOfTurn(() => this.#options.run(() => this.#refuseWaiting()));
    } else {
      this.#regions.want(device, offset, length);
      this.#ask();
    }
    return false;
  }

  leave(device: number, offset: number, length: number): void {
    this.#regions.unpin(device, offset, length);
  }

  /** An entry of the BAB holds its regions until it is released (Rule 18). */
  readonly pins: EntryPins = {
    hold: (device, offset, length) => void this.#regions.pin(device, offset, length),
    release: (device, offset, length) => this.#regions.unpin(device, offset, length),
  };

  /** The mirror has committed and the maps are empty: in the pstore too (R8). */
  committed(): void {
    for (const [device, geometry] of this.#options.answer.devices.entries()) {
      addChange(this.#changes, device, 'clean', 0, unitsOf(geometry));
    }
    this.#ask();
  }

  /**
   * H21: a flush of the device failed. What was written since the last good one may be in the page cache
   * only, and no later flush says otherwise: until the next boot nothing of the device cools, so that a
   * loss of power finds it hot. That outlives this driver. `all`: even what was never hot may be lost.
   */
  keep(device: number, all = false): void {
    const { boot, answer } = this.#options;
    if (all) {
      const count = regionsOf(answer.devices[device]!);
      addChange(this.#changes, device, 'heat', 0, count);
      this.#keptAll.add(device);
    } else if (this.#kept.has(device)) {
      return;
    }
    this.#keepAll(device);
    addChange(this.#changes, device, 'keep', boot, 1);
    this.#ask();
  }

  /** A flush has failed in this boot: no stop is clean, since nobody knows what the disk holds. */
  get doubtful(): boolean {
    return this.#kept.size > 0;
  }

  #keepAll(device: number): void {
    this.#kept.add(device);
    this.#regions.keep(device);
  }

  close(): void {
    this.#closed = true;
    this.#limit?.cancel();
  }

  #ask(): void {
    if (this.#asking || this.#closed) return;
    const heating = this.#regions.takeWanted(batchMax);
    for (const region of heating) {
      const { deviceOf, indexOf } = this.#of(region);
      addChange(this.#changes, deviceOf, 'heat', indexOf, 1);
    }
    const cooling = this.#cooling;
    if (this.#changes.length === 0) return;
    const changes = [...this.#owed, ...this.#changes];
    this.#owed = [];
    this.#cooling = [];
    this.#changes = [];
    this.#asking = true;
    const { group, answer, clock } = this.#options;
    const question: HeatChanges = {
      kind: 'pstore.heat.change',
      group,
      token: answer.token,
      changes,
      released: this.#released(),
    };
    this.#limit = clock.after(heatLimitMs, () => this.#options.run(() => this.#overdue()));
    const ended = (failure: unknown) => () => {
      if (failure !== undefined) this.#owe(changes);
      this.#answered(heating, cooling, failure);
    };
    void this.#options.pstore.ask(question).then(
      () => this.#options.run(ended(undefined)),
      (error: unknown) => this.#options.run(ended(error ?? 'unknown')),
    );
  }

  /** What must not be forgotten when it could not be made durable. */
  #owe(changes: readonly number[]): void {
    const { answer, boot } = this.#options;
    this.#owed = changesOfKind(changes, 'clean');
    for (const device of this.#keptAll) {
      addChange(this.#owed, device, 'heat', 0, regionsOf(answer.devices[device]!));
    }
    for (const device of this.#kept) addChange(this.#owed, device, 'keep', boot, 1);
  }

  #answered(heating: readonly number[], cooling: readonly number[], failure: unknown): void {
    if (this.#closed) return;
    this.#limit?.cancel();
    this.#asking = false;
    this.#late = false;
    if (cooling.length > 0) this.#coolsNow = false;
    this.#regions.cooled(cooling);
    if (failure === undefined) {
      this.#regions.warmed(heating);
      this.#goOn();
    } else {
      this.#regions.failed(heating);
      this.#refuse(failure);
    }
    this.#ask();
    this.#coolSome();
  }

  /** Rule 28c: a pstore that hangs is a pstore that failed. */
  #overdue(): void {
    this.#late = true;
    const seconds = heatLimitMs / 1000;
    this.#refuse(new TdmfError('TDMF_TIMED_OUT', { what: 'an answer of the pstore', seconds }));
  }

  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) {
      const passthru = this.#options.control.duties === duty.none;
      if (passthru || this.#regions.isHot(one.device, one.offset, one.length)) {
        this.#waiters!.heated(one.write);
      } else {
        this.#regions.want(one.device, one.offset, one.length);
        this.#waiting.push(one);
      }
    }
  }

  #refuse(failure: unknown): void {
    const code = isTdmfError(failure) ? failure.code : 'TDMF_PSTORE_FAILED';
    const message = failure instanceof Error ? failure.message : String(failure);
    this.#options.facts.factOnce({ type: 'driver.heatFailed', code, message });
    this.#refuseWaiting();
  }

  #refuseWaiting(): void {
    for (const { write } of this.#waiting.splice(0)) this.#waiters!.notHeated(write);
  }

  /** Rule 49: lazily, in batches, towards the target. */
  #coolSome(): void {
    const surplus = this.#regions.hotCount - this.#target;
    const batch = Math.max(1, Math.floor(this.#target / batchShare));
    if (this.#coolsNow || this.#closed || surplus < batch) return;
    const { mark, regions } = this.#regions.coolable(Math.min(batchMax, surplus + batch));
    if (regions.length === 0) return;
    this.#coolsNow = true;
    const devices = new Set(regions.map((region) => this.#regions.deviceOf(region)));
    let left = devices.size;
    let failed = false;
    for (const index of devices) {
      const flushed = (result: number) => {
        left--;
        if (result < 0) {
          failed = true;
          this.#options.facts.ioFailed(this.#options.names[index]!, 'flush', -result);
          this.#options.flushFailed(index);
        }
        if (left > 0) return;
        if (failed) this.#coolsNow = false;
        else this.#cool(mark, regions);
      };
      const sink = {
        completed: (_: number, result: number) => this.#options.run(() => flushed(result)),
      };
      this.#options.devices[index]!.device.flush(sink, 0);
    }
  }

  /** Rule 18: the map bits of a region go with it, in one transaction. */
  #cool(mark: number, regions: readonly number[]): void {
    const cooling = this.#regions.beginCooling(mark, regions);
    if (cooling.length === 0) {
      this.#coolsNow = false;
      return;
    }
    for (const region of cooling) {
      const { deviceOf, indexOf } = this.#of(region);
      this.#addDirt(deviceOf, indexOf);
      addChange(this.#changes, deviceOf, 'cool', indexOf, 1);
    }
    this.#cooling = cooling;
    this.#ask();
  }

  #addDirt(device: number, region: number): void {
    const { regionBytes, unitBytes, sizeBytes } = this.#options.answer.devices[device]!;
    const { persisted } = this.#options.maps[device]!;
    const end = Math.min(sizeBytes, (region + 1) * regionBytes);
    const lastBlock = Math.ceil(end / mapBlockBytes) - 1;
    const runs: number[] = [];
    let block = persisted.nextSet(Math.floor((region * regionBytes) / mapBlockBytes));
    while (block >= 0 && block <= lastBlock) {
      const unit = Math.floor((block * mapBlockBytes) / unitBytes);
      const before = runs.at(-1);
      if (before !== undefined && (before + 1 === unit || runs.length === 2 * runsMax)) {
        runs[runs.length - 1] = unit;
      } else {
        runs.push(unit, unit);
      }
      const next = Math.ceil(((unit + 1) * unitBytes) / mapBlockBytes);
      block = next < persisted.bits ? persisted.nextSet(next) : -1;
    }
    for (let at = 0; at < runs.length; at += 2) {
      addChange(this.#changes, device, 'dirty', runs[at]!, runs[at + 1]! - runs[at]! + 1);
    }
  }

  /** Rule 26: up to here the secondary had everything durable. */
  #released(): RecordPosition | undefined {
    const { era, generation, first } = this.#options.control.readEra();
    if (generation === 0) return undefined;
    return { era, sequence: Math.max(first - 1, this.#options.control.releasedSequence) };
  }

  #of(region: number): { readonly deviceOf: number; readonly indexOf: number } {
    return { deviceOf: this.#regions.deviceOf(region), indexOf: this.#regions.indexOf(region) };
  }
}

/**
 * The brain of a refresh on the primary: which blocks to read next, which of them are only compared,
 * what a lost link gives back, and when phase b may begin. Rules R3–R6 and R9 of a refresh, Rules 2,
 * 12, 17, 36 and 43a.
 *
 *   todo (shared with the driver)  ──take: clear bits──►  read  ──►  record n  ──►  acknowledged
 *          ▲                                                │  └─ hash ─► equal ────────►┤
 *          └───── giveBack: link lost, attempt aborted ─────┴────────────────────────────┘
 *   phase b:  F := todo, todo := ∅; F is walked once. An abort puts it back: all of it in a full
 *             refresh, what was not acknowledged in a journaled one, whose `.i` keeps the rest (R9)
 *
 * Bits are cleared before the read begins and the driver sets them again after its local write, so a
 * read that raced with a write is repeated (H2). Takes must be *sent* in the order they were taken:
 * a block that is taken twice then never travels backwards. A block is compared once in a session at
 * most: marked again, it is sent. This file never reads, sends or waits.
 */
import { assert } from '../assert.js';
import { DirtyBitmap } from '../bitmap/dirty-bitmap.js';
import { mapBlockBytes } from '../constants.js';
import { CompareMap } from './compare-map.js';
import { Convergence, type PassFacts, type Verdict } from './convergence.js';
import { Rate } from './rate.js';
import { Records } from './records.js';

/** A device and its maps (core/bitmap/device-map.ts), shared with the driver. */
export interface RefreshDevice {
  readonly persisted: DirtyBitmap;
  readonly todo: DirtyBitmap;
  /** What may be equal: compared first, unless the refresh is a full one. */
  readonly compare: DirtyBitmap;
  readonly sizeBytes: number;
}

/** Blocks taken and not yet sent, in a row on one device. */
export interface Taken {
  device: number;
  first: number;
  count: number;
  /** All of them are compared before they are sent. */
  compare: boolean;
}

export interface RefreshOptions {
  /** Full: every block, directly on the mirror. Otherwise what P says, to `.i`. */
  readonly full: boolean;
  readonly devices: readonly RefreshDevice[];
  readonly recordsMax: number;
}

export class Refresh {
  readonly taken: Taken = { device: 0, first: 0, count: 0, compare: false };
  readonly records: Records;
  phase: 'a' | 'b' = 'a';
  /** The walk is at the end: `endPass` decides how to go on (a), or all of F is taken (b). */
  passOver = false;
  readonly #full: boolean;
  readonly #devices: readonly RefreshDevice[];
  readonly #compare: readonly CompareMap[];
  /** F, in private memory; made when phase b begins. */
  #frozen: DirtyBitmap[] = [];
  #device = 0;
  #block = 0;
  #leftBlocks: number;
  #sentBeforeB = 0;
  #begun = false;
  readonly #convergence = new Convergence();
  #rate = new Rate();
  #coveredBytes = 0;
  #busyMs = 0;
  #busySinceMs = -1;
  /** The pass compares: its pace says nothing about that of sending. */
  #comparing = false;
  readonly #acknowledged = (number: number, device: number, first: number, count: number): void => {
    // Said of a record of phase a it proves nothing about the block as F has it.
    if (this.phase === 'b' && !this.#full && number > this.#sentBeforeB) {
      this.#frozen[device]!.clear(first, count);
    }
  };

  constructor({ full, devices, recordsMax }: RefreshOptions) {
    this.#full = full;
    this.#devices = devices;
    this.records = new Records(recordsMax);
    this.#compare = devices.map(({ todo }) => new CompareMap(todo.bits));
    this.#leftBlocks = this.#remaining();
  }

  /** What the refresh is about: every device, or the blocks that may differ. */
  get totalBytes(): number {
    return this.#devices.reduce((sum, { sizeBytes, persisted }) => {
      return sum + (this.#full ? sizeBytes : Math.min(sizeBytes, persisted.count * mapBlockBytes));
    }, 0);
  }

  /** Bytes that need not be sent again, as far as the map said when the pass began. */
  get doneBytes(): number {
    return Math.max(0, this.totalBytes - Math.max(0, this.#leftBlocks) * mapBlockBytes);
  }

  /** A link that is so fast that it was never busy for long has a rate too. */
  get linkBytesPerSecond(): number {
    const { bytesPerSecond } = this.#rate;
    if (bytesPerSecond > 0) return bytesPerSecond;
    return (this.#coveredBytes * 1000) / Math.max(1, this.#busyMs);
  }

  /** Records sent since the freeze (R6). */
  get blocksInB(): number {
    return this.records.sent - this.#sentBeforeB;
  }

  /**
   * A session is ready for phase a. `kept`: the secondary still has everything it acknowledged in
   * earlier sessions; otherwise, and at first, everything is to be done (R10).
   */
  begin(kept: boolean): void {
    assert(this.phase === 'a', 'a session begins in phase a (R9)');
    this.records.restart();
    if (!kept || !this.#begun) this.#startOver();
    this.#begun = true;
    this.#rewind();
    this.#leftBlocks = this.#remaining();
  }

  /**
   * Takes up to `blocksMax` blocks in a row into `taken`. In phase a their bits are cleared *now*,
   * before the caller reads or probes. False: the pass is over, or acknowledgements must come first.
   */
  take(blocksMax: number, nowMs: number): boolean {
    if (this.passOver || this.records.room <= 0) return false;
    for (; this.#device < this.#devices.length; this.#device += 1, this.#block = 0) {
      const count = this.phase === 'a' ? this.#takeTodo(blocksMax) : this.#takeFrozen(blocksMax);
      if (count === 0) continue;
      const { taken } = this;
      taken.device = this.#device;
      taken.count = count;
      taken.compare = this.#compare[this.#device]!.take(taken.first, count);
      this.#comparing ||= taken.compare;
      this.#block = taken.first + count;
      this.#leftBlocks -= count;
      if (this.#busySinceMs < 0) this.#busySinceMs = nowMs;
      return true;
    }
    this.passOver = true;
    return false;
  }

  /** Where the walk stands: device, and byte offset in it. */
  get walkDevice(): number {
    return this.#device;
  }

  get walkOffset(): number {
    return this.#block * mapBlockBytes;
  }

  /** Keeps only the first `count` blocks of the last take; the walk goes on behind them. */
  keep(count: number): void {
    const { device, first, compare } = this.taken;
    assert(count > 0 && count <= this.taken.count, 'part of a take is kept');
    const rest = this.taken.count - count;
    if (rest === 0) return;
    assert(this.#device === device && this.#block === first + this.taken.count, 'the last take');
    if (compare) this.#compare[device]!.giveBack(first + count, rest);
    if (this.phase === 'a') this.#devices[device]!.todo.set(first + count, rest);
    this.#block = first + count;
    this.#leftBlocks += rest;
    this.taken.count = count;
    this.passOver = false;
  }

  /** Blocks that were taken and will not be sent; `compare`: they are still to be compared. */
  giveBack(device: number, first: number, count: number, compare: boolean): void {
    if (compare) this.#compare[device]!.giveBack(first, count);
    this.#devices[device]!.todo.set(first, count);
    this.#leftBlocks += count;
  }

  /** Blocks that were compared, and are the same on the other side: as good as acknowledged. */
  equal(device: number, first: number, count: number): void {
    if (this.phase === 'b') this.#frozen[device]!.clear(first, count);
    this.#coveredBytes += count * mapBlockBytes;
  }

  /** Byte offset and length of blocks, cut at the end of the device. */
  lengthOf(device: number, first: number, count: number): number {
    const end = Math.min((first + count) * mapBlockBytes, this.#devices[device]!.sizeBytes);
    return end - first * mapBlockBytes;
  }

  /** Cumulative acknowledgement of the session. False: it cannot be true. */
  acknowledged(upTo: number, unsent: boolean, nowMs: number): boolean {
    const blocks = this.records.acknowledge(upTo, this.#acknowledged);
    if (blocks < 0) return false;
    this.#coveredBytes += blocks * mapBlockBytes;
    this.progressed(unsent, nowMs);
    return true;
  }

  /** Something was done; `unsent`: there is more to do at once. */
  progressed(unsent: boolean, nowMs: number): void {
    if (this.#busySinceMs < 0) return;
    this.#busyMs += nowMs - this.#busySinceMs;
    this.#busySinceMs = unsent || this.records.acked < this.records.sent ? nowMs : -1;
    // The clock of this rate stands still while there is nothing to send.
    this.#rate.sample(this.#busyMs, this.#coveredBytes);
  }

  /** The pass is over: is the rest small enough for phase b (Rule 43a)? Starts the next pass. */
  endPass(facts: PassFacts): Verdict {
    assert(this.phase === 'a' && this.passOver, 'a pass of phase a is over');
    if (this.#comparing) this.#forgetRate();
    const remaining = this.#remaining();
    this.#rewind();
    this.#leftBlocks = remaining;
    this.passOver = remaining === 0;
    return this.#convergence.passEnded(remaining, this.linkBytesPerSecond, facts);
  }

  /** The group could not go to phase b: convergence is to be found, and said, anew. */
  reconsider(): void {
    this.#convergence.restart();
  }

  /**
   * R4: append is on and graced. F := todo, todo := ∅. The caller has given back what it took and did
   * not send: sent in phase b it goes to `.i`, so it must be in F for an abort to know of it.
   */
  freeze(): void {
    assert(this.phase === 'a', 'phase b follows phase a');
    this.#frozen = this.#devices.map(({ todo }, device) => {
      const frozen = this.#frozen[device] ?? privateBitmap(todo.bits);
      moveBits(todo, frozen);
      return frozen;
    });
    this.phase = 'b';
    this.#sentBeforeB = this.records.sent;
    this.#rewind();
    this.#leftBlocks = this.#frozen.reduce((sum, frozen) => sum + frozen.count, 0);
  }

  /**
   * R9: back to phase a. What is left of F returns to `todo`, sent or not, and so does every record
   * without an acknowledgement. The caller gives back what it took and did not send.
   */
  abort(): void {
    assert(this.phase === 'b', 'only phase b is aborted');
    for (const [device, { todo }] of this.#devices.entries()) moveBits(this.#frozen[device]!, todo);
    this.#restartPhaseA();
  }

  /** The session ended in phase a, or the refresh is given up there. */
  linkLost(): void {
    assert(this.phase === 'a', 'phase b ends by an abort or a commit');
    this.#restartPhaseA();
  }

  /** A full refresh knows no map: whoever had all ones set has them set again here. */
  #startOver(): void {
    for (const [index, { todo, persisted, compare }] of this.#devices.entries()) {
      if (this.#full) todo.fill();
      else {
        // First what is compared: a block that is in `todo` is told apart when it is taken.
        this.#compare[index]!.reset(compare);
        todo.addAll(persisted);
      }
    }
    this.#convergence.restart();
  }

  #takeTodo(blocksMax: number): number {
    const { todo } = this.#devices[this.#device]!;
    const first = this.#block < todo.bits ? todo.nextSet(this.#block) : -1;
    if (first < 0) return 0;
    const alike = this.#compare[this.#device]!.alikeAt(first, blocksMax);
    const count = todo.takeRun(first, alike);
    this.taken.first = todo.taken;
    return count;
  }

  #takeFrozen(blocksMax: number): number {
    const frozen = this.#frozen[this.#device]!;
    const first = this.#block < frozen.bits ? frozen.nextSet(this.#block) : -1;
    this.taken.first = first;
    if (first < 0) return 0;
    return frozen.runAt(first, this.#compare[this.#device]!.alikeAt(first, blocksMax));
  }

  #restartPhaseA(): void {
    this.records.giveBack((device, first, count) => this.giveBack(device, first, count, false));
    this.phase = 'a';
    this.#convergence.restart();
    this.#busySinceMs = -1;
    this.#rewind();
    this.#leftBlocks = this.#remaining();
  }

  #forgetRate(): void {
    this.#rate = new Rate();
    this.#coveredBytes = 0;
    this.#busyMs = 0;
  }

  #remaining(): number {
    return this.#devices.reduce((sum, { todo }) => sum + todo.count, 0);
  }

  #rewind(): void {
    this.#device = 0;
    this.#block = 0;
    this.#comparing = false;
    this.passOver = false;
  }
}

function privateBitmap(bits: number): DirtyBitmap {
  return new DirtyBitmap(new ArrayBuffer(DirtyBitmap.bytesFor(bits)), bits);
}

/** A bit that is set in `from` behind the walk stays there; none is lost between the two. */
function moveBits(from: DirtyBitmap, to: DirtyBitmap): void {
  let count = from.takeRun(0, from.bits);
  while (count > 0) {
    to.set(from.taken, count);
    const next = from.taken + count;
    count = next < from.bits ? from.takeRun(next, from.bits) : 0;
  }
}

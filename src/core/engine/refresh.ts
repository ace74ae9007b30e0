/**
 * The brain of a refresh on the primary: which blocks to read next, what a lost link gives back, and
 * when phase b may begin. Rules R3–R6 and R9 of a refresh, Rules 2, 12 and 43a.
 *
 *   todo (shared with the driver)  ──take: clear bits──►  read  ──►  record n  ──►  acknowledged
 *          ▲                                                │            │
 *          └───── giveBack: link lost, attempt aborted ─────┴────────────┘
 *   phase b:  F := todo, todo := ∅; F is walked once and kept whole, so that an abort can put it back
 *
 * Bits are cleared before the read begins and the driver sets them again after its local write, so a
 * read that raced with a write is repeated (H2). Takes must be *sent* in the order they were taken:
 * a block that is taken twice then never travels backwards. This file never reads, sends or waits.
 */
import { assert } from '../assert.js';
import { DirtyBitmap } from '../bitmap/dirty-bitmap.js';
import { mapBlockBytes } from '../constants.js';
import { Convergence, type PassFacts, type Verdict } from './convergence.js';
import { Rate } from './rate.js';
import { Records } from './records.js';

export interface RefreshDevice {
  /** Shared with the driver, one bit per `mapBlockBytes`. */
  readonly todo: DirtyBitmap;
  readonly sizeBytes: number;
}

/** Blocks taken and not yet sent, in a row on one device. */
export interface Taken {
  device: number;
  first: number;
  count: number;
}

export class Refresh {
  readonly refreshId: string;
  readonly totalBytes: number;
  readonly taken: Taken = { device: 0, first: 0, count: 0 };
  readonly records: Records;
  phase: 'a' | 'b' = 'a';
  /** The walk is at the end: `endPass` decides how to go on (a), or all of F is taken (b). */
  passOver = false;
  readonly #devices: readonly RefreshDevice[];
  /** F, in private memory; made when phase b begins. */
  #frozen: DirtyBitmap[] = [];
  #device = 0;
  #block = 0;
  #leftBlocks: number;
  #sentBeforeB = 0;
  #bootId: string | undefined;
  readonly #convergence = new Convergence();
  readonly #rate = new Rate();
  #coveredBytes = 0;
  #busyMs = 0;
  #busySinceMs = -1;

  constructor(refreshId: string, devices: readonly RefreshDevice[], recordsMax: number) {
    this.refreshId = refreshId;
    this.#devices = devices;
    this.records = new Records(recordsMax);
    this.totalBytes = devices.reduce((sum, device) => sum + device.sizeBytes, 0);
    this.#leftBlocks = this.#remaining();
  }

  /** A link that is so fast that it was never busy for long has a rate too. */
  get linkBytesPerSecond(): number {
    const { bytesPerSecond } = this.#rate;
    if (bytesPerSecond > 0) return bytesPerSecond;
    return (this.#coveredBytes * 1000) / Math.max(1, this.#busyMs);
  }

  /** Bytes that need not be sent again, as far as the map said when the pass began. */
  get doneBytes(): number {
    return Math.max(0, this.totalBytes - Math.max(0, this.#leftBlocks) * mapBlockBytes);
  }

  /** Records sent since the freeze (R6). */
  get blocksInB(): number {
    return this.records.sent - this.#sentBeforeB;
  }

  /**
   * A session is ready for phase a. Whatever the secondary had is only trusted when it has been up
   * since and still names this refresh; otherwise everything is sent again (R10).
   */
  begin(bootId: string, refreshIdOfMirror: string | undefined): void {
    assert(this.phase === 'a', 'a session begins in phase a (R9)');
    this.records.restart();
    if (this.#bootId !== bootId || refreshIdOfMirror !== this.refreshId) {
      // The first session finds the map as the operator's command left it: all ones.
      for (const device of this.#devices) device.todo.fill();
      this.#convergence.restart();
    }
    this.#bootId = bootId;
    this.#rewind();
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
      this.taken.device = this.#device;
      this.taken.count = count;
      this.#block = this.taken.first + count;
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
    const { device, first } = this.taken;
    assert(count > 0 && count <= this.taken.count, 'part of a take is kept');
    const rest = this.taken.count - count;
    if (rest === 0) return;
    assert(this.#device === device && this.#block === first + this.taken.count, 'the last take');
    if (this.phase === 'a') this.#devices[device]!.todo.set(first + count, rest);
    this.#block = first + count;
    this.#leftBlocks += rest;
    this.taken.count = count;
    this.passOver = false;
  }

  /** Blocks that were taken and will not be sent. */
  giveBack(device: number, first: number, count: number): void {
    this.#devices[device]!.todo.set(first, count);
    this.#leftBlocks += count;
  }

  /** Byte offset and length of blocks, cut at the end of the device. */
  lengthOf(device: number, first: number, count: number): number {
    const end = Math.min((first + count) * mapBlockBytes, this.#devices[device]!.sizeBytes);
    return end - first * mapBlockBytes;
  }

  /** Cumulative acknowledgement of the session. False: it cannot be true. */
  acknowledged(upTo: number, unsent: boolean, nowMs: number): boolean {
    const blocks = this.records.acknowledge(upTo);
    if (blocks < 0) return false;
    this.#coveredBytes += blocks * mapBlockBytes;
    if (this.#busySinceMs >= 0) {
      this.#busyMs += nowMs - this.#busySinceMs;
      this.#busySinceMs = unsent || this.records.acked < this.records.sent ? nowMs : -1;
      // The clock of this rate stands still while there is nothing to send.
      this.#rate.sample(this.#busyMs, this.#coveredBytes);
    }
    return true;
  }

  /** The pass is over: is the rest small enough for phase b (Rule 43a)? Starts the next pass. */
  endPass(facts: PassFacts): Verdict {
    assert(this.phase === 'a' && this.passOver, 'a pass of phase a is over');
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
   * R9: back to phase a. All of F returns to `todo`, sent or not, and so does every record without
   * an acknowledgement. The caller gives back what it took and did not send.
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

  #takeTodo(blocksMax: number): number {
    const { todo } = this.#devices[this.#device]!;
    const count = this.#block < todo.bits ? todo.takeRun(this.#block, blocksMax) : 0;
    this.taken.first = todo.taken;
    return count;
  }

  /** F stays whole: an abort needs all of it. */
  #takeFrozen(blocksMax: number): number {
    const frozen = this.#frozen[this.#device]!;
    const first = this.#block < frozen.bits ? frozen.nextSet(this.#block) : -1;
    this.taken.first = first;
    return first < 0 ? 0 : frozen.runAt(first, blocksMax);
  }

  #restartPhaseA(): void {
    this.records.giveBack((device, first, count) => this.giveBack(device, first, count));
    this.phase = 'a';
    this.#convergence.restart();
    this.#busySinceMs = -1;
    this.#rewind();
    this.#leftBlocks = this.#remaining();
  }

  #remaining(): number {
    return this.#devices.reduce((sum, { todo }) => sum + todo.count, 0);
  }

  #rewind(): void {
    this.#device = 0;
    this.#block = 0;
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

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
import { mapBlockBytes } from '../constants.js';
import { Rate } from './rate.js';
import { Records } from './records.js';

/** The bits of one device, one per `mapBlockBytes`; DirtyBitmap is one. */
export interface DirtyMap {
  readonly blockCount: number;
  /** Bits that are set. */
  count(): number;
  /** The first set bit at or after `from`, or −1. */
  nextSet(from: number): number;
  /** How many bits in a row are set from `from` on, at most `max`. */
  runLength(from: number, max: number): number;
  setRange(first: number, count: number): void;
  clearRange(first: number, count: number): void;
  setAll(): void;
}

export interface RefreshDevice {
  readonly todo: DirtyMap;
  /** Private memory for the frozen rest. */
  readonly frozen: DirtyMap;
  readonly sizeBytes: number;
}

/** What the engine cannot know by itself when a pass is over (Rule 43a). */
export interface PassFacts {
  readonly nowMs: number;
  readonly babUsedBytes: number;
  readonly chunkBytes: number;
  readonly writeBytesPerSecond: number;
  /** What the group may take of the BAB. */
  readonly mayTakeBytes: number;
}

export type Verdict = 'again' | 'converged' | 'notConverging';

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
  /** Whole passes of this attempt. */
  passes = 0;
  readonly #devices: readonly RefreshDevice[];
  #device = 0;
  #block = 0;
  #leftBlocks: number;
  #sentBeforeB = 0;
  #bootId: string | undefined;
  #converged = false;
  #slowPasses = 0;
  #lastRemaining = Number.POSITIVE_INFINITY;
  #failedAttempts = 0;
  #notBeforeMs = 0;
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

  get linkBytesPerSecond(): number {
    return this.#rate.bytesPerSecond;
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
      for (const device of this.#devices) device.todo.setAll();
      this.passes = 0;
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
      const { todo, frozen } = this.#devices[this.#device]!;
      const map = this.phase === 'a' ? todo : frozen;
      if (this.#block >= map.blockCount) continue;
      const first = map.nextSet(this.#block);
      if (first < 0) continue;
      const count = map.runLength(first, blocksMax);
      // The driver may set bits meanwhile, never clear them: `count` is still right.
      if (this.phase === 'a') todo.clearRange(first, count);
      this.taken.device = this.#device;
      this.taken.first = first;
      this.taken.count = count;
      this.#block = first + count;
      this.#leftBlocks -= count;
      if (this.#busySinceMs < 0) this.#busySinceMs = nowMs;
      return true;
    }
    this.passOver = true;
    return false;
  }

  /** Keeps only the first `count` blocks of the last take; the walk goes on behind them. */
  keep(count: number): void {
    const { device, first } = this.taken;
    assert(count > 0 && count <= this.taken.count, 'part of a take is kept');
    const rest = this.taken.count - count;
    if (rest === 0) return;
    assert(this.#device === device && this.#block === first + this.taken.count, 'the last take');
    if (this.phase === 'a') this.#devices[device]!.todo.setRange(first + count, rest);
    this.#block = first + count;
    this.#leftBlocks += rest;
    this.taken.count = count;
    this.passOver = false;
  }

  /** Blocks that were taken and will not be sent. */
  giveBack(device: number, first: number, count: number): void {
    this.#devices[device]!.todo.setRange(first, count);
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
    this.passes += 1;
    this.#rewind();
    this.#leftBlocks = remaining;
    this.passOver = remaining === 0;
    if (this.#converged) return 'again';
    if (facts.nowMs >= this.#notBeforeMs && this.#fits(remaining * mapBlockBytes, facts)) {
      this.#converged = true;
      return 'converged';
    }
    this.#slowPasses = remaining > shrunkEnough * this.#lastRemaining ? this.#slowPasses + 1 : 0;
    this.#lastRemaining = remaining;
    if (this.#slowPasses < slowPassesMax) return 'again';
    this.#slowPasses = 0;
    return 'notConverging';
  }

  /** R4: append is on and graced. F := todo, todo := ∅. */
  freeze(): void {
    assert(this.phase === 'a', 'phase b follows phase a');
    for (const { todo, frozen } of this.#devices) moveBits(todo, frozen);
    this.phase = 'b';
    this.#sentBeforeB = this.records.sent;
    this.#rewind();
    this.#leftBlocks = this.#devices.reduce((sum, { frozen }) => sum + frozen.count(), 0);
  }

  /**
   * R9: back to phase a. All of F returns to `todo`, sent or not, and so does every record without
   * an acknowledgement. The caller gives back what it took and did not send.
   */
  abort(nowMs: number): void {
    assert(this.phase === 'b', 'only phase b is aborted');
    this.#failedAttempts += 1;
    this.#notBeforeMs =
      nowMs + Math.min(pauseMsMax, pauseMsFirst * 2 ** (this.#failedAttempts - 1));
    for (const { todo, frozen } of this.#devices) moveBits(frozen, todo);
    this.#restartPhaseA();
  }

  /** The session ended. Returns true when it ended phase b (R9). */
  linkLost(nowMs: number): boolean {
    const inB = this.phase === 'b';
    if (inB) this.abort(nowMs);
    else this.#restartPhaseA();
    return inB;
  }

  #restartPhaseA(): void {
    this.records.giveBack((device, first, count) => this.giveBack(device, first, count));
    this.phase = 'a';
    this.#converged = false;
    this.passes = 0;
    this.#busySinceMs = -1;
    this.#rewind();
    this.#leftBlocks = this.#remaining();
  }

  #fits(restBytes: number, facts: PassFacts): boolean {
    if (facts.babUsedBytes > 2 * facts.chunkBytes) return false;
    const rate = Math.max(this.linkBytesPerSecond, linkBytesPerSecondMin);
    const writtenMeanwhile = facts.writeBytesPerSecond * (restBytes / rate);
    return writtenMeanwhile <= facts.mayTakeBytes / 2;
  }

  #remaining(): number {
    return this.#devices.reduce((sum, { todo }) => sum + todo.count(), 0);
  }

  #rewind(): void {
    this.#device = 0;
    this.#block = 0;
    this.passOver = false;
  }
}

/** Each bit is cleared in `from` before it is set in `to`'s owner's view: none is lost between. */
function moveBits(from: DirtyMap, to: DirtyMap): void {
  for (let first = from.nextSet(0); first >= 0; first = from.nextSet(first)) {
    const count = from.runLength(first, from.blockCount - first);
    from.clearRange(first, count);
    to.setRange(first, count);
    if (first + count >= from.blockCount) return;
    first += count;
  }
}

/** A pass that leaves more than this part of what the pass before left has not shrunk (Rule 43a). */
const shrunkEnough = 0.8;
const slowPassesMax = 3;
/** Growing pause between attempts at phase b. */
const pauseMsFirst = 1_000;
const pauseMsMax = 60_000;
/** A link of which nothing is known yet. */
const linkBytesPerSecondMin = 256 * 1024;

/**
 * Sync and near-sync mode: writes that are done here, and whose answer waits for the secondary (I2,
 * I3, Rule 41) and for a flush of the local device (Rule 19), all in one flush per device (group
 * commit). It begins where driver-writes.ts would answer: slot, range and payload are free already.
 *
 *   published ─► holds? ─┬─ no: answered at once
 *                        └─► list of the secondary, in order of the writes ─┐ both
 *                            list of the device's next flush ───────────────┴─► answered
 *
 * Rule 40: after one write has waited SYNCMODETIMEOUT the group is degraded: nobody waits until the
 * secondary has caught up. Nobody waits outside NORMAL, and leaving it answers everybody. Rule 39:
 * the control block tells the PMD how far writers wait, and it rings when the secondary is there.
 * An answer that is held back changes nothing for the order: `dep` of later writes counts what is
 * stamped, which is more than what is answered (I1). Nothing is allocated per write.
 */
import { assert } from '../core/assert.js';
import type { GroupControlView } from '../core/bab/control.js';
import { duty } from '../core/bab/layout.js';
import { reached, SyncDepth } from '../core/engine/sync-depth.js';
import { nbdError } from '../core/nbd/constants.js';
import type { Clock, TimerHandle } from '../ports/clock.js';
import type { CompletionSink } from '../ports/completion.js';
import type { DriverDevice } from './driver-device.js';
import type { DriverFacts } from './driver-facts.js';
import type { DriverRequest } from './driver-port.js';

export interface DriverSyncOptions {
  readonly names: readonly string[];
  readonly devices: readonly DriverDevice[];
  readonly control: GroupControlView;
  readonly clock: Clock;
  readonly facts: DriverFacts;
  /** H21. */
  readonly flushFailed: (device: number) => void;
  /** Something is to be looked at when the turn ends: `review`. */
  changed(): void;
  readonly fail: (error: unknown) => void;
}

/** What a write waits for. */
const secondary = 1;
const local = 2;

/** How often a degraded group looks whether the secondary has caught up. */
const lookMs = 250;

interface LocalFlush {
  /** Flushes begun; the next one covers every write that is complete before it begins. */
  begun: number;
  running: boolean;
  first: DriverRequest | undefined;
  last: DriverRequest | undefined;
}

export class DriverSync implements CompletionSink {
  readonly #options: DriverSyncOptions;
  readonly #depth = new SyncDepth();
  readonly #flushes: readonly LocalFlush[];
  /** Waiting for the secondary, in order of the writes. */
  #first: DriverRequest | undefined;
  #last: DriverRequest | undefined;
  #timeoutMs = 0;
  #timer: TimerHandle | undefined;
  #look: TimerHandle | undefined;
  /** Count of durable entries at which a degraded group has caught up, and when it was taken. */
  #mark: number | undefined;
  #markedAtMs = 0;
  #stopped = false;

  constructor(options: DriverSyncOptions) {
    this.#options = options;
    this.#flushes = options.devices.map(() => ({
      begun: 0,
      running: false,
      first: undefined,
      last: undefined,
    }));
    const { control } = options;
    // What a driver before this one had waiting went with its connections; what was in force is in
    // force from the first connection on, which may come before the group has spoken again (I2).
    control.awaitNothing();
    this.configure(control.syncDepth, control.syncTimeoutMs);
  }

  /** SYNCMODE, SYNCMODEDEPTH and SYNCMODETIMEOUT; depth 0 is async. Holds from the next write on. */
  configure(depth: number, timeoutMs: number): void {
    const { control } = this.#options;
    control.setSync(depth, timeoutMs);
    this.#timeoutMs = timeoutMs;
    if (depth !== this.#depth.depth) this.#depth.configure(depth, control.cursor('published'));
    if (depth === 0) {
      control.syncDegraded = false;
      this.#look?.cancel();
      this.#look = undefined;
      this.letAllGo();
    } else if (control.syncDegraded) {
      this.#lookLater();
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#watch();
  }

  /** A write is in the BAB and complete on the local device. True: its answer waits. */
  holds(request: DriverRequest, device: number): boolean {
    if (this.#depth.depth === 0) return false;
    const { control, clock } = this.#options;
    const until = this.#depth.published(control.cursor('published'));
    if (request.error !== 0 || !this.#waiting) return false;
    const { wait } = request;
    wait.for = 0;
    if (!reached(control.cursor('durable'), until)) this.#awaitSecondary(request, until);
    if (!request.fua) this.#awaitFlush(request, this.#flushes[device]!);
    if (wait.for === 0) return false;
    wait.sinceMs = clock.now();
    request.session.parked(request);
    return true;
  }

  /**
   * At the end of a turn, and when the PMD rings: answers whoever has waited long enough for what he
   * waits for, flushes for the others, and says how far they wait.
   */
  review(): void {
    if (this.#depth.depth === 0) return;
    if (!this.#waiting) {
      this.letAllGo();
      return;
    }
    this.#flushes.forEach((flush, device) => {
      if (flush.first === undefined || flush.running) return;
      flush.begun = (flush.begun + 1) | 0;
      flush.running = true;
      this.#options.devices[device]!.device.flush(this, device);
    });
    this.#advance();
    this.#watch();
  }

  /** Leaving NORMAL, degraded, or async now: everybody is answered at once. Returns how many. */
  letAllGo(): number {
    let count = 0;
    for (const flush of this.#flushes) {
      for (let request = flush.first; request !== undefined; ) {
        const next = request.wait.nextUnflushed;
        count += this.#got(request, local);
        request = next;
      }
      flush.first = undefined;
      flush.last = undefined;
    }
    for (let request = this.#first; request !== undefined; ) {
      const { next } = request;
      count += this.#got(request, secondary);
      request = next;
    }
    this.#first = undefined;
    this.#last = undefined;
    this.#options.control.awaitNothing();
    return count;
  }

  /** The flush of a device. */
  completed(device: number, result: number): void {
    if (this.#stopped) return;
    try {
      this.#flushed(device, result);
    } catch (error) {
      this.#options.fail(error);
    }
  }

  /**
   * H21: a local flush has failed, so what waits for one may be lost, and is answered so. The group
   * leaves NORMAL by it.
   */
  flushFailed(): void {
    for (const { first } of this.#flushes) {
      for (let one = first; one !== undefined; one = one.wait.nextUnflushed) {
        one.error = nbdError.io;
      }
    }
  }

  /** From now on nothing is answered; writes that come do not wait. */
  break(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#look?.cancel();
  }

  /** The connections are over: gives their requests back. */
  stop(): void {
    this.break();
    this.letAllGo();
  }

  /** Writes wait now: sync mode, in NORMAL, and the secondary keeps up. */
  get #waiting(): boolean {
    const { control } = this.#options;
    return !this.#stopped && !control.syncDegraded && control.duties === duty.append;
  }

  #awaitSecondary(request: DriverRequest, until: number): void {
    request.wait.for |= secondary;
    request.wait.until = until;
    request.next = undefined;
    if (this.#last === undefined) this.#first = request;
    else this.#last.next = request;
    this.#last = request;
  }

  #awaitFlush(request: DriverRequest, flush: LocalFlush): void {
    const { wait } = request;
    wait.for |= local;
    // One that runs may have begun before this write was complete.
    wait.flush = (flush.begun + 1) | 0;
    wait.nextUnflushed = undefined;
    if (flush.last === undefined) flush.first = request;
    else flush.last.wait.nextUnflushed = request;
    flush.last = request;
  }

  /** One of the things it waited for has come; returns 1 when that was the last. */
  #got(request: DriverRequest, what: number): number {
    const { wait } = request;
    assert((wait.for & what) !== 0, 'a write waits for each thing once');
    wait.for &= ~what;
    if (what === local) wait.nextUnflushed = undefined;
    if (wait.for !== 0) return 0;
    request.session.executed(request);
    return 1;
  }

  /** Answers those whom the secondary has come up to, then says how far the others wait. */
  #advance(): void {
    const { control } = this.#options;
    for (;;) {
      for (let request = this.#first; request !== undefined; request = this.#first) {
        if (!reached(control.cursor('durable'), request.wait.until)) break;
        this.#first = request.next;
        this.#got(request, secondary);
      }
      if (this.#first === undefined) {
        this.#last = undefined;
        control.awaitNothing();
        return;
      }
      const first = this.#first.wait.until;
      const last = this.#last!.wait.until;
      control.awaitDurable(first, reached(last, first) ? last : first);
      // Whoever moved it before the bell was there did not ring.
      if (!reached(control.cursor('durable'), first)) return;
    }
  }

  #flushed(device: number, result: number): void {
    const { facts, names, flushFailed, changed } = this.#options;
    const flush = this.#flushes[device]!;
    flush.running = false;
    if (result < 0) {
      facts.ioFailed(names[device]!, 'flush', -result);
      flushFailed(device);
      this.review();
      return;
    }
    for (let request = flush.first; request !== undefined; request = flush.first) {
      if (!reached(flush.begun, request.wait.flush)) break;
      flush.first = request.wait.nextUnflushed;
      this.#got(request, local);
    }
    if (flush.first === undefined) flush.last = undefined;
    else changed();
  }

  /** One timer for all: the first of the line has waited longest. */
  #watch(): void {
    if (this.#timer !== undefined || this.#first === undefined || this.#stopped) return;
    const leftMs = Math.max(0, this.#leftMs(this.#first));
    this.#timer = this.#options.clock.after(leftMs, this.#due);
  }

  #leftMs({ wait }: DriverRequest): number {
    return wait.sinceMs + this.#timeoutMs - this.#options.clock.now();
  }

  readonly #due = (): void => {
    this.#timer = undefined;
    try {
      this.#advance();
      // A timer may fire a little early; for less than that nobody starts another.
      if (this.#first !== undefined && this.#leftMs(this.#first) < 1) this.#degrade();
      else this.#watch();
    } catch (error) {
      this.#options.fail(error);
    }
  };

  /** Rule 40. */
  #degrade(): void {
    const { control, facts } = this.#options;
    control.syncDegraded = true;
    const waited = this.letAllGo();
    facts.factOnce({ type: 'driver.syncDegraded', degraded: true, waited });
    this.#mark = undefined;
    this.#lookLater();
  }

  #lookLater(): void {
    if (!this.#stopped) this.#look ??= this.#options.clock.after(lookMs, this.#looking);
  }

  /**
   * Caught up: fewer than DEPTH writes lack durability. Under load some write was always made a
   * moment ago; so it is also enough that this became true of the writes up to some instant soon
   * after it, in a fraction of the timeout: so long, at most, does a write wait from now on.
   */
  readonly #looking = (): void => {
    this.#look = undefined;
    try {
      const { control, facts } = this.#options;
      if (this.#stopped || this.#depth.depth === 0) return;
      if (control.duties === duty.append && this.#caughtUp()) {
        control.syncDegraded = false;
        facts.factOnce({ type: 'driver.syncDegraded', degraded: false, waited: 0 });
      } else {
        this.#lookLater();
      }
    } catch (error) {
      this.#options.fail(error);
    }
  };

  #caughtUp(): boolean {
    const { control, clock } = this.#options;
    const durable = control.cursor('durable');
    const { until } = this.#depth;
    if (reached(durable, until)) return true;
    const now = clock.now();
    if (this.#mark !== undefined && !reached(durable, this.#mark)) return false;
    const soon = now - this.#markedAtMs <= this.#timeoutMs / 4;
    if (this.#mark !== undefined && soon) return true;
    this.#mark = until;
    this.#markedAtMs = now;
    return false;
  }
}

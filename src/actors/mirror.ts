/**
 * Owns the mirror devices of one session: they were opened and locked before, are written through
 * lanes (mirror-lane.ts) or block by block (`put`), flushed, and handed back only when their last I/O
 * is done (Rule 22). Keeps I16 and Rule 21. It knows nothing of the link, of eras or of
 * acknowledgements; its owner is told when something progressed or failed.
 */
import { assert } from '../core/assert.js';
import { babEntryPayloadMax } from '../core/constants.js';
import type { ApplyLimits } from '../core/engine/apply.js';
import { TdmfError } from '../core/errors.js';
import { IoVector } from '../core/io-vector.js';
import type { ArenaMemory, BlockDevice, DeviceOpener } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { ActorContext } from './actor.js';
import { Bounce } from './bounce.js';
import { type LaneSource, MirrorLane } from './mirror-lane.js';

export interface MirrorEvents {
  /** `bytes` more are on the mirror; memory and room may be free again. */
  progressed(bytes: number): void;
  /** Once; nothing more is started. */
  failed(error: TdmfError): void;
}

const limits: ApplyLimits = {
  entriesMax: 8192,
  operationsMax: 64,
  runBytesMax: 4 * babEntryPayloadMax,
  runPiecesMax: 64,
};

const EIO = 5;
const zeroOptions = { mayUnmap: true, fua: false } as const;

export class Mirror {
  readonly devices: readonly BlockDevice[];
  readonly #context: ActorContext;
  readonly #opener: DeviceOpener;
  readonly #events: MirrorEvents;
  readonly #lanes: MirrorLane[] = [];
  readonly #bounces = new Map<ArenaMemory, Bounce>();
  readonly #written: boolean[];
  #inFlight = 0;
  #stopped = false;
  #failed = false;
  #idleWaiters: (() => void)[] = [];
  #flushing: Promise<TdmfError | undefined> | undefined;
  #flushError: TdmfError | undefined;

  constructor(
    context: ActorContext,
    opener: DeviceOpener,
    devices: readonly BlockDevice[],
    events: MirrorEvents,
  ) {
    this.#context = context;
    this.#opener = opener;
    this.devices = devices;
    this.#events = events;
    // An earlier process may have left writes in the page cache: the first flush covers them too.
    this.#written = devices.map(() => true);
  }

  /** Nothing is started any more. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** A stream of its own; `record` hears of every position before what depends on it starts. */
  lane(source: LaneSource, record: (applied: number) => void): MirrorLane {
    const stopped = () => this.#stopped;
    const lane: MirrorLane = new MirrorLane(
      this.#context,
      this.#opener,
      this.devices,
      limits,
      source,
      {
        get stopped() {
          return stopped();
        },
        record,
        started: () => {
          this.#inFlight += 1;
        },
        ended: (index, operation, length, result) => {
          this.#ended(index, operation, result);
          if (result < 0) return;
          lane.pump();
          this.#wake();
          this.#events.progressed(length);
        },
      },
    );
    this.#lanes.push(lane);
    return lane;
  }

  /** Writes a piece of memory; the caller has the range for itself. @throws TDMF_DEVICE_FAILED */
  async put(
    device: number,
    offset: number,
    memory: ArenaMemory,
    from: number,
    length: number,
  ): Promise<void> {
    const target = this.devices[device]!;
    const alignment = target.alignmentBytes;
    const vector = new IoVector(1).single(memory.arena, from, length);
    const aligned = [offset, from, length].every((number) => number % alignment === 0);
    await this.#once(device, 'write', length, (sink) => {
      if (aligned) target.write(vector, offset, false, sink, 0);
      else this.#bounceOf(memory).write(target, offset, vector, sink, 0);
    });
  }

  /** The range reads as zeroes. @throws TDMF_DEVICE_FAILED */
  async zero(device: number, offset: number, length: number, memory: ArenaMemory): Promise<void> {
    const target = this.devices[device]!;
    const alignment = target.alignmentBytes;
    const aligned = offset % alignment === 0 && length % alignment === 0;
    await this.#once(device, 'zero', length, (sink) => {
      if (aligned) target.zero(offset, length, zeroOptions, sink, 0);
      else this.#bounceOf(memory).zero(target, offset, length, zeroOptions, sink, 0);
    });
  }

  /** Starts nothing any more; what is in flight completes. */
  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  /** Resolves when all that was accepted is on the mirror, or, once stopped, nothing is in flight. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
    });
  }

  /**
   * Flushes every mirror written since its last flush. What completed before the call is durable when
   * it resolves with undefined. After an error nothing since the last good flush counts (H21).
   */
  async flush(): Promise<TdmfError | undefined> {
    while (this.#flushing !== undefined) await this.#flushing;
    const flushing = this.#flushAll();
    this.#flushing = flushing;
    const error = await flushing;
    this.#flushing = undefined;
    // A flush that is tried again may succeed although the data is lost: the first error stays.
    this.#flushError ??= error;
    return this.#flushError;
  }

  /** Resolves when every operation has completed and the locks are free. */
  async close(): Promise<void> {
    this.stop();
    await this.idle();
    while (this.#flushing !== undefined) await this.#flushing;
    await Promise.all(this.devices.map((device) => device.close()));
    for (const lane of this.#lanes) lane.close();
    for (const bounce of this.#bounces.values()) bounce.close();
  }

  #once(
    device: number,
    operation: 'write' | 'zero',
    length: number,
    start: (sink: CompletionSink) => void,
  ): Promise<void> {
    if (this.#stopped) throw stoppedError();
    this.#inFlight += 1;
    return new Promise((resolve, reject) => {
      const completed = this.#context.guard((_tag: number, done: number) => {
        const result = operation === 'write' && done >= 0 && done < length ? -EIO : done;
        const failed = this.#ended(device, operation, result);
        this.#wake();
        if (failed === undefined) resolve();
        else reject(failed);
      });
      start({ completed });
    });
  }

  #ended(index: number, operation: string, result: number): TdmfError | undefined {
    this.#inFlight -= 1;
    this.#written[index] = true;
    if (result >= 0) return undefined;
    const error = deviceFailed(this.devices[index]!.path, operation, -result);
    this.#stopped = true;
    this.#wake();
    if (!this.#failed) {
      this.#failed = true;
      this.#events.failed(error);
    }
    return error;
  }

  #bounceOf(memory: ArenaMemory): Bounce {
    let bounce = this.#bounces.get(memory);
    if (bounce === undefined) {
      const alignment = Math.max(...this.devices.map(({ alignmentBytes }) => alignmentBytes));
      bounce = new Bounce(this.#opener, memory.bytes, limits.runBytesMax, alignment);
      this.#bounces.set(memory, bounce);
    }
    return bounce;
  }

  async #flushAll(): Promise<TdmfError | undefined> {
    const flushes: Promise<TdmfError | undefined>[] = [];
    for (const [index, device] of this.devices.entries()) {
      if (!this.#written[index]) continue;
      this.#written[index] = false;
      flushes.push(
        new Promise((resolve) => {
          const completed = (_tag: number, result: number) =>
            resolve(result < 0 ? deviceFailed(device.path, 'flush', -result) : undefined);
          device.flush({ completed }, 0);
        }),
      );
    }
    return (await Promise.all(flushes)).find((error) => error !== undefined);
  }

  #isIdle(): boolean {
    if (this.#inFlight > 0) return false;
    return this.#stopped || this.#lanes.every(({ apply }) => apply.idle);
  }

  #wake(): void {
    if (this.#idleWaiters.length === 0 || !this.#isIdle()) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

export function deviceFailed(path: string, operation: string, errno: number): TdmfError {
  assert(errno > 0, 'an error has a number');
  return new TdmfError('TDMF_DEVICE_FAILED', { path, operation, errno });
}

export function stoppedError(): TdmfError {
  return new TdmfError('TDMF_RMD_FAILED', { why: 'the mirror stopped' });
}

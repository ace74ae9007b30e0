/**
 * Owns the mirror devices of one session: opens and locks them, writes entries and refresh blocks
 * from the receive memory as the order brain allows, flushes, and hands the devices back only when
 * their last I/O is done (Rule 22). Keeps I9 and I20. It knows nothing of the link, of eras or of
 * acknowledgements; the session (rmd.ts) is told when something progressed or failed.
 *
 *   ring (receive memory) ─► accept ─► Apply ─► device.write | zero ─► complete ─► ring.release
 */
import { assert } from '../core/assert.js';
import { babEntryPayloadMax, wireEntryBytes } from '../core/constants.js';
import { Apply, type ApplyLimits } from '../core/engine/apply.js';
import type { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError } from '../core/errors.js';
import { IoVector } from '../core/io-vector.js';
import { decodeEntry, emptyWireEntry, entryDataLength } from '../core/wire/entry.js';
import { entryFlags, frameKinds } from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice, DeviceOpener, ZeroOptions } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { ActorContext } from './actor.js';
import { Bounce } from './bounce.js';

export interface MirrorEvents {
  /** Entries up to `applied` are on the mirror: store it before anything that depends on it starts. */
  record(applied: number): void;
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
const zeroOptions: ZeroOptions = { mayUnmap: false, fua: false };
const unmapOptions: ZeroOptions = { mayUnmap: true, fua: false };

/** One of the two streams into the mirror: entries, or the refresh blocks of phase a. */
interface Lane {
  readonly apply: Apply;
  readonly vectors: readonly IoVector[];
  readonly sink: CompletionSink;
}

export class Mirror {
  readonly devices: readonly BlockDevice[];
  readonly #entries: Lane;
  readonly #blocks: Lane;
  readonly #ring: FrameRing;
  readonly #memory: ArenaMemory;
  readonly #events: MirrorEvents;
  readonly #bounce: Bounce | undefined;
  readonly #written: boolean[];
  readonly #entry = emptyWireEntry();
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
    ring: FrameRing,
    memory: ArenaMemory,
    events: MirrorEvents,
  ) {
    this.devices = devices;
    this.#ring = ring;
    this.#memory = memory;
    this.#events = events;
    // An earlier process may have left writes in the page cache: the first flush covers them too.
    this.#written = devices.map(() => true);
    const rounds = devices.map((device) =>
      Math.max(device.logicalBlockBytes, device.alignmentBytes),
    );
    this.#entries = this.#lane(context, rounds);
    this.#blocks = this.#lane(context, rounds);
    const direct = devices.filter((device) => device.alignmentBytes > 1);
    const alignment = Math.max(1, ...direct.map((device) => device.alignmentBytes));
    this.#bounce =
      direct.length === 0
        ? undefined
        : new Bounce(opener, memory.bytes, limits.runBytesMax, alignment);
  }

  get entries(): Apply {
    return this.#entries.apply;
  }

  get blocks(): Apply {
    return this.#blocks.apply;
  }

  /** Nothing is started any more. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * Takes the entries of a frame that validateEntries has passed, up to sequence `upTo`; the caller
   * has seen that there is room, and drops its own hold. Returns what is wrong, in words.
   */
  accept(frame: number, upTo: number): string | undefined {
    const lane = this.#ring.kindOf(frame) === frameKinds.blocks ? this.#blocks : this.#entries;
    const entry = this.#entry;
    let memory = this.#ring.dataOf(frame);
    const table = this.#ring.tableOf(frame);
    const count = this.#ring.entriesOf(frame);
    for (let index = 0; index < count; index += 1) {
      decodeEntry(this.#memory.bytes, table + index * wireEntryBytes, entry);
      if (entry.sequence > upTo) break;
      const accepted = lane.apply.accept(entry, memory, frame);
      if (accepted === 'gap' || accepted === 'duplicate') {
        return `${accepted} at ${entry.sequence}, ${lane.apply.received} was the last`;
      }
      if (accepted === 'accepted') this.#ring.hold(frame);
      memory += entryDataLength(entry);
    }
    return undefined;
  }

  /** Starts whatever may start. */
  pump(): void {
    if (this.#stopped) return;
    this.#pumpLane(this.#entries);
    this.#pumpLane(this.#blocks);
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
    this.#bounce?.close();
  }

  #lane(context: ActorContext, rounds: readonly number[]): Lane {
    const apply = new Apply(rounds, limits);
    const vectors = Array.from(
      { length: limits.operationsMax },
      () => new IoVector(limits.runPiecesMax),
    );
    const lane: Lane = {
      apply,
      vectors,
      sink: {
        completed: context.guard((operation: number, result: number) => {
          this.#completed(lane, operation, result);
        }),
      },
    };
    return lane;
  }

  #pumpLane(lane: Lane): void {
    const { apply } = lane;
    for (;;) {
      const operation = apply.startNext();
      if (operation < 0) return;
      this.#inFlight += 1;
      const device = this.devices[apply.operationDevice[operation]!]!;
      const offset = apply.operationOffset[operation]!;
      const flags = apply.operationFlags[operation]!;
      if (flags & entryFlags.zero) this.#zero(lane, operation, device, offset, flags);
      else this.#write(lane, operation, device, offset);
    }
  }

  #write(lane: Lane, operation: number, device: BlockDevice, offset: number): void {
    const { apply } = lane;
    const vector = lane.vectors[operation]!.reset(this.#memory.arena);
    const first = apply.operationFirst[operation]!;
    const count = apply.operationCount[operation]!;
    const alignment = device.alignmentBytes;
    let aligned = offset % alignment === 0;
    for (let index = 0; index < count; index += 1) {
      const memory = apply.memoryOf(first + index);
      const length = apply.lengthOf(first + index);
      aligned &&= memory % alignment === 0 && length % alignment === 0;
      vector.push(memory, length);
    }
    if (aligned) device.write(vector, offset, false, lane.sink, operation);
    else this.#bounce!.write(device, offset, vector, lane.sink, operation);
  }

  #zero(lane: Lane, operation: number, device: BlockDevice, offset: number, flags: number): void {
    const length = lane.apply.operationLength[operation]!;
    const options = flags & entryFlags.mayUnmap ? unmapOptions : zeroOptions;
    const alignment = device.alignmentBytes;
    if (offset % alignment === 0 && length % alignment === 0) {
      device.zero(offset, length, options, lane.sink, operation);
    } else {
      this.#bounce!.zero(device, offset, length, options, lane.sink, operation);
    }
  }

  #completed(lane: Lane, operation: number, result: number): void {
    const { apply } = lane;
    this.#inFlight -= 1;
    const index = apply.operationDevice[operation]!;
    const length = apply.operationLength[operation]!;
    const zero = (apply.operationFlags[operation]! & entryFlags.zero) !== 0;
    this.#written[index] = true;
    if (result < 0 || (!zero && result < length)) {
      apply.fail(operation);
      const errno = result < 0 ? -result : EIO;
      this.#fail(deviceFailed(this.devices[index]!.path, zero ? 'zero' : 'write', errno));
      return;
    }
    const first = apply.operationFirst[operation]!;
    const count = apply.operationCount[operation]!;
    for (let entry = 0; entry < count; entry += 1) this.#ring.release(apply.frameOf(first + entry));
    apply.complete(operation);
    if (lane === this.#entries) {
      // Rule 7a: the position is stored first, only then may start what depends on it.
      this.#events.record(apply.applied);
      apply.record();
    }
    this.pump();
    this.#wake();
    this.#events.progressed(length);
  }

  #fail(error: TdmfError): void {
    this.#stopped = true;
    this.#wake();
    if (this.#failed) return;
    this.#failed = true;
    this.#events.failed(error);
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
    return this.#stopped || (this.entries.idle && this.blocks.idle);
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

/**
 * One stream of writes into the mirror, with the memory its frames lie in: entries as they come over
 * the link, refresh blocks of a full refresh, or entries read back from the journal. The order brain
 * (core/engine/apply.ts) says what may start; the lane turns that into device operations and gives
 * frames back when their last entry is done. Keeps I9 and I20; nothing is allocated per entry. Errors,
 * flushes and the devices themselves are the mirror's (mirror.ts).
 */
import { wireEntryBytes } from '../core/constants.js';
import { Apply, type ApplyLimits } from '../core/engine/apply.js';
import type { FrameRing } from '../core/engine/frame-ring.js';
import { IoVector } from '../core/io-vector.js';
import { decodeEntry, emptyWireEntry, entryDataLength } from '../core/wire/entry.js';
import { entryFlags } from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice, DeviceOpener, ZeroOptions } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { ActorContext } from './actor.js';
import { Bounce } from './bounce.js';

/** Receive memory: frames, and where they lie. */
export interface LaneSource {
  readonly ring: FrameRing;
  readonly memory: ArenaMemory;
}

export interface LaneEvents {
  /** Everything up to `applied` is on the mirror: store it before what depends on it starts. */
  record(applied: number): void;
  /** An operation is under way; the mirror counts them. */
  started(): void;
  /** It ended: `result` as of the device; `length` bytes of device `index`. */
  ended(index: number, operation: 'write' | 'zero', length: number, result: number): void;
  /** Nothing more may start. */
  readonly stopped: boolean;
}

const zeroOptions: ZeroOptions = { mayUnmap: false, fua: false };
const unmapOptions: ZeroOptions = { mayUnmap: true, fua: false };

export class MirrorLane {
  readonly apply: Apply;
  readonly source: LaneSource;
  readonly #devices: readonly BlockDevice[];
  readonly #events: LaneEvents;
  readonly #bounce: Bounce | undefined;
  readonly #vectors: readonly IoVector[];
  readonly #sink: CompletionSink;
  readonly #entry = emptyWireEntry();

  constructor(
    context: ActorContext,
    opener: DeviceOpener,
    devices: readonly BlockDevice[],
    limits: ApplyLimits,
    source: LaneSource,
    events: LaneEvents,
  ) {
    this.#devices = devices;
    this.source = source;
    this.#events = events;
    const rounds = devices.map((device) =>
      Math.max(device.logicalBlockBytes, device.alignmentBytes),
    );
    this.apply = new Apply(rounds, limits);
    this.#vectors = Array.from(
      { length: limits.operationsMax },
      () => new IoVector(limits.runPiecesMax),
    );
    const alignment = Math.max(...devices.map(({ alignmentBytes }) => alignmentBytes));
    this.#bounce =
      alignment === 1
        ? undefined
        : new Bounce(opener, source.memory.bytes, limits.runBytesMax, alignment);
    this.#sink = {
      completed: context.guard((operation: number, result: number) => {
        this.#completed(operation, result);
      }),
    };
  }

  /**
   * Takes the entries of a frame that validateEntries has passed, up to sequence `upTo`; the caller
   * has seen that there is room, and drops its own hold. Returns what is wrong, in words.
   */
  accept(frame: number, upTo: number): string | undefined {
    const { ring, memory } = this.source;
    const { apply } = this;
    const entry = this.#entry;
    let data = ring.dataOf(frame);
    const table = ring.tableOf(frame);
    const count = ring.entriesOf(frame);
    for (let index = 0; index < count; index += 1) {
      decodeEntry(memory.bytes, table + index * wireEntryBytes, entry);
      if (entry.sequence > upTo) break;
      const accepted = apply.accept(entry, data, frame);
      if (accepted === 'gap' || accepted === 'duplicate') {
        return `${accepted} at ${entry.sequence}, ${apply.received} was the last`;
      }
      if (accepted === 'accepted') ring.hold(frame);
      data += entryDataLength(entry);
    }
    return undefined;
  }

  /** Starts whatever may start. */
  pump(): void {
    const { apply } = this;
    while (!this.#events.stopped) {
      const operation = apply.startNext();
      if (operation < 0) return;
      const flags = apply.operationFlags[operation]!;
      if (flags & entryFlags.checkpoint) {
        this.#done(operation);
        continue;
      }
      this.#events.started();
      const device = this.#devices[apply.operationDevice[operation]!]!;
      const offset = apply.operationOffset[operation]!;
      if (flags & entryFlags.zero) this.#zero(operation, device, offset, flags);
      else this.#write(operation, device, offset);
    }
  }

  /** No operation may be under way. */
  close(): void {
    this.#bounce?.close();
  }

  #write(operation: number, device: BlockDevice, offset: number): void {
    const { apply } = this;
    const vector = this.#vectors[operation]!.reset(this.source.memory.arena);
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
    if (aligned) device.write(vector, offset, false, this.#sink, operation);
    else this.#bounce!.write(device, offset, vector, this.#sink, operation);
  }

  #zero(operation: number, device: BlockDevice, offset: number, flags: number): void {
    const length = this.apply.operationLength[operation]!;
    const options = flags & entryFlags.mayUnmap ? unmapOptions : zeroOptions;
    const alignment = device.alignmentBytes;
    if (offset % alignment === 0 && length % alignment === 0) {
      device.zero(offset, length, options, this.#sink, operation);
    } else {
      this.#bounce!.zero(device, offset, length, options, this.#sink, operation);
    }
  }

  #completed(operation: number, result: number): void {
    const { apply } = this;
    const index = apply.operationDevice[operation]!;
    const length = apply.operationLength[operation]!;
    const zero = (apply.operationFlags[operation]! & entryFlags.zero) !== 0;
    if (result < 0 || (!zero && result < length)) {
      apply.fail(operation);
      this.#events.ended(index, zero ? 'zero' : 'write', length, result < 0 ? result : -EIO);
      return;
    }
    this.#done(operation);
    this.#events.ended(index, zero ? 'zero' : 'write', length, length);
  }

  #done(operation: number): void {
    const { apply } = this;
    const first = apply.operationFirst[operation]!;
    const count = apply.operationCount[operation]!;
    for (let entry = 0; entry < count; entry += 1) {
      this.source.ring.release(apply.frameOf(first + entry));
    }
    apply.complete(operation);
    // Rule 7a: the position is stored first, only then may start what depends on it.
    this.#events.record(apply.applied);
    apply.record();
  }
}

const EIO = 5;

/**
 * The path of writes, trims and zeroes through a driver domain: one table of range locks, one order
 * (Rule 13). The order of steps is T1 of correctness.md, and each stands where it does for a reason:
 *
 *   admit ─► range lock ─► hot ─► duties, mark, slot STARTED ─► local write ─► mark again, stamp, publish
 *     │         │           │          (tracker.begin)              │               (tracker.complete)
 *     │         │           └ waits for the pstore, when cold       └ failed: read back what the disk has
 *     │         └ waits behind overlapping writes                                     │
 *     └ waits when 1024 are in flight    answer ◄── start those who waited ◄── unlock ┘
 *
 * H1: the lock is held until the entry is published, so the order on the disk is the order in the
 * BAB. H18: a region is durably hot before the local write. H20: a failed write publishes what it left
 * on the disk. H32: long zeroings go in steps, each a write of its own. Nothing here waits for the
 * network, the secondary or BAB space (I15); in sync mode the answer goes through driver-sync.ts.
 */
import { assert } from '../core/assert.js';
import {
  babChunkBytes,
  sharedArenasMax,
  writesInFlightMax,
  zeroStepBytes,
} from '../core/constants.js';
import { Fences } from '../core/engine/fences.js';
import { RangeLocks } from '../core/engine/range-locks.js';
import type { WriteKind, WriteTracker } from '../core/engine/write-tracker.js';
import { copyFromPieces } from '../core/io-copy.js';
import { IoVector } from '../core/io-vector.js';
import { nbdError } from '../core/nbd/constants.js';
import { nbdErrorOf } from '../core/nbd/replies.js';
import type { ZeroOptions } from '../ports/block-device.js';
import type { Clock } from '../ports/clock.js';
import type { CompletionSink } from '../ports/completion.js';
import type { DriverConnection } from './driver-connection.js';
import type { DriverDevice } from './driver-device.js';
import type { DriverFacts } from './driver-facts.js';
import type { DriverHeat, HeatWaiters } from './driver-heat.js';
import { type DriverRequest, driverOp } from './driver-port.js';
import type { DriverSync } from './driver-sync.js';

const EIO = 5;

/** What the device is doing for a slot. */
const stage = { none: 0, local: 1, readBack: 2 } as const;

export interface DriverWritesOptions {
  readonly names: readonly string[];
  readonly devices: readonly DriverDevice[];
  readonly tracker: WriteTracker;
  readonly heat: DriverHeat;
  readonly clock: Clock;
  readonly facts: DriverFacts;
  /** Whose answer waits for the secondary. */
  readonly sync: DriverSync;
  /** H21. */
  readonly flushFailed: (device: number) => void;
  /** Something was published or a fence passed: the turn has an end to look forward to. */
  changed(): void;
  readonly fail: (error: unknown) => void;
}

function slotTable<T>(): (T | undefined)[] {
  return Array.from({ length: writesInFlightMax }, () => undefined);
}

interface Waiting {
  readonly request: DriverRequest;
  readonly connection: DriverConnection;
}

export class DriverWrites implements CompletionSink, HeatWaiters {
  readonly fences = new Fences();
  readonly #options: DriverWritesOptions;
  readonly #tracker: WriteTracker;
  readonly #locks: RangeLocks;
  readonly #waiting: Waiting[] = [];
  // By slot.
  readonly #requests = slotTable<DriverRequest>();
  readonly #connections = slotTable<DriverConnection>();
  /** Payload in the BAB that is not where the request was received. */
  readonly #copies = slotTable<IoVector>();
  readonly #stages = new Uint8Array(writesInFlightMax);
  /** Bytes of the request that earlier steps have done, and that this step does. */
  readonly #done = new Float64Array(writesInFlightMax);
  readonly #length = new Float64Array(writesInFlightMax);
  readonly #segments = new Float64Array(writesInFlightMax);
  readonly #copied = new Uint8Array(writesInFlightMax);
  #inFlight = 0;
  #broken = false;

  constructor(options: DriverWritesOptions) {
    this.#options = options;
    this.#tracker = options.tracker;
    options.heat.waiters = this;
    const blocks = options.devices.map((device) => device.lockBytes);
    this.#locks = new RangeLocks(writesInFlightMax, blocks);
  }

  /** Requests that are admitted or wait to be. */
  get inFlight(): number {
    return this.#inFlight + this.#waiting.length;
  }

  /** The whole payload is here (H23): the request may enter the order. */
  admit(request: DriverRequest, connection: DriverConnection): void {
    const { device } = this.#options.devices[connection.device]!;
    assert(request.offset + request.length <= device.sizeBytes, 'I20: requests lie in the device');
    // Whoever waits already goes first; nothing starts any more when the driver has failed.
    if (this.#broken || this.#waiting.length > 0 || !this.#enter(request, connection)) {
      this.#waiting.push({ request, connection });
    }
  }

  completed(slot: number, result: number): void {
    // A driver that has failed publishes nothing more: its slots stay STARTED for its successor.
    if (this.#broken) return;
    try {
      if (this.#stages[slot] === stage.readBack) this.#foundBack(slot, result);
      else this.#writtenLocally(slot, result);
    } catch (error) {
      this.#broken = true;
      this.#options.fail(error);
    }
  }

  /** From now on completions change nothing. */
  break(): void {
    this.#broken = true;
  }

  /** The driver has failed and its I/O has ended: gives every request back, unanswered for good. */
  giveBackAll(): void {
    this.#broken = true;
    for (const { request, connection } of this.#waiting.splice(0)) {
      this.#giveBack(request, connection);
    }
    for (let slot = 0; slot < writesInFlightMax; slot++) {
      const request = this.#requests[slot];
      this.#requests[slot] = undefined;
      if (request !== undefined) this.#giveBack(request, this.#connections[slot]!);
    }
  }

  #giveBack(request: DriverRequest, connection: DriverConnection): void {
    // BAB memory is the successor's to account for; only the connection's own goes back.
    const own = request.op === driverOp.write && request.memory.arena >= sharedArenasMax;
    if (own) connection.freePayload(request, false);
    request.error = nbdError.io;
    request.session.executed(request);
  }

  #enter(request: DriverRequest, connection: DriverConnection): boolean {
    const { slots, control } = this.#tracker.writer;
    // What is answered is stamped. In sync mode more is stamped than answered: `dep` is then stricter
    // than it has to be, never laxer (I1), and applying does not wait for an answer (Rule 39).
    const slot = slots.claim(control.stamped);
    if (slot < 0) return false;
    this.#inFlight++;
    this.#requests[slot] = request;
    this.#connections[slot] = connection;
    this.#done[slot] = 0;
    request.slot = slot;
    request.error = 0;
    this.#lock(slot);
    return true;
  }

  #lock(slot: number): void {
    const request = this.#requests[slot]!;
    const device = this.#connections[slot]!.device;
    const offset = request.offset + this.#done[slot]!;
    const left = request.length - this.#done[slot]!;
    this.#length[slot] = request.op === driverOp.write ? left : this.#stepOf(device, offset, left);
    if (this.#locks.acquire(slot, device, offset, this.#length[slot]!)) this.#start(slot);
  }

  /** Steps of a zeroing end on blocks, so that no block is changed by two of them. */
  #stepOf(device: number, offset: number, left: number): number {
    if (left <= zeroStepBytes) return left;
    const block = this.#options.devices[device]!.lockBytes;
    return Math.floor((offset + zeroStepBytes) / block) * block - offset;
  }

  /** The range is held; its regions must be hot before anything of it happens (H18). */
  #start(slot: number): void {
    const { device } = this.#connections[slot]!;
    const offset = this.#requests[slot]!.offset + this.#done[slot]!;
    if (this.#options.heat.admit(slot, device, offset, this.#length[slot]!)) this.heated(slot);
  }

  /** Rule 28b: what could not be marked hot is not executed. */
  notHeated(slot: number): void {
    if (this.#broken) return;
    const request = this.#requests[slot]!;
    request.error = nbdErrorOf(EIO);
    this.#copied[slot] = 0;
    this.#unlock(slot);
    this.#answer(slot, request, this.#connections[slot]!, false);
    this.#options.changed();
  }

  /** The write begins. */
  heated(slot: number): void {
    if (this.#broken) return;
    const request = this.#requests[slot]!;
    const index = this.#connections[slot]!.device;
    const device = this.#options.devices[index]!;
    const offset = request.offset + this.#done[slot]!;
    const length = this.#length[slot]!;
    const before = this.#tracker.overflows;
    const payload = this.#payloadOf(slot);
    this.#tracker.begin(slot, index, offset, length, kindOf(request), payload);
    this.#segments[slot] = this.fences.enter();
    this.#stages[slot] = stage.local;
    if (request.op === driverOp.write) {
      device.write(request.memory, request.bytes, offset, request.fua, this, slot);
    } else {
      device.zero(offset, length, zeroOptionsOf(request), this, slot);
    }
    if (this.#tracker.overflows !== before) this.#overflowed();
  }

  /** The payload where the BAB can keep it: where it landed, or a copy if there is room by now. */
  #payloadOf(slot: number): IoVector | undefined {
    const request = this.#requests[slot]!;
    this.#copied[slot] = 0;
    if (request.op !== driverOp.write) return undefined;
    if (request.memory.arena < sharedArenasMax) return request.memory;
    if (!this.#tracker.appending) return undefined;
    const { writer } = this.#tracker;
    const pieces = Math.ceil(request.length / babChunkBytes);
    let copy = this.#copies[slot];
    if (copy === undefined || copy.capacity < pieces) {
      copy = new IoVector(pieces);
      this.#copies[slot] = copy;
    }
    const alignment = this.#connections[slot]!.alignmentFor(request.length);
    if (!writer.reserve(request.length, alignment, copy)) return undefined;
    const target = writer.pool.bytes[copy.arena]!;
    for (let piece = 0, done = 0; piece < copy.count; piece++) {
      const length = copy.lengths[piece]!;
      copyFromPieces(request.memory, request.bytes, done, target, copy.offsets[piece]!, length);
      done += length;
    }
    this.#copied[slot] = 1;
    return copy;
  }

  #writtenLocally(slot: number, result: number): void {
    const request = this.#requests[slot]!;
    const whole = result >= 0 && (request.op !== driverOp.write || result === request.length);
    if (whole) {
      this.#options.tracker.writer.control.countWritten(
        this.#connections[slot]!.device,
        this.#length[slot]!,
      );
      this.#finish(slot);
    } else {
      this.#writeFailed(slot, result < 0 ? -result : EIO);
    }
  }

  /** H20: nobody knows what the disk holds now; if it is to be an entry, that is read. */
  #writeFailed(slot: number, errno: number): void {
    const request = this.#requests[slot]!;
    const index = this.#connections[slot]!.device;
    request.error = nbdErrorOf(errno);
    this.#options.facts.ioFailed(this.#options.names[index]!, 'write', errno);
    // A forced write is a flush as well, and a failed one says as little about what was before it.
    if (request.fua) this.#options.flushFailed(index);
    const payload = this.#publishable(slot);
    if (!this.#appends(slot)) {
      this.#finish(slot);
    } else if (payload === undefined) {
      // A zeroing has no memory to read into.
      this.#giveUp(slot);
    } else {
      this.#stages[slot] = stage.readBack;
      const bytes = this.#tracker.writer.pool.bytes[payload.arena]!;
      const offset = request.offset + this.#done[slot]!;
      this.#options.devices[index]!.read(payload, bytes, offset, this, slot);
    }
  }

  #foundBack(slot: number, result: number): void {
    if (result === this.#length[slot]!) {
      this.#finish(slot);
    } else {
      const name = this.#options.names[this.#connections[slot]!.device]!;
      this.#options.facts.ioFailed(name, 'read', result < 0 ? -result : EIO);
      this.#giveUp(slot);
    }
  }

  #giveUp(slot: number): void {
    this.#tracker.giveUp(slot);
    this.#overflowed();
    this.#finish(slot);
  }

  /** Under the lock: marks again, stamps and publishes; only then unlocks and answers. */
  #finish(slot: number): void {
    const request = this.#requests[slot]!;
    const connection = this.#connections[slot]!;
    const payload = this.#publishable(slot);
    const wallMs = this.#options.clock.wallNow();
    const kept = this.#tracker.complete(slot, kindOf(request), payload, wallMs);
    this.#stages[slot] = stage.none;
    this.fences.leave(this.#segments[slot]!);
    if (this.#copied[slot] === 1 && !kept) this.#tracker.writer.unreserve(payload!);
    this.#unlock(slot);
    this.#done[slot]! += this.#length[slot]!;
    if (this.#done[slot]! < request.length && request.error === 0) {
      this.#tracker.writer.slots.again(slot);
      this.#lock(slot);
    } else {
      this.#answer(slot, request, connection, kept);
    }
    this.#options.changed();
  }

  /** Gives up the range and its pin, and starts those who waited for it. */
  #unlock(slot: number): void {
    const { device } = this.#connections[slot]!;
    const offset = this.#requests[slot]!.offset + this.#done[slot]!;
    this.#options.heat.leave(device, offset, this.#length[slot]!);
    const granted = this.#locks.release(slot);
    for (let index = 0; index < granted; index++) this.#start(this.#locks.granted[index]!);
  }

  #answer(slot: number, request: DriverRequest, connection: DriverConnection, kept: boolean): void {
    this.#requests[slot] = undefined;
    this.#connections[slot] = undefined;
    this.#tracker.writer.slots.free(slot);
    this.#inFlight--;
    if (request.op === driverOp.write) {
      connection.freePayload(request, kept && this.#copied[slot] === 0);
    }
    if (!kept || !this.#options.sync.holds(request, connection.device)) {
      request.session.executed(request);
    }
    while (this.#waiting.length > 0) {
      const next = this.#waiting[0]!;
      if (!this.#enter(next.request, next.connection)) break;
      this.#waiting.shift();
    }
  }

  #appends(slot: number): boolean {
    return this.#tracker.appends(slot);
  }

  /** The payload in BAB memory, if it is there. */
  #publishable(slot: number): IoVector | undefined {
    const request = this.#requests[slot]!;
    if (request.op !== driverOp.write) return undefined;
    if (this.#copied[slot] === 1) return this.#copies[slot];
    return request.memory.arena < sharedArenasMax ? request.memory : undefined;
  }

  #overflowed(): void {
    const sequence = this.#tracker.writer.control.stamped;
    this.#options.facts.factOnce({ type: 'driver.overflowed', sequence });
    this.#options.changed();
  }
}

function kindOf(request: DriverRequest): WriteKind {
  if (request.op === driverOp.write) return 'write';
  return request.op === driverOp.trim || !request.noHole ? 'trim' : 'zero';
}

const zeroOptions: readonly ZeroOptions[] = [
  { mayUnmap: false, fua: false },
  { mayUnmap: true, fua: false },
  { mayUnmap: false, fua: true },
  { mayUnmap: true, fua: true },
];

/** TRIM is "write zeroes, may unmap" (H32); WRITE_ZEROES may unmap too unless NO_HOLE was given. */
function zeroOptionsOf(request: DriverRequest): ZeroOptions {
  const mayUnmap = kindOf(request) === 'trim';
  return zeroOptions[(mayUnmap ? 1 : 0) + (request.fua ? 2 : 0)]!;
}

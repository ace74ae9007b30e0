/**
 * Writes, trims and zeroes of applications to a mirror that was handed to them: each waits until the
 * map of own changes covers it (Rule 10b), holds its range while it is under way (H16: a direct device
 * reads, changes and writes blocks), and is answered when the device has it. Nothing goes to a BAB.
 */
import { assert } from '../core/assert.js';
import { RangeLocks } from '../core/engine/range-locks.js';
import { nbdErrorOf } from '../core/nbd/replies.js';
import type { CompletionSink } from '../ports/completion.js';
import type { DriverDevice } from './driver-device.js';
import { type DriverRequest, driverOp } from './driver-port.js';
import type { ExportConnection } from './export-connection.js';

const inFlightMax = 256;
const EIO = 5;

export interface ExportWritesOptions {
  readonly device: DriverDevice;
  /** Calls `then` with 0 when the range may be written, or with an errno. */
  readonly cover: (offset: number, length: number, then: (errno: number) => void) => void;
  readonly failed: (operation: string, errno: number) => void;
  /** A throw in a callback is a bug, and ends the actor (H46). */
  readonly fail: (error: unknown) => void;
}

export class ExportWrites implements CompletionSink {
  readonly #options: ExportWritesOptions;
  readonly #locks: RangeLocks;
  readonly #requests: (DriverRequest | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #connections: (ExportConnection | undefined)[] = [];
  readonly #waiting: { request: DriverRequest; connection: ExportConnection }[] = [];

  constructor(options: ExportWritesOptions) {
    this.#options = options;
    this.#locks = new RangeLocks(inFlightMax, [options.device.lockBytes]);
    for (let slot = inFlightMax - 1; slot >= 0; slot--) {
      this.#requests[slot] = undefined;
      this.#free.push(slot);
    }
  }

  get inFlight(): number {
    return inFlightMax - this.#free.length + this.#waiting.length;
  }

  admit(request: DriverRequest, connection: ExportConnection): void {
    const { device } = this.#options.device;
    assert(request.offset + request.length <= device.sizeBytes, 'I20: requests lie in the device');
    const slot = this.#waiting.length > 0 ? undefined : this.#free.pop();
    if (slot === undefined) this.#waiting.push({ request, connection });
    else this.#enter(slot, request, connection);
  }

  completed(slot: number, result: number): void {
    try {
      const request = this.#requests[slot]!;
      const whole = request.op === driverOp.write ? request.length : 0;
      this.#finish(slot, result < 0 ? -result : result < whole ? EIO : 0);
    } catch (error) {
      this.#options.fail(error);
    }
  }

  #enter(slot: number, request: DriverRequest, connection: ExportConnection): void {
    this.#requests[slot] = request;
    this.#connections[slot] = connection;
    request.slot = slot;
    request.error = 0;
    if (this.#locks.acquire(slot, 0, request.offset, request.length)) this.#start(slot);
  }

  /** The range is held. */
  #start(slot: number): void {
    const { offset, length } = this.#requests[slot]!;
    this.#options.cover(offset, length, (errno) => {
      if (errno === 0) this.#write(slot);
      else this.#finish(slot, errno);
    });
  }

  #write(slot: number): void {
    const request = this.#requests[slot]!;
    const { device } = this.#options;
    const { op, offset, length, fua, noHole } = request;
    if (op === driverOp.write) {
      device.write(request.memory, request.bytes, offset, fua, this, slot);
    } else {
      const mayUnmap = op === driverOp.trim || !noHole;
      device.zero(offset, length, { mayUnmap, fua }, this, slot);
    }
  }

  #finish(slot: number, errno: number): void {
    const request = this.#requests[slot]!;
    const connection = this.#connections[slot]!;
    this.#requests[slot] = undefined;
    this.#connections[slot] = undefined;
    if (errno !== 0) this.#options.failed('write', errno);
    request.error = errno === 0 ? 0 : nbdErrorOf(errno);
    const granted = Array.from(this.#locks.granted.subarray(0, this.#locks.release(slot)));
    this.#free.push(slot);
    if (request.op === driverOp.write) connection.freePayload(request);
    request.session.executed(request);
    for (const other of granted) this.#start(other);
    while (this.#waiting.length > 0 && this.#free.length > 0) {
      const { request: next, connection: its } = this.#waiting.shift()!;
      this.#enter(this.#free.pop()!, next, its);
    }
  }
}

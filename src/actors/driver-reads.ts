/**
 * Reads, flushes and block status: what changes nothing. Reads go straight to the device into the
 * connection's memory and wait for nobody; a read beside a write in flight may see either, as on
 * any disk.
 */
import { assert } from '../core/assert.js';
import type { GroupControlView } from '../core/bab/control.js';
import { allocationState, nbdError } from '../core/nbd/constants.js';
import { nbdErrorOf } from '../core/nbd/replies.js';
import type { CompletionSink } from '../ports/completion.js';
import type { DriverConnection } from './driver-connection.js';
import type { DriverDevice } from './driver-device.js';
import type { DriverFacts } from './driver-facts.js';
import { addExtent, type DriverRequest, driverOp } from './driver-port.js';

const EIO = 5;

export interface DriverReadsOptions {
  readonly names: readonly string[];
  readonly devices: readonly DriverDevice[];
  readonly control: Pick<GroupControlView, 'countRead'>;
  readonly facts: Pick<DriverFacts, 'ioFailed'>;
  /** H21. */
  readonly flushFailed: (device: number) => void;
  readonly fail: (error: unknown) => void;
}

export class DriverReads implements CompletionSink {
  readonly #options: DriverReadsOptions;
  /** Requests in flight by tag; free tags in a stack. */
  readonly #requests: (DriverRequest | undefined)[] = [];
  readonly #deviceOf: number[] = [];
  readonly #free: number[] = [];
  #broken = false;

  constructor(options: DriverReadsOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#requests.length - this.#free.length;
  }

  read(request: DriverRequest, connection: Pick<DriverConnection, 'device'>): void {
    const device = this.#options.devices[connection.device]!;
    const tag = this.#enter(request, connection.device);
    if (this.#broken) return;
    device.read(request.memory, request.bytes, request.offset, this, tag);
  }

  flush(request: DriverRequest, connection: Pick<DriverConnection, 'device'>): void {
    const tag = this.#enter(request, connection.device);
    if (!this.#broken) this.#options.devices[connection.device]!.device.flush(this, tag);
  }

  status(request: DriverRequest, connection: Pick<DriverConnection, 'device'>): void {
    const tag = this.#enter(request, connection.device);
    request.extentCount = 0;
    if (this.#broken) return;
    this.#extents(tag, request, connection.device).catch(this.#options.fail);
  }

  completed(tag: number, result: number): void {
    if (this.#broken) return;
    try {
      this.#completed(tag, result);
    } catch (error) {
      this.#broken = true;
      this.#options.fail(error);
    }
  }

  /** From now on nothing starts, and completions change nothing. */
  break(): void {
    this.#broken = true;
  }

  /** The driver has failed and its I/O has ended: gives every request back. */
  giveBackAll(): void {
    this.#broken = true;
    for (let tag = 0; tag < this.#requests.length; tag++) {
      if (this.#requests[tag] !== undefined) this.#leave(tag, nbdError.io);
    }
  }

  #completed(tag: number, result: number): void {
    const request = this.#requests[tag];
    assert(request !== undefined, 'a read completes once');
    const device = this.#deviceOf[tag]!;
    const short = request.op === driverOp.read && result >= 0 && result < request.length;
    const failure = result < 0 ? -result : short ? EIO : 0;
    if (failure !== 0) {
      const operation = request.op === driverOp.read ? 'read' : 'flush';
      this.#options.facts.ioFailed(this.#options.names[device]!, operation, failure);
      if (operation === 'flush') this.#options.flushFailed(device);
    } else if (request.op === driverOp.read) {
      this.#options.control.countRead(device, request.length);
    }
    this.#leave(tag, failure === 0 ? 0 : nbdErrorOf(failure));
  }

  async #extents(tag: number, request: DriverRequest, index: number): Promise<void> {
    const { device } = this.#options.devices[index]!;
    const end = request.offset + request.length;
    let error = 0;
    for (let at = request.offset; at < end; ) {
      const extent = await device.extentAt(at).catch(() => undefined);
      if (extent === undefined || extent.length <= 0) {
        // What is covered so far is a good answer; with nothing it is a failure.
        if (request.extentCount === 0) error = nbdError.io;
        break;
      }
      const flags = extent.hole ? allocationState.hole | allocationState.zero : 0;
      const length = Math.min(extent.length, end - at);
      if (this.#requests[tag] !== request || !addExtent(request, length, flags)) break;
      at += length;
    }
    if (this.#requests[tag] === request) this.#leave(tag, error);
  }

  #enter(request: DriverRequest, device: number): number {
    const tag = this.#free.pop() ?? this.#requests.length;
    this.#requests[tag] = request;
    this.#deviceOf[tag] = device;
    request.hole = false;
    return tag;
  }

  #leave(tag: number, error: number): void {
    const request = this.#requests[tag]!;
    this.#requests[tag] = undefined;
    this.#free.push(tag);
    request.error = error;
    request.session.executed(request);
  }
}

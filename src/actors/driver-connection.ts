/**
 * What the driver is to one NBD connection: it finds memory for payloads, BAB memory first (Rule
 * 42c), and passes requests to the read and write paths of the connection's device. It ends with the
 * connection.
 */
import { babChunkBytes, sharedArenasMax } from '../core/constants.js';
import type { WriteTracker } from '../core/engine/write-tracker.js';
import { IoVector } from '../core/io-vector.js';
import { pageBytes } from '../core/page-pool.js';
import type { DeviceOpener } from '../ports/block-device.js';
import {
  type DriverClient,
  type DriverRequest,
  type DriverSession,
  driverOp,
} from './driver-port.js';
import type { DriverReads } from './driver-reads.js';
import { WriteMemory } from './driver-write-memory.js';
import type { DriverWrites } from './driver-writes.js';

/** Small payloads begin on cache lines; larger ones on pages, so that entries end on blocks. */
const smallAlignment = 64;

export interface DriverPaths {
  readonly tracker: WriteTracker;
  readonly reads: DriverReads;
  readonly writes: DriverWrites;
  readonly memory: Pick<DeviceOpener, 'allocate' | 'release'>;
}

export class DriverConnection implements DriverSession {
  /** Index of the device in the group. */
  readonly device: number;
  readonly #alignmentBytes: number;
  readonly #paths: DriverPaths;
  readonly #private: WriteMemory;
  /** The client was refused memory and waits for `resumed`. */
  #refused: DriverClient | undefined;

  constructor(device: number, alignmentBytes: number, paths: DriverPaths) {
    this.device = device;
    this.#alignmentBytes = alignmentBytes;
    this.#paths = paths;
    this.#private = new WriteMemory(paths.memory);
  }

  reserve(request: DriverRequest): boolean {
    const { tracker } = this.#paths;
    if (tracker.appending && this.#reserveBab(request)) return true;
    if (this.#private.find(request)) return true;
    this.#refused = request.session;
    return false;
  }

  submit(request: DriverRequest): void {
    const { reads, writes } = this.#paths;
    if (request.op === driverOp.read) reads.read(request, this);
    else if (request.op === driverOp.flush) reads.flush(request, this);
    else if (request.op === driverOp.status) reads.status(request, this);
    else writes.admit(request, this);
  }

  abandon(request: DriverRequest): void {
    this.freePayload(request, false);
  }

  /** The payload of a write is not needed by the driver any more; `kept`: the BAB keeps it. */
  freePayload(request: DriverRequest, kept: boolean): void {
    if (request.memory.arena >= sharedArenasMax) this.#private.free(request);
    else if (!kept) this.#paths.tracker.writer.unreserve(request.memory);
    const refused = this.#refused;
    this.#refused = undefined;
    refused?.resumed();
  }

  /** How payload of this length is to lie in memory. */
  alignmentFor(length: number): number {
    if (length >= pageBytes) return pageBytes;
    return Math.max(smallAlignment, this.#alignmentBytes);
  }

  /** The connection is over and has given everything back. */
  end(): void {
    this.#private.release();
  }

  #reserveBab(request: DriverRequest): boolean {
    const { writer } = this.#paths.tracker;
    const pieces = Math.ceil(request.length / babChunkBytes);
    if (request.memory.capacity < pieces) request.memory = new IoVector(pieces);
    const alignment = this.alignmentFor(request.length);
    if (!writer.reserve(request.length, alignment, request.memory)) return false;
    request.bytes = writer.pool.bytes[request.memory.arena]!;
    return true;
  }
}

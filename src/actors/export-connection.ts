/** What an exported mirror is to one NBD connection: memory for its payloads, and the way to the paths. */
import type { DeviceOpener } from '../ports/block-device.js';
import {
  type DriverClient,
  type DriverRequest,
  type DriverSession,
  driverOp,
} from './driver-port.js';
import type { DriverReads } from './driver-reads.js';
import { WriteMemory } from './driver-write-memory.js';
import type { ExportWrites } from './export-writes.js';

export interface ExportPaths {
  readonly reads: DriverReads;
  readonly writes: ExportWrites;
}

export class ExportConnection implements DriverSession {
  /** Each mirror has paths of its own. */
  readonly device = 0;
  readonly #paths: ExportPaths;
  readonly #payloads: WriteMemory;
  /** The client was refused memory and waits for `resumed`. */
  #refused: DriverClient | undefined;

  constructor(paths: ExportPaths, memory: Pick<DeviceOpener, 'allocate' | 'release'>) {
    this.#paths = paths;
    this.#payloads = new WriteMemory(memory);
  }

  reserve(request: DriverRequest): boolean {
    if (this.#payloads.find(request)) return true;
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
    this.freePayload(request);
  }

  freePayload(request: DriverRequest): void {
    this.#payloads.free(request);
    const refused = this.#refused;
    this.#refused = undefined;
    refused?.resumed();
  }

  /** The connection is over and has given everything back. */
  end(): void {
    this.#payloads.release();
  }
}

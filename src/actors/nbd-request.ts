/**
 * One NBD request in flight, from its header to the last byte of its reply: a pooled object that
 * the header is decoded into and that the driver executes. The pool is what bounds a connection
 * (I12): when it is empty the connection stops receiving, and the client's socket fills up.
 */
import { assert } from '../core/assert.js';
import { IoVector } from '../core/io-vector.js';
import { command, commandFlag, extentsMax } from '../core/nbd/constants.js';
import type { RequestHeader, TransmissionRules } from '../core/nbd/requests.js';
import type { ArenaMemory } from '../ports/block-device.js';
import {
  type DriverClient,
  type DriverOp,
  type DriverRequest,
  driverOp,
  type SyncWait,
} from './driver-port.js';

/** Covers 1 MiB in chunks of 64 KiB at any alignment; larger writes get a larger vector. */
const memoryPiecesMin = 18;
const noBytes = new Uint8Array(0);
const noExtents = new Uint32Array(0);

export class NbdRequest implements DriverRequest, RequestHeader {
  readonly session: DriverClient;
  op: DriverOp = driverOp.flush;
  fua = false;
  noHole = false;
  onlyOne = false;
  mayHole = false;
  memory = new IoVector(memoryPiecesMin);
  bytes: Uint8Array = noBytes;
  error = 0;
  hole = false;
  extentCount = 0;
  next: NbdRequest | undefined = undefined;
  slot = -1;
  readonly wait: SyncWait = { for: 0, until: 0, flush: 0, sinceMs: 0, nextUnflushed: undefined };
  /** The driver keeps the answer back, and the pool does not count the request. */
  parked = false;

  flags = 0;
  command = 0;
  cookieHigh = 0;
  cookieLow = 0;
  offset = 0;
  length = 0;

  /** The run of the connection's pages that holds the data of a read; none when the count is 0. */
  firstPage = 0;
  pageCount = 0;
  /** Memory of its own, for a read too large for those pages. */
  largeRead: ArenaMemory | undefined = undefined;
  #extents = noExtents;

  constructor(session: DriverClient) {
    this.session = session;
  }

  /** Most connections never ask for block status, so the list is made when the first one does. */
  get extents(): Uint32Array {
    if (this.#extents.length === 0) this.#extents = new Uint32Array(2 * extentsMax);
    return this.#extents;
  }

  /** Says in the driver's words what the decoded header asks for. */
  translate(rules: TransmissionRules): void {
    this.op = driverOpOf(this.command);
    this.fua = (this.flags & commandFlag.fua) !== 0;
    this.noHole = (this.flags & commandFlag.noHole) !== 0;
    this.onlyOne = (this.flags & commandFlag.reqOne) !== 0;
    this.mayHole = rules.structuredReplies && (this.flags & commandFlag.df) === 0;
  }

  /** Ready for the next header. */
  reset(): void {
    this.bytes = noBytes;
    this.error = 0;
    this.hole = false;
    this.extentCount = 0;
    this.next = undefined;
    this.slot = -1;
    this.pageCount = 0;
    this.largeRead = undefined;
  }
}

/** First in, first out, linked through `next`. */
export class RequestQueue {
  #first: NbdRequest | undefined;
  #last: NbdRequest | undefined;

  get first(): NbdRequest | undefined {
    return this.#first;
  }

  push(request: NbdRequest): void {
    request.next = undefined;
    if (this.#last === undefined) this.#first = request;
    else this.#last.next = request;
    this.#last = request;
  }

  shift(): NbdRequest | undefined {
    const request = this.#first;
    if (request === undefined) return undefined;
    this.#first = request.next;
    if (this.#first === undefined) this.#last = undefined;
    request.next = undefined;
    return request;
  }
}

/**
 * Requests are made when they are first needed and kept until the connection ends. Writes whose
 * answer waits in sync mode leave their place to others, so that reads and flushes go on (Rule 40),
 * but only so many: behind them the client waits in its socket.
 */
export class RequestPool {
  readonly #session: DriverClient;
  readonly #limit: number;
  readonly #parkedMax: number;
  readonly #free: NbdRequest[] = [];
  #madeCount = 0;
  #parkedCount = 0;

  constructor(session: DriverClient, limit: number, parkedMax: number) {
    this.#session = session;
    this.#limit = limit;
    this.#parkedMax = parkedMax;
  }

  /** Requests that were taken and not given back. */
  get takenCount(): number {
    return this.#madeCount - this.#free.length;
  }

  /** Undefined when as many as allowed are in flight. */
  take(): NbdRequest | undefined {
    const counted = this.takenCount - Math.min(this.#parkedCount, this.#parkedMax);
    if (counted >= this.#limit) return undefined;
    const request = this.#free.pop();
    if (request !== undefined) return request;
    this.#madeCount++;
    return new NbdRequest(this.#session);
  }

  park(request: NbdRequest): void {
    assert(!request.parked, 'a request is parked once');
    request.parked = true;
    this.#parkedCount++;
  }

  unpark(request: NbdRequest): void {
    if (!request.parked) return;
    request.parked = false;
    this.#parkedCount--;
  }

  give(request: NbdRequest): void {
    assert(this.#free.length < this.#madeCount, 'a request is given back once');
    request.reset();
    this.#free.push(request);
  }
}

/** What has no operation of the driver was judged bad; the form of its reply goes by this too. */
function driverOpOf(code: number): DriverOp {
  switch (code) {
    case command.read:
      return driverOp.read;
    case command.write:
      return driverOp.write;
    case command.trim:
      return driverOp.trim;
    case command.writeZeroes:
      return driverOp.zero;
    case command.blockStatus:
      return driverOp.status;
    default:
      return driverOp.flush;
  }
}

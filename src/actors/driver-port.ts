/**
 * The seam between an NBD connection and the driver of its device: what a connection may ask, and
 * what it is told. Both live in one actor on one thread; calls are synchronous, nothing is
 * allocated per request, and a request is a pooled object that changes hands:
 *
 *   connection ──reserve──► driver     a write's memory is found (or: wait for `resumed`)
 *              ──submit───► driver     the whole payload is here (H23); the driver owns the request
 *              ◄─parked──── driver     sync mode only: done, but not to be answered yet
 *              ◄─executed── driver     `error` is set; the connection owns it again and answers
 *
 * A request that was reserved but whose payload never came whole goes back with `abandon`, so a
 * client that stops in the middle of a payload can never enter the order of writes (H23).
 */
import type { IoVector } from '../core/io-vector.js';

export const driverOp = { read: 0, write: 1, flush: 2, trim: 3, zero: 4, status: 5 } as const;
export type DriverOp = (typeof driverOp)[keyof typeof driverOp];

export interface DriverRequest {
  readonly session: DriverClient;
  readonly op: DriverOp;
  readonly offset: number;
  /** Never 0 for read, write, trim, zero and status; 0 for flush. */
  readonly length: number;
  readonly fua: boolean;
  /** Zero: the range must stay allocated (no unmapping). */
  readonly noHole: boolean;
  /** Status: exactly one extent, not beyond the range. */
  readonly onlyOne: boolean;
  /** Read: the driver may say `hole` instead of filling the memory. */
  readonly mayHole: boolean;
  /**
   * Where the data is. Read: set by the connection, aligned to 4096, in whole pages of its arena.
   * Write: filled by the driver in `reserve`, totalling `length`; a driver that needs more pieces
   * than it holds puts a larger vector in its place, which stays with the pooled object.
   */
  memory: IoVector;
  /** The memory of arena `memory.arena`. For writes set by the driver in `reserve`. */
  bytes: Uint8Array;

  /** Set by the driver before `executed`: 0 or an NBD error value (core/nbd `nbdErrorOf`). */
  error: number;
  /** Read with `mayHole`: the whole range reads as zeroes and the memory was not filled. */
  hole: boolean;
  /** Status: pairs (length, allocationState flags) from `offset` on; `extentCount` ≥ 1 of them. */
  readonly extents: Uint32Array;
  extentCount: number;

  /** For the driver's own lists and tables while it owns the request. */
  next: DriverRequest | undefined;
  slot: number;
  /** Of a write that waits in sync mode; see driver-sync.ts. */
  readonly wait: SyncWait;
}

/** What a write waits for before it is answered (I2, I3). Part of a pooled request. */
export interface SyncWait {
  /** Bits: the secondary, the flush of the local device. 0: it does not wait. */
  for: number;
  /** Count of durable entries at which the secondary is far enough. */
  until: number;
  /** Number of the local flush that covers it. */
  flush: number;
  sinceMs: number;
  nextUnflushed: DriverRequest | undefined;
}

/** What the driver offers to one connection. */
export interface DriverSession {
  /**
   * Finds memory for the payload of a write: BAB memory, or a bounded arena of the connection when
   * the group may take no more (H42c). False: nothing was kept; `resumed` will be called when it is
   * worth trying again, with the same or another request.
   */
  reserve(request: DriverRequest): boolean;
  /** Executes. `request.session.executed(request)` follows later, never from inside this call. */
  submit(request: DriverRequest): void;
  /** The connection ended while the payload was arriving: the memory of `reserve` goes back. */
  abandon(request: DriverRequest): void;
}

/** What a connection offers to its driver. */
export interface DriverClient {
  /** The request is done, `error` says how; it belongs to the connection again. */
  executed(request: DriverRequest): void;
  /**
   * Executed, but the answer waits for the secondary; `executed` follows. Until then the request
   * does not count against what the connection may have under way (Rule 40).
   */
  parked(request: DriverRequest): void;
  /** `reserve` may succeed now. */
  resumed(): void;
}

/**
 * Appends an extent to a status answer; neighbours of equal flags become one. False when the
 * answer can take no more: the range is covered, or the list is full, or only one was wanted.
 */
export function addExtent(request: DriverRequest, length: number, flags: number): boolean {
  const { extents } = request;
  let covered = 0;
  for (let index = 0; index < request.extentCount; index++) covered += extents[2 * index]!;
  const wanted = Math.min(length, request.length - covered);
  if (wanted <= 0) return false;
  const last = request.extentCount - 1;
  if (last >= 0 && extents[2 * last + 1] === flags) {
    extents[2 * last] = extents[2 * last]! + wanted;
  } else if (last + 1 >= (request.onlyOne ? 1 : extents.length / 2)) {
    return false;
  } else {
    extents[2 * last + 2] = wanted;
    extents[2 * last + 3] = flags;
    request.extentCount++;
  }
  return covered + wanted < request.length;
}

/**
 * One NBD connection in its transmission phase, a part of the driver actor: first and last station
 * of every application I/O. Bytes are received in batches, all requests in them are handed to the
 * driver, and at the end of a turn all replies that are ready leave in one send.
 *
 *   stream ─receive─► rx ─decode, judge─► driver ─executed─► ready ─gather─► stream
 *              └─ rest of a large payload: straight into the driver's memory
 *
 * Keeps H23 (a write is submitted only with its whole payload), I11 and I12: requests, read memory
 * and replies are bounded, and when a bound is reached it stops receiving, so the client waits in
 * its own socket. It decides nothing about the device: order, overlap and modes are the driver's.
 */
import { assert } from '../core/assert.js';
import { IoVector } from '../core/io-vector.js';
import { command, payloadSkipBytesMax, requestHeaderBytes } from '../core/nbd/constants.js';
import { PayloadCursor } from '../core/nbd/payload.js';
import {
  decodeRequest,
  judgeRequest,
  payloadBytes,
  type TransmissionRules,
} from '../core/nbd/requests.js';
import type { ArenaMemory, DeviceOpener } from '../ports/block-device.js';
import type { ByteStream } from '../ports/byte-stream.js';
import type { Clock } from '../ports/clock.js';
import type { CompletionSink } from '../ports/completion.js';
import {
  type DriverClient,
  type DriverRequest,
  type DriverSession,
  driverOp,
} from './driver-port.js';
import { ReadMemory, roundUpToPages } from './nbd-read-memory.js';
import { ReplyBatch } from './nbd-reply-batch.js';
import { NbdRequest, RequestPool, RequestQueue } from './nbd-request.js';
import { type SessionLimits, sessionLimits } from './nbd-session-limits.js';

export interface NbdSessionOptions {
  readonly rules: TransmissionRules;
  /** Bytes that came behind the handshake; at most `receiveBytes`. */
  readonly leftover: Uint8Array;
  readonly memory: Pick<DeviceOpener, 'allocate' | 'release'>;
  readonly limits?: Partial<SessionLimits>;
  /** The connection is over and all of its memory is free; exactly once. */
  ended(why: string): void;
  /** A throw inside the session ends the actor it is part of (H46): `ActorContext.fail`. */
  fail(error: unknown): void;
}

const receiveTag = 0;
const directTag = 1;
const sendTag = 2;

/** Pieces of one direct receive; a longer list of chunks takes several. */
const directPiecesMax = 64;

export class NbdSession implements CompletionSink, DriverClient {
  readonly #stream: ByteStream;
  readonly #driver: DriverSession;
  readonly #clock: Clock;
  readonly #options: NbdSessionOptions;
  readonly #limits: SessionLimits;

  /** One arena for all: rx, then the headers of replies, then the pages of reads. */
  readonly #memory: ArenaMemory;
  readonly #view: DataView;
  readonly #reads: ReadMemory;

  readonly #pool: RequestPool;
  readonly #ready = new RequestQueue();
  readonly #batch: ReplyBatch;

  readonly #rxVector = new IoVector(1);
  readonly #directVector = new IoVector(directPiecesMax);
  #rxStart = 0;
  #rxEnd = 0;
  #rxWindow: number;
  /** A refused write whose payload is being dropped. Answered behind it: libnbd gives up on a
   * reply to a request that it is still sending. */
  #refused: NbdRequest | undefined;
  #skipBytes = 0;
  /** The write whose payload is arriving. */
  #filling: NbdRequest | undefined;
  readonly #payload = new PayloadCursor();

  #receiving = false;
  #sending = false;
  /** A bound is reached: nothing is received until something was given back. */
  #stalled = false;
  #turnScheduled = false;

  #state: 'open' | 'draining' | 'hung up' | 'closed' = 'open';
  #streamClosed = false;
  #why = '';
  readonly #closed: Promise<void>;
  #resolveClosed: () => void = () => {};

  constructor(stream: ByteStream, driver: DriverSession, clock: Clock, options: NbdSessionOptions) {
    this.#stream = stream;
    this.#driver = driver;
    this.#clock = clock;
    this.#options = options;
    const limits = { ...sessionLimits, ...options.limits };
    this.#limits = limits;
    this.#rxWindow = limits.receiveBytes;
    this.#pool = new RequestPool(this, limits.requestsMax, limits.parkedMax);
    const headersOffset = roundUpToPages(limits.receiveBytes);
    const readsOffset = headersOffset + roundUpToPages(limits.replyHeaderBytes);
    this.#memory = options.memory.allocate(readsOffset + roundUpToPages(limits.readBytes));
    this.#reads = new ReadMemory(
      options.memory,
      this.#memory,
      readsOffset,
      limits.pooledReadBytesMax,
    );
    const { arena, bytes } = this.#memory;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#batch = new ReplyBatch({
      arena,
      view: this.#view,
      offset: headersOffset,
      byteCount: limits.replyHeaderBytes,
      piecesMax: limits.replyPiecesMax,
      sendBytesMax: limits.sendBytesMax,
      structuredReplies: options.rules.structuredReplies,
    });
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    assert(options.leftover.length <= limits.receiveBytes, 'the leftover of a handshake fits rx');
    bytes.set(options.leftover);
    this.#rxEnd = options.leftover.length;
  }

  /** Begins to receive. */
  start(): void {
    this.#pump();
  }

  /** Stops receiving, answers what is in flight, then closes: what a client's DISC does. */
  drain(why: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    this.#why = why;
    this.#advanceEnd();
  }

  /**
   * Ends the connection now; replies that were not sent are dropped. Resolves when the driver has
   * given back every request and the memory is free.
   */
  close(why = 'closed by this side'): Promise<void> {
    this.#hangUp(why);
    return this.#closed;
  }

  /** A receive or a send is done. */
  completed(tag: number, result: number): void {
    try {
      if (tag === sendTag) this.#sent(result);
      else this.#received(tag, result);
    } catch (error) {
      this.#options.fail(error);
    }
  }

  executed(request: DriverRequest): void {
    assert(request instanceof NbdRequest && request.session === this, 'a request comes home');
    this.#pool.unpark(request);
    if (this.#state === 'hung up') {
      this.#release(request);
      this.#advanceEnd();
    } else {
      this.#answer(request);
    }
  }

  parked(request: DriverRequest): void {
    assert(request instanceof NbdRequest && request.session === this, 'it is one of ours');
    this.#pool.park(request);
    if (this.#stalled) this.#scheduleTurn();
  }

  resumed(): void {
    this.#scheduleTurn();
  }

  // Receiving.

  #received(tag: number, result: number): void {
    this.#receiving = false;
    if (result <= 0) {
      this.drain(result === 0 ? 'the client closed the connection' : `receive: errno ${-result}`);
    }
    if (this.#state !== 'open') {
      this.#advanceEnd();
      return;
    }
    if (tag === receiveTag) {
      // A full receive in the middle of a large payload says nothing about small requests.
      const full = result === this.#rxVector.totalBytes;
      if (full && this.#filling === undefined) this.#rxWindow = this.#limits.receiveBytes;
      this.#rxEnd += result;
    } else {
      this.#rxWindow = this.#limits.peekBytes;
      this.#payload.advance(result);
    }
    this.#pump();
  }

  /** Uses what was received, then receives more if the bounds allow. */
  #pump(): void {
    this.#stalled = false;
    while (this.#state === 'open' && this.#step());
    if (this.#state === 'open' && !this.#receiving && !this.#stalled) this.#receive();
  }

  /** One step through rx; false when more bytes are needed, or a bound is reached. */
  #step(): boolean {
    const available = this.#rxEnd - this.#rxStart;
    if (this.#filling !== undefined) {
      const { bytes } = this.#memory;
      this.#rxStart += this.#payload.copyFrom(bytes, this.#rxStart, this.#rxEnd);
      if (this.#payload.missing > 0) return false;
      const request = this.#filling;
      this.#filling = undefined;
      this.#driver.submit(request);
      return true;
    }
    if (this.#refused !== undefined) {
      const skipped = Math.min(this.#skipBytes, available);
      this.#rxStart += skipped;
      this.#skipBytes -= skipped;
      if (this.#skipBytes > 0) return false;
      this.#answer(this.#refused);
      this.#refused = undefined;
      return true;
    }
    if (available < requestHeaderBytes) return false;
    const request = this.#pool.take();
    if (request !== undefined && this.#begin(request)) return true;
    if (request !== undefined) this.#pool.give(request);
    // Nothing was consumed: the header is looked at again when something was given back.
    if (this.#state === 'open') this.#stalled = true;
    else this.#advanceEnd();
    return false;
  }

  /** Starts the request at the front of rx; false when a bound does not allow it now. */
  #begin(request: NbdRequest): boolean {
    const { rules } = this.#options;
    if (!decodeRequest(this.#view, this.#rxStart, request)) return this.#stopAt('wrong magic');
    if (request.command === command.disconnect) return this.#stopAt('the client disconnected');
    request.translate(rules);
    request.error = judgeRequest(request, rules);
    if (request.error !== 0) {
      this.#skipBytes = payloadBytes(request);
      if (this.#skipBytes > payloadSkipBytesMax) return this.#stopAt('payload too large');
      this.#rxStart += requestHeaderBytes;
      this.#refused = request;
      return true;
    }
    if (request.length === 0 && request.op !== driverOp.flush) {
      // The specification leaves it open; success without an effect is what other servers do.
      this.#rxStart += requestHeaderBytes;
      this.#answer(request);
      return true;
    }
    if (request.op === driverOp.read && !this.#reads.find(request)) return false;
    if (request.op === driverOp.write && !this.#driver.reserve(request)) return false;
    this.#rxStart += requestHeaderBytes;
    if (request.op === driverOp.write) {
      assert(request.memory.totalBytes === request.length, 'reserve finds memory for all of it');
      this.#payload.begin(request.memory, request.bytes);
      this.#filling = request;
    } else {
      this.#driver.submit(request);
    }
    return true;
  }

  /** Nothing behind this point of the stream is looked at. */
  #stopAt(why: string): false {
    this.drain(why);
    return false;
  }

  #receive(): void {
    this.#receiving = true;
    if (this.#filling !== undefined && this.#payload.missing >= this.#limits.directBytesMin) {
      this.#stream.receive(this.#payload.emptyPieces(this.#directVector), this, directTag);
      return;
    }
    // At most a part of one header is left; in front again, the next bytes complete it in place.
    const { arena, bytes } = this.#memory;
    bytes.copyWithin(0, this.#rxStart, this.#rxEnd);
    this.#rxEnd -= this.#rxStart;
    this.#rxStart = 0;
    const missing = this.#filling === undefined ? 0 : this.#payload.missing;
    const room = Math.min(this.#limits.receiveBytes - this.#rxEnd, this.#rxWindow + missing);
    this.#stream.receive(this.#rxVector.single(arena, this.#rxEnd, room), this, receiveTag);
  }

  // Answering.

  #answer(request: NbdRequest): void {
    this.#ready.push(request);
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#turnScheduled || this.#state === 'closed') return;
    this.#turnScheduled = true;
    this.#clock.endOfTurn(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#turnScheduled = false;
    try {
      if (this.#state === 'open' && this.#stalled) this.#pump();
      this.#sendReady();
    } catch (error) {
      this.#options.fail(error);
    }
  };

  #sendReady(): void {
    if (this.#sending || this.#ready.first === undefined || this.#state === 'hung up') return;
    this.#sending = true;
    this.#batch.fill(this.#ready);
    this.#stream.send(this.#batch.vector, this, sendTag);
  }

  #sent(result: number): void {
    this.#sending = false;
    this.#releaseAll(this.#batch.answered);
    if (result < 0) this.#hangUp(`send: errno ${-result}`);
    if (this.#stalled || this.#ready.first !== undefined) this.#scheduleTurn();
    this.#advanceEnd();
  }

  #releaseAll(queue: RequestQueue): void {
    for (let request = queue.shift(); request !== undefined; request = queue.shift()) {
      this.#release(request);
    }
  }

  #release(request: NbdRequest): void {
    this.#reads.free(request);
    this.#pool.give(request);
  }

  // Ending.

  #hangUp(why: string): void {
    if (this.#state === 'hung up' || this.#state === 'closed') return;
    if (this.#why === '') this.#why = why;
    this.#state = 'hung up';
    this.#releaseAll(this.#ready);
    const streamClosed = (): void => {
      this.#streamClosed = true;
      this.#advanceEnd();
    };
    this.#stream
      .close()
      .then(streamClosed, streamClosed)
      .catch((error: unknown) => this.#options.fail(error));
    this.#advanceEnd();
  }

  /** The next step of ending, when what it waits for has happened. */
  #advanceEnd(): void {
    if (this.#state === 'open' || this.#state === 'closed') return;
    if (this.#refused !== undefined) {
      this.#pool.give(this.#refused);
      this.#refused = undefined;
    }
    // While a receive is outstanding the system may still write into the driver's memory.
    if (this.#filling !== undefined && !this.#receiving) {
      const request = this.#filling;
      this.#filling = undefined;
      this.#driver.abandon(request);
      this.#pool.give(request);
    }
    if (this.#state === 'draining') {
      const arriving = this.#filling === undefined ? 0 : 1;
      if (!this.#sending && this.#pool.takenCount === arriving) this.#hangUp(this.#why);
      return;
    }
    if (!this.#streamClosed || this.#receiving || this.#sending) return;
    if (this.#pool.takenCount > 0) return;
    this.#state = 'closed';
    this.#options.memory.release(this.#memory);
    this.#resolveClosed();
    this.#options.ended(this.#why);
  }
}

/**
 * Gathers the replies that are ready into one send: headers are written side by side into a small
 * region, read data is sent from where the device put it.
 *
 *   headers  [reply][reply][chunk]            [chunk]
 *   vector   ^^^^^^^^^^^^^^^^^^^^^ [read data] ^^^^^^^ [read data] …
 *
 * One batch exists per connection and one send is outstanding, so the region is reused without a
 * lock. A read too large for the connection's pages brings its own arena with room for its header
 * in front of the data, and goes alone: one vector is of one arena.
 */
import { assert } from '../core/assert.js';
import { IoVector } from '../core/io-vector.js';
import {
  chunkHeaderBytes,
  dataChunkHeaderBytes,
  extentsMax,
  simpleReplyBytes,
} from '../core/nbd/constants.js';
import {
  encodeDataChunk,
  encodeErrorChunk,
  encodeHoleChunk,
  encodeNoneChunk,
  encodeSimpleReply,
  encodeStatusChunk,
} from '../core/nbd/replies.js';
import { pageBytes } from '../core/page-pool.js';
import { driverOp } from './driver-port.js';
import { type NbdRequest, RequestQueue } from './nbd-request.js';

export interface ReplyBatchOptions {
  readonly arena: number;
  readonly view: DataView;
  /** The region for headers. */
  readonly offset: number;
  readonly byteCount: number;
  readonly piecesMax: number;
  /** A batch with more data than this is not enlarged: what it holds is freed when all is sent. */
  readonly sendBytesMax: number;
  readonly structuredReplies: boolean;
}

export class ReplyBatch {
  readonly vector: IoVector;
  /** The requests whose replies are in the vector. */
  readonly answered = new RequestQueue();
  readonly #options: ReplyBatchOptions;

  constructor(options: ReplyBatchOptions) {
    assert(
      options.byteCount >= chunkHeaderBytes + 4 + 8 * extentsMax,
      'the region for headers holds the longest one',
    );
    this.#options = options;
    this.vector = new IoVector(options.piecesMax);
  }

  /** Moves from `ready`, in order, what fits into one send; at least one request. */
  fill(ready: RequestQueue): void {
    const { arena, offset, byteCount, piecesMax, sendBytesMax } = this.#options;
    const { vector } = this;
    vector.reset(arena);
    let at = offset;
    for (let request = ready.first; request !== undefined; request = ready.first) {
      if (request.largeRead !== undefined && sendsData(request)) {
        if (vector.count === 0) this.#addLargeRead(request, ready);
        return;
      }
      const roomy = at + headerBytes(request) <= offset + byteCount;
      if (!roomy || vector.count + 2 > piecesMax || vector.totalBytes >= sendBytesMax) return;
      this.answered.push(ready.shift()!);
      const next = this.#encode(this.#options.view, at, request);
      vector.push(at, next - at);
      at = next;
      if (sendsData(request)) vector.push(request.memory.offsets[0]!, request.length);
    }
  }

  #addLargeRead(request: NbdRequest, ready: RequestQueue): void {
    const memory = request.largeRead!;
    const { buffer, byteOffset, byteLength } = memory.bytes;
    const structured = this.#options.structuredReplies;
    const start = pageBytes - (structured ? dataChunkHeaderBytes : simpleReplyBytes);
    this.answered.push(ready.shift()!);
    this.#encode(new DataView(buffer, byteOffset, byteLength), start, request);
    this.vector.single(memory.arena, start, pageBytes - start + request.length);
  }

  /**
   * With structured replies, reads and block status must be answered by chunks, errors included;
   * for all other requests the simple reply is allowed and smaller.
   */
  #encode(view: DataView, at: number, request: NbdRequest): number {
    const { op, offset, length, error } = request;
    const chunks =
      this.#options.structuredReplies && (op === driverOp.read || op === driverOp.status);
    if (!chunks) return encodeSimpleReply(view, at, request, error);
    if (error !== 0) return encodeErrorChunk(view, at, request, error);
    if (op === driverOp.status) {
      return encodeStatusChunk(view, at, request, request.extents, request.extentCount);
    }
    if (length === 0) return encodeNoneChunk(view, at, request);
    if (request.hole) return encodeHoleChunk(view, at, request, true, offset, length);
    return encodeDataChunk(view, at, request, true, offset, length);
  }
}

function sendsData(request: NbdRequest): boolean {
  return request.op === driverOp.read && request.error === 0 && !request.hole && request.length > 0;
}

function headerBytes(request: NbdRequest): number {
  return chunkHeaderBytes + (request.op === driverOp.status ? 4 + 8 * request.extentCount : 12);
}

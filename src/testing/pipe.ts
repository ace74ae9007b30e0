/**
 * One direction of a simulated link: bytes queued by a sender, under way, or held back by a receiver
 * who has paused. Delays, chunk sizes and stalls come from the world's chance; order is kept, as TCP
 * keeps it. Bytes are copied out of the sender's memory late, just before `sent`, so that memory
 * given back too early shows. It can be cut after any byte.
 */
import { linkHighWaterBytes, linkLowWaterBytes } from '../core/constants.js';
import type { SimWorld } from './world.js';

export interface SimLinkOptions {
  /** Each chunk takes this long, plus a random part up to `jitterMs`. */
  delayMs: number;
  jitterMs: number;
  /** Chunks are of random sizes up to this. */
  chunkBytesMax: number;
  /** Bytes that fit between sender and receiver: socket buffers and the wire. */
  windowBytes: number;
  /** 0: as fast as the window allows. */
  bytesPerMs: number;
}

export interface PipeEnds {
  deliver(chunk: Uint8Array): void;
  drained(): void;
  /** The byte at which the pipe was to be cut has passed. */
  cut(): void;
}

interface Piece {
  readonly bytes: Uint8Array;
  taken: number;
  readonly sent: (() => void) | undefined;
}

export class SimPipe {
  readonly #world: SimWorld;
  readonly #options: SimLinkOptions;
  readonly #ends: PipeEnds;
  readonly #queue: Piece[] = [];
  #queuedBytes = 0;
  /** Taken from the sender, not yet taken by the receiver. */
  #underwayBytes = 0;
  #arrived: Uint8Array[] = [];
  #lastArrivalAt = 0;
  #full = false;
  #paused = false;
  #pumping = false;
  #stalledUntil = 0;
  #closed = false;
  /** Bytes delivered so far. */
  deliveredBytes = 0;
  /** Delivery stops, and `cut` is called, after this many bytes. */
  cutAfter = Number.POSITIVE_INFINITY;
  /** Half-open: bytes leave and never arrive, and nobody is told. */
  lossy = false;

  constructor(world: SimWorld, options: SimLinkOptions, ends: PipeEnds) {
    this.#world = world;
    this.#options = options;
    this.#ends = ends;
  }

  send(bytes: Uint8Array, sent: (() => void) | undefined): boolean {
    this.#queue.push({ bytes, taken: 0, sent });
    this.#queuedBytes += bytes.length;
    this.#schedulePump(0);
    if (this.#queuedBytes < linkHighWaterBytes) return true;
    this.#full = true;
    return false;
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    if (!paused && this.#arrived.length > 0) this.#world.after(0, 'link', () => this.#hand());
  }

  /** Nothing leaves for this long. */
  stall(forMs: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#world.now + forMs);
  }

  get idle(): boolean {
    return this.#queue.length === 0 && this.#underwayBytes === 0;
  }

  /** Nothing is delivered any more; lent memory goes back. */
  close(): void {
    this.#closed = true;
    for (const { sent } of this.#queue.splice(0)) sent?.();
  }

  /** The sender is gone: what was handed over still arrives, lent memory goes back. */
  end(): void {
    for (const { sent } of this.#queue.splice(0)) sent?.();
    this.#queuedBytes = 0;
  }

  #schedulePump(delayMs: number): void {
    if (this.#pumping || this.#closed) return;
    this.#pumping = true;
    this.#world.after(delayMs, 'link', () => {
      this.#pumping = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { chunkBytesMax, windowBytes, bytesPerMs } = this.#options;
    if (this.#closed) return;
    if (this.#world.now < this.#stalledUntil) {
      this.#schedulePump(this.#stalledUntil - this.#world.now);
      return;
    }
    const room = windowBytes - this.#underwayBytes;
    if (this.#queue.length === 0 || room <= 0) return;
    const chunk = this.#take(Math.min(room, 1 + this.#world.random.below(chunkBytesMax)));
    this.#underwayBytes += chunk.length;
    if (!this.lossy) this.#travel(chunk);
    if (this.#full && this.#queuedBytes <= linkLowWaterBytes) {
      this.#full = false;
      this.#ends.drained();
    }
    if (this.#queue.length > 0) this.#schedulePump(bytesPerMs > 0 ? chunk.length / bytesPerMs : 0);
  }

  /** Copies up to `limit` bytes out of the queue and gives finished memory back. */
  #take(limit: number): Uint8Array {
    const chunk = new Uint8Array(Math.min(limit, this.#queuedBytes));
    let filled = 0;
    const done: (() => void)[] = [];
    while (this.#queue.length > 0) {
      const piece = this.#queue[0]!;
      const length = Math.min(chunk.length - filled, piece.bytes.length - piece.taken);
      chunk.set(piece.bytes.subarray(piece.taken, piece.taken + length), filled);
      filled += length;
      piece.taken += length;
      if (piece.taken < piece.bytes.length) break;
      this.#queue.shift();
      if (piece.sent !== undefined) done.push(piece.sent);
    }
    this.#queuedBytes -= filled;
    for (const sent of done) sent();
    return chunk;
  }

  #travel(chunk: Uint8Array): void {
    const { delayMs, jitterMs } = this.#options;
    const jitter = jitterMs > 0 ? this.#world.random.below(Math.ceil(jitterMs * 1000)) / 1000 : 0;
    const arrivesAt = Math.max(this.#lastArrivalAt, this.#world.now + delayMs + jitter);
    this.#lastArrivalAt = arrivesAt;
    this.#world.after(arrivesAt - this.#world.now, 'link', () => {
      if (this.#closed || this.lossy) return;
      this.#arrived.push(chunk);
      this.#hand();
    });
  }

  #hand(): void {
    while (!this.#paused && !this.#closed) {
      let chunk = this.#arrived.shift();
      if (chunk === undefined) break;
      const allowed = this.cutAfter - this.deliveredBytes;
      if (chunk.length > allowed) chunk = chunk.subarray(0, Math.max(0, allowed));
      this.#underwayBytes -= chunk.length;
      this.deliveredBytes += chunk.length;
      if (chunk.length > 0) this.#ends.deliver(chunk);
      if (this.deliveredBytes >= this.cutAfter) {
        this.#ends.cut();
        return;
      }
    }
    if (this.#queue.length > 0) this.#schedulePump(0);
  }
}

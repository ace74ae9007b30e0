/**
 * An NBD client in the transmission phase, over a simulated stream: many requests under way, simple
 * replies. Written from the protocol's tables, independent of the server's own code. What a request
 * means to the history of writes is its user's business.
 */
import { strict as assert } from 'node:assert';
import type { SimStream } from './stream.js';

const requestMagic = 0x25609513;
const replyMagic = 0x67446698;
export const nbdCommand = { read: 0, write: 1, flush: 3, trim: 4, zero: 6 } as const;
const fuaFlag = 1;

export interface NbdRequest {
  readonly command: number;
  readonly offset: number;
  readonly length: number;
  readonly fua?: boolean;
  readonly payload?: Uint8Array;
}

export interface NbdOutcome {
  /** Undefined: the connection ended without an answer. */
  readonly error: number | undefined;
  /** What a read gave. */
  readonly data: Uint8Array | undefined;
}

interface Waiting {
  readonly request: NbdRequest;
  readonly done: (outcome: NbdOutcome) => void;
}

export class NbdClient {
  readonly #stream: SimStream;
  readonly #waiting = new Map<number, Waiting>();
  #received: Uint8Array = new Uint8Array(0);
  #nextCookie = 1;
  #lost = false;

  constructor(stream: SimStream) {
    this.#stream = stream;
    stream.watcher = () => this.#look();
  }

  get connected(): boolean {
    return !this.#lost;
  }

  get outstanding(): number {
    return this.#waiting.size;
  }

  send(request: NbdRequest, done: (outcome: NbdOutcome) => void): void {
    if (this.#lost) {
      done({ error: undefined, data: undefined });
      return;
    }
    const cookie = this.#nextCookie++;
    this.#waiting.set(cookie, { request, done });
    const { command, offset, length, payload } = request;
    const bytes = new Uint8Array(28 + (payload?.length ?? 0));
    const view = new DataView(bytes.buffer);
    view.setUint32(0, requestMagic);
    view.setUint16(4, request.fua === true ? fuaFlag : 0);
    view.setUint16(6, command);
    view.setUint32(12, cookie);
    view.setUint32(20, offset);
    view.setUint32(24, length);
    if (payload !== undefined) bytes.set(payload, 28);
    this.#stream.clientWrites(bytes);
  }

  /** Bytes that are no whole request: a client that stops in the middle (H23). */
  sendPart(offset: number, length: number, payload: Uint8Array): void {
    const bytes = new Uint8Array(28 + payload.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, requestMagic);
    view.setUint16(6, nbdCommand.write);
    view.setUint32(12, this.#nextCookie++);
    view.setUint32(20, offset);
    view.setUint32(24, length);
    bytes.set(payload, 28);
    this.#stream.clientWrites(bytes);
  }

  /** The client goes away without a word. */
  leave(): void {
    this.#stream.clientEnds(104);
    this.lose();
  }

  /** The client's end breaks, or the server's process is gone. */
  lose(): void {
    if (this.#lost) return;
    this.#lost = true;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { done } of waiting) done({ error: undefined, data: undefined });
  }

  #look(): void {
    // Last bytes of a dead thread may still arrive; its connection is over all the same.
    if (this.#lost) return;
    const more = this.#stream.takeReplies();
    if (more.length > 0) {
      const all = new Uint8Array(this.#received.length + more.length);
      all.set(this.#received);
      all.set(more, this.#received.length);
      this.#received = all;
      this.#parse();
    }
    if (this.#stream.closed) this.lose();
  }

  #parse(): void {
    for (;;) {
      const bytes = this.#received;
      if (bytes.length < 16) return;
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      assert.equal(view.getUint32(0), replyMagic, 'a reply begins here');
      const error = view.getUint32(4);
      const cookie = view.getUint32(12);
      const waiting = this.#waiting.get(cookie);
      assert.ok(waiting, 'a reply answers a request');
      const { command, length } = waiting.request;
      const size = 16 + (command === nbdCommand.read && error === 0 ? length : 0);
      if (bytes.length < size) return;
      this.#received = bytes.subarray(size);
      this.#waiting.delete(cookie);
      waiting.done({ error, data: size > 16 ? bytes.slice(16, size) : undefined });
    }
  }
}

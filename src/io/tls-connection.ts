/**
 * One authenticated TLS session as a LinkConnection, on either end. Bytes of one turn go to TLS
 * together (one record run, one system call), large ones without a copy on the way there; marks say
 * when the sender should wait. Nothing is read before the owner has set its handlers.
 *
 * Every `sent` is called before `closed` is, so that whoever lent memory has it back by then.
 */
import type { TLSSocket } from 'node:tls';
import { linkHighWaterBytes, linkLowWaterBytes } from '../core/constants.js';
import type { LinkClosed, LinkConnection, LinkHandlers } from '../ports/link.js';
import { lostBecause } from './link-errors.js';

/** How long last words may take to leave before the connection ends without them. */
const lastWordsMs = 500;

export class TlsConnection implements LinkConnection {
  readonly peerAddress: string;
  readonly sessionSecret: Uint8Array;
  readonly #socket: TLSSocket;
  #handlers: LinkHandlers | undefined;
  /** Lent memory that has not been given back, in the order of sending. */
  readonly #lent = new Set<() => void>();
  #queuedBytes = 0;
  #full = false;
  #corked = false;
  /** Why it ends, once somebody knows. */
  #reason: LinkClosed | undefined;
  /** This side ended it: nothing is delivered but `closed`. */
  #ending = false;
  #closed = false;

  constructor(socket: TLSSocket, peerAddress: string, sessionSecret: Uint8Array) {
    this.#socket = socket;
    this.peerAddress = peerAddress;
    this.sessionSecret = sessionSecret;
    socket.on('error', (error) => {
      this.#reason ??= lostBecause(error, peerAddress);
    });
    socket.on('close', () => this.#finish());
  }

  get handlers(): LinkHandlers {
    if (this.#handlers === undefined)
      throw new Error('the handlers of a link are set by its owner');
    return this.#handlers;
  }

  set handlers(handlers: LinkHandlers) {
    const first = this.#handlers === undefined;
    this.#handlers = handlers;
    if (!first) return;
    this.#socket.on('data', (chunk: Buffer) => {
      if (!this.#ending) this.#handlers?.data(chunk);
    });
    this.#socket.on('end', () => {
      this.#reason ??= lostBecause(undefined, this.peerAddress);
    });
    // It ended before it had an owner: that is told now, but not from within the assignment.
    if (this.#closed) process.nextTick(() => this.#tellClosed());
  }

  send(bytes: Uint8Array, sent?: () => void): boolean {
    const { length } = bytes;
    if (this.#ending || this.#closed || this.#socket.destroyed) {
      // The memory goes back in a later turn, as it does when all is well.
      if (sent !== undefined) process.nextTick(sent);
      return true;
    }
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => this.#uncork());
    }
    this.#queuedBytes += length;
    const giveBack = (): void => {
      if (!this.#lent.delete(giveBack)) return;
      this.#queuedBytes -= length;
      sent?.();
    };
    this.#lent.add(giveBack);
    this.#socket.write(bytes, () => {
      giveBack();
      if (this.#full && this.#queuedBytes <= linkLowWaterBytes) {
        this.#full = false;
        if (!this.#ending && !this.#closed) this.#handlers?.drained();
      }
    });
    if (this.#queuedBytes < linkHighWaterBytes) return true;
    this.#full = true;
    return false;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(reason: LinkClosed): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    this.#reason ??= reason;
    const socket = this.#socket;
    // What was sent before this call, a `bye` for instance, still leaves if it leaves soon.
    const timer = setTimeout(() => socket.destroy(), lastWordsMs);
    socket.once('close', () => clearTimeout(timer));
    this.#uncork();
    // A paused stream never ends: what the peer still says is read and dropped.
    socket.resume();
    socket.end(() => socket.destroy());
  }

  #uncork(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
  }

  #finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reason ??= lostBecause(undefined, this.peerAddress);
    // Node tells of most unsent writes by now, in this turn or the next; the rest is told here.
    setImmediate(() => {
      for (const giveBack of this.#lent) giveBack();
      this.#tellClosed();
    });
  }

  #tellClosed(): void {
    const handlers = this.#handlers;
    const reason = this.#reason;
    if (handlers === undefined || reason === undefined) return;
    this.#reason = undefined;
    handlers.closed(reason);
  }
}

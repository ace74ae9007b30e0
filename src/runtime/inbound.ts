/**
 * The receiving side of one ordered pair of threads. Hands over a bounded number of envelopes per
 * turn. An envelope whose mailbox is full is held and nothing behind it is read until it found
 * room; mailboxes are drained by the same thread every turn, so that is never a deadlock (H47).
 */
import { RingReader } from '../core/ring/reader.js';
import type { Doorbell } from '../ports/doorbell.js';
import { decodeEnvelope, type Envelope } from './envelope.js';

/** Envelopes of one ring per turn of the loop: other rings and I/O get their turn too. */
const envelopesPerTurn = 256;

export type Deliver = (envelope: Envelope, from: Inbound) => boolean;

export class Inbound {
  readonly from: number;
  /** Set when the sender's thread died: nothing may be answered to its successor. */
  closed = false;
  readonly #reader: RingReader;
  readonly #bell: Doorbell;
  #held: Envelope | undefined;

  constructor(from: number, memory: SharedArrayBuffer, bell: Doorbell) {
    this.from = from;
    this.#reader = new RingReader(memory);
    this.#bell = bell;
  }

  /** Delivers until the ring is empty, the turn's share is used up, or a mailbox is full. */
  drain(scratch: Uint8Array, deliver: Deliver): boolean {
    if (this.#held !== undefined) {
      if (!deliver(this.#held, this)) return true;
      this.#held = undefined;
    }
    let left = envelopesPerTurn;
    while (left-- > 0) {
      const bytes = this.#reader.read();
      if (bytes === undefined) break;
      // The codec wants memory that is not shared; with the copy the ring's space is free at once.
      scratch.set(bytes);
      const envelope = decodeEnvelope(scratch, bytes.length);
      if (!deliver(envelope, this)) {
        this.#held = envelope;
        break;
      }
    }
    if (this.#reader.release()) this.#bell.ring();
    return this.#held !== undefined || !this.#reader.isEmpty();
  }

  /** After the sender's death: everything it had sent is delivered or, with no room, dropped. */
  drainAll(scratch: Uint8Array, deliver: Deliver): void {
    while (this.drain(scratch, deliver)) this.#held = undefined;
  }
}

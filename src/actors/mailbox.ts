/**
 * The bounded queue in front of an actor: a circular array whose size is a power of two. Messages
 * are handed over one at a time, each run to completion; what is posted meanwhile, also by the
 * receiver to itself, is appended. A drain hands over a bounded number, so that one busy actor
 * cannot starve the others of its thread. A full mailbox is an answer, never a wait (H47).
 */
import { assert } from '../core/assert.js';

/** Messages are doorbells or are bounded by credits, so a mailbox that fills is a fast sender. */
export const mailboxMax = 1024;

export class Mailbox<Message> {
  readonly capacity: number;
  readonly #slots: (Message | undefined)[];
  readonly #mask: number;
  #oldest = 0;
  #size = 0;
  #draining = false;

  constructor(capacity: number = mailboxMax) {
    assert(
      capacity > 0 && (capacity & (capacity - 1)) === 0,
      'the capacity of a mailbox is a power of two',
    );
    this.capacity = capacity;
    this.#mask = capacity - 1;
    this.#slots = Array.from<Message | undefined>({ length: capacity });
  }

  get size(): number {
    return this.#size;
  }

  /** False: full, nothing was queued. */
  post(message: Message): boolean {
    if (this.#size === this.capacity) return false;
    this.#slots[(this.#oldest + this.#size) & this.#mask] = message;
    this.#size++;
    return true;
  }

  /** Hands over up to `limit` messages; returns how many. A throw leaves the rest in the mailbox. */
  drain(limit: number, receive: (message: Message) => void): number {
    if (this.#draining) return 0;
    this.#draining = true;
    let count = 0;
    try {
      while (count < limit && this.#size > 0) {
        const message = this.#slots[this.#oldest] as Message;
        this.#slots[this.#oldest] = undefined;
        this.#oldest = (this.#oldest + 1) & this.#mask;
        this.#size--;
        count++;
        receive(message);
      }
    } finally {
      this.#draining = false;
    }
    return count;
  }

  clear(): void {
    this.#slots.fill(undefined);
    this.#size = 0;
  }
}

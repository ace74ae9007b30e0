/**
 * Messages to one neighbour that are never lost for want of room: what does not fit its mailbox
 * waits here, in order, and is tried again. Bounded (I12): control messages are few, and a neighbour
 * that takes none of so many has stopped, which is this actor's failure to report (H47: nothing
 * blocks).
 */
import { assert } from '../core/assert.js';
import type { Clock, TimerHandle } from '../ports/clock.js';
import type { Address } from './actor.js';

const waitingMax = 256;
const retryMs = 20;

export class Outbox<Message> {
  readonly #address: Address<Message>;
  readonly #clock: Clock;
  readonly #guarded: (run: () => void) => () => void;
  readonly #waiting: Message[] = [];
  #retry: TimerHandle | undefined;

  constructor(address: Address<Message>, clock: Clock, guarded: (run: () => void) => () => void) {
    this.#address = address;
    this.#clock = clock;
    this.#guarded = guarded;
  }

  tell(message: Message): void {
    assert(this.#waiting.length < waitingMax, `${this.#address.id} takes its messages`);
    this.#waiting.push(message);
    this.flush();
  }

  /** Tries again; also called when the runtime says `writable`. */
  flush(): void {
    while (this.#waiting.length > 0 && this.#address.tell(this.#waiting[0]!)) this.#waiting.shift();
    if (this.#waiting.length === 0) this.close();
    else
      this.#retry ??= this.#clock.after(
        retryMs,
        this.#guarded(() => this.#again()),
      );
  }

  close(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
  }

  #again(): void {
    this.#retry = undefined;
    this.flush();
  }
}

/**
 * The end of a turn of this thread's event loop: the moment when everything that the turn's handlers
 * want written is known, and goes to the kernel in one call.
 *
 * A turn begins with whatever woke the loop. If that was the ring, its drain runs the callbacks
 * itself after the completions and before the submit, so that N handlers in one wake-up cost one
 * system call. If it was anything else (a timer, a socket, a message), an immediate runs them after
 * all handlers of that poll phase. Either way a callback runs exactly once.
 */
import { throwLater } from './throw-later.js';

export class Turn {
  #callbacks: (() => void)[] = [];
  #spare: (() => void)[] = [];
  readonly #drains: (() => void)[] = [];
  #scheduled = false;
  #draining = 0;
  #unfinished = false;

  /** Runs `run` at the end of the current turn. */
  endOfTurn(run: () => void): void {
    this.#callbacks.push(run);
    this.schedule();
  }

  /** A ring's way to submit and reap; called at the end of every turn that had anything to end. */
  addDrain(drain: () => void): void {
    this.#drains.push(drain);
  }

  removeDrain(drain: () => void): void {
    const at = this.#drains.indexOf(drain);
    if (at >= 0) this.#drains.splice(at, 1);
  }

  /** Makes sure that this turn has an end. */
  schedule(): void {
    if (this.#scheduled || this.#draining > 0) return;
    this.#scheduled = true;
    setImmediate(this.#fire);
  }

  /** Between `enterDrain` and `leaveDrain` the drain itself ends the turn, no immediate is needed. */
  enterDrain(): void {
    this.#draining++;
  }

  /** `unfinished`: the drain gave the loop back and wants another turn. */
  leaveDrain(unfinished: boolean): void {
    this.#unfinished ||= unfinished;
    if (--this.#draining > 0) return;
    if (this.#unfinished || this.#callbacks.length > 0) this.schedule();
    this.#unfinished = false;
  }

  /** Runs what was queued, and what that queues, a bounded number of times. */
  runCallbacks(): void {
    for (let round = 0; round < roundsMax && this.#callbacks.length > 0; round++) {
      const running = this.#callbacks;
      this.#callbacks = this.#spare;
      for (const run of running) {
        try {
          run();
        } catch (error) {
          throwLater(error);
        }
      }
      running.length = 0;
      this.#spare = running;
    }
  }

  readonly #fire = (): void => {
    this.#scheduled = false;
    this.enterDrain();
    this.runCallbacks();
    for (const drain of this.#drains) drain();
    this.leaveDrain(false);
  };
}

/** The turn of this thread: shared by its clock and its I/O. */
export const threadTurn = new Turn();

// A callback may cause work that queues a callback (a reply causes a submit); a chain longer than
// this is a loop and must let timers and sockets in between.
const roundsMax = 8;

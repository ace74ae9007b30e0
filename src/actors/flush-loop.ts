/**
 * Runs a flush whenever its policy says so, one at a time: the thin loop around
 * core/engine/flush-policy.ts, once for the mirrors and once for the journal. One timer, only while
 * something is unflushed. What a flush does, and what it proves, is its owner's.
 */
import { flushAfterBytes, flushAfterMs, flushIdleMs } from '../core/constants.js';
import { FlushPolicy } from '../core/engine/flush-policy.js';
import type { TimerHandle } from '../ports/clock.js';
import type { ActorContext } from './actor.js';

const limits = { bytes: flushAfterBytes, ms: flushAfterMs, idleMs: flushIdleMs };

export class FlushLoop {
  readonly policy = new FlushPolicy(limits);
  readonly #context: ActorContext;
  readonly #flush: () => Promise<void>;
  #timer: TimerHandle | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(context: ActorContext, flush: () => Promise<void>) {
    this.#context = context;
    this.#flush = flush;
  }

  arm(): void {
    if (this.#stopped || this.#running !== undefined) return;
    const dueIn = this.policy.dueIn(this.#context.clock.now());
    if (dueIn === undefined) return;
    if (dueIn > 0) {
      this.#timer ??= this.#context.clock.after(
        dueIn,
        this.#context.guard(() => {
          this.#timer = undefined;
          this.arm();
        }),
      );
      return;
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    const running = this.#flush().then(
      () => {
        this.#running = undefined;
        this.arm();
      },
      (error: unknown) => {
        this.#running = undefined;
        this.#stopped = true;
        this.#context.fail(error);
      },
    );
    this.#running = running;
  }

  /** Resolves when no flush is under way. */
  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.settle();
  }
}

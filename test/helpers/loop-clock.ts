/** The Clock port over the loop of this thread, for tests with real sockets. */
import type { Clock, TimerHandle } from '../../src/ports/clock.js';

export class LoopClock implements Clock {
  #endOfTurn: (() => void)[] = [];

  now(): number {
    return performance.now();
  }

  wallNow(): number {
    return Date.now();
  }

  after(delayMs: number, fire: () => void): TimerHandle {
    if (delayMs === 0) {
      const immediate = setImmediate(fire);
      return { cancel: () => clearImmediate(immediate) };
    }
    const timer = setTimeout(fire, delayMs);
    return { cancel: () => clearTimeout(timer) };
  }

  endOfTurn(run: () => void): void {
    if (this.#endOfTurn.length === 0) setImmediate(() => this.#finishTurn());
    this.#endOfTurn.push(run);
  }

  #finishTurn(): void {
    while (this.#endOfTurn.length > 0) {
      const due = this.#endOfTurn;
      this.#endOfTurn = [];
      for (const run of due) run();
    }
  }
}

/**
 * A clock that a test turns by hand: each turn runs one due timer, then what was asked for its end.
 * Everything is in the order of the calls, so a test that fails, fails every time.
 */
import type { Clock, TimerHandle } from '../../src/ports/clock.js';

export class TurnClock implements Clock {
  #now = 0;
  #nextId = 0;
  #timers: { readonly dueAt: number; readonly id: number; readonly fire: () => void }[] = [];
  #endOfTurn: (() => void)[] = [];

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#now;
  }

  after(delayMs: number, fire: () => void): TimerHandle {
    const timer = { dueAt: this.#now + delayMs, id: this.#nextId++, fire };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  endOfTurn(run: () => void): void {
    this.#endOfTurn.push(run);
  }

  /** Ends the present turn, then runs turns until nothing is due any more. */
  async run(): Promise<void> {
    for (;;) {
      this.#finishTurn();
      // Promises of the code under test settle between turns, as they do between real ones.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#timers.length === 0 && this.#endOfTurn.length === 0) return;
      this.#timers.sort((left, right) => left.dueAt - right.dueAt || left.id - right.id);
      const timer = this.#timers.shift();
      if (timer === undefined) continue;
      this.#now = timer.dueAt;
      timer.fire();
    }
  }

  #finishTurn(): void {
    while (this.#endOfTurn.length > 0) {
      const due = this.#endOfTurn;
      this.#endOfTurn = [];
      for (const run of due) run();
    }
  }
}

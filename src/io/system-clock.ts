/** The only reader of time. Timers never fire early: libuv's own may, by the fraction it truncates. */
import type { Clock, TimerHandle } from '../ports/clock.js';
import { type Turn, threadTurn } from './turn.js';

export class SystemClock implements Clock {
  readonly #turn: Turn;

  constructor(turn: Turn = threadTurn) {
    this.#turn = turn;
  }

  now(): number {
    return performance.now();
  }

  wallNow(): number {
    return Date.now();
  }

  after(delayMs: number, fire: () => void): TimerHandle {
    const due = this.now() + delayMs;
    const arm = (): NodeJS.Timeout => setTimeout(check, Math.min(due - this.now(), timerMsMax));
    const check = (): void => {
      if (this.now() >= due) fire();
      else timer = arm();
    };
    let timer = arm();
    return { cancel: () => clearTimeout(timer) };
  }

  endOfTurn(run: () => void): void {
    this.#turn.endOfTurn(run);
  }
}

// Node fires a timer at once whose delay does not fit 31 bits.
const timerMsMax = 2 ** 31 - 1;

/** The clock port in the shape XState asks for, so that a machine's delays are simulated time too. */
import type { Clock, TimerHandle } from '../ports/clock.js';

export interface MachineClock {
  readonly setTimeout: (fire: (...args: unknown[]) => void, delayMs: number) => number;
  readonly clearTimeout: (id: number) => void;
}

export function machineClock(clock: Clock, guarded: (run: () => void) => () => void): MachineClock {
  const timers = new Map<number, TimerHandle>();
  let nextId = 1;
  return {
    setTimeout: (fire, delayMs) => {
      const id = nextId++;
      const due = guarded(() => {
        timers.delete(id);
        fire();
      });
      timers.set(id, clock.after(delayMs, due));
      return id;
    },
    clearTimeout: (id) => {
      timers.get(id)?.cancel();
      timers.delete(id);
    },
  };
}

/**
 * The clock of one actor: as the world's, but what it calls back is guarded, so that a throw in a
 * timer ends this actor only (H46) and no timer of an ended actor runs (I16).
 */
import type { Clock } from '../ports/clock.js';

type Guard = (run: () => void) => () => void;

export function guardClock(clock: Clock, guard: Guard): Clock {
  // An actor passes the same long-lived function every turn; it is wrapped once.
  const wrapped = new WeakMap<() => void, () => void>();
  return {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    after: (delayMs, fire) => clock.after(delayMs, guard(fire)),
    endOfTurn(run) {
      let guarded = wrapped.get(run);
      if (guarded === undefined) {
        guarded = guard(run);
        wrapped.set(run, guarded);
      }
      clock.endOfTurn(guarded);
    },
  };
}

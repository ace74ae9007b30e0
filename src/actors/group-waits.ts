/**
 * Waiting for what happens in shared memory: the PMD moves its cursors and tells nobody, so they are
 * looked at now and then, and only while somebody waits.
 */
import type { Clock } from '../ports/clock.js';

const lookMs = 10;

/** Resolves with true as soon as it holds, with false when the limit passes first. */
export function waitFor(clock: Clock, limitMs: number, holds: () => boolean): Promise<boolean> {
  const end = clock.now() + limitMs;
  return new Promise((resolve) => {
    const look = () => {
      if (holds()) resolve(true);
      else if (clock.now() >= end) resolve(false);
      else clock.after(Math.min(lookMs, end - clock.now()), look);
    };
    look();
  });
}

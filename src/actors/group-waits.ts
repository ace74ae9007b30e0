/**
 * Waiting for the secondary to have everything: for a clean stop and for tdmfsync. The PMD moves the
 * cursors in shared memory and tells nobody, so they are looked at now and then, and only while
 * somebody waits.
 */
import type { GroupControlView } from '../core/bab/control.js';
import type { Clock } from '../ports/clock.js';

const lookMs = 10;

/** What was published when the wait began is durable over there; later entries do not matter. */
export function everythingSoFar(control: GroupControlView): () => boolean {
  const published = control.cursor('published');
  const behind = control.pending;
  return () => {
    const moved = (control.cursor('durable') - published + behind) >>> 0;
    // Entries that were dropped count as gone: the cursor has jumped over them.
    return moved >= behind;
  };
}

/** Resolves with whether it became true before the limit, or before `given up` did. */
export function waitFor(
  clock: Clock,
  limitMs: number,
  holds: () => boolean,
  givenUp: () => boolean = () => false,
): Promise<boolean> {
  const end = clock.now() + limitMs;
  return new Promise((resolve) => {
    const look = () => {
      if (holds()) resolve(true);
      else if (givenUp() || clock.now() >= end) resolve(false);
      else clock.after(Math.min(lookMs, end - clock.now()), look);
    };
    look();
  });
}

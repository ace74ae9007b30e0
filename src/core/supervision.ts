/**
 * When to start again what has failed, and when to give up (H46). Pure: times are arguments.
 *
 * The first failure is followed by a start at once, later ones by a growing back-off; a quiet
 * minute forgets. One culprit that fails three times within a minute parks its set: a poison input
 * must not restart it for ever (I14). A failure without a known culprit (a host crash that nobody
 * can be blamed for) only backs off, because it would park innocents (I11).
 */

export const supervisionWindowMs = 60_000;
export const failuresMax = 3;
const backoffFirstMs = 100;
const backoffMaxMs = 10_000;

export type Decision =
  | { readonly kind: 'restart'; readonly attempt: number; readonly delayMs: number }
  | { readonly kind: 'park'; readonly culprit: string; readonly count: number };

/** How often in a row something failed, with no quiet minute between. */
export class Backoff {
  #count = 0;
  #last = Number.NEGATIVE_INFINITY;

  /** Counts a failure; the delay before the next start. */
  failed(now: number): { readonly attempt: number; readonly delayMs: number } {
    if (now - this.#last > supervisionWindowMs) this.#count = 0;
    this.#last = now;
    this.#count++;
    const delayMs =
      this.#count === 1 ? 0 : Math.min(backoffMaxMs, backoffFirstMs * 2 ** (this.#count - 2));
    return { attempt: this.#count, delayMs };
  }
}

export class Supervision {
  readonly #backoffs = new Map<string, Backoff>();
  readonly #failures = new Map<string, Map<string, number[]>>();

  /** What to do about a failure in `set` at `now`; `culprit` is the actor that caused it. */
  failed(set: string, culprit: string | undefined, now: number): Decision {
    let backoff = this.#backoffs.get(set);
    if (backoff === undefined) {
      backoff = new Backoff();
      this.#backoffs.set(set, backoff);
    }
    const { attempt, delayMs } = backoff.failed(now);
    if (culprit !== undefined) {
      const count = this.#count(set, culprit, now);
      if (count >= failuresMax) return { kind: 'park', culprit, count };
    }
    return { kind: 'restart', attempt, delayMs };
  }

  /** The operator stopped the set: its next start begins with a clean record. */
  forget(set: string): void {
    this.#backoffs.delete(set);
    this.#failures.delete(set);
  }

  #count(set: string, culprit: string, now: number): number {
    const failures = this.#failures.get(set) ?? new Map<string, number[]>();
    this.#failures.set(set, failures);
    const recent = (failures.get(culprit) ?? []).filter((at) => now - at <= supervisionWindowMs);
    recent.push(now);
    failures.set(culprit, recent);
    return recent.length;
  }
}

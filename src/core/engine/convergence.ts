/**
 * When a refresh may go from phase a to phase b (Rule 43a): the group hardly uses the BAB, and what
 * will be written while the rest is sent fits into half of what the group may take. A refresh that
 * does not get there although passes come and go says so, and goes on (Rule 43b); with light writes
 * the first whole pass is enough. Pure arithmetic over the facts of the pass that has just ended.
 */
import { mapBlockBytes } from '../constants.js';

/** What the walk cannot know by itself. */
export interface PassFacts {
  readonly babUsedBytes: number;
  readonly chunkBytes: number;
  readonly writeBytesPerSecond: number;
  /** What the group may take of the BAB. */
  readonly mayTakeBytes: number;
}

export type Verdict = 'again' | 'converged' | 'notConverging';

export class Convergence {
  /** Whole passes of this attempt. */
  passes = 0;
  #told = false;
  #slowPasses = 0;
  #lastRemaining = Number.POSITIVE_INFINITY;

  /** A whole pass is over and left this many blocks; `converged` is said once an attempt. */
  passEnded(remaining: number, linkBytesPerSecond: number, facts: PassFacts): Verdict {
    this.passes += 1;
    if (this.#told) return 'again';
    if (fits(remaining * mapBlockBytes, linkBytesPerSecond, facts)) {
      this.#told = true;
      return 'converged';
    }
    this.#slowPasses = remaining > shrunkEnough * this.#lastRemaining ? this.#slowPasses + 1 : 0;
    this.#lastRemaining = remaining;
    if (this.#slowPasses < slowPassesMax) return 'again';
    this.#slowPasses = 0;
    return 'notConverging';
  }

  /** Another attempt: a whole pass comes first again. */
  restart(): void {
    this.passes = 0;
    this.#told = false;
    this.#slowPasses = 0;
    this.#lastRemaining = Number.POSITIVE_INFINITY;
  }
}

function fits(restBytes: number, linkBytesPerSecond: number, facts: PassFacts): boolean {
  if (facts.babUsedBytes > 2 * facts.chunkBytes) return false;
  const seconds = restBytes / Math.max(linkBytesPerSecond, linkBytesPerSecondMin);
  return facts.writeBytesPerSecond * seconds <= facts.mayTakeBytes / 2;
}

/** A pass that leaves more than this part of what the pass before left has not shrunk. */
const shrunkEnough = 0.8;
const slowPassesMax = 3;
/** A link of which nothing is known yet. */
const linkBytesPerSecondMin = 256 * 1024;

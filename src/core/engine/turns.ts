/**
 * Who may refresh now (Rule 53): after a boot or a long outage a thousand groups want to, and all at
 * once none would get anywhere. At most `limit` groups have a turn; of those that wait, the one with
 * the oldest cut is next. Keeps: a group has one turn or one place in the queue, never two, so that
 * one that failed and comes again takes nothing from the others. Pure; who waits is told by `grant`.
 */
import { assert } from '../assert.js';

interface Waiting {
  /** When its mirror was last known equal, ms since 1970; 0: never. */
  readonly cutAt: number;
  readonly grant: () => void;
}

export class Turns {
  readonly #limit: number;
  readonly #running = new Set<number>();
  readonly #waiting = new Map<number, Waiting>();

  constructor(limit: number) {
    assert(limit >= 1, 'somebody may refresh');
    this.#limit = limit;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** `grant` is called once, perhaps at once; a later `take` of the same group replaces this one. */
  take(group: number, cutAt: number, grant: () => void): void {
    this.#running.delete(group);
    this.#waiting.set(group, { cutAt, grant });
    this.#next();
  }

  /** The group is done, or does not want its turn any more. */
  give(group: number): void {
    this.#running.delete(group);
    this.#waiting.delete(group);
    this.#next();
  }

  #next(): void {
    while (this.#running.size < this.#limit && this.#waiting.size > 0) {
      const [group, { grant }] = [...this.#waiting].reduce((oldest, one) =>
        one[1].cutAt < oldest[1].cutAt ? one : oldest,
      );
      this.#waiting.delete(group);
      this.#running.add(group);
      grant();
    }
  }
}

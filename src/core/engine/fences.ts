/**
 * Waits for writes without delaying new ones (Rule 3, R2, R4, R6): a fence is passed when every write
 * that started before it was put up has completed locally. Fences are passed in order.
 *
 *   writes    1 2 3 │ 4 5 │ 6 …        the fence behind 3 is passed when 1, 2 and 3 are done,
 *   fences          A     B            B when 4 and 5 are done too
 */
import { assert } from '../assert.js';

export interface Fence {
  readonly purpose: 'grace' | 'mark' | 'drain';
  readonly token: number;
}

/** A group asks for a handful at a time; this many at once is a bug of the asker. */
const fencesMax = 1024;

export class Fences {
  readonly #counts: number[] = [0];
  readonly #fences: Fence[] = [];
  /** Number of the segment that `#counts[0]` counts. */
  #first = 0;

  /** A write starts; the number it gets is given to `leave` when it has completed locally. */
  enter(): number {
    const last = this.#counts.length - 1;
    this.#counts[last]!++;
    return this.#first + last;
  }

  leave(segment: number): void {
    const index = segment - this.#first;
    assert(index >= 0 && this.#counts[index]! > 0, 'a write ends once');
    this.#counts[index]!--;
  }

  put(purpose: Fence['purpose'], token: number): void {
    assert(this.#fences.length < fencesMax, 'fences are few');
    this.#fences.push({ purpose, token });
    this.#counts.push(0);
  }

  /** The next fence that is passed, once; undefined while writes before it are under way. */
  takePassed(): Fence | undefined {
    if (this.#fences.length === 0 || this.#counts[0]! > 0) return undefined;
    this.#counts.shift();
    this.#first++;
    return this.#fences.shift();
  }
}

/**
 * Turns a flood of refusals into a trickle of log lines: the first of a kind is told at once, then at
 * most one line per interval, with how many there were (I12: a stranger may not fill the disk with
 * our log). Kinds are ours, few and fixed. Pure: time is an argument.
 */

export interface RefusalLine {
  readonly what: string;
  /** How many since the last line, this one included. */
  readonly count: number;
}

export class RefusalTally {
  readonly #intervalMs: number;
  readonly #kinds = new Map<string, { untold: number; toldAt: number }>();

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** A line to write now, or undefined. */
  note(what: string, now: number): RefusalLine | undefined {
    const kind = this.#kinds.get(what) ?? { untold: 0, toldAt: Number.NEGATIVE_INFINITY };
    this.#kinds.set(what, kind);
    kind.untold += 1;
    if (now - kind.toldAt < this.#intervalMs) return undefined;
    const count = kind.untold;
    kind.untold = 0;
    kind.toldAt = now;
    return { what, count };
  }
}

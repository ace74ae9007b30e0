/**
 * KB/s over the last seconds from counters that only grow (manual: Actual and Effective KBps). A
 * reader that asks often does not shorten the window.
 */

export interface Counters {
  readonly read: number;
  readonly written: number;
  readonly netActual: number;
  readonly netEffective: number;
}

const windowMs = 5_000;

export class Rates {
  readonly #samples: { readonly at: number; readonly counters: Counters }[] = [];

  /** Bytes per second since about five seconds ago. */
  sample(at: number, counters: Counters): Counters {
    this.#samples.push({ at, counters });
    while (this.#samples.length > 2 && at - (this.#samples[1]?.at ?? at) >= windowMs)
      this.#samples.shift();
    const first = this.#samples[0];
    const seconds = first === undefined ? 0 : (at - first.at) / 1000;
    if (first === undefined || seconds <= 0)
      return { read: 0, written: 0, netActual: 0, netEffective: 0 };
    const rate = (key: keyof Counters) => (counters[key] - first.counters[key]) / seconds;
    return {
      read: rate('read'),
      written: rate('written'),
      netActual: rate('netActual'),
      netEffective: rate('netEffective'),
    };
  }
}

/**
 * A smoothed rate in bytes per second, from a counter that only grows: an exponentially weighted
 * mean over about ten seconds, so that one quiet or busy moment decides nothing (Rule 43a). Time is
 * an argument.
 */
export class Rate {
  bytesPerSecond = 0;
  #atMs = Number.NaN;
  #total = 0;

  /** `total` is the counter's value at `nowMs`; a counter that went back starts afresh. */
  sample(nowMs: number, total: number): number {
    const spanMs = nowMs - this.#atMs;
    if (Number.isNaN(spanMs) || total < this.#total) {
      this.#atMs = nowMs;
      this.#total = total;
      return this.bytesPerSecond;
    }
    if (spanMs < spanMsMin) return this.bytesPerSecond;
    const now = ((total - this.#total) * 1000) / spanMs;
    const weight = 1 - Math.exp(-spanMs / horizonMs);
    // The first sample is taken whole: there is nothing to smooth it with.
    this.bytesPerSecond = this.#sampled
      ? this.bytesPerSecond + weight * (now - this.bytesPerSecond)
      : now;
    this.#sampled = true;
    this.#atMs = nowMs;
    this.#total = total;
    return this.bytesPerSecond;
  }

  #sampled = false;
}

const horizonMs = 10_000;
/** Shorter spans say more about scheduling than about the rate. */
const spanMsMin = 50;

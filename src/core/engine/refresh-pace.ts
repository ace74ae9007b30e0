/**
 * How fast phase a of a refresh may read (REFRESHRATE): a token bucket, with the operator's rate, or, when
 * he has named none, with no limit as long as applications rest. While they read or write the refresh
 * takes a modest share of the disk, but always more than they change: otherwise it would never end
 * (Rule 43a). Phase b is not held back: it is short, and the BAB fills meanwhile. Time is an argument.
 */

/** What the applications have done by now, in bytes; both only grow. */
export interface ApplicationCounters {
  readonly read: number;
  readonly written: number;
}

export class RefreshPace {
  /** Of the operator; 0: none. */
  limitBytesPerSecond = 0;
  #tokens = 0;
  #filledAtMs = Number.NaN;
  #sampledAtMs = Number.NaN;
  #read = 0;
  #written = 0;
  #writeRate = 0;
  #busyUntilMs = Number.NEGATIVE_INFINITY;

  /** Whether it is time to look at the counters again. */
  wantsSample(nowMs: number): boolean {
    return !(nowMs - this.#sampledAtMs < sampleMs);
  }

  sample(nowMs: number, { read, written }: ApplicationCounters): void {
    const spanMs = nowMs - this.#sampledAtMs;
    if (spanMs > 0) {
      const now = Math.max(0, ((written - this.#written) * 1000) / spanMs);
      // Up at once, down slowly: a pause between two bursts is no rest.
      this.#writeRate = Math.max(now, this.#writeRate * (1 - Math.min(1, spanMs / restMs)));
      if (read > this.#read || written > this.#written) this.#busyUntilMs = nowMs + restMs;
    }
    this.#sampledAtMs = nowMs;
    this.#read = read;
    this.#written = written;
  }

  /** Bytes per second that hold now; infinite: no limit. */
  rateAt(nowMs: number): number {
    if (this.limitBytesPerSecond > 0) return this.limitBytesPerSecond;
    if (nowMs >= this.#busyUntilMs) return Number.POSITIVE_INFINITY;
    return Math.max(busyRateMin, busyRateFactor * this.#writeRate);
  }

  /** How long to wait before anything may be read: 0 is now. */
  waitMs(nowMs: number): number {
    const rate = this.rateAt(nowMs);
    if (rate === Number.POSITIVE_INFINITY) {
      this.#tokens = 0;
      this.#filledAtMs = nowMs;
      return 0;
    }
    const sinceMs = Number.isNaN(this.#filledAtMs) ? 0 : nowMs - this.#filledAtMs;
    this.#filledAtMs = nowMs;
    this.#tokens = Math.min((rate * burstMs) / 1000, this.#tokens + (rate * sinceMs) / 1000);
    // A read may overdraw the bucket: it is as large as it is.
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1000) / rate);
  }

  spent(bytes: number): void {
    this.#tokens -= bytes;
  }
}

const sampleMs = 100;
/** Applications that did nothing for so long are at rest. */
const restMs = 1_000;
/** What may be made up for after a pause. */
const burstMs = 50;
const busyRateMin = 32 * 1024 * 1024;
const busyRateFactor = 3;

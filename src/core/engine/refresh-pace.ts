/**
 * How fast a refresh may read (REFRESHRATE). With a rate of the operator's that is the limit. Without
 * one there is none while nobody else uses the devices; while applications do, a refresh gets what
 * leaves the disk and the link to them, but always twice what they write: otherwise the map would
 * never shrink (Rule 43a). Bytes are counted when a read begins; debts are paid by waiting, so that
 * one large piece is no reason to be slower on average. Time and counters are arguments.
 */
const sampleMs = 100;
/** Completed I/Os of applications between two looks from which on they count as at work. */
const busyIosMin = 8;
/** While applications work. */
export const refreshBusyBytesPerSecond = 100 * 1024 * 1024;
/** What was not used for so long is not saved up. */
const burstMs = 100;

/** Counters of the applications, since the group was started. */
export interface ApplicationLoad {
  readonly ios: number;
  readonly writtenBytes: number;
}

export class RefreshPace {
  /** Bytes per second; Infinity: none. */
  limit = Number.POSITIVE_INFINITY;
  #sampledAt = Number.NEGATIVE_INFINITY;
  #ios = 0;
  #writtenBytes = 0;
  #creditBytes = 0;
  #creditAt = 0;

  /** It is time to look at the load again. */
  wantsSample(now: number): boolean {
    return now - this.#sampledAt >= sampleMs;
  }

  sample(now: number, rateBytes: number, load: ApplicationLoad): void {
    const spanMs = now - this.#sampledAt;
    const ios = load.ios - this.#ios;
    const written = load.writtenBytes - this.#writtenBytes;
    this.#sampledAt = now;
    this.#ios = load.ios;
    this.#writtenBytes = load.writtenBytes;
    this.#refill(now);
    if (rateBytes > 0) {
      this.limit = rateBytes;
    } else if (spanMs < 10 * sampleMs && ios >= (busyIosMin * spanMs) / sampleMs) {
      this.limit = Math.max(refreshBusyBytesPerSecond, (2000 * written) / spanMs);
    } else {
      this.limit = Number.POSITIVE_INFINITY;
    }
  }

  /** Milliseconds until the next read may begin; 0: now. */
  waitMs(now: number): number {
    this.#refill(now);
    return this.#creditBytes > 0 ? 0 : ((1 - this.#creditBytes) * 1000) / this.limit;
  }

  /** A read of so many bytes begins. */
  read(bytes: number): void {
    if (this.limit !== Number.POSITIVE_INFINITY) this.#creditBytes -= bytes;
  }

  #refill(now: number): void {
    if (this.limit === Number.POSITIVE_INFINITY) {
      this.#creditBytes = 1;
    } else {
      const burst = Math.max(1, (this.limit * burstMs) / 1000);
      const earned = (this.limit * (now - this.#creditAt)) / 1000;
      this.#creditBytes = Math.min(burst, this.#creditBytes + earned);
    }
    this.#creditAt = now;
  }
}

/**
 * How fast connections may arrive, in total and from one address: a bucket of tokens for each, filled
 * with time (Rule 38). Keeps the main thread from doing nothing but accepting. The number of
 * addresses remembered is bounded: a full bucket says nothing and is forgotten. Pure: time is an
 * argument.
 */

export interface ArrivalLimits {
  readonly burst: number;
  readonly perSecond: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

const addressesMax = 1_024;

export class ArrivalLimiter {
  readonly #all: ArrivalLimits;
  readonly #each: ArrivalLimits;
  readonly #total: Bucket;
  readonly #buckets = new Map<string, Bucket>();

  constructor(all: ArrivalLimits, each: ArrivalLimits) {
    this.#all = all;
    this.#each = each;
    this.#total = { tokens: all.burst, at: 0 };
  }

  /** False: too fast; the connection is to be closed. */
  admit(address: string, now: number): boolean {
    const bucket = this.#bucket(address, now);
    refill(bucket, this.#each, now);
    refill(this.#total, this.#all, now);
    if (bucket.tokens < 1 || this.#total.tokens < 1) return false;
    bucket.tokens -= 1;
    this.#total.tokens -= 1;
    return true;
  }

  get addresses(): number {
    return this.#buckets.size;
  }

  #bucket(address: string, now: number): Bucket {
    const known = this.#buckets.get(address);
    if (known !== undefined) return known;
    if (this.#buckets.size >= addressesMax) this.#forget(now);
    const bucket = { tokens: this.#each.burst, at: now };
    this.#buckets.set(address, bucket);
    return bucket;
  }

  /** Drops full buckets, and the oldest when all are in use. */
  #forget(now: number): void {
    for (const [address, bucket] of this.#buckets) {
      refill(bucket, this.#each, now);
      if (bucket.tokens >= this.#each.burst) this.#buckets.delete(address);
    }
    for (const address of this.#buckets.keys()) {
      if (this.#buckets.size < addressesMax) return;
      this.#buckets.delete(address);
    }
  }
}

function refill(bucket: Bucket, { burst, perSecond }: ArrivalLimits, now: number): void {
  const gained = (Math.max(0, now - bucket.at) / 1000) * perSecond;
  bucket.tokens = Math.min(burst, bucket.tokens + gained);
  bucket.at = now;
}

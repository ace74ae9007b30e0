/**
 * How far a refresh is, how fast it goes, and when it will be done, from the facts the PMD reports.
 * For people only: no decision is taken from it (convergence is the PMD's, Rule 43a).
 */
import type { RecordedKind } from '../core/pstore/record.js';

/** Weight of the newest interval in the rate. */
const newestWeight = 0.3;
const intervalMsMin = 200;

export interface RefreshStatus {
  readonly kind: RecordedKind;
  readonly refreshId: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly rate: number;
  /** Null until a rate is known. */
  readonly etaSeconds: number | null;
}

export class RefreshMeter {
  readonly refreshId: string;
  readonly kind: RecordedKind;
  readonly #startedAt: number;
  readonly #began: number;
  #done = 0;
  #total = 0;
  #rate = 0;
  #lastAt: number;
  #lastDone = 0;

  constructor(refreshId: string, kind: RecordedKind, now: number, wallNow: number) {
    this.refreshId = refreshId;
    this.kind = kind;
    this.#startedAt = wallNow;
    this.#began = now;
    this.#lastAt = now;
  }

  progressed(doneBytes: number, totalBytes: number, now: number): void {
    this.#done = doneBytes;
    this.#total = totalBytes;
    const elapsed = now - this.#lastAt;
    if (elapsed < intervalMsMin) return;
    const rate = (Math.max(0, doneBytes - this.#lastDone) * 1000) / elapsed;
    this.#rate = this.#rate === 0 ? rate : this.#rate + newestWeight * (rate - this.#rate);
    this.#lastAt = now;
    this.#lastDone = doneBytes;
  }

  seconds(now: number): number {
    return (now - this.#began) / 1000;
  }

  status(): RefreshStatus {
    const left = Math.max(0, this.#total - this.#done);
    return {
      kind: this.kind,
      refreshId: this.refreshId,
      doneBytes: this.#done,
      totalBytes: this.#total,
      startedAt: this.#startedAt,
      rate: Math.round(this.#rate),
      etaSeconds: this.#rate > 0 ? Math.ceil(left / this.#rate) : null,
    };
  }
}

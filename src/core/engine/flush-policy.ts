/**
 * When the secondary flushes, and what a flush proves. Used twice: for the mirror and for the
 * journal. A flush is due after so many bytes, so long after the first unflushed write, when nothing
 * has arrived for a moment, or when the primary waits (Rule 39). `durable` moves only to what was
 * applied when the flush *began*. After a failed flush nothing since the last good one counts: the
 * policy is then dead, and the session must end (H21). It reads no clock; time is an argument.
 */
import { assert } from '../assert.js';

export interface FlushLimits {
  readonly bytes: number;
  readonly ms: number;
  /** Quiet for so long counts as idle. */
  readonly idleMs: number;
}

export class FlushPolicy {
  /** Everything up to here is durable, as far as flushes go. */
  durable = 0;
  /** A flush failed (H21). */
  failed = false;
  readonly #limits: FlushLimits;
  #applied = 0;
  #bytes = 0;
  #firstAt = 0;
  #lastAt = 0;
  #dirty = false;
  #wanted = 0;
  #covers = -1;

  constructor(limits: FlushLimits) {
    this.#limits = limits;
  }

  get flushing(): boolean {
    return this.#covers >= 0;
  }

  /** Something was written that no flush covers yet. */
  get dirty(): boolean {
    return this.#dirty;
  }

  /** A stream begins: everything up to `durable` is durable, up to `applied` it is written. */
  begin(durable: number, applied: number, now: number): void {
    assert(!this.flushing, 'a flush belongs to one stream');
    this.durable = durable;
    this.#wanted = 0;
    this.#bytes = 0;
    this.#dirty = false;
    this.#applied = applied;
    if (applied > durable) this.wrote(0, applied, now);
  }

  /** `bytes` more were written, and everything up to `applied` is complete. */
  wrote(bytes: number, applied: number, now: number): void {
    if (!this.#dirty) this.#firstAt = now;
    this.#dirty = true;
    this.#bytes += bytes;
    this.#lastAt = now;
    this.#applied = applied;
  }

  /** The primary waits for `sequence`. */
  want(sequence: number): void {
    if (sequence > this.#wanted) this.#wanted = sequence;
  }

  /** Milliseconds until a flush is due: 0 now, undefined when there is no reason for one. */
  dueIn(now: number): number | undefined {
    if (this.#covers >= 0 || this.failed || !this.#dirty) return undefined;
    if (this.#bytes >= this.#limits.bytes) return 0;
    if (this.#wanted > this.durable && this.#applied > this.durable) return 0;
    const age = this.#firstAt + this.#limits.ms - now;
    const quiet = this.#lastAt + this.#limits.idleMs - now;
    return Math.max(0, Math.min(age, quiet));
  }

  /** A flush begins now. Returns what it will prove. */
  flushBegan(): number {
    assert(!this.flushing && !this.failed, 'one flush at a time, none after a failed one');
    this.#covers = this.#applied;
    this.#bytes = 0;
    this.#dirty = false;
    return this.#covers;
  }

  /** It ended well, and whatever else makes the position durable is done too. */
  flushEnded(): void {
    assert(this.flushing, 'a flush ends once');
    this.durable = this.#covers;
    this.#covers = -1;
  }

  flushFailed(): void {
    this.#covers = -1;
    this.failed = true;
  }
}

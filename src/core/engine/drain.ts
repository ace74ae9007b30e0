/**
 * The PMD's brain for the stream of writes: which published entries the next frame carries, what an
 * acknowledgement proves, and where a new session goes on.
 *
 *   durable ≤ received ≤ sent ≤ published      applied ≤ received      counts of entries, they wrap
 *      └── what the driver may release         index = sequence + constant, within one era
 *
 * Entries leave in order and without a gap (Rule 8b); only entries of the streamed era do, so what
 * was stamped before an overflow drains and nothing behind it follows (T2). Positions never go back
 * inside a session and never exceed what was sent. An entry refused twice is poison (H48).
 * The bytes are in the BAB; this file sees numbers only and allocates nothing per entry.
 */
import { assert } from '../assert.js';
import { frameEntriesMax, framePayloadMax, wireEntryBytes } from '../constants.js';
import { type Ack, entryFlags } from '../wire/messages.js';

/** One published entry; the reader's own object, refilled by every call. */
export interface PublishedEntry {
  readonly sequence: number;
  readonly dep: number;
  readonly device: number;
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  /** Of the era it was stamped in. */
  readonly generation: number;
}

export interface PublishedEntries {
  /** Wrapping count of entries ever published. */
  readonly published: number;
  /** Of the era that is appended to now. */
  readonly generation: number;
  /** The entry with this index; it is published and not released. */
  at(index: number): PublishedEntry;
}

/** The next frame of entries. */
export interface Batch {
  /** Index in the BAB and sequence of the first entry. */
  index: number;
  first: number;
  count: number;
  dataBytes: number;
  payloadBytes: number;
}

export class Drain {
  readonly batch: Batch = { index: 0, first: 0, count: 0, dataBytes: 0, payloadBytes: 0 };
  /** The era that is streamed; undefined while nothing is. */
  era: string | undefined;
  sent = 0;
  received = 0;
  applied = 0;
  durable = 0;
  /** The secondary was asked to flush up to here (Rule 39). */
  flushAsked = 0;
  #generation = 0;
  /** The sequence before the first of this stream. */
  #base = 0;
  /** The last sequence that was released, or may be, when the stream began. */
  #durableBase = 0;
  #indexOfZero = 0;
  #refusedEra = '';
  #refusedSequence = 0;

  /** Index of the entry with this sequence; also the count of entries before it. */
  indexOf(sequence: number): number {
    return ((sequence >>> 0) + this.#indexOfZero) >>> 0;
  }

  /**
   * Entries of `era` follow from `from` on. `durableIndex` counts the entries that may be released
   * already. False: the entry is not in the BAB any more, so no stream can begin there (Rule 26).
   */
  begin(era: string, from: number, entries: PublishedEntries, durableIndex: number): boolean {
    assert(from >= 1, 'sequences begin at 1');
    const { published } = entries;
    this.#generation = entries.generation;
    const pending = (published - durableIndex) >>> 0;
    const last = pending === 0 ? undefined : entries.at((published - 1) >>> 0);
    const next = last?.generation === this.#generation ? last.sequence + 1 : from;
    if (from > next || next - from > pending) return false;
    this.#indexOfZero = (published - (next >>> 0)) >>> 0;
    this.era = era;
    this.#base = from - 1;
    this.sent = from - 1;
    this.received = from - 1;
    this.applied = from - 1;
    this.flushAsked = 0;
    // Under the same boot the secondary goes on at what it applied, which is not all durable yet.
    this.durable = Math.max(0, next - 1 - pending);
    this.#durableBase = this.durable;
    return true;
  }

  /** Nothing is streamed any more: link lost, refresh begins, attempt aborted. */
  end(): void {
    this.era = undefined;
  }

  /**
   * Fills `batch` with the entries of the next frame: up to `chunkBytes` of data (but one whole
   * entry at least), within the credit and the limits of a frame. False: nothing to send, or no
   * credit for the next entry.
   */
  gather(entries: PublishedEntries, chunkBytes: number, creditBytes: number): boolean {
    const { batch } = this;
    batch.count = 0;
    batch.dataBytes = 0;
    if (this.era === undefined) return false;
    batch.first = this.sent + 1;
    batch.index = this.indexOf(batch.first);
    const waiting = (entries.published - batch.index) >>> 0;
    const most = Math.min(waiting, frameEntriesMax);
    const payloadMax = Math.min(creditBytes, framePayloadMax);
    while (batch.count < most) {
      const entry = entries.at((batch.index + batch.count) >>> 0);
      if (entry.generation !== this.#generation) break;
      assert(entry.sequence === batch.first + batch.count, 'entries have no gap (Rule 8b)');
      const data = entry.flags & entryFlags.zero ? 0 : entry.length;
      const dataBytes = batch.dataBytes + data;
      if ((batch.count + 1) * wireEntryBytes + dataBytes > payloadMax) break;
      if (batch.count > 0 && dataBytes > chunkBytes) break;
      batch.count += 1;
      batch.dataBytes = dataBytes;
    }
    batch.payloadBytes = batch.count * wireEntryBytes + batch.dataBytes;
    return batch.count > 0;
  }

  /**
   * The secondary shall flush for writers who wait until `count` entries are durable: up to which
   * sequence, or 0: that is not sent yet, asked for already, or durable.
   */
  flushFor(count: number): number {
    const behind = (this.indexOf(this.sent + 1) - count) | 0;
    const sequence = this.sent - behind;
    return behind >= 0 && sequence > this.flushAsked && sequence > this.durable ? sequence : 0;
  }

  /** The batch is on its way. */
  batchSent(): void {
    this.sent += this.batch.count;
  }

  /** What is wrong with the positions of this acknowledgement, or undefined: they are taken over. */
  acknowledged(ack: Readonly<Ack>): string | undefined {
    if (this.era === undefined) return undefined;
    // Below where the stream began: said about what was before, it means "nothing yet".
    const received = Math.max(ack.received, this.#base);
    const applied = Math.max(ack.applied, this.#base);
    const durable = Math.max(ack.durable, this.#durableBase);
    if (received > this.sent) return 'ack of an entry that was never sent';
    if (applied > received || durable > received) return 'ack of an entry that was not received';
    if (received < this.received || applied < this.applied || durable < this.durable) {
      return 'ack that goes back';
    }
    this.received = received;
    this.applied = applied;
    this.durable = durable;
    return undefined;
  }

  /** Whether the entry was refused for the second time (H48). 0 names no entry. */
  refused(era: string, sequence: number): boolean {
    const again = this.#refusedEra === era && this.#refusedSequence === sequence && sequence > 0;
    this.#refusedEra = era;
    this.#refusedSequence = sequence;
    return again;
  }
}

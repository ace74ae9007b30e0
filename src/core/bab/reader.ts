/**
 * The PMD's side of the BAB: reads published entries, moves its cursors as the secondary reports,
 * and sleeps when there is nothing to do.
 *
 *   released ≤ durable ≤ applied ≤ received ≤ sent ≤ published        (counts, wrapping)
 *
 * A cursor is a count: `sent = n` says that the entries 0 … n−1 are sent. Sequences belong to the
 * wire; `countOf` and `sequenceOf` convert. Entry n may be read while durable ≤ n < published;
 * behind `durable` its memory belongs to others (I4).
 */
import { assert } from '../assert.js';
import { GroupControlView } from './control.js';
import { type BabEntry, DescriptorRing } from './descriptors.js';
import type { BabPool } from './pool.js';

export class BabReader {
  readonly pool: BabPool;
  readonly control: GroupControlView;
  readonly #descriptors: DescriptorRing;

  constructor(pool: BabPool, control: SharedArrayBuffer) {
    this.pool = pool;
    this.control = new GroupControlView(control);
    this.#descriptors = new DescriptorRing(pool, this.control);
  }

  get published(): number {
    return this.control.cursor('published');
  }

  get sent(): number {
    return this.control.cursor('sent');
  }

  get received(): number {
    return this.control.cursor('received');
  }

  get applied(): number {
    return this.control.cursor('applied');
  }

  get durable(): number {
    return this.control.cursor('durable');
  }

  /** Entries published and not sent in this session. */
  get unsent(): number {
    return (this.published - this.sent) >>> 0;
  }

  /** Entries that the secondary does not have durably. */
  get pending(): number {
    return (this.published - this.durable) >>> 0;
  }

  /** Reads entry number `count` (the first is 0). */
  read(count: number, into: BabEntry): void {
    assert(this.#isPending(count), 'only entries between durable and published are read');
    this.#descriptors.read(count, into);
  }

  /** The payload of an entry, as a view that lives as long as the entry is not durable. */
  payload(entry: BabEntry): Uint8Array {
    return this.pool.bytes[entry.arena]!.subarray(
      entry.memoryOffset,
      entry.memoryOffset + entry.length,
    );
  }

  /** The sequence of the last entry that the cursor value `count` covers. */
  sequenceOf(count: number): number {
    if (this.pending === 0) {
      const stamped = this.control.readEra().stamped;
      // Looked at again behind it: an entry stamped meanwhile is not covered by `count`.
      if (this.pending === 0) return stamped;
    }
    const durable = this.durable;
    if ((count - durable) >>> 0 === 0) return this.#descriptors.sequenceAt(durable) - 1;
    assert(this.#isPending(count - 1), 'a cursor lies between durable and published');
    return this.#descriptors.sequenceAt(count - 1);
  }

  /**
   * The cursor value at which everything up to `sequence` is covered, within [durable, published].
   * `sequence` belongs to the era of the oldest pending entry.
   */
  countOf(sequence: number): number {
    const durable = this.durable;
    const pending = this.pending;
    if (pending === 0) return durable;
    const ahead = sequence - this.#descriptors.sequenceAt(durable) + 1;
    let count = Math.max(0, Math.min(pending, ahead));
    // Entries of a later era may follow; their sequences are another story.
    const generation = this.#descriptors.generationAt(durable);
    while (count > 1 && this.#descriptors.generationAt(durable + count - 1) !== generation) count--;
    return (durable + count) >>> 0;
  }

  /** May go back: a new session begins where the secondary says. */
  setSent(count: number): void {
    this.#setWithin('sent', count);
  }

  setReceived(count: number): void {
    this.#setWithin('received', count);
  }

  setApplied(count: number): void {
    this.#setWithin('applied', count);
  }

  /**
   * The secondary has everything before `count` durably: the driver may release it. Never goes
   * back; the cursors behind it follow.
   */
  setDurable(count: number): void {
    const control = this.control;
    const step = (count - control.cursor('durable')) >>> 0;
    assert(step <= this.pending, 'durable moves forward, up to published');
    for (const name of ['applied', 'received', 'sent'] as const) {
      const ahead = (control.cursor(name) - control.cursor('durable')) >>> 0;
      if (ahead < step || ahead > this.pending) control.setCursor(name, count);
    }
    control.setCursor('durable', count);
  }

  /** Everything published is in the map: forgets it (Rule 12.3, R9). */
  drop(): void {
    const published = this.published;
    for (const name of ['sent', 'received', 'applied', 'durable'] as const) {
      this.control.setCursor(name, published);
    }
  }

  /**
   * Asks to be woken by the next publication. False: there is something to do, do not sleep.
   *
   * The flag is set first and `published` is looked at afterwards; the driver advances `published`
   * first and looks at the flag afterwards. So if this call misses an entry, the driver that
   * published it sees the flag and sends `pmd.wake`. In the other order both could look before the
   * other writes, and an entry would lie there until the next one comes.
   */
  sleep(seenPublished: number): boolean {
    this.control.setAsleep(true);
    if (this.published === seenPublished) return true;
    this.control.setAsleep(false);
    return false;
  }

  awake(): void {
    this.control.setAsleep(false);
  }

  #setWithin(name: 'sent' | 'received' | 'applied', count: number): void {
    const ahead = (count - this.durable) >>> 0;
    assert(ahead <= this.pending, 'a cursor lies between durable and published');
    this.control.setCursor(name, count);
  }

  #isPending(count: number): boolean {
    return (count - this.durable) >>> 0 < this.pending;
  }
}

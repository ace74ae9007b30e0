/**
 * What a write leaves behind for the mirror: an entry in the BAB, marks in the maps, both or neither
 * (correctness.md 4). Decides T1 (duties are read once, at the start), T2 (overflow), what an abort
 * does to writes in flight (R9), and whether a commit may clear the maps (R8).
 *
 *   begin ─ duties? ─┬─ append: room? ── no ─► overflow: append off, mark on, latched, era over
 *                    │                  yes ─► numbers promised
 *                    └─ mark: bits set ─► slot STARTED ─► (local write) ─► complete: bits again, stamp
 *
 * Synchronous and free of I/O; the driver calls `begin` and `complete` under the range lock. I21: only
 * `commit` clears bits.
 */
import { assert } from '../assert.js';
import { duty, slotState } from '../bab/layout.js';
import { BabWriter } from '../bab/writer.js';
import type { DeviceMap } from '../bitmap/device-map.js';
import { writesInFlightMax } from '../constants.js';
import type { IoVector } from '../io-vector.js';

/** What a request does to its range: write the payload, or zeroes. */
export type WriteKind = 'write' | 'zero' | 'trim';

export class WriteTracker {
  readonly writer: BabWriter;
  readonly maps: readonly DeviceMap[];
  /** Sequences may be stamped: an era was begun and append has not been off since. */
  #eraOpen: boolean;
  /** Graces that passed while append was on without interruption. */
  readonly #graces = new Set<number>();
  #overflows = 0;

  constructor(writer: BabWriter, maps: readonly DeviceMap[]) {
    this.writer = writer;
    this.maps = maps;
    this.#eraOpen = this.appending;
  }

  get appending(): boolean {
    return (this.writer.control.duties & duty.append) !== 0;
  }

  /** The write of this slot will be an entry. */
  appends(slot: number): boolean {
    return (this.writer.slots.dutiesOf(slot) & duty.append) !== 0;
  }

  /** Counts overflows; the driver reports when it has grown. */
  get overflows(): number {
    return this.#overflows;
  }

  /**
   * The request holds its range and starts. `payload` is its data in BAB memory, undefined for
   * zeroes, and for data that the BAB could not take.
   */
  begin(
    slot: number,
    device: number,
    offset: number,
    length: number,
    kind: WriteKind,
    payload: IoVector | undefined,
  ): void {
    const { control, slots } = this.writer;
    let duties = control.duties;
    let entries = 0;
    if ((duties & duty.append) !== 0) {
      if (kind !== 'write') entries = 1;
      else if (payload !== undefined) entries = BabWriter.entriesOf(payload);
      if (entries === 0 || !this.writer.prepare(entries)) {
        // T2, in the same turn and before anything else.
        this.overflow();
        duties = control.duties;
        entries = 0;
      }
    }
    // The first mark covers a crash while the write is under way.
    if ((duties & duty.mark) !== 0) this.maps[device]!.mark(offset, length);
    slots.start(slot, device, offset, length, duties, entries);
  }

  /**
   * The local write has completed, well or badly. Marks again, then stamps and publishes. Returns
   * whether an entry was published, so that its payload belongs to the BAB now.
   */
  complete(slot: number, kind: WriteKind, payload: IoVector | undefined, wallMs: number): boolean {
    const { slots } = this.writer;
    const duties = slots.dutiesOf(slot);
    // H2: a refresh may have cleared the bit and read the old data since the first mark.
    if ((duties & duty.mark) !== 0) this.#mark(slot);
    if ((duties & duty.append) === 0) return false;
    if (kind === 'write') {
      assert(payload !== undefined, 'an appended write has its payload in the BAB');
      this.writer.publish(slot, payload, wallMs);
    } else {
      this.writer.publishZero(slot, kind === 'trim', wallMs);
    }
    // The promise is kept: an overflow by the next write of the range must not demote this one.
    slots.setDuties(slot, duty.none);
    return true;
  }

  /**
   * T2: the BAB cannot take a write, or its disk content is unknown. Entries already stamped stay
   * and end the era in order; every write in flight becomes a mark. Latched until append comes back
   * with a new era.
   */
  overflow(): void {
    const { control } = this.writer;
    control.latched = true;
    control.duties = duty.mark;
    this.#interrupt();
    this.#overflows++;
  }

  /**
   * H21: after a failed flush nothing since the last good one is sure to be on the disk, whatever the
   * mirror has by now. Nobody knows which blocks these are: all are marked, and the group tracks.
   */
  flushFailed(): void {
    if (this.writer.control.duties === duty.none) return;
    this.markAll();
    if (this.appending) this.overflow();
  }

  /** Changes the duties of writes that start from now on; those in flight are fenced by the caller. */
  change(append: boolean, mark: boolean): void {
    const { control } = this.writer;
    if (append && !this.appending && !this.#eraOpen) {
      // Decided before an overflow was known: appending again in that era would leave a gap (8a).
      control.duties = duty.mark;
      this.#overflows++;
      return;
    }
    const wasAppending = this.appending;
    control.duties = (append ? duty.append : 0) | (mark ? duty.mark : 0);
    if (append) control.latched = false;
    else if (wasAppending) this.#interrupt();
  }

  /** The next entry is number `first` of `era` (Rule 8a); only while append is off. */
  beginEra(era: string, first: number, lease: number): void {
    assert(!this.appending, 'an era begins while append is off');
    this.writer.beginEra(era, first, lease);
    this.#eraOpen = true;
  }

  extendLease(lease: number): void {
    const { control } = this.writer;
    if (lease > control.lease) control.lease = lease;
  }

  /** The grace of this token has passed. */
  graced(token: number): void {
    if (this.appending) this.#graces.add(token);
  }

  /**
   * R8: the other side has committed. Clears the maps and drops the mark duty, in one turn, if
   * append was never interrupted since the grace; otherwise the maps stay, a superset.
   */
  commit(graceToken: number): boolean {
    if (!this.appending || !this.#graces.has(graceToken)) return false;
    const { control, slots } = this.writer;
    for (const map of this.maps) map.clearAll();
    control.duties = duty.append;
    for (let slot = 0; slot < writesInFlightMax; slot++) {
      if (slots.stateOf(slot) !== slotState.started) continue;
      // It will be an entry; a second mark would only leave dirt that nobody collects.
      assert((slots.dutiesOf(slot) & duty.append) !== 0, 'R4: after the grace every write appends');
      slots.setDuties(slot, duty.append);
    }
    return true;
  }

  /** `compare`: nothing is known to differ, nothing is proven equal (Rule 17). */
  markAll(compare = false): void {
    for (const map of this.maps) {
      if (compare) map.markAllCompare();
      else map.markAll();
    }
  }

  /** A checkpoint marker as the next entry; 0 when nothing is appended, which no room ends (T2). */
  stampMarker(wallMs: number): number {
    if (!this.appending) return 0;
    if (this.writer.prepare(1)) return this.writer.publishMarker(wallMs);
    this.overflow();
    return 0;
  }

  /**
   * H11: what is in the BAB becomes dirt. Appending ends as in an overflow, but nothing has gone wrong;
   * the entries stay until the PMD forgets them.
   */
  clearBab(): void {
    if (this.appending) {
      this.writer.control.duties = duty.mark;
      this.#interrupt();
    }
    this.writer.eachPending(({ device, offset, length }) => {
      this.maps[device]!.mark(offset, length);
    });
  }

  /** The end of a backfresh: the other side says that both are equal (I21). No client is connected. */
  equal(): void {
    assert(!this.appending, 'a backfresh ends before anything is appended');
    for (const map of this.maps) map.clearAll();
  }

  /** The write of this slot cannot be published after all: the group overflows, the range is marked. */
  giveUp(slot: number): void {
    if (this.appends(slot)) this.overflow();
    this.#mark(slot);
  }

  /** Recovery: the range of a slot that had the mark duty, or has it now, is marked again. */
  markAgain(slot: number): void {
    if ((this.writer.slots.dutiesOf(slot) & duty.mark) !== 0) this.#mark(slot);
  }

  #interrupt(): void {
    this.#eraOpen = false;
    this.#graces.clear();
    const { slots } = this.writer;
    for (let slot = 0; slot < writesInFlightMax; slot++) {
      if (slots.stateOf(slot) !== slotState.started) continue;
      if (!this.appends(slot)) continue;
      // Marked before it is demoted: at no instant is the change nowhere (I5).
      this.#mark(slot);
      this.writer.demote(slot);
    }
  }

  #mark(slot: number): void {
    const { slots } = this.writer;
    this.maps[slots.deviceOf(slot)]!.mark(slots.offsetOf(slot), slots.lengthOf(slot));
  }
}

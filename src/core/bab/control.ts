/**
 * The control block of a started group: duties, cursors, era, counters. The driver and the PMD write
 * their own words of it, every thread may read them; `snapshot` is what `info` shows.
 *
 * A cursor is a wrapping count of entries since the group was started; differences are taken
 * `>>> 0`, so it may wrap. Order is always released ≤ durable ≤ applied ≤ received ≤ sent ≤
 * published, but for `sent`, `received` and `applied`, which a new session sets back.
 */
import { assert } from '../assert.js';
import { devicesPerGroupMax, sectorBytes } from '../constants.js';
import {
  controlLayout,
  controlMagic,
  deviceCounterBytes,
  deviceCounterLayout,
  duty,
  layoutVersion,
} from './layout.js';

const at = controlLayout.at;
const counters = deviceCounterLayout.at;
const eraWord = at.eraVersion / 4;

export type BabCursor = 'published' | 'released' | 'sent' | 'received' | 'applied' | 'durable';

export interface EraWords {
  readonly era: string;
  readonly generation: number;
  /** First sequence of the era (s0). */
  readonly first: number;
  /** Last sequence stamped; `first − 1` when none is. */
  readonly stamped: number;
  readonly lease: number;
}

export interface DeviceSnapshot {
  readonly reads: number;
  readonly sectorsRead: number;
  readonly writes: number;
  readonly sectorsWritten: number;
  readonly babEntries: number;
  readonly babBytes: number;
  readonly babSectors: number;
}

export interface GroupSnapshot extends EraWords {
  readonly append: boolean;
  readonly mark: boolean;
  readonly latched: boolean;
  /** Published and not yet durable on the secondary. */
  readonly entries: number;
  readonly bytes: number;
  readonly sectors: number;
  readonly unsent: number;
  readonly unreceived: number;
  readonly unapplied: number;
  /** Wall clock when the oldest entry was published; undefined when there is none. */
  readonly oldestAt: number | undefined;
  readonly entriesPublished: number;
  readonly bytesPublished: number;
  readonly dataBytesSent: number;
  readonly linkBytesSent: number;
  readonly sentMax: number;
  readonly devices: readonly DeviceSnapshot[];
}

export class GroupControlView {
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly deviceCount: number;
  readonly #u8: Uint8Array;

  static create(deviceCount: number): SharedArrayBuffer {
    assert(deviceCount >= 1 && deviceCount <= devicesPerGroupMax, 'a group has 1 to 64 devices');
    const control = new SharedArrayBuffer(controlLayout.sizeBytes);
    const i32 = new Int32Array(control);
    i32[at.magic / 4] = controlMagic;
    i32[at.version / 4] = layoutVersion;
    i32[at.deviceCount / 4] = deviceCount;
    i32.fill(-1, at.descriptorChunks / 4, (at.descriptorChunks + 256) / 4);
    return control;
  }

  constructor(control: SharedArrayBuffer) {
    this.i32 = new Int32Array(control);
    this.f64 = new Float64Array(control);
    this.#u8 = new Uint8Array(control);
    assert(this.i32[at.magic / 4] === controlMagic, 'this is the control block of a group');
    assert(this.i32[at.version / 4] === layoutVersion, 'the control block has this layout');
    this.deviceCount = this.i32[at.deviceCount / 4]!;
  }

  get duties(): number {
    return Atomics.load(this.i32, at.duties / 4);
  }

  set duties(duties: number) {
    Atomics.store(this.i32, at.duties / 4, duties);
  }

  /** Set by an overflow, cleared when append comes back with a new era (T2). */
  get latched(): boolean {
    return Atomics.load(this.i32, at.latch / 4) !== 0;
  }

  set latched(latched: boolean) {
    Atomics.store(this.i32, at.latch / 4, latched ? 1 : 0);
  }

  cursor(name: BabCursor): number {
    return Atomics.load(this.i32, at[name] / 4) >>> 0;
  }

  setCursor(name: BabCursor, count: number): void {
    Atomics.store(this.i32, at[name] / 4, count | 0);
  }

  /** Entries that still need memory. */
  get held(): number {
    return (this.cursor('published') - this.cursor('released')) >>> 0;
  }

  /** Entries that the secondary does not have durably. */
  get pending(): number {
    return (this.cursor('published') - this.cursor('durable')) >>> 0;
  }

  /** The driver's side of waking: true when this call ended the PMD's sleep, so it must be told. */
  takeSleeper(): boolean {
    const word = at.asleep / 4;
    return Atomics.load(this.i32, word) === 1 && Atomics.exchange(this.i32, word, 0) === 1;
  }

  setAsleep(asleep: boolean): void {
    Atomics.store(this.i32, at.asleep / 4, asleep ? 1 : 0);
  }

  /**
   * Driver: writers wait until `durable` has come to `first`, the last of them to `last`. Look at
   * `durable` again behind this call: whoever moves it later sees the bell (`takeBell`).
   */
  awaitDurable(first: number, last: number): void {
    Atomics.store(this.i32, at.syncFirst / 4, first | 0);
    Atomics.store(this.i32, at.syncLast / 4, last | 0);
    Atomics.store(this.i32, at.syncWaiting / 4, 1);
    Atomics.store(this.i32, at.syncBell / 4, 1);
  }

  awaitNothing(): void {
    Atomics.store(this.i32, at.syncWaiting / 4, 0);
    Atomics.store(this.i32, at.syncBell / 4, 0);
  }

  /** PMD: up to which count writers wait, undefined when none does. */
  get awaitedDurable(): number | undefined {
    if (Atomics.load(this.i32, at.syncWaiting / 4) === 0) return undefined;
    return Atomics.load(this.i32, at.syncLast / 4);
  }

  /** PMD, behind a move of `durable`: true when this call took the bell, so the driver must hear. */
  takeBell(): boolean {
    const word = at.syncBell / 4;
    if (Atomics.load(this.i32, word) === 0) return false;
    const first = Atomics.load(this.i32, at.syncFirst / 4);
    if (((this.cursor('durable') - first) | 0) < 0) return false;
    return Atomics.exchange(this.i32, word, 0) === 1;
  }

  /** SYNCMODEDEPTH in force, 0: async. */
  get syncDepth(): number {
    return this.i32[at.syncDepth / 4]!;
  }

  get syncTimeoutMs(): number {
    return this.i32[at.syncTimeoutMs / 4]!;
  }

  setSync(depth: number, timeoutMs: number): void {
    this.i32[at.syncDepth / 4] = depth;
    this.i32[at.syncTimeoutMs / 4] = timeoutMs;
  }

  /** Rule 40: writers do not wait although they should. */
  get syncDegraded(): boolean {
    return Atomics.load(this.i32, at.syncDegraded / 4) !== 0;
  }

  set syncDegraded(degraded: boolean) {
    Atomics.store(this.i32, at.syncDegraded / 4, degraded ? 1 : 0);
  }

  /** The words of the era as one consistent picture, from any thread. */
  readEra(): EraWords {
    for (;;) {
      const version = Atomics.load(this.i32, eraWord);
      const words: EraWords = {
        era: hex(this.#u8.subarray(at.era, at.era + 16)),
        generation: this.i32[at.generation / 4]!,
        first: this.f64[at.first / 8]!,
        stamped: this.stamped,
        lease: this.lease,
      };
      // Read before the version is looked at again; the atomic load keeps the order.
      if ((version & 1) === 0 && Atomics.load(this.i32, eraWord) === version) return words;
    }
  }

  /** The next entry is number `first` of `era`. Driver only. */
  beginEra(era: string, first: number, lease: number): void {
    assert(/^[0-9a-f]{32}$/.test(era), 'an era is 32 hex digits');
    Atomics.add(this.i32, eraWord, 1);
    for (let index = 0; index < 16; index++) {
      this.#u8[at.era + index] = Number.parseInt(era.slice(2 * index, 2 * index + 2), 16);
    }
    this.i32[at.generation / 4]!++;
    this.f64[at.first / 8] = first;
    this.f64[at.stamped / 8] = first - 1;
    this.f64[at.lease / 8] = lease;
    this.f64[at.releasedSequence / 8] = first - 1;
    Atomics.add(this.i32, eraWord, 1);
  }

  /** A thread that died while it changed the era left the version odd. Driver only, in recovery. */
  settleEra(): void {
    if ((Atomics.load(this.i32, eraWord) & 1) === 1) Atomics.add(this.i32, eraWord, 1);
  }

  get generation(): number {
    return this.i32[at.generation / 4]!;
  }

  get stamped(): number {
    return this.f64[at.stamped / 8]!;
  }

  set stamped(sequence: number) {
    this.f64[at.stamped / 8] = sequence;
  }

  get lease(): number {
    return this.f64[at.lease / 8]!;
  }

  set lease(lease: number) {
    this.f64[at.lease / 8] = lease;
  }

  get releasedSequence(): number {
    return this.f64[at.releasedSequence / 8]!;
  }

  set releasedSequence(sequence: number) {
    this.f64[at.releasedSequence / 8] = sequence;
  }

  /** PMD: highest sequence of this era ever sent (Rule 7b, Rule 27). */
  get sentMax(): number {
    return this.f64[at.sentMax / 8]!;
  }

  set sentMax(sequence: number) {
    this.f64[at.sentMax / 8] = sequence;
  }

  /** PMD: adds to its counters of data (entries and blocks) and of all bytes given to the link. */
  countSent(dataBytes: number, linkBytes: number): void {
    this.f64[at.dataBytesSent / 8]! += dataBytes;
    this.f64[at.linkBytesSent / 8]! += linkBytes;
  }

  countRead(device: number, bytes: number): void {
    const base = this.#counters(device);
    this.f64[base + counters.reads / 8]!++;
    this.f64[base + counters.sectorsRead / 8]! += bytes / sectorBytes;
  }

  countWritten(device: number, bytes: number): void {
    const base = this.#counters(device);
    this.f64[base + counters.writes / 8]!++;
    this.f64[base + counters.sectorsWritten / 8]! += bytes / sectorBytes;
  }

  /** Driver: an entry with this much payload was published. */
  countPublished(device: number, bytes: number, wallMs: number): void {
    if (this.held === 0) this.f64[at.oldestAt / 8] = wallMs;
    this.f64[at.entriesPublished / 8]!++;
    this.f64[at.bytesPublished / 8]! += bytes;
    this.countHeld(device, 1, bytes);
  }

  /** Driver: so many entries with so much payload more (or fewer) are in the BAB. */
  countHeld(device: number, entries: number, bytes: number): void {
    const base = this.#counters(device);
    this.f64[at.bytes / 8]! += bytes;
    this.f64[base + counters.babEntries / 8]! += entries;
    this.f64[base + counters.babBytes / 8]! += bytes;
  }

  set oldestAt(wallMs: number) {
    this.f64[at.oldestAt / 8] = wallMs;
  }

  /** Driver, in recovery: held entries are counted anew. */
  clearHeld(): void {
    this.f64[at.bytes / 8] = 0;
    for (let device = 0; device < this.deviceCount; device++) {
      const base = this.#counters(device);
      this.f64[base + counters.babEntries / 8] = 0;
      this.f64[base + counters.babBytes / 8] = 0;
    }
  }

  /**
   * Everything `info` needs. Counters may be a moment apart. Entries that are durable but whose
   * memory the driver has not collected yet count neither as entries nor as bytes when they are the
   * only ones.
   */
  snapshot(): GroupSnapshot {
    const duties = this.duties;
    const published = this.cursor('published');
    const entries = this.pending;
    const bytes = entries === 0 ? 0 : this.f64[at.bytes / 8]!;
    return {
      ...this.readEra(),
      append: (duties & duty.append) !== 0,
      mark: (duties & duty.mark) !== 0,
      latched: this.latched,
      entries,
      bytes,
      sectors: bytes / sectorBytes,
      unsent: (published - this.cursor('sent')) >>> 0,
      unreceived: (published - this.cursor('received')) >>> 0,
      unapplied: (published - this.cursor('applied')) >>> 0,
      oldestAt: entries === 0 ? undefined : this.f64[at.oldestAt / 8]!,
      entriesPublished: this.f64[at.entriesPublished / 8]!,
      bytesPublished: this.f64[at.bytesPublished / 8]!,
      dataBytesSent: this.f64[at.dataBytesSent / 8]!,
      linkBytesSent: this.f64[at.linkBytesSent / 8]!,
      sentMax: this.sentMax,
      devices: Array.from({ length: this.deviceCount }, (_, device) =>
        this.#deviceSnapshot(device, entries > 0),
      ),
    };
  }

  #deviceSnapshot(device: number, held: boolean): DeviceSnapshot {
    const base = this.#counters(device);
    const babBytes = held ? this.f64[base + counters.babBytes / 8]! : 0;
    return {
      reads: this.f64[base + counters.reads / 8]!,
      sectorsRead: this.f64[base + counters.sectorsRead / 8]!,
      writes: this.f64[base + counters.writes / 8]!,
      sectorsWritten: this.f64[base + counters.sectorsWritten / 8]!,
      babEntries: held ? this.f64[base + counters.babEntries / 8]! : 0,
      babBytes,
      babSectors: babBytes / sectorBytes,
    };
  }

  #counters(device: number): number {
    return (at.devices + device * deviceCounterBytes) / 8;
  }
}

function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

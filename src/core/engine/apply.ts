/**
 * The RMD's order brain: which of the received entries may be written to the mirror now. It stands
 * between the receive memory and the mirror devices and sees numbers only. Entries arrive in
 * sequence order without a gap (Rule 8b) and start in sequence order; one starts when everything up
 * to its `dep` is complete *and* recorded in the position page (Rule 7a), and nothing in flight
 * overlaps it, rounded out to the mirror's logical block (Rule 1a, H16). So every state a crash can
 * leave is a legal cut of the primary. Refresh blocks of phase a use it with `dep` 0: arrival order
 * and the overlap test remain (Rule 12.4).
 *
 * Consecutive entries that continue each other on the device become one operation (a run): between
 * two entries that both may start, any part of either is legal anyway.
 *
 *        applied            next                received
 *   ───────┴───────────────────┴─────────────────────┴──── sequence
 *   complete │ in flight or done │ waiting, in order  │
 *
 * A fixed window of typed arrays; nothing is allocated per entry. It does no I/O.
 */
import { assert } from '../assert.js';
import { entryFlags, type WireEntry } from '../wire/messages.js';

export interface ApplyLimits {
  /** A power of two: entries between `applied` and `received`. */
  readonly entriesMax: number;
  /** Operations in flight. */
  readonly operationsMax: number;
  /** One operation covers at most so many bytes and pieces. */
  readonly runBytesMax: number;
  readonly runPiecesMax: number;
}

export type Accepted = 'accepted' | 'old' | 'gap' | 'duplicate';

/** Entries that are an operation of their own; the marker of a checkpoint is one that does nothing. */
const alone = entryFlags.zero | entryFlags.checkpoint;

const slotFree = 0;
const slotWaiting = 1;
const slotStarted = 2;
const slotComplete = 3;

export class Apply {
  /** Everything up to here was accepted. */
  received = 0;
  /** Everything up to here is complete: the contiguous prefix. */
  applied = 0;
  /** What the position page says; never above `applied`. Set by `record` only. */
  recorded = 0;
  /** The next entry to start. */
  next = 1;

  /** Of each operation: its first sequence, how many entries, and where. */
  readonly operationFirst: Float64Array;
  readonly operationCount: Uint32Array;
  readonly operationDevice: Uint16Array;
  readonly operationFlags: Uint8Array;
  readonly operationOffset: Float64Array;
  readonly operationLength: Uint32Array;

  readonly #roundBytes: readonly number[];
  readonly #limits: ApplyLimits;
  readonly #mask: number;
  #origin = 0;

  readonly #state: Uint8Array;
  readonly #dep: Float64Array;
  readonly #device: Uint16Array;
  readonly #flags: Uint8Array;
  readonly #offset: Float64Array;
  readonly #length: Uint32Array;
  readonly #memory: Float64Array;
  readonly #frame: Int32Array;

  readonly #free: Int32Array;
  #freeCount: number;
  readonly #active: Int32Array;
  readonly #activeIndex: Int32Array;
  readonly #from: Float64Array;
  readonly #to: Float64Array;
  #activeCount = 0;

  /** `roundBytes`: of each device, what the overlap test rounds to (a power of two or not). */
  constructor(roundBytes: readonly number[], limits: ApplyLimits) {
    const { entriesMax, operationsMax } = limits;
    assert((entriesMax & (entriesMax - 1)) === 0, 'the entry window is a power of two');
    this.#roundBytes = roundBytes;
    this.#limits = limits;
    this.#mask = entriesMax - 1;
    this.#state = new Uint8Array(entriesMax);
    this.#dep = new Float64Array(entriesMax);
    this.#device = new Uint16Array(entriesMax);
    this.#flags = new Uint8Array(entriesMax);
    this.#offset = new Float64Array(entriesMax);
    this.#length = new Uint32Array(entriesMax);
    this.#memory = new Float64Array(entriesMax);
    this.#frame = new Int32Array(entriesMax);
    this.operationFirst = new Float64Array(operationsMax);
    this.operationCount = new Uint32Array(operationsMax);
    this.operationDevice = new Uint16Array(operationsMax);
    this.operationFlags = new Uint8Array(operationsMax);
    this.operationOffset = new Float64Array(operationsMax);
    this.operationLength = new Uint32Array(operationsMax);
    this.#from = new Float64Array(operationsMax);
    this.#to = new Float64Array(operationsMax);
    this.#active = new Int32Array(operationsMax);
    this.#activeIndex = new Int32Array(operationsMax);
    this.#free = Int32Array.from({ length: operationsMax }, (_, index) => index);
    this.#freeCount = operationsMax;
  }

  /** Entries that can be accepted now. */
  get room(): number {
    return this.#limits.entriesMax - (this.received - this.applied);
  }

  get inFlight(): number {
    return this.#activeCount;
  }

  /** Nothing waits and nothing is in flight. */
  get idle(): boolean {
    return this.applied === this.received;
  }

  /** Everything up to `position` is on the mirror; entries follow from the next on. */
  begin(position: number): void {
    assert(this.#activeCount === 0 && this.idle, 'a new beginning needs an idle order brain');
    this.received = position;
    this.applied = position;
    this.recorded = position;
    this.next = position + 1;
    this.#origin = position;
  }

  /**
   * Takes an entry whose data lies at `memory` in receive memory `frame`. `old`: below the position
   * where this stream began, nothing to do. `gap` and `duplicate` are breaches of the protocol.
   */
  accept(entry: Readonly<WireEntry>, memory: number, frame: number): Accepted {
    const { sequence } = entry;
    if (sequence !== this.received + 1) {
      if (sequence > this.received) return 'gap';
      return sequence <= this.#origin ? 'old' : 'duplicate';
    }
    assert(this.room > 0, 'the caller asked for room before it offered an entry');
    const slot = sequence & this.#mask;
    assert(this.#state[slot] === slotFree, 'a slot is used by one entry at a time');
    this.#state[slot] = slotWaiting;
    this.#dep[slot] = entry.dep;
    this.#device[slot] = entry.device;
    this.#flags[slot] = entry.flags;
    this.#offset[slot] = entry.offset;
    this.#length[slot] = entry.length;
    this.#memory[slot] = memory;
    this.#frame[slot] = frame;
    this.received = sequence;
    return 'accepted';
  }

  /** Starts the next entry, with those that continue it: the operation, or −1 when it must wait. */
  startNext(): number {
    if (this.next > this.received || this.#freeCount === 0) return -1;
    const first = this.next;
    const slot = first & this.#mask;
    if (!this.#mayStart(slot)) return -1;

    const operation = this.#free[--this.#freeCount]!;
    const device = this.#device[slot]!;
    const flags = this.#flags[slot]!;
    const offset = this.#offset[slot]!;
    let end = offset + this.#length[slot]!;
    let count = 1;
    this.#state[slot] = slotStarted;
    if ((flags & alone) === 0) {
      const { runPiecesMax, runBytesMax } = this.#limits;
      while (count < runPiecesMax && first + count <= this.received) {
        const another = (first + count) & this.#mask;
        if (this.#flags[another]! & alone) break;
        if (this.#device[another] !== device || this.#offset[another] !== end) break;
        if (end + this.#length[another]! - offset > runBytesMax) break;
        if (!this.#mayStart(another)) break;
        this.#state[another] = slotStarted;
        end += this.#length[another]!;
        count += 1;
      }
    }
    this.operationFirst[operation] = first;
    this.operationCount[operation] = count;
    this.operationDevice[operation] = device;
    this.operationFlags[operation] = flags;
    this.operationOffset[operation] = offset;
    this.operationLength[operation] = end - offset;
    const round = this.#roundBytes[device]!;
    this.#from[operation] = Math.floor(offset / round) * round;
    this.#to[operation] = Math.ceil(end / round) * round;
    this.#activeIndex[operation] = this.#activeCount;
    this.#active[this.#activeCount++] = operation;
    this.next = first + count;
    return operation;
  }

  /** The operation succeeded: its entries are readable on the mirror. */
  complete(operation: number): void {
    const first = this.operationFirst[operation]!;
    const count = this.operationCount[operation]!;
    for (let index = 0; index < count; index += 1) {
      const slot = (first + index) & this.#mask;
      assert(this.#state[slot] === slotStarted, 'only what was started completes');
      this.#state[slot] = slotComplete;
    }
    this.#retire(operation);
    for (;;) {
      const slot = (this.applied + 1) & this.#mask;
      if (this.#state[slot] !== slotComplete) break;
      this.#state[slot] = slotFree;
      this.applied += 1;
    }
  }

  /** The operation failed: its entries stay undone for ever; the session ends (no ack beyond). */
  fail(operation: number): void {
    this.#retire(operation);
  }

  /** The position page now says `applied` (Rule 7a); what depends on it may start. */
  record(): number {
    this.recorded = this.applied;
    return this.applied;
  }

  /** Forgets what waits or is done out of order; nothing may be in flight. */
  clear(): void {
    assert(this.#activeCount === 0, 'what is in flight cannot be forgotten');
    this.#state.fill(slotFree);
    this.received = this.applied;
    this.next = this.applied + 1;
  }

  memoryOf(sequence: number): number {
    return this.#memory[sequence & this.#mask]!;
  }

  lengthOf(sequence: number): number {
    return this.#length[sequence & this.#mask]!;
  }

  frameOf(sequence: number): number {
    return this.#frame[sequence & this.#mask]!;
  }

  #mayStart(slot: number): boolean {
    if (this.#dep[slot]! > this.recorded) return false;
    const device = this.#device[slot]!;
    const round = this.#roundBytes[device]!;
    const offset = this.#offset[slot]!;
    const from = Math.floor(offset / round) * round;
    const to = Math.ceil((offset + this.#length[slot]!) / round) * round;
    for (let index = 0; index < this.#activeCount; index += 1) {
      const other = this.#active[index]!;
      if (
        this.operationDevice[other] === device &&
        from < this.#to[other]! &&
        this.#from[other]! < to
      ) {
        return false;
      }
    }
    return true;
  }

  #retire(operation: number): void {
    const index = this.#activeIndex[operation]!;
    assert(this.#active[index] === operation, 'an operation ends once');
    const last = this.#active[--this.#activeCount]!;
    this.#active[index] = last;
    this.#activeIndex[last] = index;
    this.#free[this.#freeCount++] = operation;
  }
}

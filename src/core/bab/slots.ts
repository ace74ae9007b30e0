/**
 * The writes in flight of a group, one slot each, in the control block: what a dead driver's
 * successor must look at (H23). A slot is claimed when the request is admitted, and says STARTED,
 * with the range that may change, before the local write is submitted.
 *
 *   FREE ─claim─► FILLING ─start─► STARTED ─free─► FREE
 *                  (waits for        (local write under way; ends published, demoted to a mark,
 *                   its turn)         or merely done)
 *
 * Slot numbers also name the request in the range locks and in completions.
 */
import { assert } from '../assert.js';
import { writesInFlightMax } from '../constants.js';
import type { GroupControlView } from './control.js';
import { controlLayout, slotBytes, slotLayout, slotState } from './layout.js';

const base = controlLayout.at.slots;
const at = slotLayout.at;

export class InFlightSlots {
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  readonly #free = new Int32Array(writesInFlightMax);
  #freeCount = 0;

  /** Takes the slots as they are; only FREE ones are given out. */
  constructor(control: GroupControlView) {
    this.#i32 = control.i32;
    this.#f64 = control.f64;
    for (let slot = writesInFlightMax - 1; slot >= 0; slot--) {
      if (this.stateOf(slot) === slotState.free) this.#free[this.#freeCount++] = slot;
    }
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  /** A FILLING slot, or −1 when all are in flight. `dep` is what was answered by now. */
  claim(dep: number): number {
    if (this.#freeCount === 0) return -1;
    const slot = this.#free[--this.#freeCount]!;
    this.#f64[float(slot, at.dep)] = dep;
    this.#setState(slot, slotState.filling);
    return slot;
  }

  start(
    slot: number,
    device: number,
    offset: number,
    length: number,
    duties: number,
    entries: number,
  ): void {
    assert(this.stateOf(slot) === slotState.filling, 'a slot is claimed before it starts');
    this.#i32[word(slot, at.device)] = device;
    this.#i32[word(slot, at.duties)] = duties;
    this.#i32[word(slot, at.entries)] = entries;
    this.#f64[float(slot, at.offset)] = offset;
    this.#f64[float(slot, at.length)] = length;
    // Last: whoever reads STARTED after a crash finds the range.
    this.#setState(slot, slotState.started);
  }

  /** The same request goes on with its next step: STARTED → FILLING. */
  again(slot: number): void {
    assert(this.stateOf(slot) === slotState.started, 'a step ends before the next begins');
    this.#setState(slot, slotState.filling);
  }

  free(slot: number): void {
    assert(this.stateOf(slot) !== slotState.free, 'a slot is freed once');
    this.#setState(slot, slotState.free);
    this.#free[this.#freeCount++] = slot;
  }

  stateOf(slot: number): number {
    return Atomics.load(this.#i32, word(slot, at.state));
  }

  deviceOf(slot: number): number {
    return this.#i32[word(slot, at.device)]!;
  }

  offsetOf(slot: number): number {
    return this.#f64[float(slot, at.offset)]!;
  }

  lengthOf(slot: number): number {
    return this.#f64[float(slot, at.length)]!;
  }

  depOf(slot: number): number {
    return this.#f64[float(slot, at.dep)]!;
  }

  dutiesOf(slot: number): number {
    return this.#i32[word(slot, at.duties)]!;
  }

  setDuties(slot: number, duties: number): void {
    this.#i32[word(slot, at.duties)] = duties;
  }

  entriesOf(slot: number): number {
    return this.#i32[word(slot, at.entries)]!;
  }

  setEntries(slot: number, entries: number): void {
    this.#i32[word(slot, at.entries)] = entries;
  }

  #setState(slot: number, state: number): void {
    Atomics.store(this.#i32, word(slot, at.state), state);
  }
}

function word(slot: number, field: number): number {
  return (base + slot * slotBytes + field) / 4;
}

function float(slot: number, field: number): number {
  return (base + slot * slotBytes + field) / 8;
}

/**
 * I17 and I4 in numbers. What the secondary calls durable, as even a power cut would leave it, never
 * goes back inside an era; and what the primary believes to be durable over there, because it was
 * acknowledged, is never beyond it.
 */
import { strict as assert } from 'node:assert';
import { newBabEntry } from '../../core/bab/descriptors.js';
import type { BabPool } from '../../core/bab/pool.js';
import { BabReader } from '../../core/bab/reader.js';
import type { StartedGroup } from '../primary.js';
import type { SecondaryView } from '../secondary-view.js';

export class AckChecker {
  readonly #view: SecondaryView;
  #era = '';
  #durable = 0;

  constructor(view: SecondaryView) {
    this.#view = view;
  }

  /** The secondary may have gone back, rightly: its disks were rolled back or damaged. */
  forget(): void {
    this.#era = '';
    this.#durable = 0;
  }

  /** After any event, and right after a kill or a power cut. */
  check(): void {
    const position = this.#view.durable();
    if (position === undefined) return;
    const { era, sequence } = position;
    if (era === this.#era) {
      const was = this.#durable;
      assert.ok(sequence >= was, `I17: durable went back from ${was} to ${sequence} in era ${era}`);
    }
    this.#era = era;
    this.#durable = sequence;
  }

  /** Only in NORMAL: elsewhere entries are also dropped, because the map has them. */
  checkBelieved(started: StartedGroup, pool: BabPool): void {
    const position = this.#view.durable();
    const { era, stamped, generation } = started.control.readEra();
    if (position?.era !== era) return;
    const reader = new BabReader(pool, started.shared.control);
    let believed = stamped;
    if (reader.pending > 0) {
      const oldest = newBabEntry();
      reader.read(reader.durable, oldest);
      if (oldest.generation !== generation) return;
      believed = oldest.sequence - 1;
    }
    assert.ok(
      believed <= position.sequence,
      `I4: ${believed} was acknowledged as durable, a power cut would leave ${position.sequence}`,
    );
  }
}

/**
 * I17, I18 in numbers: what the secondary has told about durability never goes back inside an era,
 * survives every crash and power cut, and is never above what was stamped. Looked at in the record
 * and the position page, that is, in what the next session would tell.
 */
import { strict as assert } from 'node:assert';
import type { SecondaryView } from '../secondary-view.js';

export class AckChecker {
  readonly #view: SecondaryView;
  #era = '';
  #durable = 0;

  constructor(view: SecondaryView) {
    this.#view = view;
  }

  /** After any event, and right after a kill or a power cut. */
  check(): void {
    const { record } = this.#view;
    const standing = this.#view.standing();
    if (record === undefined || standing?.durable === undefined) return;
    const era = record.era ?? '';
    if (era === this.#era) {
      assert.ok(
        standing.durable >= this.#durable,
        `I17: durable went back from ${this.#durable} to ${standing.durable} in era ${era}`,
      );
    }
    this.#era = era;
    this.#durable = standing.durable;
  }
}

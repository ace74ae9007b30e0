/**
 * Where data and holes lie, for both adapters. Rule 35: a hole is believed only on a file system
 * known to tell the truth, after what was written has reached it; the addon checks both and says
 * "data" otherwise. Keeps the questions under way, so that a handle can be closed after them.
 */
import { assert } from '../core/assert.js';
import type { Extent, SharedDevice } from '../ports/block-device.js';
import { native } from './native.js';
import { deviceError } from './open-facts.js';

export class Extents {
  readonly #facts: SharedDevice;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(facts: SharedDevice) {
    this.#facts = facts;
  }

  async at(offset: number, sizeBytes: number): Promise<Extent> {
    assert(offset >= 0 && offset < sizeBytes, 'an extent is asked for inside the device');
    const question = native.seekExtent(this.#facts.fd, offset, sizeBytes);
    this.#underWay.add(question);
    try {
      const length = await question;
      return { length: Math.abs(length), hole: length < 0 };
    } catch (error) {
      throw deviceError(this.#facts.path, error);
    } finally {
      this.#underWay.delete(question);
    }
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }
}

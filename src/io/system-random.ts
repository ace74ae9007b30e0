/** Randomness from the operating system; good enough for keys and session nonces. */
import { randomFillSync, randomInt } from 'node:crypto';
import type { Random } from '../ports/random.js';

export const systemRandom: Random = {
  fill: (bytes) => randomFillSync(bytes),
  below: (below) => (below <= 1 ? 0 : randomInt(below)),
};

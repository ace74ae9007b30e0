/**
 * The simulated pair in the weather of many seeds: order (I1), dirt (I5), what a restart would report
 * (I5, I18), release (I4), bounds (I12) and answers (I15) are watched after every event, and afterwards
 * every group converges (I14). One seed replays with `npm run sim -- --seed N`.
 */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { runSeed } from '../../src/testing/scenario.js';
import { keepsItsPromises, testSeeds } from '../helpers/sim-seeds.js';

interface Regression {
  readonly seed: number;
  readonly found: string;
}

const regressions = JSON.parse(
  readFileSync(new URL('../../../test/sim/regressions.json', import.meta.url), 'utf8'),
) as readonly Regression[];

testSeeds(1, 150);

for (const { seed, found } of regressions.filter((one) => one.seed > 300)) {
  test.serial(`seed ${seed} once found: ${found}`, keepsItsPromises, seed);
}

test('one seed is one run', async (t) => {
  const [first, second] = [await runSeed(3), await runSeed(3)];
  t.deepEqual(first, second);
  t.not((await runSeed(4)).events, first.events);
});

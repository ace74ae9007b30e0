/**
 * The simulated pair in the weather of many seeds: order (I1), dirt (I5), release (I4), bounds (I12)
 * and answers (I15) are watched after every event, and afterwards every group converges (I14).
 * One seed replays with `npm run sim -- --seed N`.
 */
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { runSeed } from '../../src/testing/scenario.js';

const seedsMax = 64;

interface Regression {
  readonly seed: number;
  readonly found: string;
}

const regressions = JSON.parse(
  readFileSync(new URL('../../../test/sim/regressions.json', import.meta.url), 'utf8'),
) as readonly Regression[];

async function keepsItsPromises(t: ExecutionContext, seed: number): Promise<void> {
  const { failure, events } = await runSeed(seed);
  if (failure !== undefined) t.log(failure.trace);
  t.is(failure?.message, undefined, `seed ${seed}, event ${events}`);
}

for (let seed = 1; seed <= seedsMax; seed++) {
  test.serial(
    `seed ${seed}: nothing is lost or reordered, and all ends well`,
    keepsItsPromises,
    seed,
  );
}

for (const { seed, found } of regressions.filter((one) => one.seed > seedsMax)) {
  test.serial(`seed ${seed} once found: ${found}`, keepsItsPromises, seed);
}

test('one seed is one run', async (t) => {
  const [first, second] = [await runSeed(3), await runSeed(3)];
  t.deepEqual(first, second);
  t.not((await runSeed(4)).events, first.events);
});

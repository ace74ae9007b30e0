/** A part of the seeds as tests, one each; several files take a part each, in a process of its own. */
import test, { type ExecutionContext } from 'ava';
import { runSeed } from '../../src/testing/scenario.js';

export async function keepsItsPromises(t: ExecutionContext, seed: number): Promise<void> {
  const { failure, events } = await runSeed(seed);
  if (failure !== undefined) t.log(failure.trace);
  t.is(failure?.message, undefined, `npm run sim -- --seed ${seed}, event ${events}`);
}

export function testSeeds(first: number, last: number): void {
  for (let seed = first; seed <= last; seed++) {
    test.serial(`seed ${seed}: nothing is lost or reordered, and all ends well`, (t) =>
      keepsItsPromises(t, seed),
    );
  }
}

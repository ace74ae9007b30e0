/** The simulated pair of hosts, seed by seed: the product's actors under faults, then healed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { packageRoot } from '../../src/config/package-version.js';
import { runSeed } from '../../src/testing/scenario.js';

const seeds = { first: 1, last: 60, perTest: 10 };

const regressions = JSON.parse(
  readFileSync(join(packageRoot(), 'test/sim/regressions.json'), 'utf8'),
) as readonly { readonly seed: number; readonly why: string }[];

async function holds(seed: number): Promise<{ events: number; writes: number; problem: string }> {
  const { events, writes, failure } = await runSeed(seed);
  const problem = failure === undefined ? '' : `seed ${seed}: ${failure.message}\n${failure.trace}`;
  return { events, writes, problem };
}

for (let first = seeds.first; first <= seeds.last; first += seeds.perTest) {
  const last = Math.min(seeds.last, first + seeds.perTest - 1);
  test.serial(`seeds ${first} to ${last} keep every promise and converge`, async (t) => {
    const totals = { events: 0, writes: 0 };
    for (let seed = first; seed <= last; seed++) {
      const { events, writes, problem } = await holds(seed);
      t.is(problem, '');
      totals.events += events;
      totals.writes += writes;
    }
    t.log(`${totals.events} events, ${totals.writes} writes`);
    t.true(totals.writes > 1_000, 'the seeds write enough to prove something');
  });
}

for (const { seed, why } of regressions) {
  test.serial(`seed ${seed}: ${why}`, async (t) => {
    t.is((await holds(seed)).problem, '');
  });
}

test.serial('one seed is one run', async (t) => {
  const [first, second] = [await runSeed(7), await runSeed(7)];
  t.is(first.events, second.events);
  t.is(first.writes, second.writes);
  t.is(first.simulatedMs, second.simulatedMs);
});

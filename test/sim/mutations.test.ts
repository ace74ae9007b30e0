/**
 * The simulator sees what it is for: every mistake of the list is found in the product as it is
 * written now, and those that are found quickly are made here. `node dist/test/sim/mutate.js` makes
 * them all.
 */
import test from 'ava';
import { huntAll, mutate, type Verdict } from './mutants.js';
import { mutations } from './mutations.js';

test('every mutation still finds what it breaks', (t) => {
  for (const mutation of mutations) t.notThrows(() => mutate(mutation));
  t.is(new Set(mutations.map(({ name }) => name)).size, mutations.length);
});

test('the simulator catches every quick mutation', async (t) => {
  t.timeout(600_000);
  const missed: Verdict[] = [];
  const quick = mutations.filter(({ slow, open }) => slow !== true && open === undefined);
  await huntAll(quick, 2, (verdict) => {
    // Each verdict tells the test runner that time is not standing still.
    t.pass();
    if (!verdict.caught) missed.push(verdict);
  });
  t.deepEqual(
    missed.map(({ mutation, said }) => `${mutation.name}: ${said}`),
    [],
  );
});

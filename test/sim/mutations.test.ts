/**
 * The simulator sees what it is for: every mistake of the list is found in the product as it is
 * written now, and those that are found quickly are made here. `node dist/test/sim/mutate.js` makes
 * them all.
 */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { hunt, mutate } from './mutants.js';
import { mutations } from './mutations.js';

test('every mutation still finds what it breaks', (t) => {
  for (const mutation of mutations) t.notThrows(() => mutate(mutation));
  t.is(new Set(mutations.map(({ name }) => name)).size, mutations.length);
});

test('docs/simulation.md has the list', (t) => {
  const page = readFileSync(new URL('../../../docs/simulation.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => /^\| .* \| (?:yes|not yet)/.test(line));
  t.deepEqual(
    rows.map((row) => row.split(' | ')[0]!.slice(2)),
    mutations.map(({ name }) => name),
  );
});

/** Two at a time, on two processors. */
const lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
const quick = mutations.filter(({ slow, open }) => slow !== true && open === undefined);

for (const [index, mutation] of quick.entries()) {
  test(`the simulator catches: ${mutation.name} (${mutation.rule})`, async (t) => {
    t.timeout(900_000);
    const lane = index % lanes.length;
    const turn = lanes[lane]!.then(() => hunt(mutation));
    lanes[lane] = turn.catch(() => undefined);
    const { caught, said } = await turn;
    t.true(caught, said);
  });
}

/**
 * A soak of test/e2e/soak with few rounds as a test: the same code that is run by hand at full size,
 * so that it works on the day it is needed. What a soak finds is thrown; its figures are only logged.
 */
import test from 'ava';
import { rowsTable, type Soak } from '../soak/program.js';
import { Scope } from './scope.js';

export function soakTest(title: string, run: Soak, rounds: number): void {
  test(title, async (t) => {
    t.timeout(280_000);
    const scope = new Scope();
    t.teardown(() => scope.end());
    const seed = Date.now() % 1_000_000;
    t.log(`seed ${seed}`);
    t.log(rowsTable(await run(scope, { rounds, seed, tell: (line) => t.log(line) })));
    t.pass();
  });
}

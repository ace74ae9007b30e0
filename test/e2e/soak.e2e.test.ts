/**
 * The soaks of test/e2e/soak with few rounds: the same code that is run by hand at full size, so that
 * it works on the day it is needed. What a soak finds is thrown; its figures are only logged.
 */
import test from 'ava';
import { Scope } from './helpers/scope.js';
import { judges } from './soak/judges.js';
import { kill } from './soak/kill.js';
import { order } from './soak/order.js';
import { overflow } from './soak/overflow.js';
import { powerOfPrimary, powerOfSecondary } from './soak/power.js';
import { rowsTable, type Soak } from './soak/program.js';

function soak(title: string, run: Soak, rounds: number): void {
  test(title, async (t) => {
    t.timeout(280_000);
    const scope = new Scope();
    t.teardown(() => scope.end());
    const seed = Date.now() % 1_000_000;
    t.log(`seed ${seed}`);
    const figures = await run(scope, { rounds, seed, tell: (line) => t.log(line) });
    t.log(rowsTable(figures));
    t.pass();
  });
}

soak('kill -9 of primary and secondary: NORMAL again, equal, nothing acknowledged lost', kill, 3);
soak('two devices in turn: on a mirror cut anywhere A.n − B.n is 0 or 1 (I1)', order, 6);
soak('a BAB that overflows: TRACKING, REFRESH, NORMAL, and the images equal (I14)', overflow, 1);
soak('power cuts of the secondary: equal again, whatever its cache lost (I4)', powerOfSecondary, 2);
soak('power cuts of the primary: FUA is kept, and equal again (I5, I10)', powerOfPrimary, 2);
soak('a mirror cut anywhere is good for PostgreSQL, ext4 and xfs (I1)', judges, 2);

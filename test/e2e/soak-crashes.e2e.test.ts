/** Crashes, cuts and overflows of real processes, few rounds of each. */
import { soakTest } from './helpers/soak-test.js';
import { kill } from './soak/kill.js';
import { order } from './soak/order.js';
import { overflow } from './soak/overflow.js';

soakTest('kill -9 of either side: NORMAL again, equal, nothing acknowledged is lost', kill, 3);
soakTest('two devices in turn: on a mirror cut anywhere A.n − B.n is 0 or 1 (I1)', order, 6);
soakTest('a BAB that overflows: TRACKING, REFRESH, NORMAL, and equal images (I14)', overflow, 1);

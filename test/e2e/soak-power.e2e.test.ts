/** Power cuts with lost write caches, and what the ways back to NORMAL send, few rounds of each. */
import { soakTest } from './helpers/soak-test.js';
import { powerOfPrimary, powerOfSecondary } from './soak/power.js';
import { refreshCosts } from './soak/refresh-costs.js';

soakTest('power cuts of the secondary: equal again, whatever was lost (I4)', powerOfSecondary, 2);
soakTest('power cuts of the primary: FUA is kept, and equal again (I5, I10)', powerOfPrimary, 2);
soakTest('full, smart and checksum refresh: equal images after each (Rule 17)', refreshCosts, 2);

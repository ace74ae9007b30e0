/** Power cuts with lost write caches, and the ways back to NORMAL, few rounds of each. */
import { soakTest } from './helpers/soak-test.js';
import { backfresh } from './soak/backfresh.js';
import { powerOfPrimary, powerOfSecondary } from './soak/power.js';
import { refreshCosts } from './soak/refresh-costs.js';

soakTest('power cuts of the secondary: equal again, whatever was lost (I4)', powerOfSecondary, 2);
soakTest('power cuts of the primary: FUA is kept, and equal again (I5, I10)', powerOfPrimary, 2);
soakTest('full, smart and checksum refresh: equal images after each (Rule 17)', refreshCosts, 2);
soakTest('a backfresh that is killed now and then ends with the mirror (H10, H30)', backfresh, 2);

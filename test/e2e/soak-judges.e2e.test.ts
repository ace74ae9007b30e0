/** What others make of a mirror: PostgreSQL, ext4 and xfs, few rounds of each. */
import { soakTest } from './helpers/soak-test.js';
import { checkpoint } from './soak/checkpoint.js';
import { judges } from './soak/judges.js';
import { reco } from './soak/reco.js';

soakTest('a mirror cut anywhere is good for PostgreSQL, ext4 and xfs (I1)', judges, 2);
soakTest('the primary is lost: after reco, what fsync acknowledged is there (I1, I2)', reco, 2);
soakTest('PostgreSQL opens a checkpoint and writes to it (Rules 15, 37)', checkpoint, 2);

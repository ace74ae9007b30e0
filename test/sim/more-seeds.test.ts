/** The second half of the seeds that every test run goes through (seeds.test.ts), side by side with it. */
import { testSeeds } from '../helpers/sim-seeds.js';

testSeeds(151, 300);

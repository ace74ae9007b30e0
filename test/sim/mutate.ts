/**
 * Runs the whole list of mutations, or those whose names contain a word, and says which the simulator
 * caught:  node dist/test/sim/mutate.js [--jobs 2] [word …]
 */
import { huntAll } from './mutants.js';
import { mutations } from './mutations.js';

const args = process.argv.slice(2);
const at = args.indexOf('--jobs');
const jobs = at < 0 ? 2 : Number(args.splice(at, 2)[1]);
const chosen = mutations.filter(({ name, open }) =>
  args.length === 0 ? open === undefined : args.some((word) => name.includes(word)),
);
let missed = 0;
await huntAll(chosen, jobs, ({ mutation, caught, said, ms }) => {
  if (!caught) missed++;
  const seconds = (ms / 1000).toFixed(1).padStart(6);
  console.log(`${caught ? 'caught' : 'MISSED'} ${seconds}s  ${mutation.name} (${mutation.rule})`);
  console.log(`               ${said.slice(0, 160)}`);
});
console.log(`${chosen.length} mutations, ${missed} missed`);
process.exitCode = missed === 0 ? 0 : 1;

/**
 * The simulator's door: replays one seed, or runs a range and says what came of it.
 *
 *   npm run sim -- --seed 123 [--trace]      npm run sim -- --seeds 1-500
 *
 * Exit codes: 0 all well, 127 an assertion of the product, 128 it does not converge, 129 a promise
 * of replication was broken. The legend of the lines is in docs/simulation.md.
 */
import { runSeed, type SimResult } from './scenario.js';
import { drawSwarm } from './swarm.js';

const usage = 'usage: sim --seed N [--trace] | --seeds A-B';

async function main(args: readonly string[]): Promise<number> {
  const value = (name: string) => args[args.indexOf(name) + 1] ?? '';
  if (args.includes('--seed')) return replay(Number(value('--seed')), args.includes('--trace'));
  const range = /^(\d+)-(\d+)$/.exec(args.includes('--seeds') ? value('--seeds') : '1-50');
  if (range === null) {
    console.log(usage);
    return 2;
  }
  return sweep(Number(range[1]), Number(range[2]));
}

async function replay(seed: number, trace: boolean): Promise<number> {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    console.log(usage);
    return 2;
  }
  console.log(JSON.stringify(drawSwarm(seed)));
  const result = await runSeed(seed, trace ? (line) => console.log(line) : undefined);
  console.log(lineOf(result));
  if (result.failure === undefined) return 0;
  if (!trace) console.log(result.failure.trace);
  console.log(`seed ${seed}, event ${result.events}: ${result.failure.message}`);
  return result.failure.exitCode;
}

async function sweep(first: number, last: number): Promise<number> {
  const totals = { seeds: 0, events: 0, writes: 0, failed: 0 };
  let exitCode = 0;
  for (let seed = first; seed <= last; seed++) {
    const result = await runSeed(seed);
    totals.seeds++;
    totals.events += result.events;
    totals.writes += result.writes;
    console.log(lineOf(result));
    if (result.failure === undefined) continue;
    totals.failed++;
    exitCode ||= result.failure.exitCode;
    console.log(`  ${result.failure.message.split('\n')[0]}`);
  }
  console.log(
    `${totals.seeds} seeds, ${totals.events} events, ${totals.writes} writes, ${totals.failed} failed`,
  );
  return exitCode;
}

function lineOf(result: SimResult): string {
  const { seed, events, simulatedMs, writes, answered, orderChecks, dirtChecks } = result;
  const cell = (text: string | number, width: number) => String(text).padStart(width);
  const faults = [...result.faults].map(([kind, count]) => `${kind}×${count}`).join(' ');
  const modes = [...result.modes].map(([mode, count]) => `${mode[0]}${count}`).join(' ');
  return [
    result.failure === undefined ? 'ok  ' : `${result.failure.exitCode} `,
    cell(seed, 6),
    cell(events, 7),
    cell(`${(simulatedMs / 1000).toFixed(1)}s`, 8),
    cell(`${answered}/${writes}`, 10),
    cell(`o${orderChecks}`, 7),
    cell(`d${dirtChecks}`, 6),
    modes.padEnd(16),
    faults,
  ].join(' ');
}

process.exitCode = await main(process.argv.slice(2));

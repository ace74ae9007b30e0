/**
 * The simulator's door: replays one run, runs many on several threads and says what came of it, or
 * makes a failing one small.
 *
 *   npm run sim -- --seed 123 [--trace | --shrink]      npm run sim -- --seeds 1-500 [--jobs 2] [--soak]
 *   npm run sim -- --run 'seed=123 skip=0,2' [--trace]  npm run sim -- --hunt 'seed=1..64' 'story=…'
 *
 * `--soak` prints failures and totals only; `--hunt` ends at the first failure. Exit codes: 0 all
 * well, 127 an assertion of the product, 128 it does not converge, 129 a promise of replication was
 * broken. The legend of the lines is in docs/simulation.md.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { lineOf, type RunSummary, summaryOf, Totals } from './report.js';
import { formatScenario, parseScenario, readText } from './scenario-text.js';
import { shrink } from './shrink.js';
import { expand, runLine } from './sweep.js';

const usage =
  "usage: sim --seed N | --run 'LINE' [--trace | --shrink] | --seeds A-B [--jobs N] [--soak] | --hunt 'LINE'…";

/** Lines that one thread has under way; the next are handed out as it finishes. */
interface Job {
  readonly lines: readonly string[];
}

async function main(args: readonly string[]): Promise<number> {
  const has = (name: string) => args.includes(name);
  const value = (name: string) => args[args.indexOf(name) + 1] ?? '';
  const jobs = has('--jobs') ? Number(value('--jobs')) : 1;
  const line = has('--run')
    ? value('--run')
    : has('--seed')
      ? `seed=${value('--seed')}`
      : undefined;
  if (line !== undefined) return has('--shrink') ? makeSmall(line) : replay(line, has('--trace'));
  if (has('--hunt')) return hunt(args.slice(args.indexOf('--hunt') + 1));
  const range = /^(\d+)-(\d+)$/.exec(has('--seeds') ? value('--seeds') : '1-50');
  if (range === null || !Number.isSafeInteger(jobs) || jobs < 1) {
    console.log(usage);
    return 2;
  }
  return sweep(await expand(`seed=${range[1]}..${range[2]}`), jobs, has('--soak'));
}

async function replay(line: string, trace: boolean): Promise<number> {
  console.log(JSON.stringify(parseScenario(readText(line))));
  const result = await runLine(line, trace ? (text) => console.log(text) : undefined);
  console.log(lineOf(result));
  if (result.failure === undefined) return 0;
  if (!trace) console.log(result.failure.trace);
  console.log(`${line}, event ${result.events}: ${result.failure.message}`);
  return result.failure.exitCode;
}

async function makeSmall(line: string): Promise<number> {
  const small = await shrink(line, runLine, (tried, failed) => {
    console.log(`${failed ? 'fails' : 'ok   '} ${tried}`);
  });
  console.log(`npm run sim -- --run '${formatScenario(readText(small))}'`);
  return (await runLine(small)).failure?.exitCode ?? 0;
}

/** Runs until the first failure: 0 when there is none. Lines behind `--except` are left out. */
async function hunt(args: readonly string[]): Promise<number> {
  const end = args.includes('--except') ? args.indexOf('--except') : args.length;
  let runs = 0;
  for (const one of args.slice(0, end)) {
    for (const line of await expand(one)) {
      if (args.includes(line, end)) continue;
      runs++;
      const { failure } = await runLine(line);
      if (failure === undefined) continue;
      console.log(`${line}: ${failure.message.split('\n')[0]} (run ${runs})`);
      return failure.exitCode;
    }
  }
  console.log(`nothing in ${runs} runs`);
  return 0;
}

async function sweep(lines: readonly string[], jobs: number, soak: boolean): Promise<number> {
  const totals = new Totals();
  const print = (run: RunSummary) => {
    totals.add(run);
    if (!soak || run.exitCode !== 0) console.log(run.line);
    if (run.exitCode !== 0) console.log(`  ${run.text}: ${run.message.split('\n')[0]}`);
    if (soak && totals.runs % 500 === 0) console.log(totals.summary);
  };
  if (jobs === 1) for (const line of lines) print(summaryOf(line, await runLine(line)));
  else await Promise.all(partsOf(lines, jobs).map((part) => inThread(part, print)));
  console.log(totals.summary);
  if (soak) console.log(totals.faultTable);
  if (totals.failed.length > 0) console.log(`failed: ${totals.failed.join('; ')}`);
  return totals.exitCode;
}

/** Neighbours go to different threads, so that all end at about the same time. */
function partsOf(lines: readonly string[], jobs: number): string[][] {
  return Array.from({ length: jobs }, (_, job) => lines.filter((_, index) => index % jobs === job));
}

function inThread(lines: readonly string[], print: (run: RunSummary) => void): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { lines } satisfies Job });
  return new Promise((resolve, reject) => {
    worker.on('message', print);
    worker.on('error', reject);
    worker.on('exit', () => resolve());
  });
}

if (isMainThread) {
  process.exitCode = await main(process.argv.slice(2));
} else {
  for (const line of (workerData as Job).lines) {
    parentPort!.postMessage(summaryOf(line, await runLine(line)));
  }
}

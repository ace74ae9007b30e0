/**
 * A soak as a program: `node dist/test/e2e/soak/NAME.js --rounds 100 --seed 1` runs it at full size and prints
 * its figures as a table; the e2e tests run the same code with few rounds. Ctrl-C cleans up, too.
 */
import { parseArgs } from 'node:util';
import { Scope } from '../helpers/scope.js';

export interface SoakOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Progress, one line per step. */
  readonly tell: (line: string) => void;
}

export type Figures = Readonly<Record<string, string | number>>;
export type Soak = (scope: Scope, options: SoakOptions) => Promise<readonly Figures[]>;

/** Does nothing when the module is imported by a test. */
export async function whenProgram(file: string, rounds: number, soak: Soak): Promise<void> {
  if (process.argv[1] !== file) return;
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: String(rounds) },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  });
  const scope = new Scope();
  const interrupted = () => void scope.end().finally(() => process.exit(130));
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const began = performance.now();
  const tell = (line: string) => {
    console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  };
  const options = { rounds: Number(values.rounds), seed: Number(values.seed), tell };
  tell(`${options.rounds} rounds, seed ${options.seed}`);
  try {
    const figures = await soak(scope, options);
    console.log(`\n${rowsTable(figures)}`);
  } catch (failure) {
    process.exitCode = 1;
    console.error(failure);
  } finally {
    await scope.end();
  }
}

export function table(figures: Figures): string {
  const names = Object.keys(figures);
  return [
    `| ${names.join(' | ')} |`,
    `|${'---|'.repeat(names.length)}`,
    `| ${names.map((name) => figures[name]).join(' | ')} |`,
  ].join('\n');
}

/** Several lines with the same columns. */
export function rowsTable(rows: readonly Figures[]): string {
  const [first] = rows;
  if (first === undefined) return '';
  const lines = rows.map((row) => table(row).split('\n')[2]);
  return [...table(first).split('\n').slice(0, 2), ...lines].join('\n');
}

/** The value below which the share of the values lies; 0 of none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

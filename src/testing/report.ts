/** What is printed of simulated runs: one line a run, and totals. The legend is in docs/simulation.md. */
import type { SimResult } from './scenario.js';

/** What is left of a run when it has been printed; plain, so that it can come from another thread. */
export interface RunSummary {
  readonly line: string;
  readonly exitCode: number;
  readonly message: string;
  readonly events: number;
  readonly writes: number;
  readonly faults: readonly (readonly [string, number])[];
  readonly text: string;
}

export function summaryOf(text: string, result: SimResult): RunSummary {
  const { failure, events, writes, faults } = result;
  return {
    text,
    line: lineOf(result),
    exitCode: failure?.exitCode ?? 0,
    message: failure?.message ?? '',
    events,
    writes,
    faults: [...faults],
  };
}

export function lineOf(result: SimResult): string {
  const { seed, events, simulatedMs, writes, answered, orderChecks, dirtChecks, restartChecks } =
    result;
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
    cell(`k${restartChecks}`, 6),
    modes.padEnd(16),
    faults,
  ].join(' ');
}

export class Totals {
  runs = 0;
  events = 0;
  writes = 0;
  exitCode = 0;
  readonly failed: string[] = [];
  readonly faults = new Map<string, number>();

  add(run: RunSummary): void {
    this.runs++;
    this.events += run.events;
    this.writes += run.writes;
    for (const [kind, count] of run.faults) {
      this.faults.set(kind, (this.faults.get(kind) ?? 0) + count);
    }
    if (run.exitCode === 0) return;
    this.exitCode ||= run.exitCode;
    this.failed.push(run.text);
  }

  get summary(): string {
    const faults = [...this.faults.values()].reduce((sum, count) => sum + count, 0);
    const counts = `${this.events} events, ${this.writes} writes, ${faults} faults`;
    return `${this.runs} runs, ${counts}, ${this.failed.length} failed`;
  }

  get faultTable(): string {
    return [...this.faults]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, count]) => `  ${kind.padEnd(24)} ${count}`)
      .join('\n');
  }
}

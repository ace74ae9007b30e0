/**
 * Makes a failing run small: leaves out faults, writers, devices, writes and time, one after another,
 * and keeps what still fails in the same way. A run that is left has few reasons to fail.
 */

import type { SimResult } from './scenario.js';
import { formatScenario, parseScenario, readText } from './scenario-text.js';

export type Run = (line: string) => Promise<SimResult>;

/** The smallest line found that fails like `line`. `tried` is told of every attempt. */
export async function shrink(
  line: string,
  run: Run,
  tried: (line: string, failed: boolean) => void,
): Promise<string> {
  let best = readText(line);
  const first = await run(line);
  const like = signatureOf(first);
  if (like === undefined) throw new Error(`'${line}' does not fail`);
  let last = first;
  /** Keeps the change if the run still fails. */
  const attempt = async (key: string, value: string): Promise<boolean> => {
    if (best.get(key) === value) return false;
    const changed = new Map(best).set(key, value);
    const result = await run(formatScenario(changed));
    const failed = signatureOf(result) === like;
    tried(formatScenario(changed), failed);
    if (failed) {
      best = changed;
      last = result;
    }
    return failed;
  };
  await fewerFaults(() => last.injected, best.get('skip') ?? '', attempt);
  const { writers, safetyMs, cluster } = parseScenario(best);
  for (let count = 1; count < cluster.deviceBytes.length; count++) {
    if (await attempt('devices', String(count))) break;
  }
  for (const index of writers.keys()) if (await attempt('writers', String(index))) break;
  let most = last.writes;
  for (let step = most / 2; step >= 1; step = Math.floor(step / 2)) {
    const fewer = Math.floor(most - step);
    if (fewer > 0 && (await attempt('writes', String(fewer)))) most = fewer;
  }
  for (let ms = safetyMs / 2; ms >= 50; ms /= 2) {
    if (!(await attempt('safetyMs', String(Math.round(ms))))) break;
  }
  await fewerFaults(() => last.injected, best.get('skip') ?? '', attempt);
  return formatScenario(best);
}

/** Halves first, then single ones. */
async function fewerFaults(
  injected: () => number,
  skipped: string,
  attempt: (key: string, value: string) => Promise<boolean>,
): Promise<void> {
  const skip = new Set(skipped.split(',').filter(Boolean).map(Number));
  const all = Array.from({ length: injected() }, (_, ordinal) => ordinal);
  for (let size = Math.ceil(all.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < all.length; at += size) {
      const part = all.slice(at, at + size).filter((ordinal) => !skip.has(ordinal));
      if (part.length === 0) continue;
      const more = [...skip, ...part].toSorted((a, b) => a - b);
      if (await attempt('skip', more.join(','))) for (const ordinal of part) skip.add(ordinal);
    }
  }
}

/** Two failures are alike when they break the same promise. */
function signatureOf({ failure }: SimResult): string | undefined {
  if (failure === undefined) return undefined;
  const promise = /^(I\d+)\b/.exec(failure.message)?.[1];
  return `${failure.exitCode} ${promise ?? failure.message.slice(0, 24)}`;
}

/**
 * Breaks one rule of the product in a copy of the built code, runs the simulator over it, and says
 * whether it noticed. The copy lies below dist, so that packages are found; the product stays as it is.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mutation } from './mutations.js';

export interface Verdict {
  readonly mutation: Mutation;
  readonly caught: boolean;
  /** What the simulator said. */
  readonly said: string;
  readonly ms: number;
}

const dist = fileURLToPath(new URL('../../', import.meta.url));
const built = join(dist, 'src');

/** The text of the mutated file. @throws when the product no longer has what the mutation breaks */
export function mutate(mutation: Mutation): string {
  let text = readFileSync(join(built, mutation.file), 'utf8');
  for (const [from, to] of mutation.edits) {
    const places = text.split(from).length - 1;
    if (places !== 1) {
      throw new Error(`'${mutation.name}': ${places} places in ${mutation.file} read\n${from}`);
    }
    text = text.replace(from, () => to);
  }
  return text;
}

/** Runs the sweeps of the mutation over a copy of the product with its mistake in it. */
export async function hunt(mutation: Mutation): Promise<Verdict> {
  const text = mutate(mutation);
  const started = performance.now();
  mkdirSync(join(dist, 'mutants'), { recursive: true });
  const scratch = mkdtempSync(join(dist, 'mutants/'));
  try {
    const copy = join(scratch, 'src');
    cpSync(built, copy, { recursive: true, filter: (path) => !/\.(?:map|d\.ts)$/.test(path) });
    writeFileSync(join(copy, mutation.file), text);
    const except: string[] = [];
    for (;;) {
      const args = [...mutation.sweeps, '--except', ...except];
      const { code, output } = await run([join(copy, 'testing/main.js'), '--hunt', ...args]);
      const said = output.trim().split('\n').at(-1) ?? '';
      // Anything but 127, 128 and 129 is no verdict of the simulator.
      const caught = code === 127 || code === 128 || code === 129;
      if (!caught && code !== 0) throw new Error(`'${mutation.name}': exit ${code}\n${output}`);
      const line = said.slice(0, said.indexOf(': '));
      if (!caught || (await passesUnbroken(line))) {
        return { mutation, caught, said, ms: performance.now() - started };
      }
      except.push(line);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A run that fails anyway proves nothing. */
async function passesUnbroken(line: string): Promise<boolean> {
  return (await run([join(built, 'testing/main.js'), '--hunt', line])).code === 0;
}

/** Hunts several at a time, in the order given. */
export async function huntAll(
  mutations: readonly Mutation[],
  jobs: number,
  done: (verdict: Verdict) => void,
): Promise<void> {
  const left = [...mutations];
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const mutation = next;
      const failed = (error: unknown): Verdict => ({
        mutation,
        caught: false,
        said: error instanceof Error ? error.message : String(error),
        ms: 0,
      });
      done(await hunt(mutation).catch(failed));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

function run(args: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (chunk: Buffer) => {
      output += chunk.toString('utf8');
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, output }));
  });
}

/**
 * Runs a program of the operator's to its end: in a process group of its own, so that what it starts
 * can be ended with it, and with its output kept up to a limit. Never waits longer than it was told.
 */
import { spawn } from 'node:child_process';
import type { Clock } from '../ports/clock.js';

export interface ProgramOutcome {
  /** Undefined when it was ended by a signal, or could not be started. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly timedOut: boolean;
  /** Why it could not be started: an errno. */
  readonly failed: string | undefined;
  readonly output: string;
}

export interface ProgramOptions {
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limitMs: number;
  readonly clock: Clock;
  /** Ends it before its time. */
  readonly signal: AbortSignal;
}

/** What is kept of its output: the end, where programs say why they failed. */
export const outputBytesMax = 16 * 1024;
/** Output that somebody it left behind still holds open is waited for this long. */
const lingerMs = 500;

export function runProgram(path: string, options: ProgramOptions): Promise<ProgramOutcome> {
  const { directory, env, limitMs, clock, signal: abort } = options;
  return new Promise((resolve) => {
    const child = spawn(path, [], {
      cwd: directory,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    let timedOut = false;
    let ended: Pick<ProgramOutcome, 'exitCode' | 'signal' | 'failed'> | undefined;
    const keep = (text: string): void => {
      output = (output + text).slice(-outputBytesMax);
    };
    const limit = clock.after(limitMs, () => {
      timedOut = true;
      killGroup(child.pid);
    });
    const aborted = (): void => killGroup(child.pid);
    abort.addEventListener('abort', aborted);
    const finish = (): void => {
      limit.cancel();
      abort.removeEventListener('abort', aborted);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({
        exitCode: undefined,
        signal: undefined,
        failed: undefined,
        ...ended,
        timedOut,
        output,
      });
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', keep);
    }
    child.once('error', (error: NodeJS.ErrnoException) => {
      ended = { exitCode: undefined, signal: undefined, failed: error.code ?? error.message };
      finish();
    });
    child.once('exit', (code, signal) => {
      ended = { exitCode: code ?? undefined, signal: signal ?? undefined, failed: undefined };
      // A daemon that it started may keep the pipes for ever; it is not ours to wait for.
      clock.after(lingerMs, finish);
    });
    child.once('close', finish);
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself in this very moment.
  }
}

/**
 * The checkpoint batch files of the manual: programs in TDMF_HOME that quiesce applications before a
 * checkpoint and use it afterwards. Asked by the actors of a group, run on main. A missing one is
 * fine (manual decision 29); one that fails, hangs or may not be run is a refusal that says so.
 *
 *   pre_on    primary, before the marker       cp_pre_on_p000, cp_pre_on_000
 *   post_on   both, when it is on              cp_post_on_p000 or _s000, cp_post_on_000
 *   pre_off   secondary, before it is off      cp_pre_off_s000, cp_pre_off_000
 *
 * On a loopback configuration both sides have one home; the name with the side comes first. Each may
 * end in `.sh`.
 */
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Actor } from '../actors/actor.js';
import { groupDigits } from '../config/home.js';
import { TdmfError } from '../core/errors.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import { type ProgramOutcome, runProgram } from './run-program.js';

export interface HookQuestion {
  readonly kind: 'hook.run';
  readonly group: number;
  readonly hook: 'pre_on' | 'post_on' | 'pre_off';
  readonly role: 'primary' | 'secondary';
}

export interface HookAnswer {
  /** The file that ran, or nothing when there is none. */
  readonly ran: string | undefined;
}

export interface HooksOptions {
  readonly directory: string;
  readonly limitMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly publish: (type: string, payload: Readonly<Record<string, unknown>>) => void;
}

/** Where actors find it. */
export const hooksActor = 'hooks';

export function startHooks(options: HooksOptions): Actor<never> {
  // A tdmfd that stops takes them along: nobody would hear how they end.
  const stopping = new AbortController();
  return {
    receive: () => undefined,
    ask: async (question) => {
      const asked = question as HookQuestion;
      if (asked.kind !== 'hook.run') throw new TdmfError('TDMF_INTERNAL', { what: asked.kind });
      return runHook(options, asked, stopping.signal);
    },
    stop: async () => stopping.abort(),
  };
}

/** @throws TDMF_HOOK_FAILED, TDMF_HOOK_DENIED */
export async function runHook(
  options: HooksOptions,
  asked: HookQuestion,
  signal: AbortSignal,
): Promise<HookAnswer> {
  const { directory, limitMs, clock, log, publish } = options;
  const { group, hook, role } = asked;
  const file = await findHook(directory, asked);
  if (file === undefined) return { ran: undefined };
  const path = join(directory, file);
  await access(path, constants.X_OK).catch((cause: unknown) => {
    throw new TdmfError('TDMF_HOOK_DENIED', { file, group }, { cause });
  });
  const from = clock.now();
  const env = { TDMF_HOME: directory, TDMF_GROUP: String(group), TDMF_ROLE: role };
  const outcome = await runProgram(path, { directory, env, limitMs, clock, signal });
  const seconds = Math.round((clock.now() - from) / 100) / 10;
  const why = whyFailed(outcome, limitMs);
  const { exitCode, output } = outcome;
  const level = why === undefined ? 'info' : 'error';
  log.write(level, `the hook ${file} ended`, { group, role, hook, seconds, exitCode, output });
  publish(why === undefined ? 'hook.ended' : 'hook.failed', {
    ...{ group, role, file, seconds },
    ...(why !== undefined && { code: 'TDMF_HOOK_FAILED', message: why }),
  });
  if (why !== undefined) throw new TdmfError('TDMF_HOOK_FAILED', { file, why, group, exitCode });
  return { ran: file };
}

async function findHook(
  directory: string,
  { group, hook, role }: HookQuestion,
): Promise<string | undefined> {
  const digits = groupDigits(group);
  for (const suffix of [`${role === 'primary' ? 'p' : 's'}${digits}`, digits]) {
    for (const extension of ['', '.sh']) {
      const name = `cp_${hook}_${suffix}${extension}`;
      const facts = await stat(join(directory, name)).catch(() => undefined);
      if (facts?.isFile()) return name;
    }
  }
  return undefined;
}

function whyFailed(outcome: ProgramOutcome, limitMs: number): string | undefined {
  const { exitCode, signal, timedOut, failed, output } = outcome;
  if (exitCode === 0 && !timedOut) return undefined;
  if (timedOut) return `it did not end within ${limitMs / 1000} s and was killed`;
  if (failed === 'ENOEXEC') return 'it is no program; begin it with #!/bin/sh';
  if (failed !== undefined) return `it could not be started (${failed})`;
  const last = output.trim().split('\n').at(-1) ?? '';
  const said = last === '' ? '' : `, saying: ${last.slice(0, 200)}`;
  return `it ended with ${exitCode === undefined ? signal : `exit code ${exitCode}`}${said}`;
}

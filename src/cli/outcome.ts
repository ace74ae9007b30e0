/**
 * How a command ends: exit codes and the one style of error lines,
 * `tdmfctl: group 101: <what happened> (<why>). <what to do>` (design.md 2.3).
 */
import { errorTable, isTdmfError, type PlainError, type TdmfErrorCode } from '../core/errors.js';
import { printable } from './render.js';

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  refused: 4,
  someFailed: 5,
  timedOut: 124,
} as const;

/** What tdmfd says of one group. */
export type GroupResult =
  | { readonly group: number; readonly ok: true; readonly value?: unknown }
  | { readonly group: number; readonly ok: false; readonly error: PlainError };

/** Prints an error line on stderr and returns its exit code. */
export function printError(error: unknown, group?: number): number {
  process.stderr.write(`${errorLine(error, group)}\n`);
  return exitCodeOf(error);
}

export function errorLine(error: unknown, group?: number): string {
  const { message, code, details, cause } = error as PlainError;
  const number = group ?? details?.['group'];
  const where = typeof number === 'number' ? `group ${number}: ` : '';
  const reason = code === 'TDMF_MODE_REFUSED' ? details?.['reason'] : undefined;
  const because = cause?.message ?? (typeof reason === 'string' ? reason : undefined);
  // A cause that only repeats what was said is left out.
  const why = because === undefined || message.includes(because) ? '' : ` (${because})`;
  const remedy =
    code !== undefined && code in errorTable ? errorTable[code as TdmfErrorCode].remedy : '';
  return printable(`tdmfctl: ${where}${message.replace(/\.$/, '')}${why}. ${remedy}`.trimEnd());
}

export function exitCodeOf(error: unknown): number {
  if (!isTdmfError(error)) return exitCodes.failed;
  if (error.code.startsWith('TDMF_DAEMON_')) {
    return error.code === 'TDMF_DAEMON_STOPPING' ? exitCodes.refused : exitCodes.unreachable;
  }
  if (error.code === 'TDMF_TIMED_OUT') return exitCodes.timedOut;
  const { kind } = errorTable[error.code];
  if (kind === 'usage') return exitCodes.usage;
  return kind === 'refusal' ? exitCodes.refused : exitCodes.failed;
}

/** Prints what failed; the exit code of a command over several groups. */
export function endOf(results: readonly GroupResult[]): number {
  const codes = results.flatMap((result) =>
    result.ok ? [] : [printError(result.error, result.group)],
  );
  if (codes.length === 0) return exitCodes.done;
  return codes.length < results.length ? exitCodes.someFailed : codes[0]!;
}

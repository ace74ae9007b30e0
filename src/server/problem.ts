/**
 * A failure as it stands in `info` and in events: code, what happened, what to do. Plain and short:
 * stacks and causes belong to the log.
 */
import { errorTable, isTdmfError, type TdmfErrorCode } from '../core/errors.js';

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export function problemOf(error: unknown): Problem {
  const message = error instanceof Error ? error.message : String(error);
  const code = isTdmfError(error) ? error.code : 'TDMF_INTERNAL';
  return { code, message, remedy: errorTable[code].remedy };
}

/** The remedy of a problem that crossed a thread or the link as code and message. */
export function withRemedy(problem: { readonly code: string; readonly message: string }): Problem {
  const known = Object.hasOwn(errorTable, problem.code);
  const remedy = known ? errorTable[problem.code as TdmfErrorCode].remedy : '';
  return { code: problem.code, message: problem.message, remedy };
}

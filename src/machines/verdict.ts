/**
 * What the mode machine makes of a lineage decision (core/lineage/decide.ts, as the PMD reports it):
 * one word. Where the table waits for an operator, a refresh that he ordered may go on, but as a checksum
 * refresh, because nobody knows what differs (MD 13, row 1).
 */
import type { RecordedKind } from '../core/pstore/record.js';
import type { Verdict } from './group-mode-types.js';

export interface Decided {
  readonly row: string;
  readonly action: 'resume' | 'era' | 'refresh' | 'smart' | 'checksum' | 'wait';
  /** What is in the BAB goes to the mirror first. */
  readonly drain: boolean;
  /** Of an `era`: the mirror is not proven equal, and is taken as it is (row 11). */
  readonly code: string | undefined;
}

/** `ordered`: the refresh that an operator ordered and that is not done. */
export function verdictOf(
  { action, drain, code }: Decided,
  ordered: RecordedKind | undefined,
): Exclude<Verdict, 'unknown'> {
  switch (action) {
    case 'resume':
      return 'follows';
    case 'era':
      return code === undefined ? 'equal' : 'adopts';
    case 'smart':
      return drain ? 'follows' : 'smart';
    case 'refresh':
      return 'smart';
    case 'checksum':
      return 'checksum';
    case 'wait':
      return ordered === undefined || ordered === 'back' ? 'waits' : 'checksum';
  }
}

/** Rows 9 and 9a: both sides moved from a common base; S adds its own dirt (Rule 10b). */
export function needsUnion({ row }: Decided): boolean {
  return row.startsWith('9');
}

/**
 * What the mode machine makes of a lineage decision (core/lineage/decide.ts, as the PMD reports it):
 * one word. The operator's order widens it: where the table waits for an operator, a refresh that he
 * ordered may go on, but as a checksum refresh, because nobody knows what differs (MD 13, row 1); and
 * NORMAL by override takes the mirror as it is (row 11).
 */
import type { RecordedKind } from '../core/pstore/record.js';
import type { Verdict } from './group-mode-types.js';

export interface Decided {
  readonly row: string;
  readonly action: 'resume' | 'era' | 'refresh' | 'smart' | 'checksum' | 'wait';
  /** What is in the BAB goes to the mirror first. */
  readonly drain: boolean;
}

export interface Ordered {
  /** The refresh that an operator ordered and that is not done. */
  readonly refresh: RecordedKind | undefined;
  /** NORMAL by override, and the mirror has not been taken yet. */
  readonly adopting: boolean;
}

export function verdictOf(
  { action, drain }: Decided,
  { refresh, adopting }: Ordered,
): Exclude<Verdict, 'unknown'> {
  switch (action) {
    case 'resume':
      return 'follows';
    case 'era':
      return 'equal';
    case 'refresh':
      return 'smart';
    case 'smart':
      if (adopting) return 'adopts';
      return drain ? 'follows' : 'smart';
    case 'checksum':
      return adopting ? 'adopts' : 'checksum';
    case 'wait':
      if (adopting) return 'adopts';
      return refresh === undefined || refresh === 'back' ? 'waits' : 'checksum';
  }
}

/** Rows 9 and 9a: both sides moved from a common base; S adds its own dirt (Rule 10b). */
export function needsUnion({ row }: Decided): boolean {
  return row.startsWith('9');
}

/**
 * The journal as one chain (Rule 15d): which files belong to it, in which order, and what of each.
 * Every file says which one comes before it and where that one ends, so that the record needs to name
 * only the first and the last, and a file that is missing is noticed wherever it was (Rule 25).
 * Pure: headers in, an order or damage out.
 */
import type { SegmentHeader } from './segment.js';

/** What was found where a file of the chain should be. */
export interface ChainFacts {
  readonly found: 'file' | 'empty' | 'missing' | 'unreadable';
  /** Its header bears the number and group of its name. */
  readonly itself: boolean;
  /** It is the last of the chain. */
  readonly last: boolean;
  /** It was opened as the marker of a checkpoint, and nothing came (MD#26). */
  readonly marker: boolean;
  /** The chain before it, as it says, ends with the file that the record names first, or goes on. */
  readonly follows: boolean;
}

export type ChainVerdict = 'take' | 'marker' | 'damage';

interface ChainRow {
  readonly id: string;
  readonly when: Partial<ChainFacts>;
  readonly verdict: ChainVerdict;
}

/** First match wins; the last row matches everything. */
export const chainTable: readonly ChainRow[] = [
  { id: 'a file is missing', when: { found: 'missing' }, verdict: 'damage' },
  { id: 'its header cannot be read', when: { found: 'unreadable' }, verdict: 'damage' },
  {
    id: 'empty marker of a checkpoint',
    when: { found: 'empty', last: true, marker: true },
    verdict: 'marker',
  },
  { id: 'empty', when: { found: 'empty' }, verdict: 'damage' },
  { id: 'another file under its name', when: { itself: false }, verdict: 'damage' },
  { id: 'it does not lead back to the first file', when: { follows: false }, verdict: 'damage' },
  { id: 'in its place', when: {}, verdict: 'take' },
];

export function judgeChainFile(facts: ChainFacts): { id: string; verdict: ChainVerdict } {
  const row = chainTable.find(({ when }) =>
    (Object.keys(when) as (keyof ChainFacts)[]).every((fact) => when[fact] === facts[fact]),
  )!;
  return { id: row.id, verdict: row.verdict };
}

/** Entries of a file up to here are committed; −1: no file follows that says so. */
export function committedOf(header: SegmentHeader, next: SegmentHeader | undefined): number {
  return next?.from?.era === header.era ? next.from.sequence : -1;
}

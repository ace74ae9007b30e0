/**
 * What a slot of the pstore means after a restart: every combination of facts has exactly one row,
 * and the row decides. The rule behind it (H28, Rule 28a): a save that was torn by a crash was never
 * acknowledged, so the record before is the truth; a save that *was* acknowledged and cannot be read
 * is damage, and no older record is ever taken in its place. The ack page tells the two apart: it
 * names the highest save known to have been durable, and is written only after that.
 */
import { assert } from '../assert.js';
import type { DecodedCopy, RecordCopy } from './slot.js';

/** G good, B bad, 0 blank; the order of the two copies does not matter. */
export type Copies = 'GG' | 'GB' | 'G0' | 'BB' | 'B0' | '00';
/** Of the good copies: the numbers follow each other, or it is the very first one, or neither. */
export type Order = 'consecutive' | 'first' | 'gap' | 'none';
/** Whether the ack page names a save above the newest good copy (0 when there is none). */
export type Acknowledged = 'beyond' | 'within';
export type SlotDecision = 'newest' | 'free' | 'damaged';

export interface SlotFacts {
  readonly copies: Copies;
  readonly order: Order;
  readonly acknowledged: Acknowledged;
}

export interface RecoveryRow {
  readonly id: string;
  readonly copies: Copies;
  /** Without it the fact does not matter. */
  readonly order?: Order;
  readonly acknowledged?: Acknowledged;
  readonly decision: SlotDecision;
  readonly why: string;
}

// biome-ignore format: one row a line reads as a table
export const recoveryTable: readonly RecoveryRow[] = [
  { id: 'whole', copies: 'GG', order: 'consecutive', acknowledged: 'within', decision: 'newest', why: 'the ordinary case; a save that left no trace was never acknowledged' },
  { id: 'whole-but-later-lost', copies: 'GG', order: 'consecutive', acknowledged: 'beyond', decision: 'damaged', why: 'an acknowledged save has vanished: the disk went back in time' },
  { id: 'gap', copies: 'GG', order: 'gap', decision: 'damaged', why: 'a number is missing: a write between them was lost' },
  { id: 'torn', copies: 'GB', acknowledged: 'within', decision: 'newest', why: 'the bad one was torn before it was acknowledged, or is older' },
  { id: 'rotten', copies: 'GB', acknowledged: 'beyond', decision: 'damaged', why: 'the bad one was acknowledged: the good one is too old to believe' },
  { id: 'first', copies: 'G0', order: 'first', acknowledged: 'within', decision: 'newest', why: 'saved once, or the second save left no trace' },
  { id: 'first-but-later-lost', copies: 'G0', order: 'first', acknowledged: 'beyond', decision: 'damaged', why: 'the second save was acknowledged and has vanished' },
  { id: 'partner-vanished', copies: 'G0', order: 'gap', decision: 'damaged', why: 'from the second save on both copies have been written' },
  { id: 'both-bad', copies: 'BB', decision: 'damaged', why: 'one of them was acknowledged: a crash tears only one' },
  { id: 'first-torn', copies: 'B0', acknowledged: 'within', decision: 'free', why: 'the first save never became durable, so the group was never stored' },
  { id: 'first-rotten', copies: 'B0', acknowledged: 'beyond', decision: 'damaged', why: 'the first save was acknowledged' },
  { id: 'empty', copies: '00', acknowledged: 'within', decision: 'free', why: 'never used' },
  { id: 'emptied', copies: '00', acknowledged: 'beyond', decision: 'damaged', why: 'something acknowledged was here' },
];

export type SlotState =
  /** `newest` may be a removal: then the slot is free, and its numbers go on. */
  | { readonly decision: 'newest'; readonly row: string; readonly newest: RecordCopy }
  | { readonly decision: 'free'; readonly row: string }
  | { readonly decision: 'damaged'; readonly row: string; readonly group: number | undefined };

/** Neither copy may be `newer`; the caller has refused that file (TDMF_PSTORE_VERSION). */
export function recoverSlot(
  first: DecodedCopy,
  second: DecodedCopy,
  acknowledged: number,
): SlotState {
  const good = [first, second]
    .flatMap((copy) => (copy.state === 'good' ? [copy] : []))
    .toSorted((a, b) => b.sequence - a.sequence);
  const newest = good[0];
  const { id, decision } = matchRow({
    copies: copiesOf(first, second),
    order: orderOf(good.map(({ sequence }) => sequence)),
    acknowledged: acknowledged > (newest?.sequence ?? 0) ? 'beyond' : 'within',
  });
  if (decision === 'newest') {
    assert(newest !== undefined, 'a row that takes the newest copy has one');
    return { decision, row: id, newest };
  }
  if (decision === 'free') return { decision, row: id };
  const named = [newest, first, second].find((copy) => copy !== undefined && 'group' in copy);
  return { decision, row: id, group: named?.group };
}

/** Exactly one row fits any facts; a table with a hole or an overlap must not run. */
export function matchRow(facts: SlotFacts): RecoveryRow {
  const rows = recoveryTable.filter(
    (row) =>
      row.copies === facts.copies &&
      (row.order ?? facts.order) === facts.order &&
      (row.acknowledged ?? facts.acknowledged) === facts.acknowledged,
  );
  assert(rows.length === 1, `one row of the pstore recovery fits ${JSON.stringify(facts)}`);
  return rows[0]!;
}

function copiesOf(first: DecodedCopy, second: DecodedCopy): Copies {
  const letters = { good: 'G', bad: 'B', newer: 'B', blank: '0' } as const;
  const pair = [letters[first.state], letters[second.state]]
    .toSorted((a, b) => 'GB0'.indexOf(a) - 'GB0'.indexOf(b))
    .join('');
  return pair as Copies;
}

function orderOf(sequences: readonly number[]): Order {
  const [newest, older] = sequences;
  if (newest === undefined) return 'none';
  if (older === undefined) return newest === 1 ? 'first' : 'gap';
  return newest === older + 1 ? 'consecutive' : 'gap';
}

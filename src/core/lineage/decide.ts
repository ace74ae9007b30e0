/**
 * The decision table of correctness.md 6: what a primary may do by itself with the mirror that has
 * just answered. Pure and total: for every combination of facts exactly one row matches (tested over
 * all of them), and every row that is not proven safe refuses or waits (I8, I19). Rows are named as
 * in the document; a letter behind the number tells cases of one row apart.
 *
 *   hello, welcome ─► gatherFacts ─► one row ─► action, code, where to go on
 *
 * The table only says what is right; a caller that cannot do `smart` or `checksum` yet refuses with
 * TDMF_MODE_NOT_YET. Differences of devices, owner and reco are refused by the RMD before (row 0).
 */
import { assert } from '../assert.js';
import type { TdmfErrorCode } from '../errors.js';
import { type Facts, gatherFacts, type PrimarySide, type SecondarySide } from './facts.js';

/**
 * `resume`: send `resume {era, from, sentMax}`, then entries. `era`: hand the mirror, which is equal,
 * over to the new era, then entries from `from`. `refresh-resume`: go on with the refresh; `refresh`:
 * begin it. `wait`: stay connected, nothing is automatic.
 */
export type LineageAction =
  | 'resume'
  | 'era'
  | 'refresh'
  | 'refresh-resume'
  | 'smart'
  | 'checksum'
  | 'wait'
  | 'refuse';

export interface LineageRow {
  readonly row: string;
  readonly when: { readonly [Name in keyof Facts]?: Facts[Name] | readonly Facts[Name][] };
  readonly action: LineageAction;
  /** Why not, or what the operator should hear. */
  readonly code?: TdmfErrorCode;
  readonly why: string;
}

export interface LineageDecision {
  readonly row: string;
  readonly action: LineageAction;
  readonly code: TdmfErrorCode | undefined;
  /** For `resume` and `era`: entries of this era follow, from this sequence on (Rule 8b). */
  readonly era: string;
  readonly from: number;
  /** The mirror is incoherent until this sequence is applied (Rule 7b); 0 when not ahead. */
  readonly sentMax: number;
  /** Only what is in the BAB is sent; a refresh must follow (row 5, TRACKING). */
  readonly drain: boolean;
}

const good = { peer: 'good', ordered: 'nothing' } as const;
/** A mirror that has a place in a history; a window is closed by what is sent next. */
const placed = { ...good, mirror: ['whole', 'window'] } as const;

// biome-ignore format: one row a line reads as a table
export const lineageRows: readonly LineageRow[] = [
  { row: '0v', when: { peer: 'version' }, action: 'refuse', code: 'TDMF_LINK_VERSION', why: 'the two sides do not speak alike' },
  { row: '0s', when: { peer: 'self' }, action: 'refuse', code: 'TDMF_RMD_SELF', why: 'the peer is this host (H34)' },
  { row: '0c', when: { peer: 'contradictory' }, action: 'refuse', code: 'TDMF_LINK_PROTOCOL', why: 'the positions contradict each other' },
  { row: '3', when: { peer: 'good', mirror: 'mine' }, action: 'refresh-resume', why: 'the unfinished refresh is ours' },
  { row: 'F', when: { peer: 'good', ordered: 'full', mirror: ['never', 'whole', 'window', 'unfinished', 'unknown'] }, action: 'refresh', why: 'an operator ordered a full refresh' },
  { row: '1', when: { ...good, mirror: 'never' }, action: 'wait', code: 'TDMF_LINEAGE_NEVER', why: 'an operator begins the first refresh' },
  { row: '3x', when: { ...good, mirror: 'unfinished' }, action: 'refuse', code: 'TDMF_LINEAGE_INCOHERENT', why: 'a refresh we know nothing of is unfinished' },
  { row: '10u', when: { ...good, mirror: 'unknown' }, action: 'refuse', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'modified by others' },
  { row: '2', when: { ...placed, era: 'unrelated' }, action: 'refuse', code: 'TDMF_LINEAGE_UNRELATED', why: 'no era in common' },
  { row: '4', when: { ...placed, era: 'ahead' }, action: 'refuse', code: 'TDMF_LINEAGE_ROLLED_BACK', why: 'the mirror followed this primary further than it remembers' },
  { row: '4l', when: { ...placed, era: ['current', 'earlier'], place: 'beyond' }, action: 'refuse', code: 'TDMF_LINEAGE_ROLLED_BACK', why: 'sequences that were never stamped, or not leased (Rule 8c)' },
  { row: '5', when: { ...placed, era: 'current', place: 'within', duty: 'append' }, action: 'resume', why: 'every later entry is in the BAB' },
  { row: '5d', when: { ...placed, era: 'current', place: 'within', duty: 'track' }, action: 'resume', why: 'drain, then refresh' },
  { row: '6', when: { ...placed, era: 'current', place: ['behind', 'unproven'] }, action: 'checksum', code: 'TDMF_LINEAGE_MIRROR_BEHIND', why: 'released entries are missing (Rule 26)' },
  { row: '6e', when: { ...placed, era: 'earlier', place: 'behind' }, action: 'checksum', code: 'TDMF_LINEAGE_MIRROR_BEHIND', why: 'released entries of an earlier era are missing' },
  { row: '7', when: { ...placed, era: 'earlier', place: 'within', map: 'continuous', since: 'changed' }, action: 'smart', why: 'the map holds every difference' },
  { row: '7w', when: { ...placed, mirror: 'window', era: 'earlier', place: 'within', map: 'continuous', since: 'equal' }, action: 'smart', why: 'equal, but for the window' },
  { row: '7e', when: { ...placed, mirror: 'whole', era: 'earlier', place: ['within', 'unproven'], map: 'continuous', since: 'equal' }, action: 'era', why: 'equal: nothing to copy' },
  { row: '7b', when: { ...placed, era: 'earlier', place: ['within', 'unproven'], map: 'unproven' }, action: 'checksum', why: 'the map may lack a difference' },
  { row: '7n', when: { ...placed, era: 'earlier', place: 'unproven', map: 'continuous', since: 'changed' }, action: 'checksum', why: 'what the mirror may hold of that era is not known' },
  { row: '7m', when: { ...placed, mirror: 'window', era: 'earlier', place: 'unproven', map: 'continuous', since: 'equal' }, action: 'checksum', why: 'the same, in a window' },
  { row: '7p', when: { ...placed, era: 'earlier', place: ['within', 'unproven'], map: 'broken' }, action: 'wait', code: 'TDMF_LINEAGE_UNTRACKED', why: 'PASSTHRU: nothing is automatic' },
  { row: '8', when: { ...placed, era: 'newer' }, action: 'refuse', code: 'TDMF_LINEAGE_NEWER', why: 'the secondary is newer' },
  { row: '9', when: { ...placed, era: 'split' }, action: 'refuse', code: 'TDMF_LINEAGE_SPLIT', why: 'both moved from a common base' },
  { row: '10', when: { ...placed, era: 'older' }, action: 'refuse', code: 'TDMF_LINEAGE_OLD', why: 'older than the base' },
];

export function decideLineage(primary: PrimarySide, secondary: SecondarySide): LineageDecision {
  const facts = gatherFacts(primary, secondary);
  const rows = matchingRows(facts);
  const [found] = rows;
  assert(found !== undefined && rows.length === 1, `one lineage row for ${JSON.stringify(facts)}`);
  const { row, action, code } = found;
  const position = secondary.position?.sequence ?? 0;
  const ahead = facts.mirror === 'window' && primary.sentMax > position;
  return {
    row,
    action,
    code,
    era: primary.era,
    from: action === 'resume' ? position + 1 : primary.s0,
    sentMax: action === 'resume' && ahead ? primary.sentMax : 0,
    drain: action === 'resume' && facts.duty === 'track',
  };
}

/** Exported for the test that walks over every combination of facts. */
export function matchingRows(facts: Facts): readonly LineageRow[] {
  const names = Object.keys(facts) as (keyof Facts)[];
  return lineageRows.filter(({ when }) =>
    names.every((name) => {
      const wanted: string | readonly string[] | undefined = when[name];
      if (wanted === undefined) return true;
      return typeof wanted === 'string' ? wanted === facts[name] : wanted.includes(facts[name]);
    }),
  );
}

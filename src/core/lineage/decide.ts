/**
 * The decision table of correctness.md 6: what a primary may do with the mirror that has just
 * answered, by itself or because an operator ordered it. Pure and total: for every combination of facts
 * exactly one row matches (tested over all of them), and every row that is not proven safe refuses or
 * waits (I8). Nothing overwrites what exists only on the other side unless it was ordered (I19): see
 * test/model/lineage.model.test.ts. Rows are named as in the document; a letter tells cases apart.
 *
 *   hello, welcome ─► gatherFacts ─► one row ─► action, code, where to go on
 *
 * Differences of devices, owner and reco are refused by the RMD before (row 0).
 */
import { assert } from '../assert.js';
import type { TdmfErrorCode } from '../errors.js';
import { type Facts, gatherFacts, type PrimarySide, type SecondarySide } from './facts.js';

/**
 * `resume`: send `resume {era, from, sentMax}`, then entries. `era`: the mirror is equal, or is taken
 * as it is: it goes on in the present era from `from` on. `refresh`: full, `refresh-resume`: go on with
 * it. `smart`, `checksum`: journaled, what the map says or everything. `back`: bring the data home.
 * `wait`: stay connected, nothing is automatic.
 */
export type LineageAction =
  | 'resume'
  | 'era'
  | 'refresh'
  | 'refresh-resume'
  | 'smart'
  | 'checksum'
  | 'back'
  | 'wait'
  | 'refuse';

export interface LineageRow {
  readonly row: string;
  readonly when: { readonly [Name in keyof Facts]?: Facts[Name] | readonly Facts[Name][] };
  readonly action: LineageAction;
  /** The changes of both sides are done, not only ours (Rule 10b). */
  readonly union?: true;
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
  /** What is in the BAB is sent first; what the action says comes after (row 5, TRACKING; R1). */
  readonly drain: boolean;
  readonly union: boolean;
  /** Taken as it is: the mirror is UNVERIFIED afterwards (row 11). */
  readonly adopt: boolean;
}

const good = { peer: 'good' } as const;
/** A mirror that has a place in a history; a window is closed by what is sent next. */
const placed = { ...good, mirror: ['whole', 'window'] } as const;
/** Without an order, and with one that says no more than "what is safe". */
const auto = ['nothing', 'smart'] as const;
const free = ['nothing', 'smart', 'normal'] as const;
const quiet = ['nothing', 'normal'] as const;
const still = ['track', 'refresh'] as const;
/**
 * Nobody else wrote there, or only under a checkpoint that was taken off again, in blocks that are known:
 * whoever took it off gave them up (Rule 9b, MD 27). What is known of them goes with every smart refresh.
 */
const ours = { own: ['none', 'known'] } as const;
/** Its content is nobody's word, or somebody else's. */
const doubtful = { own: ['unknown', 'unverified'] } as const;
const current = { ...placed, era: 'current', place: 'within' } as const;
const earlier = { ...placed, ...ours, era: 'earlier' } as const;
const inside = ['within', 'unproven'] as const;
const notBeyond = ['behind', 'within', 'unproven'] as const;
/** Both sides know every change since the same point. */
const bothKnow = { place: 'within', map: 'continuous', own: ['none', 'known'] } as const;
const outside = ['behind', 'beyond', 'unproven'] as const;
const notContinuous = ['unproven', 'broken'] as const;
const rooted = ['current', 'earlier', 'newer', 'split'] as const;

// biome-ignore format: one row a line reads as a table
export const lineageRows: readonly LineageRow[] = [
  { row: '0v', when: { peer: 'version' }, action: 'refuse', code: 'TDMF_LINK_VERSION', why: 'the two sides do not speak alike' },
  { row: '0s', when: { peer: 'self' }, action: 'refuse', code: 'TDMF_RMD_SELF', why: 'the peer is this host (H34)' },
  { row: '0c', when: { peer: 'contradictory' }, action: 'refuse', code: 'TDMF_LINK_PROTOCOL', why: 'the positions contradict each other' },

  { row: 'F', when: { ...good, ordered: 'full', mirror: ['never', 'whole', 'window', 'unfinished'] }, action: 'refresh', why: 'an operator ordered a full refresh' },
  { row: 'C', when: { ...good, ordered: 'checksum', mirror: ['never', 'unfinished'] }, action: 'checksum', why: 'an operator ordered that all is compared' },
  { row: 'Cp', when: { ...placed, ordered: 'checksum', era: ['current', 'earlier', 'older', 'ahead', 'newer', 'split'] }, action: 'checksum', why: 'the same, of a mirror with a history' },

  { row: 'B1', when: { ...good, ordered: 'back', mirror: 'never' }, action: 'refuse', code: 'TDMF_LINEAGE_NEVER', why: 'there is nothing to bring home' },
  { row: 'B3', when: { ...good, ordered: 'back', mirror: ['window', 'mine', 'unfinished'] }, action: 'refuse', code: 'TDMF_LINEAGE_INCOHERENT', why: 'a torn mirror is no source' },
  { row: 'B', when: { ...good, ...bothKnow, ordered: 'back', mirror: 'whole', era: rooted }, action: 'back', union: true, why: 'both sides know what they changed' },
  { row: 'Bo', when: { ...good, ordered: 'back', mirror: 'whole', era: ['older', 'ahead'] }, action: 'back', why: 'all is compared: nobody knows what changed since' },
  { row: 'Bp', when: { ...good, ordered: 'back', mirror: 'whole', era: rooted, place: outside }, action: 'back', why: 'the same' },
  { row: 'Bm', when: { ...good, ordered: 'back', mirror: 'whole', era: rooted, place: 'within', map: notContinuous }, action: 'back', why: 'the same' },
  { row: 'Bu', when: { ...good, ...doubtful, ordered: 'back', mirror: 'whole', era: rooted, place: 'within', map: 'continuous' }, action: 'back', why: 'the same' },
  { row: 'B2', when: { ...good, ordered: 'back', mirror: 'whole', era: 'unrelated' }, action: 'refuse', code: 'TDMF_LINEAGE_UNRELATED', why: 'the data of others is no data of ours' },

  { row: '1', when: { ...good, ordered: auto, mirror: 'never' }, action: 'wait', code: 'TDMF_LINEAGE_NEVER', why: 'an operator begins the first refresh' },
  { row: '2', when: { ...placed, ordered: ['nothing', 'smart', 'checksum', 'normal'], era: 'unrelated' }, action: 'refuse', code: 'TDMF_LINEAGE_UNRELATED', why: 'no era in common' },
  { row: '3', when: { ...good, ordered: ['nothing', 'full', 'smart', 'checksum'], mirror: 'mine' }, action: 'refresh-resume', why: 'the unfinished refresh is ours' },
  { row: '3n', when: { ...good, ordered: 'normal', mirror: 'mine' }, action: 'refuse', code: 'TDMF_LINEAGE_INCOHERENT', why: 'half of a refresh is no mirror to go on with' },
  { row: '3x', when: { ...good, ordered: free, mirror: 'unfinished' }, action: 'refuse', code: 'TDMF_LINEAGE_INCOHERENT', why: 'a refresh we know nothing of is unfinished' },
  { row: '4', when: { ...placed, ordered: free, era: 'ahead' }, action: 'refuse', code: 'TDMF_LINEAGE_ROLLED_BACK', why: 'the mirror followed this primary further than it remembers' },
  { row: '4l', when: { ...placed, ordered: free, era: ['current', 'earlier'], place: 'beyond' }, action: 'refuse', code: 'TDMF_LINEAGE_ROLLED_BACK', why: 'sequences that were never stamped, or not leased (Rule 8c)' },

  { row: '5', when: { ...current, ordered: free, duty: 'append', own: ['none', 'known', 'unverified'] }, action: 'resume', why: 'every later entry is in the BAB' },
  { row: '5n', when: { ...current, ordered: 'normal', own: 'unknown' }, action: 'resume', why: 'the operator takes it as it is' },
  { row: '5d', when: { ...current, ...ours, ordered: free, duty: still, map: 'continuous' }, action: 'smart', why: 'drain, then what the map says' },
  { row: '5b', when: { ...current, ...ours, ordered: free, duty: still, map: 'unproven' }, action: 'checksum', why: 'drain, then all: the map may lack a difference' },
  { row: '5p', when: { ...current, ...ours, ordered: quiet, duty: still, map: 'broken' }, action: 'wait', code: 'TDMF_LINEAGE_UNTRACKED', why: 'nothing automatic after untracked writes' },
  { row: '5q', when: { ...current, ...ours, ordered: 'smart', duty: still, map: 'broken' }, action: 'checksum', code: 'TDMF_LINEAGE_UNTRACKED', why: 'upgraded (MD 13)' },
  { row: '5v', when: { ...current, ordered: quiet, duty: still, own: 'unverified' }, action: 'wait', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'drain, no more: a smart refresh would prove nothing' },
  { row: '5w', when: { ...current, ordered: 'smart', duty: still, own: 'unverified' }, action: 'checksum', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'upgraded' },
  { row: '6', when: { ...placed, ...ours, ordered: free, era: 'current', place: ['behind', 'unproven'] }, action: 'checksum', code: 'TDMF_LINEAGE_MIRROR_BEHIND', why: 'released entries are missing (Rule 26)' },
  { row: '6e', when: { ...earlier, ordered: free, place: 'behind' }, action: 'checksum', code: 'TDMF_LINEAGE_MIRROR_BEHIND', why: 'released entries of an earlier era are missing' },
  { row: '6m', when: { ...placed, ...doubtful, ordered: free, era: 'current', place: ['behind', 'unproven'] }, action: 'refuse', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'released entries are missing, and what is there is not ours' },

  { row: '7', when: { ...earlier, ordered: auto, place: 'within', map: 'continuous', since: 'changed' }, action: 'smart', why: 'the map holds every difference' },
  { row: '7w', when: { ...earlier, mirror: 'window', ordered: auto, place: 'within', map: 'continuous', since: 'equal' }, action: 'smart', why: 'equal, but for the window' },
  { row: '7k', when: { ...earlier, mirror: 'whole', own: 'known', ordered: auto, place: 'within', map: 'continuous', since: 'equal' }, action: 'smart', why: 'equal, but for what is known' },
  { row: '7e', when: { ...earlier, mirror: 'whole', own: 'none', ordered: free, place: 'within', map: 'continuous', since: 'equal' }, action: 'era', why: 'equal: nothing to copy' },
  { row: '7b', when: { ...earlier, ordered: auto, place: inside, map: 'unproven' }, action: 'checksum', why: 'the map may lack a difference' },
  { row: '7n', when: { ...earlier, ordered: auto, place: 'unproven', map: 'continuous' }, action: 'checksum', why: 'what the mirror may hold of that era is not known' },
  { row: '7p', when: { ...earlier, ordered: 'nothing', place: inside, map: 'broken' }, action: 'wait', code: 'TDMF_LINEAGE_UNTRACKED', why: 'PASSTHRU: nothing is automatic' },
  { row: '7q', when: { ...earlier, ordered: 'smart', place: inside, map: 'broken' }, action: 'checksum', code: 'TDMF_LINEAGE_UNTRACKED', why: 'upgraded (MD 13)' },

  { row: '8', when: { ...placed, ordered: quiet, era: 'newer' }, action: 'refuse', code: 'TDMF_LINEAGE_NEWER', why: 'the secondary is newer' },
  { row: '8n', when: { ...placed, ...bothKnow, own: 'none', ordered: 'smart', era: 'newer' }, action: 'smart', union: true, why: 'nothing was written there: a drill' },
  { row: '8k', when: { ...placed, own: ['known', 'unknown', 'unverified'], ordered: 'smart', era: 'newer' }, action: 'refuse', code: 'TDMF_LINEAGE_NEWER', why: 'what was written there is nowhere else' },
  { row: '8p', when: { ...placed, own: 'none', ordered: 'smart', era: 'newer', place: outside }, action: 'refuse', code: 'TDMF_LINEAGE_NEWER', why: 'nobody can say what was written there' },
  { row: '8m', when: { ...placed, own: 'none', ordered: 'smart', era: 'newer', place: 'within', map: notContinuous }, action: 'refuse', code: 'TDMF_LINEAGE_NEWER', why: 'the same' },
  { row: '9', when: { ...placed, ordered: quiet, era: 'split' }, action: 'refuse', code: 'TDMF_LINEAGE_SPLIT', why: 'both moved from a common base' },
  { row: '9a', when: { ...placed, ...bothKnow, ordered: 'smart', era: 'split' }, action: 'smart', union: true, why: 'the operator keeps this side; both know what they changed' },
  { row: '9p', when: { ...placed, ordered: 'smart', era: 'split', place: outside }, action: 'checksum', why: 'the operator keeps this side; all is compared' },
  { row: '9m', when: { ...placed, ordered: 'smart', era: 'split', place: 'within', map: notContinuous }, action: 'checksum', why: 'the same' },
  { row: '9u', when: { ...placed, ...doubtful, ordered: 'smart', era: 'split', place: 'within', map: 'continuous' }, action: 'checksum', why: 'the same' },

  { row: '10', when: { ...placed, ordered: auto, era: 'older' }, action: 'refuse', code: 'TDMF_LINEAGE_OLD', why: 'older than the base' },
  { row: '10c', when: { ...current, ordered: auto, own: 'unknown' }, action: 'refuse', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'modified by others: only a comparison of all can mend it' },
  { row: '10m', when: { ...placed, ordered: auto, own: 'unknown', era: 'earlier', place: notBeyond }, action: 'refuse', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the same' },
  { row: '10v', when: { ...placed, ordered: 'nothing', own: 'unverified', era: 'earlier', place: notBeyond }, action: 'refuse', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'nobody has verified it' },
  { row: '10w', when: { ...placed, ordered: 'smart', own: 'unverified', era: 'earlier', place: notBeyond }, action: 'checksum', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'upgraded' },

  { row: '1n', when: { ...good, ordered: 'normal', mirror: 'never' }, action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the operator says that it is equal' },
  { row: '11', when: { ...earlier, ordered: 'normal', place: 'within', map: 'continuous', since: 'changed' }, action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the operator takes it as it is' },
  { row: '11k', when: { ...earlier, mirror: 'whole', own: 'known', ordered: 'normal', place: 'within', map: 'continuous', since: 'equal' }, action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the same' },
  { row: '11w', when: { ...earlier, mirror: 'window', ordered: 'normal', place: 'within', map: 'continuous', since: 'equal' }, action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the same' },
  { row: '11n', when: { ...earlier, ordered: 'normal', place: 'unproven', map: 'continuous' }, action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the same' },
  { row: '11b', when: { ...earlier, ordered: 'normal', place: inside, map: notContinuous }, action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the same' },
  { row: '11m', when: { ...placed, ...doubtful, ordered: 'normal', era: 'earlier', place: notBeyond }, action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the same, of a modified one' },
  { row: '11o', when: { ...placed, ordered: 'normal', era: 'older' }, action: 'era', code: 'TDMF_LINEAGE_UNVERIFIED', why: 'the same, of an older one' },
];

export function decideLineage(primary: PrimarySide, secondary: SecondarySide): LineageDecision {
  const facts = gatherFacts(primary, secondary);
  const rows = matchingRows(facts);
  const [found] = rows;
  assert(found !== undefined && rows.length === 1, `one lineage row for ${JSON.stringify(facts)}`);
  const { row, action, code } = found;
  const union = found.union ?? (action === 'smart' && facts.own === 'known');
  const position = secondary.position?.sequence ?? 0;
  const ahead = facts.mirror === 'window' && primary.sentMax > position;
  const drain = drainsFirst(facts, action);
  const streams = action === 'resume' || drain;
  return {
    row,
    action,
    code,
    era: primary.era,
    from: streams ? position + 1 : primary.released + 1,
    sentMax: streams && ahead ? primary.sentMax : 0,
    drain,
    union,
    adopt: action === 'era' && code !== undefined,
  };
}

/** TRACKING, and the mirror is where the BAB goes on: that much history it gets in order (R1). */
function drainsFirst({ mirror, era, place, duty }: Facts, action: LineageAction): boolean {
  if (action !== 'smart' && action !== 'checksum' && action !== 'wait') return false;
  if (mirror !== 'whole' && mirror !== 'window') return false;
  return duty === 'track' && era === 'current' && place === 'within';
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

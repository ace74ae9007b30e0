/**
 * What the table of decide.ts looks at: the two sides of a handshake reduced to a few facts, each
 * one of a handful of words. All comparing of eras and sequences happens here, all deciding there.
 * A sequence alone means nothing: it is compared only within one era (H8).
 */
import { protocolVersion } from '../wire/frame.js';
import type { Welcome, WirePosition, WireRefreshKind } from '../wire/messages.js';

/** An era that is over, as far as the primary still knows it. */
export interface PastEra {
  readonly era: string;
  readonly released: number;
  readonly stamped: number;
}

/** What the primary knows of its own data when a secondary answers its `hello`. */
export interface PrimarySide {
  readonly nodeId: string;
  readonly loopback: boolean;
  /** The era of the entries in the BAB; the five numbers below are its sequences. */
  readonly era: string;
  /** First sequence of the era. */
  readonly s0: number;
  readonly stamped: number;
  /** Entries above it are all in the BAB. */
  readonly released: number;
  readonly sentMax: number;
  readonly lease: number;
  /** Last point known equal to the peer. */
  readonly base: WirePosition | undefined;
  /** Eras since `base`, and older ones. */
  readonly chain: readonly string[];
  readonly history: readonly string[];
  /** Ranges of `base.era` and of eras in `chain`, where known. */
  readonly past: readonly PastEra[];
  readonly map: 'continuous' | 'unproven' | 'broken';
  /** Anything in the map or hot. */
  readonly dirty: boolean;
  /** NORMAL: writes go to the BAB. False: TRACKING, what is in the BAB is only drained. */
  readonly appending: boolean;
  /** The refresh or backfresh that is open. */
  readonly refreshId: string | undefined;
  readonly refreshKind: WireRefreshKind | 'back' | undefined;
  /** It is carried out: what was in the BAB is in the map by now. */
  readonly running: boolean;
  /**
   * What an operator ordered and is not done: what the table's "operator may" is about. `normal`:
   * override state normal, the mirror is taken as it is where the table allows it (row 11).
   */
  readonly order: WireRefreshKind | 'back' | 'normal' | undefined;
}

export type SecondarySide = Pick<
  Welcome,
  | 'protocol'
  | 'nodeId'
  | 'state'
  | 'refreshId'
  | 'position'
  | 'durable'
  | 'base'
  | 'history'
  | 'checkpoint'
  | 'own'
>;

export const factValues = {
  peer: ['good', 'version', 'self', 'contradictory'],
  ordered: ['nothing', 'full', 'smart', 'checksum', 'back', 'normal'],
  /** `window`: replaying over itself (Rules 7b, 27). `mine`: its unfinished refresh is ours. */
  mirror: ['never', 'whole', 'window', 'mine', 'unfinished'],
  /** Where the era of the mirror stands in the history of the primary, or the other way round. */
  era: ['current', 'earlier', 'older', 'ahead', 'newer', 'split', 'unrelated'],
  /**
   * The sequence of the mirror within that era (Rule 26); of a mirror that has left the history of the
   * primary, the point where it left. `unproven`: nobody knows the bounds.
   */
  place: ['behind', 'within', 'beyond', 'unproven'],
  map: ['continuous', 'unproven', 'broken'],
  /** `equal`: the mirror is at the base, and nothing has changed or been released since. */
  since: ['equal', 'changed'],
  /**
   * What others wrote to the mirror: nothing, in blocks that are known, or nobody knows what.
   * `unverified`: nobody wrote there, but nobody has proven it equal either (row 11).
   */
  own: ['none', 'known', 'unknown', 'unverified'],
  /** `refresh`: one is carried out, what was in the BAB is in the map. */
  duty: ['append', 'track', 'refresh'],
} as const;

export type Facts = {
  readonly [Name in keyof typeof factValues]: (typeof factValues)[Name][number];
};

export function gatherFacts(primary: PrimarySide, secondary: SecondarySide): Facts {
  const era = judgeEra(primary, secondary);
  const map = judgeMap(primary);
  return {
    peer: judgePeer(primary, secondary),
    ordered: judgeOrder(primary),
    mirror: judgeMirror(primary, secondary),
    era,
    place:
      era === 'newer' || era === 'split'
        ? judgeFork(primary, secondary)
        : judgePlace(primary, secondary),
    map,
    since: judgeSince(primary, secondary),
    own: judgeOwn(secondary, map),
    duty: judgeDuty(primary),
  };
}

function judgePeer(primary: PrimarySide, secondary: SecondarySide): Facts['peer'] {
  const { position, durable } = secondary;
  if (secondary.protocol !== protocolVersion) return 'version';
  // One node id on both ends is this very host: a reflection, or a mistake in the file (H34).
  if (secondary.nodeId === primary.nodeId && !primary.loopback) return 'self';
  if (position !== undefined && durable !== undefined) {
    if (position.era !== durable.era || position.sequence < durable.sequence) {
      return 'contradictory';
    }
  }
  return 'good';
}

function judgeMirror(primary: PrimarySide, secondary: SecondarySide): Facts['mirror'] {
  const { state, refreshId, position } = secondary;
  switch (state) {
    case 'never':
      return state;
    case 'coherent':
    case 'recoverable':
    case 'unknown':
      // Of an unknown one the lineage is known all the same; `own` says that its content is not.
      return 'whole';
    case 'incoherent':
      if (refreshId !== undefined) {
        return refreshId === primary.refreshId && primary.refreshKind !== 'back'
          ? 'mine'
          : 'unfinished';
      }
      // Without a position it is no window that entries could close: it is damage.
      return position === undefined ? 'unfinished' : 'window';
  }
}

function judgeOwn({ state, own, checkpoint }: SecondarySide, map: Facts['map']): Facts['own'] {
  // Under a checkpoint the mirror is the applications' for the time being, and the journal is ours.
  if (checkpoint === 'on') return 'none';
  if (state !== 'unknown' || own.changes !== 'none') return own.changes;
  // A primary that has taken it as it was knows that its map is unproven: it compares all.
  return map === 'continuous' ? 'unverified' : 'none';
}

function judgeMap({ map, order, appending }: PrimarySide): Facts['map'] {
  // An override that may have reached the mirror, or not, before NORMAL ended: what it took was unproven.
  return order === 'normal' && !appending && map === 'continuous' ? 'unproven' : map;
}

function judgeOrder({ order, appending }: PrimarySide): Facts['ordered'] {
  // The operator said that about NORMAL: after an overflow nothing is equal by his word any more.
  return order === undefined || (order === 'normal' && !appending) ? 'nothing' : order;
}

function judgeDuty({ running, appending }: PrimarySide): Facts['duty'] {
  if (running) return 'refresh';
  return appending ? 'append' : 'track';
}

function judgeEra(primary: PrimarySide, secondary: SecondarySide): Facts['era'] {
  const { position, base, history } = secondary;
  const mirrorEra = position?.era;
  if (mirrorEra === undefined) return 'unrelated';
  if (mirrorEra === primary.era) return 'current';
  if (mirrorEra === primary.base?.era || primary.chain.includes(mirrorEra)) return 'earlier';
  if (primary.history.includes(mirrorEra)) return 'older';
  const known = (era: string | undefined) =>
    era !== undefined && (base?.era === era || history.includes(era));
  if (known(primary.era)) {
    // An era of the secondary's own making (reco) begins at its base; without one, the newer era
    // was this primary's, and it has forgotten it.
    if (base === undefined || base.era === mirrorEra) return 'ahead';
    const included = base.era !== primary.era || primary.stamped <= base.sequence;
    return included && !primary.dirty ? 'newer' : 'split';
  }
  const common = [primary.base?.era, ...primary.chain, ...primary.history].some(known);
  return common ? 'split' : 'unrelated';
}

function judgePlace(primary: PrimarySide, secondary: SecondarySide): Facts['place'] {
  const { position, durable } = secondary;
  if (position === undefined) return 'unproven';
  return placeOf(primary, position, durable?.sequence ?? 0);
}

/** Where a mirror with a history of its own left ours: that much of ours is in it for certain. */
function judgeFork(primary: PrimarySide, { base }: SecondarySide): Facts['place'] {
  return base === undefined ? 'unproven' : placeOf(primary, base, base.sequence);
}

function placeOf(primary: PrimarySide, position: WirePosition, durable: number): Facts['place'] {
  const bounds = boundsOf(primary, position.era);
  const { base } = primary;
  // Of the era of the base nothing else need be known: the map has everything since this very point.
  const atBase = base?.era === position.era && base.sequence === position.sequence;
  if (atBase && durable === position.sequence && bounds.stamped === undefined) return 'within';
  if (bounds.released !== undefined && durable < bounds.released) return 'behind';
  if (bounds.stamped === undefined) return 'unproven';
  return position.sequence > bounds.stamped ? 'beyond' : 'within';
}

interface Bounds {
  readonly released: number | undefined;
  readonly stamped: number | undefined;
}

/** Rule 26: released ≤ durable, and no position above what was stamped, let alone leased. */
function boundsOf(primary: PrimarySide, era: string): Bounds {
  if (era === primary.era) {
    const stamped = Math.min(primary.stamped, primary.lease);
    return { released: Math.max(primary.released, primary.s0 - 1), stamped };
  }
  const past = primary.past.find((one) => one.era === era);
  if (past !== undefined) return past;
  if (primary.base?.era !== era) return { released: undefined, stamped: undefined };
  return { released: primary.base.sequence, stamped: undefined };
}

function judgeSince(primary: PrimarySide, secondary: SecondarySide): Facts['since'] {
  const { base, s0, released, dirty } = primary;
  const { position, durable } = secondary;
  const atBase =
    base !== undefined &&
    position?.era === base.era &&
    position.sequence === base.sequence &&
    durable?.sequence === base.sequence;
  return atBase && !dirty && released < s0 ? 'equal' : 'changed';
}

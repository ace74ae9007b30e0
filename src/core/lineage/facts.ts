/**
 * What the table of decide.ts looks at: the two sides of a handshake reduced to a few facts, each
 * one of a handful of words. All comparing of eras and sequences happens here, all deciding there.
 * A sequence alone means nothing: it is compared only within one era (H8).
 */
import { protocolVersion } from '../wire/frame.js';
import type { Welcome, WirePosition } from '../wire/messages.js';

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
  /** Of the full refresh that an operator ordered and that is not committed yet. */
  readonly refreshId: string | undefined;
}

export type SecondarySide = Pick<
  Welcome,
  'protocol' | 'nodeId' | 'state' | 'refreshId' | 'position' | 'durable' | 'base' | 'history'
>;

export const factValues = {
  peer: ['good', 'version', 'self', 'contradictory'],
  /** Whether an operator's full refresh is open. */
  ordered: ['nothing', 'full'],
  /** `window`: replaying over itself (Rules 7b, 27). `mine`: its unfinished refresh is ours. */
  mirror: ['never', 'whole', 'window', 'mine', 'unfinished', 'unknown'],
  /** Where the era of the mirror stands in the history of the primary, or the other way round. */
  era: ['current', 'earlier', 'older', 'ahead', 'newer', 'split', 'unrelated'],
  /** The sequence of the mirror within that era (Rule 26). `unproven`: nobody knows its bounds. */
  place: ['behind', 'within', 'beyond', 'unproven'],
  map: ['continuous', 'unproven', 'broken'],
  /** `equal`: the mirror is at the base, and nothing has changed or been released since. */
  since: ['equal', 'changed'],
  duty: ['append', 'track'],
} as const;

export type Facts = {
  readonly [Name in keyof typeof factValues]: (typeof factValues)[Name][number];
};

export function gatherFacts(primary: PrimarySide, secondary: SecondarySide): Facts {
  return {
    peer: judgePeer(primary, secondary),
    ordered: primary.refreshId === undefined ? 'nothing' : 'full',
    mirror: judgeMirror(primary, secondary),
    era: judgeEra(primary, secondary),
    place: judgePlace(primary, secondary),
    map: primary.map,
    since: judgeSince(primary, secondary),
    duty: primary.appending ? 'append' : 'track',
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
    case 'unknown':
      return state;
    case 'coherent':
    case 'recoverable':
      return 'whole';
    case 'incoherent':
      if (refreshId !== undefined) return refreshId === primary.refreshId ? 'mine' : 'unfinished';
      // Without a position it is no window that entries could close: it is damage.
      return position === undefined ? 'unfinished' : 'window';
  }
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
  const bounds = boundsOf(primary, position.era);
  const firm = durable?.sequence ?? 0;
  if (bounds.released !== undefined && firm < bounds.released) return 'behind';
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

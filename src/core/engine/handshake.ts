/**
 * The primary's side of the handshake as plain values: what `hello` says, and what the lineage table
 * is asked. The group names the era whose entries are in the BAB, and the control block has their
 * numbers; when the two name different eras there is nothing of that era in the BAB.
 */
import type { EraWords } from '../bab/control.js';
import type { PastEra, PrimarySide } from '../lineage/facts.js';
import type { GroupRecord, MapContinuity } from '../pstore/record.js';
import type { WirePosition, WireRefreshKind } from '../wire/messages.js';

/** What the group says (messages.ts: PrimaryLineage). */
export interface RecordedLineage {
  readonly nodeId: string;
  readonly era: string;
  readonly s0: number;
  readonly lease: number;
  readonly base: WirePosition | undefined;
  readonly chain: readonly string[];
  readonly history: readonly string[];
  readonly map: 'continuous' | 'unproven' | 'broken';
  readonly dirty: boolean;
  readonly appending: boolean;
  readonly past: readonly PastEra[];
  readonly refreshId: string | undefined;
  readonly refreshKind: WireRefreshKind | 'back' | undefined;
  readonly order: WireRefreshKind | 'back' | 'normal' | undefined;
}

/**
 * What may be said of the map. A mirror that was taken as it was, or may have been, need not differ only
 * where the map says: as long as no refresh has proven it, the map is unproven, but for the override itself,
 * which may still find that nothing is missing (row 11).
 */
export function mapToldOf(
  { map, adopting, unverified }: Pick<GroupRecord, 'map' | 'adopting' | 'unverified'>,
  order: RecordedLineage['order'],
): MapContinuity {
  const doubtful = (adopting || unverified) && order !== 'normal';
  return doubtful && map === 'continuous' ? 'unproven' : map;
}

/** The refresh that is open, whatever the record says by now; all undefined: none. */
export interface OpenRefresh extends Pick<RecordedLineage, 'refreshId' | 'refreshKind' | 'order'> {
  /** It is carried out. */
  readonly running: boolean;
}

/** What the BAB says now. */
export interface BabSide extends EraWords {
  /** Entries of the era above this sequence are all in the BAB. */
  readonly released: number;
  readonly sentMax: number;
}

export function primarySide(
  lineage: RecordedLineage,
  bab: BabSide,
  loopback: boolean,
  open: OpenRefresh,
): PrimarySide {
  const { nodeId, base, chain, history, past, map, dirty, appending } = lineage;
  const common = { nodeId, loopback, base, chain, history, past, map, dirty, appending, ...open };
  const { era } = lineage;
  if (bab.generation === 0 || bab.era !== era) {
    const { s0, lease } = lineage;
    const before = s0 - 1;
    // What an earlier process may have sent is at most what it stamped.
    const numbers = { stamped: before, released: before, sentMax: before };
    return { ...common, era, s0, lease, ...numbers };
  }
  const { first, stamped, released, sentMax } = bab;
  const lease = Math.max(lineage.lease, bab.lease);
  return { ...common, era, s0: first, stamped, released, sentMax, lease };
}

/**
 * The primary's side of the handshake as plain values: what `hello` says, and what the lineage table
 * is asked. The group names the era whose entries are in the BAB, and the control block has their
 * numbers; when the two name different eras there is nothing of that era in the BAB.
 */
import type { EraWords } from '../bab/control.js';
import type { PrimarySide } from '../lineage/facts.js';
import type { WirePosition } from '../wire/messages.js';

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
  readonly refreshId: string | undefined;
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
  refreshId: string | undefined,
): PrimarySide {
  const { nodeId, base, chain, history, map, dirty } = lineage;
  const common = { nodeId, loopback, base, chain, history, past: [], map, dirty, refreshId };
  const { era, appending } = lineage;
  if (bab.generation === 0 || bab.era !== era) {
    const { s0, lease } = lineage;
    const before = s0 - 1;
    // What an earlier process may have sent is at most what it stamped.
    const numbers = { stamped: before, released: before, sentMax: before };
    return { ...common, era, s0, lease, appending, ...numbers };
  }
  const { first, stamped, released, sentMax } = bab;
  const lease = Math.max(lineage.lease, bab.lease);
  return { ...common, era, s0: first, stamped, released, sentMax, lease, appending };
}

/**
 * The primary's side of the handshake as plain values: what `hello` says, and what the lineage table
 * is asked. Entries in the BAB belong to the era of the control block, which may be older than the
 * era of the group's record (after an overflow they drain, T2); before the driver has begun an era
 * the record is all there is.
 */
import type { EraWords } from '../bab/control.js';
import type { PrimarySide } from '../lineage/facts.js';
import type { WirePosition } from '../wire/messages.js';

/** What the group's record says (messages.ts: PrimaryLineage). */
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
  const known = bab.generation > 0 && eraIsOurs(lineage, bab.era);
  if (!known) {
    const before = lineage.s0 - 1;
    const { era, s0, lease, appending } = lineage;
    return { ...common, era, s0, lease, appending, stamped: before, released: before, sentMax: 0 };
  }
  const { era, first, stamped, released, sentMax } = bab;
  const current = era === lineage.era;
  return {
    ...common,
    era,
    s0: first,
    stamped,
    released,
    sentMax,
    lease: current ? Math.max(lineage.lease, bab.lease) : bab.lease,
    appending: current && lineage.appending,
  };
}

function eraIsOurs({ era, base, chain }: RecordedLineage, babEra: string): boolean {
  return babEra === era || babEra === base?.era || chain.includes(babEra);
}

/**
 * The tunables that the group's own decisions and its neighbours need, as numbers. Their values were
 * checked when they were set; one that is missing has its default.
 */
import { chunkSizeDefaultKb, refreshTimeoutDefault } from '../core/constants.js';
import type { GroupMode, GroupRecord } from '../core/pstore/record.js';
import type { PmdMessage } from './messages.js';

type Tunables = GroupRecord['tunables'];
export type ChunkTunables = Omit<Extract<PmdMessage, { type: 'pmd.tunables' }>, 'type'>;

export interface SyncTunables {
  /** 0: nobody waits for the secondary. */
  readonly depth: number;
  readonly timeoutMs: number;
}

const numberOf = (tunables: Tunables, name: string, otherwise: number): number =>
  Number(tunables[name] ?? otherwise);

/** REFRESHTIMEOUT in ms; negative: for ever (MD 12). */
export function refreshTimeoutMsOf(tunables: Tunables): number {
  const seconds = numberOf(tunables, 'REFRESHTIMEOUT', refreshTimeoutDefault);
  return seconds < 0 ? -1 : seconds * 1000;
}

export function chunksOf(tunables: Tunables): ChunkTunables {
  return {
    chunkSizeKb: numberOf(tunables, 'CHUNKSIZE', chunkSizeDefaultKb),
    chunkDelayMs: numberOf(tunables, 'CHUNKDELAY', 0),
  };
}

/** Writers wait for the secondary in NORMAL only (MD 7). */
export function syncOf(tunables: Tunables, mode: GroupMode): SyncTunables {
  const on = ['Y', 'y', '1', 'on', true, 1].includes(tunables['SYNCMODE'] ?? 'N');
  if (!on || mode !== 'normal') return { depth: 0, timeoutMs: 0 };
  return {
    depth: numberOf(tunables, 'SYNCMODEDEPTH', 1),
    timeoutMs: numberOf(tunables, 'SYNCMODETIMEOUT', 30) * 1000,
  };
}

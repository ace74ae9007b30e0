/**
 * Where the tunables of a group go: to the driver (sync mode) and to the PMD (chunks, compression,
 * the rate of refreshes), at the start of the group and whenever they were set, once the record has
 * them durably (I6). REFRESHTIMEOUT and WRITEAHEAD are read from the record where they are needed.
 * Also what the driver says of sync mode: whether writers wait, or do not although they should.
 */
import { TdmfError } from '../core/errors.js';
import { parseTunables, type Tunables, type TunableValues, tunablesOf } from '../core/tunables.js';
import type { Clock } from '../ports/clock.js';
import type { GroupCommands } from './group-commands.js';
import type { GroupNews } from './group-news.js';
import type { ChunkTunables } from './pmd-options.js';

/** Sync mode as `info` shows it. */
export interface SyncStatus {
  readonly mode: 'async' | 'near-sync' | 'sync';
  readonly depth: number;
  readonly timeoutSeconds: number;
  /** Writers do not wait although they should: the secondary did not answer in time (Rule 40). */
  readonly degraded: boolean;
}

export class GroupTunables {
  readonly #commands: GroupCommands;
  readonly #news: GroupNews;
  readonly #clock: Clock;
  #degraded: boolean;
  #applied: TunableValues | undefined;

  #changedAtMs: number;

  constructor(commands: GroupCommands, news: GroupNews, clock: Clock, degraded: boolean) {
    this.#clock = clock;
    this.#changedAtMs = clock.now();
    this.#commands = commands;
    this.#news = news;
    this.#degraded = degraded;
  }

  /** Before the duties at a start: no write is answered under a setting that was never in force. */
  apply(told: TunableValues): void {
    if (told === this.#applied) return;
    this.#applied = told;
    const all = tunablesOf(told);
    const depth = all.SYNCMODE ? all.SYNCMODEDEPTH : 0;
    this.#commands.sync(depth, all.SYNCMODETIMEOUT * 1000);
    if (depth === 0) this.#degraded = false;
    this.#commands.tuneLink(linkTunables(all));
  }

  /** Writers no longer wait for the secondary, or do again. */
  syncDegraded(degraded: boolean, waited: number): void {
    if (degraded === this.#degraded) return;
    this.#degraded = degraded;
    const now = this.#clock.now();
    if (degraded) this.#news.publish('sync.timedOut', { waited });
    else this.#news.publish('sync.restored', { seconds: (now - this.#changedAtMs) / 1000 });
    this.#changedAtMs = now;
  }
}

/**
 * What an operator asked for, under proper names.
 * @throws TDMF_TUNABLE_INVALID
 */
export function checkedTunables(given: TunableValues): TunableValues {
  const parsed = parseTunables(given);
  if ('problem' in parsed) throw new TdmfError('TDMF_TUNABLE_INVALID', { problem: parsed.problem });
  return parsed.value;
}

/** REFRESHTIMEOUT in ms; negative: for ever (MD 12). */
export function refreshTimeoutMsOf(told: TunableValues): number {
  const seconds = tunablesOf(told).REFRESHTIMEOUT;
  return seconds < 0 ? -1 : seconds * 1000;
}

export function linkTunables(all: Tunables): ChunkTunables {
  return {
    chunkSizeKb: all.CHUNKSIZE,
    chunkDelayMs: all.CHUNKDELAY,
    compression: all.COMPRESSION,
    refreshRateKb: all.REFRESHRATE,
  };
}

export function syncStatus(told: TunableValues, degraded: boolean): SyncStatus {
  const { SYNCMODE, SYNCMODEDEPTH: depth, SYNCMODETIMEOUT } = tunablesOf(told);
  const mode = SYNCMODE ? (depth === 1 ? 'sync' : 'near-sync') : 'async';
  return { mode, depth, timeoutSeconds: SYNCMODETIMEOUT, degraded: SYNCMODE && degraded };
}

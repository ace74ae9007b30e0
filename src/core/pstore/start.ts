/**
 * In which mode a group starts, from what its record says: one row per situation, the safe side for
 * everything that is not provably as it was left (H33, Rule 8a). The record that comes out is not
 * clean and must be durable before the driver takes its first write. `dirt` says what the maps in
 * memory begin with (Rule 36: what may differ is compared, not copied).
 *
 *   no record                    PASSTHRU   first start
 *   PASSTHRU                     PASSTHRU   stays: nothing was promised; a map that went on goes on
 *   BACKFRESH                    BACKFRESH  stays: it goes on behind its cursor
 *   not clean                    TRACKING   new era; hot and persisted map may differ
 *   clean, devices as they were  the mode it was stopped in
 *   clean, devices changed       TRACKING   everything unproven
 *   restarted within one tdmfd   the mode it was in: the shared memory outlived the actors (H23)
 */

import type { TunableValue } from './record.js';
import {
  type DeviceStamp,
  firstRecord,
  type GroupRecord,
  type RecordedRefresh,
  type RecordPosition,
  withLease,
  withNewEra,
} from './record.js';

export interface StartFacts {
  readonly group: number;
  readonly devices: readonly DeviceStamp[];
  /** Initial values; afterwards the record is the truth. */
  readonly tunables: Readonly<Record<string, TunableValue>>;
  /** Fresh random ids, 32 hex digits each. */
  readonly newEra: string;
  readonly newRefreshId: string;
  /** The actors crashed, tdmfd did not: BAB, maps and the slots of writes in flight are whole. */
  readonly restarted: boolean;
  /** The pstore knows what is hot and dirty on every device, and believes it (Rule 28a). */
  readonly heatKnown: boolean;
  /** What the secondary had of its eras, as the pstore heard later than the record (Rule 26). */
  readonly released: readonly RecordPosition[];
}

export type StartRow =
  | 'first'
  | 'unprotected'
  | 'backfresh'
  | 'unclean'
  | 'asLeft'
  | 'devicesChanged'
  | 'restarted';

/**
 * What the maps begin with: what they hold, nothing, what a clean stop saved (or, when that cannot be
 * read, as `persisted`), what the pstore has hot or dirty, every block.
 */
export type StartDirt = 'kept' | 'none' | 'saved' | 'persisted' | 'all';

export interface StartDecision {
  readonly row: StartRow;
  readonly dirt: StartDirt;
  readonly record: GroupRecord;
  /** What differs from the record, for the event; empty when nothing does. */
  readonly changes: readonly string[];
}

export function decideStart(record: GroupRecord | undefined, facts: StartFacts): StartDecision {
  const { group, devices, tunables, newEra } = facts;
  if (record === undefined) {
    const first = firstRecord(group, newEra, devices, tunables);
    return { row: 'first', record: first, dirt: 'none', changes: [] };
  }
  // A checkpoint marker that was not effective went with the BAB (MD 28).
  const lost = record.checkpoint === 'pending' && !facts.restarted;
  const checkpoint = lost ? 'off' : record.checkpoint;
  const cleared = { ...record, checkpoint, clean: false, savedMap: undefined, devices };
  const started = withReleased(cleared, facts.released);
  const saved = record.clean && record.savedMap !== undefined;
  if (facts.restarted) {
    return { row: 'restarted', record: restarted(started, facts), dirt: 'kept', changes: [] };
  }
  // Times are those of a stop; without a stop they say nothing.
  const stamps = record.clean ? record.devices : record.devices.map(withoutTime);
  const changes = deviceChanges(stamps, devices);
  if (record.mode === 'passthru') {
    const row = record.clean ? 'asLeft' : 'unprotected';
    if (record.map === 'broken' || record.localState === 'incoherent') {
      return { row, record: withBrokenMap(started, newEra), dirt: 'none', changes };
    }
    // By override: the map goes on, as it does in TRACKING (Rule 10c).
    const doubtful = changes.length > 0 || !facts.heatKnown;
    const known = doubtful ? withUnprovenMap(started) : started;
    const stays = record.clean ? known : withNewEra(known, newEra);
    return { row, record: stays, dirt: dirtOf(stays, saved && !doubtful), changes };
  }
  if (record.mode === 'backfresh') {
    const doubtful = changes.length > 0 || !facts.heatKnown;
    const known = doubtful ? withUnprovenMap(started) : started;
    const stays = record.clean ? known : withNewEra(known, newEra);
    return { row: 'backfresh', record: stays, dirt: dirtOf(stays, saved), changes };
  }
  if (!record.clean || changes.length > 0) {
    const doubtful = changes.length > 0 || !facts.heatKnown;
    const tracking: GroupRecord = {
      ...withNewEra(doubtful ? withUnprovenMap(started) : started, newEra),
      mode: 'tracking',
      refresh: laterRefresh(record, facts),
      unverified: started.unverified || changes.length > 0,
    };
    const row = record.clean ? 'devicesChanged' : 'unclean';
    return { row, record: tracking, dirt: dirtOf(tracking, false), changes };
  }
  if (record.mode === 'refresh') {
    const again = refreshAgain(started, facts);
    return { row: 'asLeft', record: again, dirt: dirtOf(again, saved), changes };
  }
  if (record.mode === 'normal') {
    // Drained, or it would be TRACKING. By override it may be NORMAL with dirt (Rule 11).
    const same = withLease(started, started.sequence);
    const dirt = record.unverified ? dirtOf(same, saved) : 'none';
    return { row: 'asLeft', record: same, dirt, changes };
  }
  return { row: 'asLeft', record: started, dirt: dirtOf(started, saved), changes };
}

function dirtOf({ mapAll }: GroupRecord, saved: boolean): StartDirt {
  if (mapAll) return 'all';
  return saved ? 'saved' : 'persisted';
}

/** Nobody knows what differs; that something was not tracked at all is worse, and stays so. */
function withUnprovenMap(record: GroupRecord): GroupRecord {
  return { ...record, map: record.map === 'broken' ? 'broken' : 'unproven', mapAll: true };
}

/** R10: what an operator ordered goes on under another id; a smart refresh begins by itself. */
function laterRefresh(
  record: GroupRecord,
  { newRefreshId }: StartFacts,
): RecordedRefresh | undefined {
  const { refresh } = record;
  const goesOn =
    refresh?.ordered === true && (refresh.kind === 'full' || refresh.kind === 'checksum');
  return goesOn ? { ...refresh, id: newRefreshId } : undefined;
}

/** Rule 26: what had left the BAB is at least what the pstore noted when it cooled a region. */
function withReleased(record: GroupRecord, heard: readonly RecordPosition[]): GroupRecord {
  const later = (era: string, released: number) =>
    heard.reduce((most, one) => (one.era === era ? Math.max(most, one.sequence) : most), released);
  return {
    ...record,
    released: later(record.era, record.released),
    past: record.past.map((one) => ({ ...one, released: later(one.era, one.released) })),
  };
}

/** The era goes on where entries were appended in it: none was lost (Rule 8a). */
function restarted(record: GroupRecord, facts: StartFacts): GroupRecord {
  if (record.mode === 'refresh') return refreshAgain(record, facts);
  return record;
}

/** From the start: which blocks were under way is not known any more. */
function refreshAgain(record: GroupRecord, { newEra, newRefreshId }: StartFacts): GroupRecord {
  const kind = record.refresh?.kind ?? 'full';
  return {
    ...withNewEra(record, newEra),
    mapAll: record.mapAll || kind !== 'smart',
    refresh: { id: newRefreshId, kind, ordered: record.refresh?.ordered ?? true },
  };
}

/** Rule 10c: the first write that nobody remembers is preceded by this, durably. */
function withBrokenMap(record: GroupRecord, era: string): GroupRecord {
  return record.map === 'broken' ? record : { ...withNewEra(record, era), map: 'broken' };
}

export function deviceChanges(
  before: readonly DeviceStamp[],
  now: readonly DeviceStamp[],
): readonly string[] {
  if (namesOf(before) !== namesOf(now)) {
    return [`the devices were ${namesOf(before) || 'none'} and are ${namesOf(now) || 'none'}`];
  }
  return now.flatMap(({ name, sizeBytes, mtimeMs }, index) => {
    const old = before[index]!;
    if (old.sizeBytes !== sizeBytes) {
      return [`${name} had ${old.sizeBytes} bytes and has ${sizeBytes}`];
    }
    const known = old.mtimeMs !== 0 && mtimeMs !== 0;
    return !known || old.mtimeMs === mtimeMs
      ? []
      : [`${name} was written to while the group was stopped`];
  });
}

const withoutTime = (stamp: DeviceStamp): DeviceStamp => ({ ...stamp, mtimeMs: 0 });

function namesOf(stamps: readonly DeviceStamp[]): string {
  return stamps.map(({ name }) => name).join(' ');
}

/**
 * In which mode a group starts, from what its record says: one row per situation, the safe side for
 * everything that is not provably as it was left (H33, Rule 8a). The record that comes out is not
 * clean and must be durable before the driver takes its first write.
 *
 *   no record                    PASSTHRU   first start
 *   not clean, was PASSTHRU      PASSTHRU   stays: nothing was promised
 *   not clean                    PASSTHRU   changes may be unknown: asks for a full refresh
 *   clean, devices as they were  the mode it was stopped in
 *   clean, devices changed       TRACKING   everything unproven (PASSTHRU stays PASSTHRU)
 *   restarted within one tdmfd   the mode it was in: the shared memory outlived the actors (H23)
 */

import type { TunableValue } from './record.js';
import {
  type DeviceStamp,
  firstRecord,
  type GroupRecord,
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
}

export type StartRow =
  | 'first'
  | 'unprotected'
  | 'unclean'
  | 'asLeft'
  | 'devicesChanged'
  | 'restarted';

export interface StartDecision {
  readonly row: StartRow;
  readonly record: GroupRecord;
  /** What differs from the record, for the event; empty when nothing does. */
  readonly changes: readonly string[];
}

export function decideStart(record: GroupRecord | undefined, facts: StartFacts): StartDecision {
  const { group, devices, tunables, newEra } = facts;
  if (record === undefined) {
    return { row: 'first', record: firstRecord(group, newEra, devices, tunables), changes: [] };
  }
  const started = { ...record, clean: false, devices };
  if (facts.restarted) return { row: 'restarted', record: restarted(started, facts), changes: [] };
  const changes = deviceChanges(record.devices, devices);
  if (record.mode === 'passthru' || record.mode === 'backfresh') {
    const row = record.clean ? 'asLeft' : 'unprotected';
    return { row, record: withBrokenMap(started, newEra), changes };
  }
  if (!record.clean) {
    const lost: GroupRecord = {
      ...withNewEra(started, newEra),
      mode: 'passthru',
      map: 'broken',
      mapAll: true,
      refresh: undefined,
      unverified: true,
    };
    return { row: 'unclean', record: lost, changes };
  }
  if (changes.length > 0) {
    const unproven: GroupRecord = {
      ...withNewEra(started, newEra),
      mode: 'tracking',
      map: 'unproven',
      mapAll: true,
      refresh: undefined,
      unverified: true,
    };
    return { row: 'devicesChanged', record: unproven, changes };
  }
  if (record.mode === 'refresh') {
    return { row: 'asLeft', record: refreshAgain(started, facts), changes };
  }
  const same = record.mode === 'normal' ? withLease(started, started.sequence) : started;
  return { row: 'asLeft', record: same, changes };
}

/** The era goes on where entries were appended in it: none was lost (Rule 8a). */
function restarted(record: GroupRecord, facts: StartFacts): GroupRecord {
  if (record.mode === 'refresh') return refreshAgain(record, facts);
  return record.mode === 'passthru' ? withBrokenMap(record, facts.newEra) : record;
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

function namesOf(stamps: readonly DeviceStamp[]): string {
  return stamps.map(({ name }) => name).join(' ');
}

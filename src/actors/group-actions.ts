/**
 * The mode machine with its actions filled in: what each name means as a change of the record, a
 * message to a neighbour, or an event. One line each; the order in which they happen, and whether,
 * is the machine's decision (machines/group-mode.ts).
 */
import { assert } from '../core/assert.js';
import { type RecordedRefresh, withCommit, withNewEra } from '../core/pstore/record.js';
import {
  backoffMs,
  type GroupModeEvent,
  groupModeMachine,
  pauseMs,
} from '../machines/group-mode.js';
import { backfreshActions } from './group-backfresh-actions.js';
import { checkpointActions } from './group-checkpoint-actions.js';
import { type GroupHands, randomId } from './group-hands.js';

/** What the machine asks of the one who runs it. */
export interface GroupSelf {
  /** Behind the step that is being made. */
  send(event: GroupModeEvent): void;
  /** Repeats what the lineage table said of this session, with what is ordered by now. */
  judge(): void;
  /** Sends `pmd.drained` as soon as the BAB is empty. */
  watchDrain(): void;
  /** Sends `turn.taken` when this group may refresh by itself. */
  takeTurn(): void;
  /** The secondary adds its own dirt in this session (Rule 10b). */
  union(): boolean;
}

const upgradeReasons = {
  map: 'changes were not tracked in PASSTHRU',
  lineage: 'the map does not have every difference to this mirror',
} as const;

/** `send`: an event that an action finds out, behind the present step. */
export function groupMachineOf(hands: GroupHands, self: GroupSelf) {
  const { context, control, keeper, commands, news } = hands;
  const { random, clock } = context;
  /** A refresh that has left the record is still the one that is spoken of. */
  const refreshId = (): string => {
    const id = keeper.record.refresh?.id ?? news.meter?.refreshId;
    assert(id !== undefined, 'there is a refresh');
    return id;
  };
  const beginRecorded = (refresh: RecordedRefresh, everything: boolean): void => {
    // A map that knows nothing becomes one that may lack something, because from now on it is kept.
    keeper.change((record) => ({
      ...record,
      refresh,
      map: record.map === 'broken' ? 'unproven' : record.map,
      mapAll: record.mapAll || everything || record.map === 'broken',
    }));
    news.startMeter(refresh);
  };
  const markerArrived = (): boolean => {
    const { marker } = hands;
    if (marker === undefined) return control.pending === 0;
    const { era, released, past } = hands.current(keeper.record);
    const known = era === marker.era ? released : past.find((one) => one.era === marker.era);
    const upTo = typeof known === 'object' ? known.released : (known ?? 0);
    return upTo >= marker.sequence;
  };
  return groupModeMachine.provide({
    actions: {
      ...backfreshActions(hands),
      ...checkpointActions(hands, (event) => self.send(event)),

      recordMode: (_, { mode, cause }) => {
        if (keeper.record.mode === 'normal' && mode !== 'normal') hands.cutAt = clock.wallNow();
        hands.causes.set(mode, cause);
        keeper.change((record) => ({ ...record, mode }));
      },
      recordPmd: (_, { launched }) =>
        keeper.change((record) => ({
          ...record,
          pmdLaunched: launched,
          launch: launched ? randomId(random) : record.launch,
        })),
      recordCommit: (_, { position }) => {
        commands.committed();
        keeper.change((record) => withCommit(record, position));
      },
      recordRefresh: (_, { kind, ordered }) =>
        beginRecorded({ id: randomId(random), kind, ordered }, kind !== 'smart'),
      resumeRecorded: () => {
        const { refresh } = keeper.record;
        assert(refresh !== undefined, 'there is a refresh to go on with');
        news.startMeter(refresh);
      },
      recordUpgrade: () => {
        // Another refresh: what the secondary has of the smart one was chosen by the map.
        const ordered = keeper.record.refresh?.ordered ?? false;
        beginRecorded({ id: randomId(random), kind: 'checksum', ordered }, true);
      },
      endRefresh: () => keeper.change((record) => ({ ...record, refresh: undefined })),
      beginEra: () => {
        if (keeper.record.era === hands.unusedEra) return;
        hands.unusedEra = randomId(random);
        const era = hands.unusedEra;
        keeper.change((record) => withNewEra(hands.current(record), era));
      },
      clearMapAll: () => keeper.change((record) => ({ ...record, mapAll: false })),
      revertRecord: () => {
        keeper.change(() => keeper.durable);
        hands.unusedEra = undefined;
      },
      persist: () => keeper.persist(),

      useEra: (_, { attempt }) => {
        const { durable, record } = keeper;
        assert(durable.era === record.era, 'an era is durable before an entry of it (Rule 8a)');
        hands.unusedEra = undefined;
        const { era, generation, first } = control.readEra();
        // Restarted actors: the driver recovered this era from the control block (H23).
        if (generation > 0 && era === durable.era) commands.keepEra({ era, first }, durable.lease);
        else commands.useEra(durable, attempt);
      },
      setDuties: (_, { append, mark }) => commands.setDuties(append, mark),
      markAllBlocks: () => commands.markAll(keeper.record.refresh?.kind !== 'full'),
      restoreMap: () => {
        // Nobody knows what of it differs, so it is compared (Rule 17).
        if (keeper.record.mapAll) commands.markAll(true);
      },
      clearBab: () => commands.clearBab(),
      takeMark: () => commands.takeMark(),
      commitDriver: () => commands.commit(),

      launchPmd: () => {
        commands.tellLineage(keeper.durable);
        commands.launch(keeper.record.launch ?? randomId(random));
      },
      killPmd: () => commands.kill(),
      dropEntries: () => {
        if (keeper.record.checkpoint === 'pending' && !markerArrived()) {
          self.send({ type: 'checkpoint.markerLost' });
        }
        commands.drop();
      },
      startPhaseA: () => {
        commands.tellLineage(keeper.durable);
        const { refresh } = keeper.record;
        assert(refresh !== undefined && refresh.kind !== 'back', 'a refresh is recorded');
        commands.refresh(refresh.id, refresh.kind, self.union());
      },
      startPhaseB: () => {
        commands.tellLineage(keeper.durable);
        commands.phaseB(refreshId());
      },
      sendMark: (_, { sequence }) => commands.mark(refreshId(), sequence),
      abortPhaseB: (_, { again }) => commands.abort(refreshId(), again),

      publishOverflow: (_, { sequence }) => {
        const era = commands.babEra?.era ?? keeper.durable.era;
        news.publish('bab.overflowed', { position: { era, sequence } });
      },
      publishPoisoned: (_, { position }) => news.publish('bab.poisoned', { position }),
      publishRefreshStarted: () => {
        const { refresh } = keeper.record;
        assert(refresh !== undefined && refresh.kind !== 'back', 'a refresh is recorded');
        news.publish('refresh.started', { refreshId: refresh.id, refresh: refresh.kind });
      },
      publishUpgraded: (_, { why }) => {
        const refreshId = keeper.record.refresh?.id ?? '';
        news.publish('refresh.upgraded', {
          refreshId,
          from: 'smart',
          to: 'checksum',
          why: upgradeReasons[why],
        });
      },
      publishRefreshFinished: () => {
        const seconds = news.meter?.seconds(clock.now()) ?? 0;
        const position = keeper.record.base;
        news.publish('refresh.finished', { refreshId: refreshId(), position, seconds });
        news.uncleanStart = false;
        news.meter = undefined;
      },
      publishRefreshFailed: (_, { code }) => {
        news.refreshFailed(code, refreshId());
        news.meter = undefined;
      },
      publishRefreshRetrying: ({ context: { failures } }, { cause }) => {
        const retryInMs = pauseMs(failures);
        news.publish('refresh.retrying', { refreshId: refreshId(), cause, failures, retryInMs });
        news.meter = undefined;
      },
      judge: () => self.judge(),
      watchDrain: () => self.watchDrain(),
      takeTurn: () => self.takeTurn(),
      publishRefreshKilled: () => {
        // One whose record could not be written never was.
        const id = keeper.record.refresh?.id ?? news.meter?.refreshId;
        if (id !== undefined) news.publish('refresh.killed', { refreshId: id });
        news.meter = undefined;
      },
      publishRefreshAborted: ({ context: { attempt } }, { cause }) => {
        const retryInMs = backoffMs(attempt);
        news.publish('refresh.aborted', { refreshId: refreshId(), cause, attempt, retryInMs });
      },
    },
  });
}

/**
 * The mode machine with its actions filled in: what each name means as a change of the record, a
 * message to a neighbour, or an event. One line each; the order in which they happen, and whether,
 * is the machine's decision (machines/group-mode.ts).
 */
import { assert } from '../core/assert.js';
import type { GroupControlView } from '../core/bab/control.js';
import {
  type GroupMode,
  type GroupRecord,
  type RecordedRefresh,
  withCommit,
  withNewEra,
} from '../core/pstore/record.js';
import { hexOfBytes } from '../core/pstore/superblock.js';
import { backoffMs, type GroupCause, groupModeMachine, pauseMs } from '../machines/group-mode.js';
import type { Random } from '../ports/random.js';
import type { ActorContext } from './actor.js';
import type { GroupCommands } from './group-commands.js';
import type { GroupNews } from './group-news.js';
import type { RecordKeeper } from './record-keeper.js';

export interface GroupHands {
  readonly context: ActorContext;
  readonly control: GroupControlView;
  readonly keeper: RecordKeeper;
  readonly commands: GroupCommands;
  readonly news: GroupNews;
  /** The record with the positions of this moment. */
  readonly current: (record: GroupRecord) => GroupRecord;
  /** Sends the machine what the lineage table said of this session, again. */
  readonly judge: () => void;
  /** Sends the machine `pmd.drained` as soon as the BAB is empty. */
  readonly watchDrain: () => void;
  /** The rows of a session in which the secondary adds its own dirt (Rule 10b). */
  readonly union: () => boolean;
  /** Why the record came to say this mode; for mode.changed. */
  readonly causes: Map<GroupMode, GroupCause>;
  /** An era that was begun and that no entry has: it need not end (Rule 8a). */
  unusedEra: string | undefined;
}

/** 128 random bits in hex: eras, refreshes, launches. */
export function randomId(random: Random): string {
  const bytes = new Uint8Array(16);
  return hexOfBytes(random.fill(bytes));
}

const upgradeReasons = {
  map: 'changes were not tracked in PASSTHRU',
  lineage: 'the map does not have every difference to this mirror',
} as const;

export function groupMachineOf(hands: GroupHands) {
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
  return groupModeMachine.provide({
    actions: {
      recordMode: (_, { mode, cause }) => {
        hands.causes.set(mode, cause);
        keeper.change((record) => ({ ...record, mode }));
      },
      recordPmd: (_, { launched }) =>
        keeper.change((record) => ({ ...record, pmdLaunched: launched })),
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
        commands.launch(randomId(random));
      },
      killPmd: () => commands.kill(),
      dropEntries: () => commands.drop(),
      startPhaseA: () => {
        commands.tellLineage(keeper.durable);
        const { refresh } = keeper.record;
        assert(refresh !== undefined && refresh.kind !== 'back', 'a refresh is recorded');
        commands.refresh(refresh.id, refresh.kind, hands.union());
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
      judge: () => hands.judge(),
      watchDrain: () => hands.watchDrain(),
      publishRefreshKilled: () => {
        news.publish('refresh.killed', { refreshId: refreshId() });
        news.meter = undefined;
      },
      publishRefreshAborted: ({ context: { attempt } }, { cause }) => {
        const retryInMs = backoffMs(attempt);
        news.publish('refresh.aborted', { refreshId: refreshId(), cause, attempt, retryInMs });
      },
    },
  });
}

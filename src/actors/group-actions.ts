/**
 * The mode machine with its actions filled in: what each name means as a change of the record, a
 * message to a neighbour, or an event. One line each; the order in which they happen, and whether,
 * is the machine's decision (machines/group-mode.ts).
 */
import { assert } from '../core/assert.js';
import type { GroupControlView } from '../core/bab/control.js';
import { withCommit, withNewEra } from '../core/pstore/record.js';
import { hexOfBytes } from '../core/pstore/superblock.js';
import { backoffMs, type GroupCause, groupModeMachine } from '../machines/group-mode.js';
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
  /** Why the mode in the record is what it is; for mode.changed. */
  cause: GroupCause;
}

/** 128 random bits in hex: eras, refreshes, launches. */
export function randomId(random: Random): string {
  const bytes = new Uint8Array(16);
  return hexOfBytes(random.fill(bytes));
}

export function groupMachineOf(hands: GroupHands) {
  const { context, control, keeper, commands, news } = hands;
  const { random, clock } = context;
  /** A refresh that has left the record is still the one that is spoken of. */
  const refreshId = (): string => {
    const id = keeper.record.refresh?.id ?? news.meter?.refreshId;
    assert(id !== undefined, 'there is a refresh');
    return id;
  };
  return groupModeMachine.provide({
    actions: {
      recordMode: (_, { mode, cause }) => {
        hands.cause = cause;
        keeper.change((record) => ({ ...record, mode }));
      },
      recordPmd: (_, { launched }) =>
        keeper.change((record) => ({ ...record, pmdLaunched: launched })),
      recordCommit: (_, { position }) => {
        commands.committed();
        keeper.change((record) => withCommit(record, position));
      },
      beginRefresh: (_, { kind }) => {
        const id = randomId(random);
        keeper.change((record) => ({ ...record, refresh: { id, kind, ordered: true } }));
        news.startMeter(id);
      },
      endRefresh: () => keeper.change((record) => ({ ...record, refresh: undefined })),
      beginEra: () => keeper.change((record) => withNewEra(record, randomId(random))),
      markMapAll: () => keeper.change((record) => ({ ...record, mapAll: true })),
      clearMapAll: () => keeper.change((record) => ({ ...record, mapAll: false })),
      revertRecord: () => keeper.change(() => keeper.durable),
      persist: () => keeper.persist(),

      useEra: (_, { attempt }) => {
        const { durable, record } = keeper;
        assert(durable.era === record.era, 'an era is durable before an entry of it (Rule 8a)');
        const { era, generation, first } = control.readEra();
        // Restarted actors: the driver recovered this era from the control block (H23).
        if (generation > 0 && era === durable.era) commands.keepEra({ era, first }, durable.lease);
        else commands.useEra(durable, attempt);
      },
      setDuties: (_, { append, mark }) => commands.setDuties(append, mark),
      markAllBlocks: () => commands.markAll(false),
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
        commands.refresh(refreshId());
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
      publishRefreshStarted: () =>
        news.publish('refresh.started', { refreshId: refreshId(), refresh: 'full' }),
      publishRefreshFinished: () => {
        const seconds = news.meter?.seconds(clock.now()) ?? 0;
        const position = keeper.record.base;
        news.publish('refresh.finished', { refreshId: refreshId(), position, seconds });
        news.uncleanStart = false;
        news.meter = undefined;
      },
      publishRefreshFailed: (_, { code }) => {
        news.publish('refresh.failed', { refreshId: refreshId(), code });
        news.meter = undefined;
      },
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

/**
 * The machine's actions for BACKFRESH and override: what each name means as a change of the record, a
 * message to a neighbour, or an event. The order is the machine's decision.
 */
import { assert } from '../core/assert.js';
import { withCommit, withEqual } from '../core/pstore/record.js';
import type { ModePosition } from '../machines/group-mode.js';
import { type GroupHands, randomId } from './group-hands.js';

export function backfreshActions(hands: GroupHands) {
  const { context, keeper, commands, news } = hands;
  const refreshId = (): string => keeper.record.refresh?.id ?? news.meter?.refreshId ?? '';
  return {
    shutDoor: () => commands.shutDoor(),
    openDoor: () => commands.openDoor(),
    recordBackfresh: () => {
      const refresh = { id: randomId(context.random), kind: 'back', ordered: true } as const;
      // A map that may lack something says nothing about which blocks are worth comparing.
      const compareAll = keeper.record.map !== 'continuous' || keeper.record.mapAll;
      const backfresh = { cursor: { device: 0, offset: 0 }, compareAll };
      keeper.change((record) => ({ ...record, refresh, backfresh, localState: 'incoherent' }));
      hands.touched = false;
      news.startMeter(refresh);
    },
    forgetBackfresh: () => {
      keeper.change((record) => ({
        ...record,
        refresh: undefined,
        backfresh: undefined,
        localState: 'ok',
      }));
      news.meter = undefined;
    },
    startBackfresh: () => {
      const { refresh, backfresh } = keeper.record;
      assert(refresh !== undefined && backfresh !== undefined, 'a backfresh is recorded');
      commands.tellLineage(keeper.durable);
      commands.backfresh(refresh.id, backfresh);
    },
    endBackfresh: () => commands.backfreshEnd(refreshId(), undefined),
    rememberEqual: (_: unknown, { position }: { position: ModePosition }) => {
      hands.equalAt = position;
    },
    equalDriver: () => commands.equal(),
    recordEqual: () => {
      const { equalAt } = hands;
      assert(equalAt !== undefined, 'a backfresh ends at a position of the mirror');
      const era = randomId(context.random);
      hands.unusedEra = era;
      keeper.change((record) => withEqual(record, equalAt, era));
    },
    handOver: () => {
      const { durable } = keeper;
      const { equalAt } = hands;
      assert(equalAt !== undefined, 'a backfresh ends at a position of the mirror');
      commands.tellLineage(durable);
      // The mirror may have it from now on: no attempt of a phase b may be of this era (H8).
      hands.unusedEra = undefined;
      const handOver = { from: equalAt, era: durable.era, s0: durable.sequence + 1 };
      commands.backfreshEnd(refreshId(), handOver);
    },
    recordIncoherent: () => {
      news.publish('backfresh.killed', { refreshId: refreshId(), written: true });
      keeper.change((record) => ({
        ...record,
        refresh: undefined,
        backfresh: undefined,
        localState: 'incoherent',
      }));
      news.meter = undefined;
    },
    acceptLocal: () => {
      keeper.change((record) => ({
        ...record,
        refresh: undefined,
        backfresh: undefined,
        localState: 'ok',
        map: 'broken',
        mapAll: true,
        unverified: true,
      }));
      news.meter = undefined;
    },
    publishBackfreshStarted: () => {
      const compareAll = keeper.record.backfresh?.compareAll ?? true;
      news.publish('backfresh.started', { refreshId: refreshId(), compareAll });
    },
    publishBackfreshFinished: () => {
      news.publish('backfresh.finished', { refreshId: refreshId(), position: hands.equalAt });
      news.uncleanStart = false;
      news.meter = undefined;
    },
    publishBackfreshFailed: (_: unknown, { code }: { code: string }) => {
      // What ended it may have happened behind a write.
      if (keeper.record.backfresh !== undefined) hands.touched = true;
      news.refused = code;
      news.publish('backfresh.failed', { refreshId: keeper.record.refresh?.id, code });
    },

    recordUnproven: () =>
      keeper.change((record) => ({
        ...record,
        map: record.map === 'broken' ? 'unproven' : record.map,
        mapAll: true,
      })),
    recordOverridden: () => {
      hands.causes.set('normal', 'operator.override');
      keeper.change((record) => ({
        ...record,
        mode: 'normal',
        adopting: true,
        unverified: true,
      }));
    },
    recordTaken: () => {
      // What the mirror was at before names nothing any more: it may have changed without moving.
      keeper.change((record) => withCommit(record, { era: record.era, sequence: record.sequence }));
    },
    recordAdopted: () => {
      const verified = !hands.adopts;
      const { era } = keeper.record;
      const sequence = (commands.babEra?.first ?? 1) - 1;
      keeper.change((record) =>
        verified ? withCommit(record, { era, sequence }) : { ...record, adopting: false },
      );
      news.publish('mirror.adopted', { era, verified });
    },
  };
}

/**
 * The mode machine of one group as it runs: where it is, what it is sent, who waits for it, and what
 * it asks of the one who runs it. Everything it decides goes out through group-actions.ts.
 */
import { createActor, type SnapshotFrom } from 'xstate';
import type { GroupMode, GroupRecord } from '../core/pstore/record.js';
import type { GroupModeEvent, groupModeMachine, ModeLeaf } from '../machines/group-mode.js';
import type { CheckpointLeaf } from '../machines/group-mode-leaves.js';
import { connectionOf, type LinkState } from '../machines/refusals.js';
import { needsUnion, verdictOf } from '../machines/verdict.js';
import { type GroupSelf, groupMachineOf } from './group-actions.js';
import type { GroupHands } from './group-hands.js';
import { leafOf } from './group-status.js';
import { refreshTimeoutMsOf } from './group-tunables.js';
import type { Situation } from './group-verbs.js';
import { machineClock } from './machine-clock.js';
import type { GroupMessage } from './messages.js';
import type { TurnMessage, TurnQuestion } from './refresh-turns.js';

type Snapshot = SnapshotFrom<typeof groupModeMachine>;
type Decided = Extract<GroupMessage, { type: 'link.decided' }>;

export class GroupMachine implements GroupSelf {
  readonly #hands: GroupHands;
  readonly #actor: ReturnType<typeof makeActor>;
  /** What the lineage table said of the session that is there. */
  #decided: Decided | undefined;
  #link: LinkState = 'stopped';
  #watching = false;
  /** Asked for, or had, since the last time it was given back (Rule 53). */
  #turn: symbol | undefined;
  #waiters: (() => void)[] = [];

  constructor(hands: GroupHands, record: GroupRecord) {
    this.#hands = hands;
    this.#actor = makeActor(hands, this, record);
  }

  start(): void {
    this.#actor.subscribe({
      next: (snapshot) => this.#moved(snapshot),
      // Without this observer XState throws on a timer of its own, past the wall of this actor (H46).
      error: (error) => this.#hands.context.fail(error),
    });
    this.#actor.start();
  }

  stop(): void {
    this.#actor.stop();
    this.#giveTurn();
    this.#wakeWaiters();
  }

  send(event: GroupModeEvent): void {
    if (this.#actor.getSnapshot().status === 'active') this.#actor.send(event);
  }

  get situation(): Situation {
    const { mode, checkpoint } = this.#actor.getSnapshot().value;
    return {
      leaf: leafOf(mode) as ModeLeaf,
      link: this.#link,
      checkpoint: leafOf(checkpoint) as CheckpointLeaf,
    };
  }

  get mode(): GroupMode {
    return this.situation.leaf.split('.')[0] as GroupMode;
  }

  /** Resolves when nothing is being decided any more, or the limit passes. */
  decided(limitMs: number): Promise<void> {
    const { clock } = this.#hands.context;
    return new Promise((resolve) => {
      const look = () => {
        const snapshot = this.#actor.getSnapshot();
        if (snapshot.status === 'active' && snapshot.hasTag('deciding')) this.#waiters.push(look);
        else end();
      };
      const end = () => {
        limit.cancel();
        resolve();
      };
      const limit = clock.after(limitMs, resolve);
      look();
    });
  }

  /** A session says what it is; `undefined` when there is none any more. */
  judgedBy(decided: Decided | undefined): void {
    this.#decided = decided;
    if (decided !== undefined) this.judge();
  }

  judge(): void {
    const { clock, guard } = this.#hands.context;
    const say = guard(() => {
      const decided = this.#decided;
      if (decided === undefined || this.#link !== 'connected') return;
      const { refresh } = this.#hands.keeper.record;
      const verdict = verdictOf(decided, refresh?.ordered === true ? refresh.kind : undefined);
      if (verdict !== 'waits') this.send({ type: `lineage.${verdict}` });
      else this.send({ type: 'lineage.waits', code: decided.code ?? 'TDMF_LINEAGE_NEVER' });
    });
    // Not within the transition that asked for it.
    clock.after(0, say);
  }

  union(): boolean {
    return this.#decided !== undefined && needsUnion(this.#decided);
  }

  /** R1: the PMD moves its cursor and tells nobody. */
  watchDrain(): void {
    const { context, control, commands } = this.#hands;
    commands.flush();
    if (this.#watching) return;
    this.#watching = true;
    const look = context.guard(() => {
      if (!this.situation.leaf.endsWith('.draining')) {
        this.#watching = false;
      } else if (control.pending === 0) {
        this.#watching = false;
        this.send({ type: 'pmd.drained' });
      } else {
        context.clock.after(drainLookMs, look);
      }
    });
    context.clock.after(0, look);
  }

  takeTurn(): void {
    const { context, group, turns, cutAt } = this.#hands;
    const turn = Symbol('turn');
    this.#turn = turn;
    const taken = context.guard(() => {
      if (this.#turn === turn) this.send({ type: 'turn.taken' });
    });
    const question: TurnQuestion = { kind: 'turn.take', group, cutAt };
    // Without somebody who gives turns there is nobody to wait for.
    void context.address<TurnMessage>(turns).ask(question).then(taken, taken);
  }

  #giveTurn(): void {
    if (this.#turn === undefined) return;
    this.#turn = undefined;
    const { context, group, turns } = this.#hands;
    context.address<TurnMessage>(turns).tell({ type: 'turn.give', group });
  }

  #moved(snapshot: Snapshot): void {
    const { leaf } = this.situation;
    if (leaf !== 'tracking.queueing' && !leaf.startsWith('refresh.')) this.#giveTurn();
    const from = connectionOf(this.#link);
    this.#link = leafOf(snapshot.value.link) as LinkState;
    const to = connectionOf(this.#link);
    this.#wakeWaiters();
    if (from === to) return;
    const { peer, problem } = this.#hands.news;
    const { code, message } = problem ?? {};
    this.#hands.news.publish('link.changed', { from, to, peer, code, message });
  }

  #wakeWaiters(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const look of waiters) look();
  }
}

/** How often it is looked at whether the BAB is drained, while somebody waits for it. */
const drainLookMs = 20;

function makeActor(hands: GroupHands, self: GroupSelf, record: GroupRecord) {
  const { clock, guard } = hands.context;
  const { mode, pmdLaunched, refresh, tunables, map, localState, checkpoint } = record;
  return createActor(groupMachineOf(hands, self), {
    input: {
      mode,
      pmdLaunched,
      kind: refresh?.kind === 'back' ? undefined : refresh?.kind,
      refreshTimeoutMs: refreshTimeoutMsOf(tunables),
      tracked: map !== 'broken',
      localOk: localState === 'ok',
      checkpoint,
    },
    clock: machineClock(clock, (run) => guard(run)),
  });
}

/**
 * Runs the mode machine of one logical group and turns its actions into messages: to the driver
 * beside it, to the PMD on another thread, to the pstore on main. Decides nothing itself; it matches
 * facts with what was asked for, so that the machine never sees an answer to an older question.
 *
 *   main ──ask──► group ──DriverMessage──► driver      Keeps: the record is durable before its effect
 *     ▲             │ ▲ ──PmdMessage─────► pmd         is visible (I6), an era is durable before an
 *     └── events ───┘ └── facts ◄──────────┴─ driver   entry of it (Rule 8a), a lease before its use
 *                                                      (Rule 8c), the clean flag is the last word (H31).
 */
import { createActor, type SnapshotFrom } from 'xstate';
import { GroupControlView } from '../core/bab/control.js';
import { InFlightSlots } from '../core/bab/slots.js';
import { writesInFlightMax } from '../core/constants.js';
import { errorTable, isTdmfError, TdmfError } from '../core/errors.js';
import { type GroupMode, type GroupRecord, withLease } from '../core/pstore/record.js';
import { decideStart, type StartDecision } from '../core/pstore/start.js';
import type { GroupModeEvent, groupModeMachine, ModeLeaf } from '../machines/group-mode.js';
import { connectionOf, type LinkState } from '../machines/refusals.js';
import { needsUnion, verdictOf } from '../machines/verdict.js';
import type { Actor, ActorContext, Address } from './actor.js';
import { type GroupHands, groupMachineOf, randomId } from './group-actions.js';
import { GroupCommands, type Question } from './group-commands.js';
import { askDirt, restoreDirt, saveDirt } from './group-dirt.js';
import { GroupNews } from './group-news.js';
import type { GroupOptions, GroupQuestion, StopOutcome } from './group-options.js';
import { withPositions } from './group-positions.js';
import { type GroupStatus, leafOf, modeWord, shownMode } from './group-status.js';
import {
  checkedTunables,
  GroupTunables,
  refreshTimeoutMsOf,
  syncStatus,
} from './group-tunables.js';
import { mustBeAccepted, requestOf } from './group-verbs.js';
import { waitFor } from './group-waits.js';
import { machineClock } from './machine-clock.js';
import type { GroupMessage } from './messages.js';
import { RecordKeeper } from './record-keeper.js';

export type { GroupOptions, GroupQuestion, StopOutcome } from './group-options.js';

/**
 * @throws TDMF_PSTORE_DAMAGED, TDMF_PSTORE_FAILED, TDMF_PSTORE_FULL; the group did not start then
 */
export async function startGroup(
  context: ActorContext,
  options: GroupOptions,
): Promise<Actor<GroupMessage>> {
  const { group, devices, tunables, restarted = false } = options;
  const pstore = context.address<never>(options.pstore ?? 'pstore');
  const { nodeId } = await pstore.ask<{ nodeId: string }>({ kind: 'pstore.node' });
  const loaded = await pstore.ask<GroupRecord | null | undefined>({ kind: 'pstore.load', group });
  const found = await askDirt(pstore, group, devices);
  const decision = decideStart(loaded ?? undefined, {
    group,
    devices,
    tunables,
    heatKnown: found.heatKnown,
    released: found.released,
    newEra: randomId(context.random),
    newRefreshId: randomId(context.random),
    restarted,
  });
  // Not clean any more, durably, before the driver hears a word of us (H31, Rule 8a).
  await pstore.ask({ kind: 'pstore.save', record: decision.record });
  await restoreDirt(context, options, decision.dirt, found, loaded?.savedMap ?? undefined);
  const started = new Group(context, options, pstore, nodeId, decision.record);
  started.begin(decision, loaded?.mode ?? 'passthru');
  return started;
}

class Group implements Actor<GroupMessage> {
  readonly #context: ActorContext;
  readonly #options: GroupOptions;
  readonly #group: number;
  readonly #driverActor: string;
  readonly #control: GroupControlView;
  readonly #commands: GroupCommands;
  readonly #keeper: RecordKeeper;
  readonly #news: GroupNews;
  readonly #hands: GroupHands;
  readonly #tunables: GroupTunables;
  readonly #machine: ReturnType<typeof runMachine>;
  #publishedMode: GroupMode;
  #link: LinkState = 'stopped';
  /** What the lineage table said of the session that is there. */
  #decided: Extract<GroupMessage, { type: 'link.decided' }> | undefined;
  #watching = false;
  #stopping = false;

  constructor(
    context: ActorContext,
    options: GroupOptions,
    pstore: Address<never>,
    nodeId: string,
    record: GroupRecord,
  ) {
    const { group } = options;
    const { driver = `g${group}/driver`, pmd = `g${group}/pmd` } = options;
    this.#context = context;
    this.#options = options;
    this.#group = group;
    this.#driverActor = driver;
    this.#control = new GroupControlView(options.control);
    this.#commands = new GroupCommands(context, { driver, pmd }, nodeId);
    this.#news = new GroupNews(context, group);
    this.#tunables = new GroupTunables(
      this.#commands,
      this.#news,
      context.clock,
      this.#control.syncDegraded,
    );
    const guarded = (run: () => void) => context.guard(run);
    this.#keeper = new RecordKeeper(record, pstore, context.clock, guarded, {
      current: (current) => withPositions(current, this.#control, this.#commands),
      saved: (durable, latest) => this.#recordSaved(durable, latest),
      failed: (error) => this.#recordFailed(error),
    });
    this.#publishedMode = record.mode;
    this.#hands = {
      context,
      control: this.#control,
      keeper: this.#keeper,
      commands: this.#commands,
      news: this.#news,
      current: (current) => withPositions(current, this.#control, this.#commands),
      judge: () => this.#judge(),
      watchDrain: () => this.#watchDrain(),
      union: () => this.#decided !== undefined && needsUnion(this.#decided),
      causes: new Map(),
      unusedEra: undefined,
    };
    this.#machine = runMachine(this.#hands, record);
  }

  begin({ row, record, changes }: StartDecision, was: GroupMode): void {
    const from = modeWord(was);
    if (row === 'unclean') {
      this.#news.uncleanStart = true;
      const { remedy } = errorTable.TDMF_UNCLEAN_START;
      this.#news.publish('group.uncleanStart', { was: from, code: 'TDMF_UNCLEAN_START', remedy });
    }
    if (changes.length > 0) this.#news.publish('group.unverified', { changes });
    if (was !== record.mode) {
      const to = modeWord(record.mode);
      this.#news.publish('mode.changed', { from, to, cause: 'group.started' });
    }
    if (record.mode === 'refresh' && record.refresh !== undefined)
      this.#news.startMeter(record.refresh);
    if (row === 'restarted' && record.mode === 'tracking' && this.#control.generation > 0) {
      // What the BAB still holds is of the era before, and is drained.
      const { era, first, lease } = this.#control.readEra();
      this.#commands.keepEra({ era, first }, lease);
    }
    this.#machine.subscribe({
      next: (snapshot) => this.#moved(snapshot),
      // Without this observer XState throws on a timer of its own, past the wall of this actor (H46).
      error: (error) => this.#context.fail(error),
    });
    this.#tunables.apply(record.tunables);
    this.#machine.start();
    this.#commands.tellLineage(this.#keeper.durable);
  }

  receive(message: GroupMessage): void {
    if (this.#stopping) return;
    switch (message.type) {
      case 'driver.overflowed':
        this.#send({ type: 'driver.overflowed', sequence: message.sequence });
        break;
      case 'driver.graced':
        this.#answered('graced', message.token, { type: 'driver.graced' });
        break;
      case 'driver.markedAll':
        this.#answered('markedAll', message.token, { type: 'driver.markedAll' });
        break;
      case 'driver.marked': {
        const { token, sequence } = message;
        this.#answered('marked', token, { type: 'driver.marked', sequence });
        break;
      }
      case 'driver.committed': {
        const type = message.cleared ? 'driver.committed' : 'driver.commitKept';
        this.#answered('committed', message.token, { type });
        break;
      }
      case 'driver.cleared':
        this.#answered('cleared', message.token, { type: 'driver.cleared' });
        break;
      case 'pmd.dropped':
        this.#answered('dropped', message.token, { type: 'pmd.dropped' });
        break;
      case 'driver.leaseLow':
        this.#extendLease(message.sequence);
        break;
      case 'driver.heatFailed': {
        const { code, message: what } = message;
        this.#news.pstoreFailed({ code, message: what });
        break;
      }
      case 'driver.ioFailed': {
        const { device, operation, errno } = message;
        this.#news.publish('device.failed', { device, operation, errno });
        break;
      }
      case 'driver.syncDegraded':
        this.#tunables.syncDegraded(message.degraded, message.waited);
        break;
      case 'link.connecting':
      case 'pmd.stopped':
        this.#send({ type: message.type });
        break;
      case 'link.connected':
        this.#decided = undefined;
        this.#news.connected(message.peer, message.mirrorState);
        this.#send({ type: 'link.connected' });
        break;
      case 'lineage.diverged': {
        const { code, hereBytes, thereBytes, since } = message;
        this.#news.divergence = { code, hereBytes, thereBytes, since };
        break;
      }
      case 'link.decided':
        if (message.action !== 'wait') this.#news.divergence = undefined;
        this.#decided = message;
        this.#news.decided(message);
        this.#judge();
        break;
      case 'pmd.drained':
        if (this.#control.pending === 0) this.#send({ type: 'pmd.drained' });
        break;
      case 'link.lost':
        this.#news.disconnected(message, this.#link === 'connected');
        this.#send({ type: 'link.lost' });
        break;
      case 'link.refused':
        this.#news.disconnected(message, this.#link === 'connected');
        this.#send({
          type: message.retryInMs > 0 ? 'link.refused' : 'link.refusedForGood',
        });
        break;
      case 'mirror.stateChanged':
        this.#news.heardMirror(message.mirrorState);
        break;
      case 'pmd.poisoned': {
        const { era, sequence } = message;
        if (era === this.#commands.babEra?.era) {
          this.#send({ type: 'pmd.poisoned', position: { era, sequence } });
        }
        break;
      }
      case 'driver.flushed':
      case 'pmd.devicesClosed':
      case 'driver.markerStamped':
      case 'driver.door':
      case 'backfresh.progressed':
      case 'backfresh.finished':
      case 'backfresh.failed':
      case 'backfresh.ended':
      case 'pmd.eraTaken':
      case 'checkpoint.changed':
      case 'checkpoint.wanted':
        // Answers to what main may have asked for; nothing of the mode depends on them.
        break;
      case 'refresh.progressed':
      case 'refresh.converged':
      case 'refresh.frozenRead':
      case 'refresh.committed':
      case 'refresh.phaseBLost':
      case 'refresh.notConverging':
      case 'refresh.failed':
        if (message.refreshId === this.#keeper.record.refresh?.id) this.#refreshFact(message);
        break;
    }
  }

  writable(): void {
    this.#commands.writable();
  }

  async ask(question: unknown): Promise<unknown> {
    const asked = question as GroupQuestion;
    switch (asked.kind) {
      case 'status':
        return this.#status();
      case 'operator':
        return this.#operate(asked.verb, asked.args ?? {});
      case 'set':
        this.#mustRun();
        return this.#set(asked.tunables);
      case 'prepareStop':
        this.#mustRun();
        return this.#prepareStop(asked);
      default: {
        const what = `a group was asked ${JSON.stringify(question).slice(0, 100)}`;
        throw new TdmfError('TDMF_INTERNAL', { what });
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#machine.stop();
    this.#keeper.close();
    this.#commands.close();
  }

  async #operate(verb: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    this.#mustRun();
    const request = requestOf(verb, args);
    mustBeAccepted(this.#situation(), this.#link, request);
    if (request === 'operator.killpmd') this.#news.forgetProblem();
    this.#send({ type: request });
    // The operator hears "done" when a crash could not undo it any more (I6).
    await this.#keeper.settled();
    return { mode: modeWord(this.#publishedMode), connection: connectionOf(this.#link) };
  }

  async #set(given: GroupRecord['tunables']): Promise<GroupRecord['tunables']> {
    const tunables = checkedTunables(given);
    if (Object.keys(tunables).length === 0) return this.#keeper.durable.tunables;
    this.#keeper.change((record) => ({ ...record, tunables: { ...record.tunables, ...tunables } }));
    this.#keeper.persist();
    await this.#keeper.settled();
    const refreshTimeoutMs = refreshTimeoutMsOf(this.#keeper.durable.tunables);
    this.#send({ type: 'tunables.set', refreshTimeoutMs });
    return this.#keeper.durable.tunables;
  }

  #mustRun(): void {
    if (this.#stopping) throw new TdmfError('TDMF_GROUP_STOPPED', { group: this.#group });
  }

  async #prepareStop(asked: Extract<GroupQuestion, { kind: 'prepareStop' }>): Promise<StopOutcome> {
    this.#stopping = true;
    const { clock } = this.#context;
    const isDrained = () => this.#control.pending === 0;
    // The driver's last word may be in the control block only: its mailbox to us was full, or the
    // last flush of its stop failed (T2, H21).
    if (this.#control.latched && this.#keeper.record.mode === 'normal') {
      this.#send({ type: 'driver.overflowed', sequence: this.#control.stamped });
    }
    let drained = isDrained();
    // Of the record, not of the machine: a commit that is being recorded is NORMAL for a start.
    if (this.#keeper.record.mode === 'normal') {
      if (!drained && this.#link !== 'stopped') {
        this.#commands.flush();
        drained = await waitFor(clock, asked.drainMs, isDrained);
      }
      if (!drained) this.#send({ type: 'drain.expired' });
    }
    const clean = (await this.#driverEnded()) && this.#nothingInFlight();
    this.#machine.stop();
    // Rule 31: what the BAB still holds becomes marks, and the map a file that the next start believes.
    const { mapAll, mode, unverified } = this.#keeper.record;
    const empty = mapAll || mode === 'passthru' || (mode === 'normal' && !unverified);
    const saves = clean && !empty;
    const savedMap = saves ? await saveDirt(this.#context, this.#options) : undefined;
    this.#keeper.change((record) => ({ ...record, clean, savedMap, devices: asked.devices }));
    this.#keeper.persist();
    await this.#keeper.settled();
    this.#keeper.close();
    return { mode: this.#keeper.durable.mode, drained, clean };
  }

  /** A driver that lives may take another write, after which no record would be clean (H31). */
  async #driverEnded(): Promise<boolean> {
    const driver = this.#context.address(this.#driverActor);
    try {
      await driver.ask({ kind: 'driver.connections' });
      return false;
    } catch (error) {
      return isTdmfError(error) && error.code === 'TDMF_ACTOR_GONE';
    }
  }

  #nothingInFlight(): boolean {
    return new InFlightSlots(this.#control).freeCount === writesInFlightMax;
  }

  // Facts

  #send(event: GroupModeEvent): void {
    if (this.#machine.getSnapshot().status === 'active') this.#machine.send(event);
  }

  /** An answer counts only when it is the one that is waited for. */
  #answered(question: Question, token: number, event: GroupModeEvent): void {
    if (this.#commands.answers(question, token)) this.#send(event);
  }

  #refreshFact(message: Extract<GroupMessage, { type: `refresh.${string}` }>): void {
    switch (message.type) {
      case 'refresh.progressed': {
        const { refreshId, doneBytes, totalBytes } = message;
        this.#news.meter?.progressed(doneBytes, totalBytes, this.#context.clock.now());
        this.#news.publish('refresh.progressed', { refreshId, doneBytes, totalBytes });
        break;
      }
      case 'refresh.notConverging': {
        const { refreshId, writeBytesPerSecond, linkBytesPerSecond } = message;
        this.#news.publish('refresh.notConverging', {
          refreshId,
          writeBytesPerSecond,
          linkBytesPerSecond,
        });
        break;
      }
      case 'refresh.committed':
        // The commit of an attempt that was given up meanwhile proves nothing about this one (H6).
        if (message.position.era !== this.#commands.babEra?.era) return;
        this.#send({ type: 'refresh.committed', position: message.position });
        break;
      case 'refresh.failed':
        this.#send({ type: 'refresh.failed', code: message.code });
        break;
      case 'refresh.frozenRead':
        // Said late by an attempt that was given up, it would take the mark too early (R6).
        if (message.era !== this.#commands.babEra?.era) return;
        this.#send({ type: 'refresh.frozenRead' });
        break;
      case 'refresh.converged':
      case 'refresh.phaseBLost':
        this.#send({ type: message.type });
        break;
    }
  }

  /** Says what the session allows, with what has been ordered by now; behind the present step. */
  #judge(): void {
    const { clock, guard } = this.#context;
    const say = guard(() => {
      const decided = this.#decided;
      if (decided === undefined || this.#link !== 'connected') return;
      const { refresh } = this.#keeper.record;
      const ordered = refresh?.ordered === true && refresh.kind !== 'back';
      const verdict = verdictOf(decided, ordered ? refresh.kind : undefined);
      if (verdict !== 'waits') this.#send({ type: `lineage.${verdict}` });
      else this.#send({ type: 'lineage.waits', code: decided.code ?? 'TDMF_LINEAGE_NEVER' });
    });
    clock.after(0, say);
  }

  /** R1: the PMD moves its cursor and tells nobody. */
  #watchDrain(): void {
    this.#commands.flush();
    if (this.#watching) return;
    this.#watching = true;
    const { clock, guard } = this.#context;
    const look = guard(() => {
      if (this.#stopping || !this.#situation().endsWith('.draining')) {
        this.#watching = false;
      } else if (this.#control.pending === 0) {
        this.#watching = false;
        this.#send({ type: 'pmd.drained' });
      } else {
        clock.after(drainLookMs, look);
      }
    });
    // Not within the transition that asked for it.
    clock.after(0, look);
  }

  #extendLease(sequence: number): void {
    const { record } = this.#keeper;
    // The record may be ahead, in an era that the driver has not begun: then append ends anyway.
    if (record.era !== this.#commands.babEra?.era) return;
    this.#keeper.change((current) => withLease(current, sequence));
    this.#keeper.persist();
  }

  // The record

  #recordSaved(durable: GroupRecord, latest: boolean): void {
    this.#news.pstoreProblem = undefined;
    if (!this.#stopping) {
      this.#tunables.apply(durable.tunables);
      this.#commands.leaseSaved(durable);
      this.#commands.tellLineage(durable);
    }
    // TRACKING is told even when it is over again: it claims less than what follows (I18).
    if (durable.mode !== this.#publishedMode && (latest || durable.mode === 'tracking')) {
      const from = modeWord(this.#publishedMode);
      this.#publishedMode = durable.mode;
      const cause = this.#hands.causes.get(durable.mode) ?? 'group.started';
      this.#news.publish('mode.changed', { from, to: modeWord(durable.mode), cause });
    }
    if (!latest) return;
    this.#send({ type: 'record.saved' });
  }

  #recordFailed(error: unknown): void {
    const code = isTdmfError(error) ? error.code : 'TDMF_PSTORE_FAILED';
    const message = error instanceof Error ? error.message : String(error);
    this.#news.pstoreFailed({ code, message });
    this.#send({ type: 'record.failed' });
  }

  // The machine

  #mode(): GroupMode {
    return this.#situation().split('.')[0] as GroupMode;
  }

  #situation(): ModeLeaf {
    return leafOf(this.#machine.getSnapshot().value.mode) as ModeLeaf;
  }

  #moved(snapshot: SnapshotFrom<typeof groupModeMachine>): void {
    const from = connectionOf(this.#link);
    this.#link = leafOf(snapshot.value.link) as LinkState;
    const to = connectionOf(this.#link);
    if (from === to) return;
    const { peer, problem } = this.#news;
    const { code, message } = problem ?? {};
    this.#news.publish('link.changed', { from, to, peer, code, message });
  }

  #status(): GroupStatus {
    const { record, durable } = this.#keeper;
    const { peer, problem, mirrorState, meter, mirrorStateAgeSeconds } = this.#news;
    const era = this.#commands.babEra?.era;
    return {
      group: this.#group,
      mode: modeWord(shownMode(this.#mode(), this.#publishedMode)),
      situation: this.#situation(),
      connection: connectionOf(this.#link),
      peer,
      pmdLaunched: record.pmdLaunched,
      problem: problem ?? null,
      mirrorState,
      mirrorStateAgeSeconds: this.#link === 'connected' ? null : mirrorStateAgeSeconds,
      refresh: meter?.status() ?? null,
      divergence: this.#news.divergence ?? null,
      checkpoint: record.checkpoint,
      era: record.era,
      position: {
        era: era ?? record.era,
        sequence: era === undefined ? record.sequence : this.#control.stamped,
      },
      lease: durable.lease,
      base: durable.base,
      map: durable.map,
      mapAll: record.mapAll,
      unverified: record.unverified,
      tunables: record.tunables,
      sync: syncStatus(durable.tunables, this.#control.syncDegraded),
      reasons: this.#news.reasons(),
    };
  }
}

/** How often it is looked at whether the BAB is drained, while somebody waits for it. */
const drainLookMs = 20;

function runMachine(hands: GroupHands, record: GroupRecord) {
  const { clock, guard } = hands.context;
  const { mode, pmdLaunched, refresh, tunables, map } = record;
  const kind = refresh?.kind === 'back' ? undefined : refresh?.kind;
  const refreshTimeoutMs = refreshTimeoutMsOf(tunables);
  return createActor(groupMachineOf(hands), {
    input: { mode, pmdLaunched, kind, refreshTimeoutMs, tracked: map !== 'broken' },
    clock: machineClock(clock, (run) => guard(run)),
  });
}

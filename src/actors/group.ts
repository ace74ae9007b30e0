/**
 * Runs the mode machine of one logical group and turns its actions into messages: to the driver
 * beside it, to the PMD on another thread, to the pstore and the hooks on main. Decides nothing
 * itself.
 *
 *   main ──ask──► group ──DriverMessage──► driver      Keeps: the record is durable before its effect
 *     ▲             │ ▲ ──PmdMessage─────► pmd         is visible (I6), an era is durable before an
 *     └── events ───┘ └── facts ◄──────────┴─ driver   entry of it (Rule 8a), a lease before its use
 *                                                      (Rule 8c), the clean flag is the last word (H31).
 *
 * Facts come in through group-facts.ts, the machine lives in group-machine.ts, its actions in
 * group-actions.ts, the stop in group-stop.ts.
 */
import { GroupControlView } from '../core/bab/control.js';
import { errorTable, isTdmfError, TdmfError, type TdmfErrorCode } from '../core/errors.js';
import type { GroupMode, GroupRecord } from '../core/pstore/record.js';
import { decideStart, type StartDecision } from '../core/pstore/start.js';
import { connectionOf, type OperatorRequest } from '../machines/refusals.js';
import type { Actor, ActorContext, Address } from './actor.js';
import { GroupCommands } from './group-commands.js';
import { askDirt, restoreDirt } from './group-dirt.js';
import { GroupFacts } from './group-facts.js';
import { type GroupHands, randomId } from './group-hands.js';
import { GroupMachine } from './group-machine.js';
import { GroupNews } from './group-news.js';
import type { GroupOptions, GroupQuestion } from './group-options.js';
import { withPositions } from './group-positions.js';
import { type GroupStatus, modeWord, shownMode } from './group-status.js';
import { prepareStop } from './group-stop.js';
import {
  checkedTunables,
  GroupTunables,
  refreshTimeoutMsOf,
  syncStatus,
} from './group-tunables.js';
import { mustBeAccepted, requestOf } from './group-verbs.js';
import type { GroupMessage } from './messages.js';
import { RecordKeeper } from './record-keeper.js';
import { refreshTurnsActor } from './refresh-turns.js';

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
  started.begin(decision, loaded ?? undefined);
  return started;
}

/** Requests whose outcome is waited for before they are answered, and for how long at most. */
const outcomeLimitsMs: Readonly<Partial<Record<OperatorRequest, number>>> = {
  'operator.backfresh': 60_000,
  'operator.killbackfresh': 60_000,
  'operator.overrideBackfresh': 60_000,
  'operator.overridePassthru': 60_000,
  'operator.overrideNormal': 60_000,
  // A hook has a limit of its own.
  'operator.checkpointOn': 600_000,
  'operator.checkpointOff': 10_000,
};

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
  readonly #machine: GroupMachine;
  readonly #facts: GroupFacts;
  readonly #tunables: GroupTunables;
  #publishedMode: GroupMode;
  #stopping = false;

  constructor(
    context: ActorContext,
    options: GroupOptions,
    pstore: Address<never>,
    nodeId: string,
    record: GroupRecord,
  ) {
    const { group } = options;
    const { driver = `g${group}/driver`, pmd = `g${group}/pmd`, hooks = 'hooks' } = options;
    const { turns = refreshTurnsActor } = options;
    this.#context = context;
    this.#options = options;
    this.#group = group;
    this.#driverActor = driver;
    this.#control = new GroupControlView(options.control);
    this.#commands = new GroupCommands(context, { driver, pmd }, nodeId);
    this.#news = new GroupNews(context, group);
    const { syncDegraded } = this.#control;
    this.#tunables = new GroupTunables(this.#commands, this.#news, context.clock, syncDegraded);
    const current = (one: GroupRecord) => withPositions(one, this.#control, this.#commands);
    const guarded = (run: () => void) => context.guard(run);
    this.#keeper = new RecordKeeper(record, pstore, context.clock, guarded, {
      current,
      saved: (durable, latest) => this.#recordSaved(durable, latest),
      failed: (error) => this.#recordFailed(error),
    });
    this.#publishedMode = record.mode;
    this.#hands = {
      context,
      group,
      control: this.#control,
      keeper: this.#keeper,
      commands: this.#commands,
      news: this.#news,
      hooks,
      turns,
      current,
      causes: new Map(),
      unusedEra: undefined,
      // Of a backfresh of before nobody knows what it wrote.
      touched: record.backfresh !== undefined,
      equalAt: undefined,
      adopts: false,
      cutAt: 0,
      marker: undefined,
    };
    this.#machine = new GroupMachine(this.#hands, record);
    this.#facts = new GroupFacts(this.#hands, this.#machine, this.#tunables);
  }

  begin({ row, record, changes }: StartDecision, loaded: GroupRecord | undefined): void {
    const was = loaded?.mode ?? 'passthru';
    const from = modeWord(was);
    if (row === 'unclean') {
      this.#news.uncleanStart = true;
      const { remedy } = errorTable.TDMF_UNCLEAN_START;
      this.#news.publish('group.uncleanStart', { was: from, code: 'TDMF_UNCLEAN_START', remedy });
    }
    if (row === 'first' && this.#options.known === true) {
      const { remedy } = errorTable.TDMF_PSTORE_FORGOT;
      this.#news.publish('group.forgotten', { code: 'TDMF_PSTORE_FORGOT', remedy });
    }
    if (changes.length > 0) this.#news.publish('group.unverified', { changes });
    if (was !== record.mode) {
      const to = modeWord(record.mode);
      this.#news.publish('mode.changed', { from, to, cause: 'group.started' });
    }
    if (loaded?.checkpoint === 'pending' && record.checkpoint === 'off') {
      const code = 'TDMF_CHECKPOINT_LOST';
      const { message } = errorTable[code];
      this.#news.publish('checkpoint.failed', { on: true, code, message });
    }
    const { refresh, mode } = record;
    if (refresh !== undefined && mode !== 'tracking') this.#news.startMeter(refresh);
    if (row === 'restarted' && mode === 'tracking' && this.#control.generation > 0) {
      // What the BAB still holds is of the era before, and is drained.
      const { era, first, lease } = this.#control.readEra();
      this.#commands.keepEra({ era, first }, lease);
    }
    this.#tunables.apply(record.tunables);
    this.#machine.start();
    this.#commands.tellLineage(this.#keeper.durable);
  }

  receive(message: GroupMessage): void {
    if (!this.#stopping) this.#facts.receive(message);
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
        this.#mustRun();
        return this.#operate(requestOf(asked.verb, asked.args ?? {}));
      case 'set':
        this.#mustRun();
        return this.#set(asked.tunables);
      case 'prepareStop':
        this.#mustRun();
        this.#stopping = true;
        return prepareStop(this.#hands, this.#machine, this.#driverActor, this.#options, asked);
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

  async #operate(request: OperatorRequest): Promise<unknown> {
    mustBeAccepted(this.#machine.situation, request);
    if (request === 'operator.backfresh' || request === 'operator.overrideBackfresh') {
      await this.#mustBeAlone();
      mustBeAccepted(this.#machine.situation, request);
    }
    if (request === 'operator.killpmd') this.#news.forgetProblem();
    this.#news.refused = undefined;
    this.#news.refusal = undefined;
    this.#machine.send({ type: request });
    const limitMs = outcomeLimitsMs[request];
    if (limitMs !== undefined) await this.#machine.decided(limitMs);
    // The operator hears "done" when a crash could not undo it any more (I6).
    await this.#keeper.settled();
    if (limitMs !== undefined) this.#mustNotBeRefused();
    const { link, checkpoint } = this.#machine.situation;
    return {
      mode: modeWord(this.#publishedMode),
      connection: connectionOf(link),
      ...(request.startsWith('operator.checkpoint') && { checkpoint }),
    };
  }

  /** H30: the operator hears it at once; the driver's word is the one that counts. */
  async #mustBeAlone(): Promise<void> {
    const driver = this.#context.address<never>(this.#driverActor);
    const count = await driver.ask<number>({ kind: 'driver.connections' });
    if (count > 0) throw new TdmfError('TDMF_GROUP_BUSY', { group: this.#group, count });
  }

  #mustNotBeRefused(): void {
    const { refusal, refused } = this.#news;
    if (refused === undefined) return;
    if (isTdmfError(refusal)) throw refusal;
    throw new TdmfError(refused as TdmfErrorCode, { group: this.#group, count: 1 });
  }

  async #set(given: GroupRecord['tunables']): Promise<GroupRecord['tunables']> {
    const tunables = checkedTunables(given);
    if (Object.keys(tunables).length === 0) return this.#keeper.durable.tunables;
    this.#keeper.change((record) => ({ ...record, tunables: { ...record.tunables, ...tunables } }));
    this.#keeper.persist();
    await this.#keeper.settled();
    const refreshTimeoutMs = refreshTimeoutMsOf(this.#keeper.durable.tunables);
    this.#machine.send({ type: 'tunables.set', refreshTimeoutMs });
    return this.#keeper.durable.tunables;
  }

  #mustRun(): void {
    if (this.#stopping) throw new TdmfError('TDMF_GROUP_STOPPED', { group: this.#group });
  }

  #recordSaved(durable: GroupRecord, latest: boolean): void {
    this.#news.pstoreProblem = undefined;
    if (!this.#stopping) {
      this.#commands.leaseSaved(durable);
      this.#commands.tellLineage(durable);
      this.#tunables.apply(durable.tunables);
    }
    // TRACKING is told even when it is over again: it claims less than what follows (I18).
    if (durable.mode !== this.#publishedMode && (latest || durable.mode === 'tracking')) {
      const from = modeWord(this.#publishedMode);
      this.#publishedMode = durable.mode;
      const cause = this.#hands.causes.get(durable.mode) ?? 'group.started';
      this.#news.publish('mode.changed', { from, to: modeWord(durable.mode), cause });
    }
    if (!latest) return;
    this.#machine.send({ type: 'record.saved' });
  }

  #recordFailed(error: unknown): void {
    const code = isTdmfError(error) ? error.code : 'TDMF_PSTORE_FAILED';
    const message = error instanceof Error ? error.message : String(error);
    this.#news.pstoreFailed({ code, message });
    this.#machine.send({ type: 'record.failed' });
  }

  #status(): GroupStatus {
    const { record, durable } = this.#keeper;
    const { peer, problem, mirrorState, meter, mirrorStateAgeSeconds } = this.#news;
    const { leaf, link, checkpoint } = this.#machine.situation;
    const era = this.#commands.babEra?.era;
    return {
      group: this.#group,
      mode: modeWord(shownMode(this.#machine.mode, this.#publishedMode)),
      situation: leaf,
      connection: connectionOf(link),
      peer,
      pmdLaunched: record.pmdLaunched,
      problem: problem ?? null,
      mirrorState,
      mirrorStateAgeSeconds: link === 'connected' ? null : mirrorStateAgeSeconds,
      refresh: meter?.status() ?? null,
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
      divergence: this.#news.divergence ?? null,
      checkpoint: durable.checkpoint,
      checkpointSituation: checkpoint,
      tunables: record.tunables,
      sync: syncStatus(durable.tunables, this.#control.syncDegraded),
      reasons: this.#news.reasons(record),
    };
  }
}

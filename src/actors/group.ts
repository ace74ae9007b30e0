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
import { assert } from '../core/assert.js';
import { GroupControlView } from '../core/bab/control.js';
import { InFlightSlots } from '../core/bab/slots.js';
import { writesInFlightMax } from '../core/constants.js';
import { errorTable, isTdmfError, TdmfError } from '../core/errors.js';
import {
  type DeviceStamp,
  type GroupMode,
  type GroupRecord,
  type TunableValue,
  withCommit,
  withLease,
  withNewEra,
} from '../core/pstore/record.js';
import { decideStart, type StartDecision } from '../core/pstore/start.js';
import { hexOfBytes } from '../core/pstore/superblock.js';
import { backoffMs, type GroupModeEvent, groupModeMachine } from '../machines/group-mode.js';
import { connectionOf, type LinkState } from '../machines/refusals.js';
import type { Actor, ActorContext, Address } from './actor.js';
import { GroupCommands, type Question } from './group-commands.js';
import type { GroupEventPayloads } from './group-events.js';
import { type GroupStatus, leafOf, modeWord, type Problem, shownMode } from './group-status.js';
import { mustBeAccepted, requestOf } from './group-verbs.js';
import { machineClock } from './machine-clock.js';
import type { GroupMessage, MirrorState } from './messages.js';
import { RecordKeeper } from './record-keeper.js';
import { RefreshMeter } from './refresh-meter.js';

export interface GroupOptions {
  readonly group: number;
  /** The group's control block; only read here. */
  readonly control: SharedArrayBuffer;
  /** Actors of this start were here before and failed; the shared memory is theirs (H23). */
  readonly restarted?: boolean;
  /** The local devices as they are now, in the order of the configuration (Rule 33). */
  readonly devices: readonly DeviceStamp[];
  /** Of the configuration; the record has the word once there is one. */
  readonly tunables: Readonly<Record<string, TunableValue>>;
  readonly driver?: string;
  readonly pmd?: string;
  readonly pstore?: string;
}

export type GroupQuestion =
  | {
      readonly kind: 'operator';
      readonly verb: string;
      readonly args?: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'status' }
  | { readonly kind: 'set'; readonly tunables: Readonly<Record<string, TunableValue>> }
  /**
   * The driver has been stopped: no write is in flight, the local devices are flushed. Drains for at
   * most `drainMs`, then saves the clean record. Nothing may be asked of the group afterwards.
   */
  | {
      readonly kind: 'prepareStop';
      readonly drainMs: number;
      /** The devices as they were left. */
      readonly devices: readonly DeviceStamp[];
    };

export interface StopOutcome {
  readonly mode: GroupMode;
  /** The secondary has everything. */
  readonly drained: boolean;
  /** False when writes were still in flight: the next start treats the group as crashed. */
  readonly clean: boolean;
}

/** How often a draining stop looks at the cursors. */
const drainLookMs = 20;

/**
 * @throws TDMF_PSTORE_DAMAGED, TDMF_PSTORE_FAILED, TDMF_PSTORE_FULL; the group did not start then
 */
export async function startGroup(
  context: ActorContext,
  options: GroupOptions,
): Promise<Actor<GroupMessage>> {
  const pstore = context.address<never>(options.pstore ?? 'pstore');
  const { nodeId } = await pstore.ask<{ nodeId: string }>({ kind: 'pstore.node' });
  const loaded = await pstore.ask<GroupRecord | null | undefined>({
    kind: 'pstore.load',
    group: options.group,
  });
  const decision = decideStart(loaded ?? undefined, {
    group: options.group,
    devices: options.devices,
    tunables: options.tunables,
    newEra: randomId(context),
    newRefreshId: randomId(context),
    restarted: options.restarted === true,
  });
  // Not clean any more, durably, before the driver hears a word of us (H31, Rule 8a).
  await pstore.ask({ kind: 'pstore.save', record: decision.record });
  const group = new Group(context, options, pstore, nodeId, decision.record);
  group.begin(decision, loaded?.mode ?? 'passthru');
  return group;
}

class Group implements Actor<GroupMessage> {
  readonly #context: ActorContext;
  readonly #group: number;
  readonly #control: GroupControlView;
  readonly #commands: GroupCommands;
  readonly #keeper: RecordKeeper;
  readonly #machine: ReturnType<Group['createMachine']>;
  #publishedMode: GroupMode;
  #cause: GroupEventPayloads['mode.changed']['cause'] = 'operator.launchrefresh';
  #link: LinkState = 'stopped';
  #peer: string | undefined;
  #problem: Problem | undefined;
  #pstoreProblem: Problem | undefined;
  #uncleanStart = false;
  #mirrorState: MirrorState = 'unknown';
  #mirrorHeardAt: number | undefined;
  #meter: RefreshMeter | undefined;
  #events = 0;
  #stopping = false;

  constructor(
    context: ActorContext,
    options: GroupOptions,
    pstore: Address<never>,
    nodeId: string,
    record: GroupRecord,
  ) {
    const { group } = options;
    this.#context = context;
    this.#group = group;
    this.#control = new GroupControlView(options.control);
    const { driver = `g${group}/driver`, pmd = `g${group}/pmd` } = options;
    this.#commands = new GroupCommands(context, { driver, pmd }, nodeId);
    const guarded = (run: () => void) => context.guard(run);
    this.#publishedMode = record.mode;
    this.#keeper = new RecordKeeper(record, pstore, context.clock, guarded, {
      current: (current) => this.#withPositions(current),
      saved: (durable, latest) => this.#recordSaved(durable, latest),
      failed: (error) => this.#recordFailed(error),
    });
    this.#machine = this.createMachine(record);
  }

  begin(decision: StartDecision, was: GroupMode): void {
    if (decision.row === 'unclean') {
      this.#uncleanStart = true;
      const { remedy } = errorTable.TDMF_UNCLEAN_START;
      const code = 'TDMF_UNCLEAN_START';
      this.#publish('group.uncleanStart', { was: modeWord(was), code, remedy });
    }
    if (decision.changes.length > 0) {
      this.#publish('group.unverified', { changes: decision.changes });
    }
    if (decision.record.refresh !== undefined) this.#startMeter(decision.record.refresh.id);
    this.#machine.subscribe({
      next: (snapshot) => this.#moved(snapshot),
      // Without this observer XState throws on a timer of its own, past the wall of this actor (H46).
      error: (error) => this.#context.fail(error),
    });
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
      case 'pmd.dropped':
        this.#answered('dropped', message.token, { type: 'pmd.dropped' });
        break;
      case 'driver.leaseLow':
        this.#extendLease(message.sequence);
        break;
      case 'driver.flushed':
        return;
      case 'driver.ioFailed': {
        const { device, operation, errno } = message;
        this.#publish('device.failed', { device, operation, errno });
        break;
      }
      case 'link.connecting':
      case 'pmd.stopped':
        this.#send({ type: message.type });
        break;
      case 'link.connected':
        this.#peer = message.peer;
        this.#problem = undefined;
        this.#heardMirror(message.mirrorState);
        this.#send({ type: 'link.connected' });
        break;
      case 'link.lost':
        this.#lostSight(message);
        this.#send({ type: 'link.lost' });
        break;
      case 'link.refused':
        this.#lostSight(message);
        this.#send({
          type: message.retryInMs > 0 ? 'link.refused' : 'link.refusedForGood',
        });
        break;
      case 'mirror.stateChanged':
        this.#heardMirror(message.mirrorState);
        break;
      case 'refresh.progressed':
      case 'refresh.converged':
      case 'refresh.frozenRead':
      case 'refresh.committed':
      case 'refresh.phaseBLost':
      case 'refresh.notConverging':
      case 'refresh.failed':
        if (message.refreshId === this.#keeper.record.refresh?.id) this.#refreshFact(message);
        return;
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
        this.#keeper.change((record) => ({
          ...record,
          tunables: { ...record.tunables, ...asked.tunables },
        }));
        this.#keeper.persist();
        await this.#keeper.settled();
        return this.#keeper.durable.tunables;
      case 'prepareStop':
        return this.#prepareStop(asked.drainMs, asked.devices);
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
    mustBeAccepted(this.#mode(), this.#link, request);
    if (request === 'operator.killpmd') this.#problem = undefined;
    if (request === 'operator.refreshFull') this.#cause = 'operator.launchrefresh';
    this.#send({ type: request });
    // The operator hears "done" when a crash could not undo it any more (I6).
    await this.#keeper.settled();
    return { mode: modeWord(this.#publishedMode), connection: connectionOf(this.#link) };
  }

  #mustRun(): void {
    if (this.#stopping) throw new TdmfError('TDMF_GROUP_STOPPED', { group: this.#group });
  }

  async #prepareStop(drainMs: number, devices: readonly DeviceStamp[]): Promise<StopOutcome> {
    this.#mustRun();
    this.#stopping = true;
    let drained = this.#control.pending === 0;
    if (this.#mode() === 'normal') {
      if (!drained && this.#link !== 'stopped') {
        this.#commands.flush();
        drained = await this.#drain(drainMs);
      }
      if (!drained) this.#send({ type: 'drain.expired' });
    }
    this.#machine.stop();
    const clean = new InFlightSlots(this.#control).freeCount === writesInFlightMax;
    this.#keeper.change((record) => ({ ...record, clean, devices }));
    this.#keeper.persist();
    await this.#keeper.settled();
    this.#keeper.close();
    return { mode: this.#keeper.durable.mode, drained, clean };
  }

  /** Looks now and then: the PMD moves the cursor, and tells nobody. */
  #drain(limitMs: number): Promise<boolean> {
    const { clock } = this.#context;
    const end = clock.now() + limitMs;
    return new Promise((resolve) => {
      const look = this.#context.guard(() => {
        const drained = this.#control.pending === 0;
        if (drained || clock.now() >= end) resolve(drained);
        else clock.after(Math.min(drainLookMs, end - clock.now()), look);
      });
      look();
    });
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
        this.#meter?.progressed(doneBytes, totalBytes, this.#context.clock.now());
        this.#publish('refresh.progressed', { refreshId, doneBytes, totalBytes });
        break;
      }
      case 'refresh.notConverging': {
        const { refreshId, writeBytesPerSecond, linkBytesPerSecond } = message;
        this.#publish('refresh.notConverging', {
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
      case 'refresh.converged':
      case 'refresh.frozenRead':
      case 'refresh.phaseBLost':
        this.#send({ type: message.type });
        break;
    }
  }

  #lostSight({ code, message }: Problem): void {
    this.#problem = { code, message };
    // While connected the last word is as old as the connection's end.
    if (this.#link === 'connected') this.#mirrorHeardAt = this.#context.clock.now();
  }

  #heardMirror(state: MirrorState): void {
    const from = this.#mirrorState;
    this.#mirrorState = state;
    this.#mirrorHeardAt = this.#context.clock.now();
    if (from !== state) this.#publish('mirror.stateChanged', { from, to: state });
  }

  #extendLease(sequence: number): void {
    const { record } = this.#keeper;
    // The record may be ahead, in an era that the driver has not begun: then append ends anyway.
    if (record.era !== this.#commands.babEra?.era) return;
    this.#keeper.change((current) => withLease(current, sequence));
    this.#keeper.persist();
  }

  // The record

  #withPositions(record: GroupRecord): GroupRecord {
    if (record.era !== this.#commands.babEra?.era) return record;
    const { era, stamped, first } = this.#control.readEra();
    if (era !== record.era) return record;
    // Looked at after `stamped`: nothing pending now means that all of it is durable over there.
    const drained = this.#control.pending === 0;
    const known = Math.max(record.released, first - 1, this.#control.releasedSequence);
    return { ...record, sequence: stamped, released: drained ? stamped : Math.min(known, stamped) };
  }

  #recordSaved(durable: GroupRecord, latest: boolean): void {
    this.#pstoreProblem = undefined;
    if (!this.#stopping) {
      this.#commands.leaseSaved(durable);
      this.#commands.tellLineage(durable);
    }
    if (!latest) return;
    const from = this.#publishedMode;
    if (durable.mode !== from) {
      this.#publishedMode = durable.mode;
      const to = modeWord(durable.mode);
      this.#publish('mode.changed', { from: modeWord(from), to, cause: this.#cause });
    }
    this.#send({ type: 'record.saved' });
  }

  #recordFailed(error: unknown): void {
    const code = isTdmfError(error) ? error.code : 'TDMF_PSTORE_FAILED';
    const message = error instanceof Error ? error.message : String(error);
    if (this.#pstoreProblem === undefined) this.#publish('pstore.failed', { code, message });
    this.#pstoreProblem = { code, message };
    this.#send({ type: 'record.failed' });
  }

  // The machine and its actions

  createMachine(record: GroupRecord) {
    const commands = this.#commands;
    const guarded = (run: () => void) => this.#context.guard(run);
    const machine = groupModeMachine.provide({
      actions: {
        recordMode: (_, { mode, cause }) => {
          this.#cause = cause;
          this.#keeper.change((current) => ({ ...current, mode }));
        },
        recordPmd: (_, { launched }) =>
          this.#keeper.change((current) => ({ ...current, pmdLaunched: launched })),
        recordCommit: (_, { position }) =>
          this.#keeper.change((current) => withCommit(current, position)),
        beginRefresh: (_, { kind }) => {
          const id = randomId(this.#context);
          this.#keeper.change((current) => ({ ...current, refresh: { id, kind } }));
          this.#startMeter(id);
        },
        endRefresh: () => this.#keeper.change((current) => ({ ...current, refresh: undefined })),
        beginEra: () =>
          this.#keeper.change((current) => withNewEra(current, randomId(this.#context))),
        markMapAll: () => this.#keeper.change((current) => ({ ...current, mapAll: true })),
        clearMapAll: () => this.#keeper.change((current) => ({ ...current, mapAll: false })),
        revertRecord: () => this.#keeper.change(() => this.#keeper.durable),
        persist: () => this.#keeper.persist(),
        useEra: (_, { attempt }) => {
          const { durable, record: present } = this.#keeper;
          assert(durable.era === present.era, 'an era is durable before an entry of it (Rule 8a)');
          const { era, generation, first } = this.#control.readEra();
          if (generation > 0 && era === durable.era) commands.keepEra(era, first, durable.lease);
          else commands.useEra(durable, attempt);
        },
        setDuties: (_, { append, mark }) => commands.setDuties(append, mark),
        markAllBlocks: () => commands.markAll(),
        takeMark: () => commands.takeMark(),
        commitDriver: () => commands.commit(),
        launchPmd: () => {
          commands.tellLineage(this.#keeper.durable);
          commands.launch(randomId(this.#context));
        },
        killPmd: () => commands.kill(),
        dropEntries: () => commands.drop(),
        startPhaseA: () => {
          commands.tellLineage(this.#keeper.durable);
          commands.refresh(this.#refreshId());
        },
        startPhaseB: () => {
          commands.tellLineage(this.#keeper.durable);
          commands.phaseB(this.#refreshId());
        },
        sendMark: (_, { sequence }) => commands.mark(this.#refreshId(), sequence),
        abortPhaseB: (_, { again }) => commands.abort(this.#refreshId(), again),
        publishOverflow: (_, { sequence }) => {
          const era = commands.babEra?.era ?? this.#keeper.durable.era;
          this.#publish('bab.overflowed', { position: { era, sequence } });
        },
        publishRefreshStarted: () =>
          this.#publish('refresh.started', { refreshId: this.#refreshId(), refresh: 'full' }),
        publishRefreshFinished: () => {
          const seconds = this.#meter?.seconds(this.#context.clock.now()) ?? 0;
          const position = this.#keeper.record.base;
          this.#publish('refresh.finished', { refreshId: this.#refreshId(), position, seconds });
          this.#uncleanStart = false;
          this.#meter = undefined;
        },
        publishRefreshFailed: (_, { code }) => {
          this.#publish('refresh.failed', { refreshId: this.#refreshId(), code });
          this.#meter = undefined;
        },
        publishRefreshKilled: () => {
          this.#publish('refresh.killed', { refreshId: this.#refreshId() });
          this.#meter = undefined;
        },
        publishRefreshAborted: ({ context: { attempt } }, { cause }) => {
          const refreshId = this.#refreshId();
          const retryInMs = backoffMs(attempt);
          this.#publish('refresh.aborted', { refreshId, cause, attempt, retryInMs });
        },
      },
    });
    return createActor(machine, {
      input: { mode: record.mode, pmdLaunched: record.pmdLaunched },
      clock: machineClock(this.#context.clock, guarded),
    });
  }

  /** A refresh that has left the record is still the one that is spoken of. */
  #refreshId(): string {
    const id = this.#keeper.record.refresh?.id ?? this.#meter?.refreshId;
    assert(id !== undefined, 'there is a refresh');
    return id;
  }

  #startMeter(refreshId: string): void {
    const { clock } = this.#context;
    this.#meter = new RefreshMeter(refreshId, clock.now(), clock.wallNow());
  }

  #mode(): GroupMode {
    return this.#situation().split('.')[0] as GroupMode;
  }

  #situation(): string {
    return leafOf(this.#machine.getSnapshot().value.mode);
  }

  #moved(snapshot: SnapshotFrom<typeof groupModeMachine>): void {
    const link = leafOf(snapshot.value.link) as LinkState;
    const from = connectionOf(this.#link);
    const to = connectionOf(link);
    this.#link = link;
    if (from === to) return;
    const { code, message } = this.#problem ?? {};
    this.#publish('link.changed', { from, to, peer: this.#peer, code, message });
  }

  #publish<Name extends keyof GroupEventPayloads>(
    name: Name,
    payload: GroupEventPayloads[Name],
  ): void {
    this.#events++;
    const stamp = {
      group: this.#group,
      at: this.#context.clock.wallNow(),
      sequence: this.#events,
    };
    this.#context.publish(name, { ...payload, ...stamp });
  }

  #status(): GroupStatus {
    const { record, durable } = this.#keeper;
    const connected = this.#link === 'connected';
    const heardAt = this.#mirrorHeardAt;
    const bab = this.#commands.babEra;
    const sequence = bab === undefined ? record.sequence : this.#control.stamped;
    const age = heardAt === undefined ? null : (this.#context.clock.now() - heardAt) / 1000;
    return {
      group: this.#group,
      mode: modeWord(shownMode(this.#mode(), this.#publishedMode)),
      situation: this.#situation(),
      connection: connectionOf(this.#link),
      peer: this.#peer,
      pmdLaunched: record.pmdLaunched,
      problem: this.#problem ?? null,
      mirrorState: this.#mirrorState,
      mirrorStateAgeSeconds: connected ? null : age,
      refresh: this.#meter?.status() ?? null,
      era: record.era,
      position: { era: bab?.era ?? record.era, sequence },
      lease: durable.lease,
      base: durable.base,
      map: durable.map,
      mapAll: record.mapAll,
      unverified: record.unverified,
      tunables: record.tunables,
      reasons: this.#reasons(),
    };
  }

  #reasons(): readonly Problem[] {
    const known = [this.#pstoreProblem, this.#problem].filter((one) => one !== undefined);
    if (!this.#uncleanStart) return known;
    const { message, remedy } = errorTable.TDMF_UNCLEAN_START;
    return [{ code: 'TDMF_UNCLEAN_START', message: `${message}. ${remedy}` }, ...known];
  }
}

/** 128 random bits: eras, refreshes, launches. */
function randomId(context: ActorContext): string {
  const bytes = new Uint8Array(16);
  return hexOfBytes(context.random.fill(bytes));
}

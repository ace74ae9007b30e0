/**
 * The mirror side of one session, without the link: where a frame goes (mirror, `.i`, `.c`), what is
 * applied and durable, and the steps of a full refresh. rmd.ts talks to the primary and calls this;
 * mirror.ts and journal.ts do the I/O; rmd-record.ts keeps what must survive.
 *
 *              admitted ─resume─► stream ◄────────────── committed
 *                 └────refreshBegin──► phase a ─phaseB─► phase b ─mark┘
 *
 *   stream: entries → mirror, or → `.c` until a committed journal is on the mirror (the tail)
 *   phase a: blocks → mirror · phase b: blocks → `.i`, entries → `.c`
 *
 * Durable positions move only after a flush *and* a synced page (Rule 24, H21).
 */
import { assert } from '../core/assert.js';
import type { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError } from '../core/errors.js';
import type { Standing } from '../core/journal/recovery.js';
import type { RecordedState } from '../core/meta.js';
import { decodeEntry, emptyWireEntry } from '../core/wire/entry.js';
import {
  type Ack,
  frameKinds,
  type Hello,
  type Mark,
  type PhaseB,
  type RefreshBegin,
  type Resume,
} from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice } from '../ports/block-device.js';
import type { ActorContext } from './actor.js';
import { FlushLoop } from './flush-loop.js';
import { Journal, removeSegments } from './journal.js';
import { Mirror } from './mirror.js';
import { applyCommitted, feedTail, type ReplayPlace, recoverJournal } from './mirror-replay.js';
import { type RmdRecord, saveCommit } from './rmd-record.js';

export interface MirrorSessionEvents {
  /** Positions or credit moved. */
  acked(): void;
  /** There may be room for frames that had to wait. */
  roomFreed(): void;
  committed(refreshId: string, era: string, mark: number): void;
  stateChanged(state: RecordedState): void;
  /** The session must end; nothing beyond what was acknowledged counts. */
  failed(error: unknown): void;
}

export interface MirrorSessionOptions {
  readonly group: number;
  readonly directory: string;
  readonly hello: Hello;
  readonly devices: readonly BlockDevice[];
  readonly record: RmdRecord;
  readonly ring: FrameRing;
  readonly memory: ArenaMemory;
  readonly events: MirrorSessionEvents;
}

export type MirrorPhase = 'admitted' | 'stream' | 'phaseA' | 'phaseB';

export class MirrorSession {
  phase: MirrorPhase = 'admitted';
  readonly #context: ActorContext;
  readonly #options: MirrorSessionOptions;
  readonly #mirror: Mirror;
  readonly #place: ReplayPlace;
  readonly #entry = emptyWireEntry();
  readonly #mirrorFlush: FlushLoop;
  readonly #journalFlush: FlushLoop;
  #journal: Journal | undefined;
  /** Entries go to `.c`: phase b, and after its commit until the tail is on the mirror. */
  #toJournal = false;
  #recording = false;
  #era: string | undefined;
  #durable = 0;
  #refreshId = '';
  #lastBlock = 0;
  #blocksBefore = 0;
  #mark: Mark | undefined;
  #committing: Promise<void> | undefined;
  #progressWaiters: (() => void)[] = [];
  #stopped = false;

  constructor(context: ActorContext, options: MirrorSessionOptions) {
    this.#context = context;
    this.#options = options;
    const { ring, memory, devices, record, group, directory, hello } = options;
    const { devices: opener, files } = context.ports;
    this.#mirror = new Mirror(context, opener, devices, ring, memory, {
      record: (applied) => {
        if (this.#recording) record.page.setApplied(applied);
      },
      progressed: (bytes) => this.#mirrorProgressed(bytes),
      failed: (error) => this.#fail(error),
    });
    this.#place = {
      opener,
      files,
      directory,
      group,
      ring,
      memory,
      mirror: this.#mirror,
      record,
      sizes: hello.devices.map(({ sizeBytes }) => sizeBytes),
      progress: () =>
        new Promise((resolve) => {
          this.#progressWaiters.push(resolve);
        }),
      recording: (on) => {
        this.#recording = on;
      },
    };
    this.#mirrorFlush = new FlushLoop(context, () => this.#flushMirror());
    this.#journalFlush = new FlushLoop(context, () => this.#flushJournal());
  }

  get record(): RmdRecord {
    return this.#options.record;
  }

  get era(): string | undefined {
    return this.#era;
  }

  get journaling(): boolean {
    return this.#toJournal;
  }

  /** Finishes what an earlier session committed; what was damaged, if anything. */
  async recover(): Promise<TdmfError | undefined> {
    const damage = await recoverJournal(this.#place);
    // Attempts without a commit record are worth nothing. Damaged files stay for who wants to look,
    // and those of another mirror until a refresh claims this one.
    const { state, refreshId } = this.record.record;
    const keep = state === 'unknown' || (state === 'incoherent' && refreshId === '');
    if (!keep) await removeSegments(this.#place);
    return damage;
  }

  /** Says where to go on (Rules 7a, 8b, 7b). @throws TDMF_LINK_PROTOCOL */
  async resume(message: Resume, standing: Standing): Promise<void> {
    const { record, hello } = this.#options;
    const { era, refreshId, state } = record.record;
    const { position, durable, rewound } = standing;
    const fits =
      this.phase === 'admitted' &&
      position !== undefined &&
      durable !== undefined &&
      era === message.era &&
      refreshId === '' &&
      message.from === position + 1;
    if (!fits) throw broken(`resume of ${message.era} from ${message.from} does not fit`);
    const sent = hello.era === era ? hello.sentMax : 0;
    const ahead = rewound || state === 'incoherent';
    const reach = Math.max(message.sentMax, ahead ? Math.max(record.record.reach, sent) : 0);
    const window = reach > position;
    const now = state === 'unknown' ? 'unknown' : window ? 'incoherent' : 'coherent';
    await this.#claim({ reach: window ? reach : 0, state: now });
    if (now !== standing.state) this.#options.events.stateChanged(now);
    // Replaying a journal may have left a flush under way.
    await this.#mirrorFlush.settle();
    record.page.guard(era, record.bootId, position);
    this.#era = era;
    this.#durable = durable;
    this.#mirror.entries.begin(position);
    this.#mirrorFlush.policy.begin(durable, position, this.#context.clock.now());
    this.#recording = true;
    this.phase = 'stream';
    this.#mirrorFlush.arm();
  }

  /** The mirror is `incoherent`, durably, before its first block is overwritten (Rule 12.2). */
  async refreshBegin(message: RefreshBegin): Promise<void> {
    if (this.phase !== 'admitted' && this.phase !== 'stream') throw broken('refreshBegin');
    await this.#settle();
    await this.#discardJournal();
    const error = await this.#mirror.flush();
    if (error !== undefined) throw await this.#lost(error);
    const { refreshId } = message;
    const changed = { state: 'incoherent', refreshId, reach: 0, journal: undefined } as const;
    const before = this.record.record.state;
    await this.#claim(changed);
    // The primary shows what it heard last, and must not call a mirror coherent that is not (I18).
    if (before !== changed.state) this.#options.events.stateChanged(changed.state);
    await removeSegments(this.#place);
    // A flush of the stream before may have begun meanwhile.
    await this.#mirrorFlush.settle();
    this.#era = undefined;
    this.#recording = false;
    this.#refreshId = refreshId;
    this.#lastBlock = 0;
    this.#mirror.blocks.begin(0);
    this.#mirrorFlush.policy.begin(0, 0, this.#context.clock.now());
    this.phase = 'phaseA';
  }

  /** From here on blocks go to `.i`, entries from s0 on to `.c` (R5). */
  async phaseB(message: PhaseB): Promise<void> {
    this.#expect('phaseA', message.refreshId, 'phaseB');
    await this.#mirror.idle();
    const { group, directory, ring, memory } = this.#options;
    const { devices: opener, files } = this.#context.ports;
    this.#blocksBefore = this.#lastBlock;
    this.#journal = await Journal.create(
      {
        context: this.#context,
        opener,
        files,
        directory,
        group,
        ring,
        memory,
        events: {
          appended: (bytes) => this.#journalProgressed(bytes),
          failed: (error) => this.#fail(error),
        },
      },
      {
        refreshId: message.refreshId,
        era: message.era,
        s0: message.s0,
        firstBlock: this.#lastBlock + 1,
      },
    );
    this.#era = message.era;
    this.#durable = message.s0 - 1;
    this.#mark = undefined;
    this.#journalFlush.policy.begin(this.#durable, this.#durable, this.#context.clock.now());
    this.#toJournal = true;
    this.phase = 'phaseB';
  }

  mark(message: Mark): void {
    this.#expect('phaseB', message.refreshId, 'mark');
    if (this.#mark !== undefined) throw broken('a second mark');
    if (message.mark < this.#journal!.c.header.firstSequence - 1) throw broken('mark below s0');
    this.#mark = message;
    this.#checkBlocks();
    this.#tryCommit();
  }

  /** Forgets the attempt; blocks go to the mirror again (R9). */
  async abortB(refreshId: string): Promise<void> {
    await this.#dropAttempt(refreshId, 'abortB');
    this.phase = 'phaseA';
  }

  /** The refresh is over without a commit; the mirror stays `incoherent` (4.3). */
  async refreshEnd(refreshId: string): Promise<void> {
    if (this.phase === 'phaseA') this.#expect('phaseA', refreshId, 'refreshEnd');
    else await this.#dropAttempt(refreshId, 'refreshEnd');
    await this.#mirror.idle();
    this.phase = 'admitted';
  }

  /** The primary waits for everything up to `sequence` (Rule 39). */
  flushWanted(sequence: number): void {
    const loop = this.#toJournal ? this.#journalFlush : this.#mirrorFlush;
    loop.policy.want(sequence);
    loop.arm();
  }

  /**
   * Takes a validated frame, with the caller's hold. False: no room now, try again after `roomFreed`.
   * @throws TDMF_LINK_PROTOCOL when it does not belong here or does not follow the last one
   */
  take(frame: number): boolean {
    const { ring, memory } = this.#options;
    const blocks = ring.kindOf(frame) === frameKinds.blocks;
    const entries = ring.entriesOf(frame);
    decodeEntry(memory.bytes, ring.tableOf(frame), this.#entry);
    const first = this.#entry.sequence;
    const last = first + entries - 1;
    const journal = this.#journal;
    if (blocks ? this.phase === 'phaseB' : this.#toJournal) {
      const writer = blocks ? journal!.i : journal!.c;
      if (first !== writer.received + 1) throw gap(first, writer.received);
      writer.append(frame, last);
      if (blocks) {
        this.#lastBlock = last;
        this.#checkBlocks();
      }
      this.#options.events.acked();
      return true;
    }
    if (this.phase !== (blocks ? 'phaseA' : 'stream')) {
      throw broken(`${blocks ? 'blocks' : 'entries'} in ${this.phase}`, first);
    }
    const lane = blocks ? this.#mirror.blocks : this.#mirror.entries;
    if (lane.room < entries) return false;
    const problem = this.#mirror.accept(frame, Number.MAX_SAFE_INTEGER);
    ring.release(frame);
    if (problem !== undefined) throw broken(problem, first);
    if (blocks) this.#lastBlock = last;
    this.#mirror.pump();
    this.#options.events.acked();
    return true;
  }

  /** What may be acknowledged now. */
  ack(into: Ack): void {
    const { ring } = this.#options;
    const { entries, blocks } = this.#mirror;
    into.freedBytes = ring.freedBytes;
    into.received = 0;
    into.applied = 0;
    into.durable = 0;
    into.blocks = 0;
    if (this.phase === 'phaseA') into.blocks = blocks.applied;
    if (this.phase === 'phaseB') {
      // While an aborted attempt is taken away nothing of it counts; its blocks are given back.
      into.blocks = this.#journal?.i.appended ?? this.#lastBlock;
      if (this.#journal === undefined) return;
    }
    if (this.phase !== 'stream' && this.phase !== 'phaseB') return;
    into.durable = this.#durable;
    if (this.#toJournal) {
      into.received = this.#journal!.c.received;
      into.applied = this.#durable;
    } else {
      into.received = entries.received;
      into.applied = Math.max(entries.applied, this.#durable);
    }
  }

  /** Starts nothing more; a replay that is under way gives up. `close` must follow. */
  stop(): void {
    this.#stopped = true;
    this.#mirror.stop();
    this.#wakeProgress();
  }

  /**
   * Starts nothing more, waits for all I/O, and records a clean close when everything applied could
   * be flushed. The devices are closed and their locks free when it resolves (Rule 22).
   */
  async close(): Promise<void> {
    this.stop();
    await this.#committing?.catch(() => undefined);
    await Promise.all([this.#mirrorFlush.stop(), this.#journalFlush.stop()]);
    try {
      await this.#closeRecord();
    } finally {
      await this.#journal?.close();
      await this.#mirror.close();
    }
    // Without a commit record an attempt is worth nothing (Rule 24): the next session starts anew.
    if (this.#journal !== undefined && this.record.record.journal === undefined) {
      await this.#journal.remove();
    }
  }

  async #closeRecord(): Promise<void> {
    const { record } = this.#options;
    await this.#mirror.idle();
    const error = await this.#mirror.flush();
    if (error !== undefined) {
      await record.distrust();
      return;
    }
    const era = this.#era;
    const streaming = this.phase === 'stream' && !this.#toJournal && this.#journal === undefined;
    if (!streaming || era === undefined) return;
    const { applied } = this.#mirror.entries;
    await record.saveDurable(era, applied);
    this.#durable = applied;
    const closed = this.#windowClosed(applied) ? ({ state: 'coherent', reach: 0 } as const) : {};
    await record.save({ clean: true, durable: applied, ...closed });
  }

  /** From now on the mirror is this primary's, written under this boot, and not cleanly closed. */
  async #claim(change: Parameters<RmdRecord['save']>[0]): Promise<void> {
    const { record, hello } = this.#options;
    await record.save({
      clean: false,
      bootId: record.bootId,
      ownerNodeId: hello.nodeId,
      launch: hello.launch,
      mirrors: record.mirrors,
      ...change,
    });
  }

  #mirrorProgressed(bytes: number): void {
    const { policy } = this.#mirrorFlush;
    policy.wrote(
      bytes,
      this.#recording ? this.#mirror.entries.applied : 0,
      this.#context.clock.now(),
    );
    this.#mirrorFlush.arm();
    this.#wakeProgress();
    this.#options.events.acked();
    this.#options.events.roomFreed();
  }

  #journalProgressed(bytes: number): void {
    const { policy } = this.#journalFlush;
    policy.wrote(bytes, this.#journal!.c.appended, this.#context.clock.now());
    this.#journalFlush.arm();
    this.#wakeProgress();
    this.#tryCommit();
    this.#options.events.acked();
    this.#options.events.roomFreed();
  }

  async #flushMirror(): Promise<void> {
    const { policy } = this.#mirrorFlush;
    const covers = policy.flushBegan();
    // A replay has no stream yet, and saves its own position.
    const recording = this.#recording && this.phase === 'stream';
    const error = await this.#mirror.flush();
    if (error !== undefined) {
      policy.flushFailed();
      this.#fail(await this.#lost(error));
      return;
    }
    if (recording && this.#recording) await this.#mirrorDurable(covers);
    policy.flushEnded();
    this.#options.events.acked();
  }

  async #flushJournal(): Promise<void> {
    const { policy } = this.#journalFlush;
    const journal = this.#journal;
    const covers = policy.flushBegan();
    const error = await journal?.c.flush();
    if (error !== undefined) {
      policy.flushFailed();
      this.#fail(error);
      return;
    }
    policy.flushEnded();
    if (journal !== this.#journal || !this.#toJournal) return;
    // Before the commit the era is not the mirror's yet: nothing of it is in the position page.
    if (this.phase === 'stream') await this.#madeDurable(covers);
    else this.#durable = Math.max(this.#durable, covers);
    this.#options.events.acked();
  }

  /** Acknowledged only after the page is synced. */
  async #madeDurable(sequence: number): Promise<void> {
    if (sequence <= this.#durable) return;
    await this.#options.record.saveDurable(this.#era!, sequence);
    this.#durable = Math.max(this.#durable, sequence);
  }

  /** Everything up to `covers` is durable on the mirrors. */
  async #mirrorDurable(covers: number): Promise<void> {
    const { record } = this.#options;
    const journal = this.#journal;
    if (journal === undefined) await this.#madeDurable(covers);
    else {
      // While the record names a journal, `durable` promises what can be read from `.c`. It is given
      // up in one step, when the mirror holds all of it (Rule 24: only then delete).
      if (this.#toJournal || covers < journal.c.received) return;
      this.#journal = undefined;
      await record.save({ journal: undefined, durable: covers });
      this.#durable = Math.max(this.#durable, covers);
      await this.#journalFlush.settle();
      await journal.close();
      await journal.remove();
    }
    if (this.#windowClosed(covers)) {
      await record.save({ state: 'coherent', reach: 0 });
      this.#options.events.stateChanged('coherent');
    }
  }

  /** Whether a Rule 7b window ends with `durable`. */
  #windowClosed(durable: number): boolean {
    const { state, refreshId, era, reach } = this.#options.record.record;
    return state === 'incoherent' && refreshId === '' && era !== undefined && durable >= reach;
  }

  #tryCommit(): void {
    const mark = this.#mark;
    const journal = this.#journal;
    if (mark === undefined || journal === undefined || this.#committing !== undefined) return;
    if (this.phase !== 'phaseB') return;
    if (journal.i.appended - this.#blocksBefore < mark.blocks) return;
    if (journal.c.appended < mark.mark) return;
    // Rule 24, in its order: mirror flushed → files and directory → commit record → `committed` →
    // apply → flush → "applied" → what follows. A crash between two steps restarts at the right one.
    const committing = this.#commit(mark, journal);
    this.#committing = committing;
    committing.catch((error: unknown) => this.#fail(error));
  }

  #checkBlocks(): void {
    const sent = this.#lastBlock - this.#blocksBefore;
    const said = this.#mark?.blocks ?? sent;
    if (sent > said) throw broken(`${sent} blocks, the mark says ${said}`);
  }

  async #commit(mark: Mark, journal: Journal): Promise<void> {
    const { record, events } = this.#options;
    const era = this.#era!;
    const error = await this.#mirror.flush();
    if (error !== undefined) throw await this.#lost(error);
    const files = await journal.seal();
    if (this.#stopped) return;
    const s0 = journal.c.header.firstSequence;
    const { refreshId } = mark;
    const committed = { refreshId, era, s0, mark: mark.mark, files, applied: false };
    await saveCommit(record, committed);
    this.#durable = Math.max(this.#durable, mark.mark);
    await record.saveDurable(era, this.#durable);
    if (this.#stopped) return;
    this.phase = 'stream';
    events.committed(refreshId, era, mark.mark);
    events.stateChanged('recoverable');
    events.acked();
    const feeder = await applyCommitted(this.#place, committed, journal.i.device, journal.c.device);
    try {
      events.stateChanged('coherent');
      await this.#mirrorFlush.settle();
      this.#mirrorFlush.policy.begin(mark.mark, mark.mark, this.#context.clock.now());
      if (await feedTail(this.#place, feeder, journal.c)) this.#caughtUp(journal);
    } finally {
      feeder.close();
    }
  }

  /** The tail is on its way to the mirror: from this very turn entries go there directly. */
  #caughtUp(journal: Journal): void {
    const { entries } = this.#mirror;
    assert(entries.received === journal.c.received, 'the tail ends where `.c` ends');
    this.#toJournal = false;
    // The journal is needed until a flush of the mirror covers all of it.
    this.#mirrorFlush.policy.wrote(0, entries.applied, this.#context.clock.now());
    this.#mirrorFlush.policy.want(journal.c.received);
    this.#mirrorFlush.arm();
    this.#options.events.acked();
    this.#options.events.roomFreed();
  }

  /** Waits for everything that runs beside the stream of frames. */
  async #settle(): Promise<void> {
    await this.#committing;
    this.#committing = undefined;
    await this.#mirror.idle();
    await Promise.all([this.#mirrorFlush.settle(), this.#journalFlush.settle()]);
  }

  async #dropAttempt(refreshId: string, what: string): Promise<void> {
    if (this.#committing !== undefined && refreshId === this.#refreshId) {
      // It crossed the commit on the wire. Which of the two it was, the next handshake shows (R10).
      throw new TdmfError('TDMF_RMD_FAILED', { why: `${what} came during the commit` });
    }
    this.#expect('phaseB', refreshId, what);
    await this.#journalFlush.settle();
    await this.#discardJournal();
    this.#mark = undefined;
    this.#era = undefined;
    this.#mirror.blocks.begin(this.#lastBlock);
  }

  async #discardJournal(): Promise<void> {
    const journal = this.#journal;
    this.#journal = undefined;
    this.#toJournal = false;
    if (journal === undefined) return;
    await journal.close();
    if (this.record.record.journal === undefined) await journal.remove();
  }

  /** H21: nothing since the last good flush counts, under whatever session comes next. */
  async #lost(error: TdmfError): Promise<TdmfError> {
    this.#mirror.stop();
    await this.#options.record.distrust();
    return error;
  }

  #expect(phase: MirrorPhase, refreshId: string, what: string): void {
    if (this.phase !== phase || refreshId !== this.#refreshId) {
      throw broken(`${what} of ${refreshId} in ${this.phase}`);
    }
  }

  #wakeProgress(): void {
    const waiters = this.#progressWaiters;
    if (waiters.length === 0) return;
    this.#progressWaiters = [];
    for (const resolve of waiters) resolve();
  }

  #fail(error: unknown): void {
    this.#mirror.stop();
    this.#wakeProgress();
    if (!this.#stopped) this.#options.events.failed(error);
    this.#stopped = true;
  }
}

function broken(what: string, sequence?: number): TdmfError {
  return new TdmfError('TDMF_LINK_PROTOCOL', {
    what,
    ...(sequence !== undefined && { sequence }),
  });
}

function gap(first: number, last: number): TdmfError {
  return broken(`${first} came after ${last}`, first);
}

/**
 * The mirror side of one session, without the link: which part of it a frame or a message belongs to,
 * and what may be acknowledged. rmd.ts talks to the primary and calls this; the parts do the work:
 * mirror-stream.ts (entries), mirror-refresh.ts (a refresh and its commit), mirror-checkpoint.ts,
 * mirror-compare.ts and mirror-source.ts; mirror-core.ts carries data and positions for all of them.
 *
 *              admitted ─resume, era─► stream ◄──────────────── committed
 *               │  └──refreshBegin──► phase a ─phaseB─► phase b ─mark─┘
 *               └──backfreshBegin──► source ─era─► stream
 */
import type { TdmfError } from '../core/errors.js';
import type { Standing } from '../core/journal/recovery.js';
import { decodeEntry, emptyWireEntry } from '../core/wire/entry.js';
import {
  type Ack,
  type BackfreshBegin,
  type EraHandOver,
  frameKinds,
  type Hashes,
  type Mark,
  type PhaseB,
  type RefreshBegin,
  type Resume,
} from '../core/wire/messages.js';
import { type RmdWord, rmdWords } from '../machines/rmd-mode.js';
import type { ActorContext } from './actor.js';
import { isDamage } from './chain-applier.js';
import { MirrorCheckpoint } from './mirror-checkpoint.js';
import { MirrorCompare } from './mirror-compare.js';
import { MirrorCore, type MirrorSessionOptions } from './mirror-core.js';
import { broken } from './mirror-errors.js';
import { MirrorRefresh } from './mirror-refresh.js';
import { MirrorSource, type SendBlocks } from './mirror-source.js';
import { removeStray } from './mirror-strays.js';
import { MirrorStream } from './mirror-stream.js';
import { dirtOf, type FoundChanges } from './own-changes.js';
import { type RmdRecord, saveDamage } from './rmd-record.js';

export type MirrorPhase = 'admitted' | 'stream' | 'phaseA' | 'phaseB' | 'source';

export class MirrorSession {
  readonly #core: MirrorCore;
  readonly #stream: MirrorStream;
  readonly #checkpoint: MirrorCheckpoint;
  readonly #entry = emptyWireEntry();
  #phase: 'admitted' | 'stream' | 'refresh' | 'source' = 'admitted';
  #refresh: MirrorRefresh | undefined;
  #compare: MirrorCompare | undefined;
  #source: MirrorSource | undefined;
  #receivedMax = 0;

  constructor(context: ActorContext, options: MirrorSessionOptions) {
    this.#core = new MirrorCore(context, options);
    this.#stream = new MirrorStream(this.#core);
    this.#checkpoint = new MirrorCheckpoint(this.#core);
  }

  get phase(): MirrorPhase {
    if (this.#phase !== 'refresh') return this.#phase;
    return this.#refresh?.inPhaseB === true ? 'phaseB' : 'phaseA';
  }

  get record(): RmdRecord {
    return this.#core.record;
  }

  get era(): string | undefined {
    return this.#core.era;
  }

  /** The word of `info` for what happens to what is received. */
  get word(): RmdWord {
    return rmdWords[this.#core.mode];
  }

  /**
   * Finishes what an earlier session committed, unless a checkpoint keeps it from the mirror; what was
   * damaged, if anything (Rule 25).
   */
  async recover(): Promise<TdmfError | undefined> {
    const core = this.#core;
    const { record, chain, applier, place } = core;
    try {
      await chain.load();
      const { checkpoint } = record.record;
      core.tell(checkpoint === 'on' ? 'session.checkpointed' : 'session.opened');
      if (checkpoint === 'on') await chain.rename('c', 'p');
      else if (!chain.empty) {
        if (checkpoint === 'replaying') await chain.rename('p', 'c');
        await chain.verify(() => core.stopped);
        if (record.record.state === 'coherent') await record.save({ state: 'recoverable' });
        core.tell('chain.found');
        core.startApplier();
        await applier.settled();
        if (core.stopped) return undefined;
        // Exact under any boot, until somebody writes.
        await record.save({ clean: true });
      }
      if (record.record.checkpoint === 'replaying') await this.#checkpoint.finish();
      const end = chain.end;
      if (end !== undefined) await record.saveDurable(end.era, end.sequence);
    } catch (error) {
      if (!isDamage(error)) throw error;
      chain.files.length = 0;
      await saveDamage(record);
      return error;
    }
    // Damaged files stay for who wants to look, those of another mirror until a refresh claims this one.
    const { state, refreshId } = record.record;
    const keep = state === 'unknown' || (state === 'incoherent' && refreshId === '');
    if (!keep) {
      const known = chain.files.map(({ header }) => header.segment);
      await removeStray(place, record.record, known);
    }
    return undefined;
  }

  async resume(message: Resume, standing: Standing): Promise<void> {
    // After `era` the stream is open already, exactly there.
    const again =
      this.#phase === 'stream' &&
      message.era === this.era &&
      message.from === this.#stream.received + 1;
    if (again) return;
    if (this.#phase !== 'admitted') throw broken(`resume in ${this.phase}`);
    await this.#stream.resume(message, standing);
    this.#begin('stream');
  }

  /** Rule 8b. The record says so durably when it resolves. */
  async handOver(message: EraHandOver, standing: Standing): Promise<void> {
    if (this.#phase === 'refresh') throw broken(`era in ${this.phase}`);
    await this.#endStream();
    await this.#source?.settle();
    const { record } = this.#core;
    await this.#stream.handOver(message, this.#phase === 'admitted' ? standing : record.standing());
    if (this.#phase === 'source') {
      await this.record.save({ own: 'none', ownSince: 0 });
      await this.#source?.close();
      this.#source = undefined;
    }
    this.#begin('stream');
  }

  /**
   * Blocks may come when it resolves. True: what earlier sessions of this refresh acknowledged is still
   * there (R10).
   */
  async refreshBegin(message: RefreshBegin, own: FoundChanges): Promise<boolean> {
    if (this.#phase !== 'admitted' && this.#phase !== 'stream') throw broken('refreshBegin');
    const core = this.#core;
    await this.#endStream();
    if (message.union) for (const dirt of dirtOf(own)) core.options.events.dirt(dirt);
    const { refresh, kept } = await MirrorRefresh.begin(core, message, (mark) => {
      this.#stream.adopted(core.era!, mark);
      this.#begin('stream');
    });
    this.#refresh = refresh;
    this.#phase = 'refresh';
    return kept;
  }

  /** True: the mirror is what it was in the last session of this backfresh. */
  async backfreshBegin(
    message: BackfreshBegin,
    own: FoundChanges,
    send: SendBlocks,
  ): Promise<boolean> {
    if (this.#phase !== 'admitted') throw broken('backfreshBegin');
    const { source, kept } = await MirrorSource.begin(this.#core, message, own, send);
    this.#source = source;
    this.#phase = 'source';
    return kept;
  }

  phaseB(message: PhaseB): Promise<void> {
    return this.#refreshOf(message.refreshId, 'phaseB').phaseB(message);
  }

  mark(message: Mark): void {
    this.#refreshOf(message.refreshId, 'mark').mark(message);
  }

  async abortB(refreshId: string): Promise<void> {
    const refresh = this.#refreshOf(refreshId, 'abortB');
    // `refreshReady` says that every question before it is answered.
    await this.#compare?.settle();
    await refresh.abortB();
  }

  /** The refresh is over without a commit; the mirror stays what it is (4.3). */
  async refreshEnd(refreshId: string): Promise<void> {
    await this.#compare?.settle();
    await this.#refreshOf(refreshId, 'refreshEnd').end();
    this.#core.tell('refresh.ended');
    this.#refresh = undefined;
    this.#phase = 'admitted';
  }

  hashes(message: Hashes): void {
    if (this.#source !== undefined) {
      this.#source.hashes(message);
      return;
    }
    if (this.#phase !== 'refresh') throw broken(`hashes in ${this.phase}`);
    this.#compare ??= new MirrorCompare(this.#core, () => this.#refresh?.image);
    this.#compare.compare(message, async (differs) => {
      this.#core.options.events.differs(differs);
    });
  }

  checkpointOff(): Promise<void> {
    return this.#checkpoint.off();
  }

  /** The primary waits for everything up to `sequence` (Rule 39). */
  flushWanted(sequence: number): void {
    const { direct, mirrorFlush, journalFlush } = this.#core;
    const loop = direct ? mirrorFlush : journalFlush;
    loop.policy.want(sequence);
    loop.arm();
  }

  /**
   * Takes a validated frame, with the caller's hold. False: no room now, try again after `roomFreed`. A
   * promise: it is taken, and nothing may follow before it resolves.
   * @throws TDMF_LINK_PROTOCOL when it does not belong here or does not follow the last one
   */
  take(frame: number): boolean | Promise<void> {
    const { ring, memory, events } = this.#core.options;
    const blocks = ring.kindOf(frame) === frameKinds.blocks;
    decodeEntry(memory.bytes, ring.tableOf(frame), this.#entry);
    const first = this.#entry.sequence;
    const last = first + ring.entriesOf(frame) - 1;
    if (blocks || this.#phase === 'refresh') {
      const refresh = this.#phase === 'refresh' ? this.#refresh : undefined;
      if (refresh === undefined) throw broken(`blocks in ${this.phase}`, first);
      if (blocks && this.#compare?.idle === false) return false;
      const taken = blocks
        ? refresh.takeBlocks(frame, first, last)
        : refresh.takeEntries(frame, first, last);
      if (taken) events.acked();
      return taken;
    }
    if (this.#phase !== 'stream') throw broken(`entries in ${this.phase}`, first);
    const taken = this.#stream.take(frame, first, last);
    if (taken === false) return false;
    events.acked();
    if (taken === true) return true;
    return this.#checkpoint.on(taken).then(() => this.#stream.takeRest(frame, taken, last));
  }

  /** What may be acknowledged now. */
  ack(into: Ack): void {
    const { options, durable } = this.#core;
    into.freedBytes = options.ring.freedBytes;
    into.received = 0;
    into.applied = 0;
    into.durable = 0;
    into.blocks = 0;
    const { phase } = this;
    if (phase === 'phaseA' || phase === 'phaseB') into.blocks = this.#refresh!.blocksDone;
    if (phase === 'phaseB') {
      into.received = this.#refresh!.received;
      into.durable = durable;
      into.applied = durable;
    }
    if (phase !== 'stream') return;
    this.#receivedMax = Math.max(this.#receivedMax, this.#stream.received);
    into.durable = durable;
    into.applied = this.#stream.applied;
    into.received = this.#receivedMax;
  }

  /** Starts nothing more; a replay that is under way gives up. `close` must follow. */
  stop(): void {
    const core = this.#core;
    core.stopped = true;
    core.mirror?.stop();
    core.applier.notify();
  }

  /**
   * Starts nothing more, waits for all I/O, and records a clean close when everything applied could
   * be flushed. The devices are closed and their locks free when it resolves (Rule 22).
   */
  async close(): Promise<void> {
    this.stop();
    const core = this.#core;
    const { ring } = core.options;
    for (const frame of await core.applier.stop()) ring.release(frame);
    await this.#refresh?.close();
    await this.#compare?.close();
    await this.#source?.close();
    this.#stream.close();
    await Promise.all([core.mirrorFlush.stop(), core.journalFlush.stop()]);
    core.tell('session.closed');
    try {
      await this.#closeRecord();
    } finally {
      await core.chain.close();
      await core.releaseMirrors();
      core.applier.close();
    }
  }

  async #closeRecord(): Promise<void> {
    const { record, mirror, chain, direct, era, entries } = this.#core;
    await mirror?.idle();
    const error = await mirror?.flush();
    if (error !== undefined) {
      await record.distrust();
      return;
    }
    if (!direct || era === undefined || !chain.empty) return;
    const { applied } = entries!.apply;
    await record.saveDurable(era, applied);
    this.#core.durable = applied;
    const closed = this.#core.windowClosed(applied)
      ? ({ state: 'coherent', reach: 0 } as const)
      : {};
    await record.save({ clean: true, durable: applied, ...closed });
  }

  /** The stream is over: what it brought is on the mirror, or under a checkpoint in the journal. */
  async #endStream(): Promise<void> {
    const core = this.#core;
    const { record, chain } = core;
    if (this.#phase !== 'stream') {
      await core.settle();
      return;
    }
    await core.settle();
    if (core.checkpointed) {
      const error = await core.flushTail();
      if (error !== undefined) throw error;
      await chain.closeTail();
      return;
    }
    core.applier.keep = false;
    core.applier.notify();
    await core.applier.settled();
    await core.settle();
    if (core.stopped) throw broken('the session ended');
    await core.flushMirrors();
    const { applied } = core.entries!.apply;
    await record.saveDurable(core.era!, applied);
    core.durable = applied;
    const closed = core.windowClosed(applied) ? ({ state: 'coherent', reach: 0 } as const) : {};
    // Until something is written again it is as good as closed cleanly.
    await record.save({ clean: true, durable: applied, ...closed });
    core.direct = false;
  }

  #begin(phase: 'stream'): void {
    this.#phase = phase;
    this.#receivedMax = this.#stream.received;
  }

  #refreshOf(refreshId: string, what: string): MirrorRefresh {
    const refresh = this.#phase === 'refresh' ? this.#refresh : undefined;
    if (refresh?.refreshId !== refreshId) throw broken(`${what} of ${refreshId} in ${this.phase}`);
    return refresh;
  }
}

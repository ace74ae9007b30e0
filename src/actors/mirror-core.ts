/**
 * What the parts of the mirror side of a session share: the mirror and its lanes, the committed chain
 * and who brings it onto the mirror, the two flush loops, and the positions they prove. A part (stream,
 * refresh, checkpoint, source) decides where data goes; this carries it there and says how far it got.
 *
 * Durable positions move only after a flush *and* a synced page (Rule 24, H21). While there is a chain
 * nothing but the chain reaches the mirror.
 */
import { createActor } from 'xstate';
import type { FrameRing } from '../core/engine/frame-ring.js';
import type { TdmfError } from '../core/errors.js';
import { nextSegment } from '../core/journal/names.js';
import type { RecordedState } from '../core/meta.js';
import type { Differs, Dirt, Hello, WirePosition } from '../core/wire/messages.js';
import { type RmdMode, type RmdModeEvent, rmdModeMachine } from '../machines/rmd-mode.js';
import type { ArenaMemory, BlockDevice } from '../ports/block-device.js';
import type { ActorContext } from './actor.js';
import { ChainApplier, isDamage } from './chain-applier.js';
import { FlushLoop } from './flush-loop.js';
import { JournalChain } from './journal-chain.js';
import type { JournalPlace } from './journal-place.js';
import type { JournalStream } from './journal-stream.js';
import { Mirror } from './mirror.js';
import type { MirrorLane } from './mirror-lane.js';
import { type RmdRecord, saveDamage } from './rmd-record.js';

export interface MirrorSessionEvents {
  /** Positions or credit moved. */
  acked(): void;
  /** There may be room for frames that had to wait. */
  roomFreed(): void;
  committed(refreshId: string, era: string, mark: number): void;
  stateChanged(state: RecordedState): void;
  dirt(message: Dirt): void;
  differs(message: Differs): void;
  checkpoint(state: 'off' | 'on' | 'failed', sequence: number, error?: TdmfError): void;
  journalFull(full: boolean): void;
  /** The session must end; nothing beyond what was acknowledged counts. */
  failed(error: unknown): void;
}

export interface MirrorSessionOptions {
  readonly group: number;
  readonly directory: string;
  readonly hello: Hello;
  /** Undefined under a checkpoint: the mirrors are others' (Rule 15a). */
  readonly devices: readonly BlockDevice[] | undefined;
  /** Opens and locks every mirror, or none. */
  readonly openMirrors: () => Promise<readonly BlockDevice[]>;
  /** Asks main to end the use of the mirrors by others: hook, exports. @throws when it cannot */
  readonly releaseMirrors: () => Promise<void>;
  readonly record: RmdRecord;
  readonly ring: FrameRing;
  readonly memory: ArenaMemory;
  readonly events: MirrorSessionEvents;
  readonly segmentBytes: number;
  /** Of the hashes of this session (Rule 17). */
  readonly hashSeed: { readonly low: number; readonly high: number };
}

export class MirrorCore {
  readonly context: ActorContext;
  readonly options: MirrorSessionOptions;
  readonly sizes: readonly number[];
  readonly place: JournalPlace;
  readonly chain: JournalChain;
  readonly applier: ChainApplier;
  readonly mirrorFlush: FlushLoop;
  readonly journalFlush: FlushLoop;
  readonly #mode = createActor(rmdModeMachine).start();
  mirror: Mirror | undefined;
  entries: MirrorLane | undefined;
  blocks: MirrorLane | undefined;
  /** Of the entries that arrive now. */
  era: string | undefined;
  durable = 0;
  /** Entries go straight to the mirror, and are recorded in the position page as they complete. */
  direct = false;
  /** Entries of a refresh that is not committed: another journal than the chain's. */
  attempt: JournalStream | undefined;
  /** Entries go to the journal first and stay there until the mirror has them (design.md 3.3). */
  writeAhead = false;
  /** Nothing is taken for a moment. */
  held = false;
  stopped = false;
  /** Called when something was appended or applied. */
  onProgress: () => void = () => undefined;
  onDrained: (position: WirePosition, frames: readonly number[]) => void = () => undefined;
  onRetired: (segment: number) => void = () => undefined;

  constructor(context: ActorContext, options: MirrorSessionOptions) {
    this.context = context;
    this.options = options;
    const { ring, memory, devices, record, group, directory, hello, events } = options;
    const { devices: opener, files } = context.ports;
    this.sizes = hello.devices.map(({ sizeBytes }) => sizeBytes);
    this.place = {
      context,
      opener,
      files,
      directory,
      group,
      ring,
      memory,
      sizes: this.sizes,
      segmentBytes: options.segmentBytes,
      nextSegment: async () => nextSegment(group, (await files.list(directory)) ?? []),
    };
    this.chain = new JournalChain(this.place, record, this.streamEvents());
    this.applier = new ChainApplier({
      opener,
      chain: this.chain,
      record,
      sizes: this.sizes,
      events: {
        hold: (on) => {
          this.held = on;
          if (!on) events.roomFreed();
        },
        drained: (position, frames) => {
          this.tell('chain.over');
          this.onDrained(position, frames);
        },
        retired: (segment) => this.onRetired(segment),
        stateChanged: (state) => events.stateChanged(state),
        flushTail: () => this.flushTail(),
        failed: (error) => {
          if (!isDamage(error)) this.fail(error);
          else void saveDamage(record).finally(() => this.fail(error));
        },
      },
    });
    this.mirrorFlush = new FlushLoop(context, () => this.#flushMirror());
    this.journalFlush = new FlushLoop(context, () => this.#flushJournal());
    if (devices !== undefined) this.takeMirrors(devices);
  }

  get record(): RmdRecord {
    return this.options.record;
  }

  get mode(): RmdMode {
    return this.#mode.getSnapshot().value;
  }

  /** What happened to the way data goes; an event that changes nothing is fine. */
  tell(type: RmdModeEvent['type']): void {
    this.#mode.send({ type });
  }

  /** Under a checkpoint the journal only grows (Rule 15d). */
  get checkpointed(): boolean {
    return this.record.record.checkpoint === 'on';
  }

  /** What a stream of entries tells, of the chain or of an attempt. */
  streamEvents(): {
    appended(bytes: number): void;
    full(full: boolean): void;
    failed(error: TdmfError): void;
  } {
    return {
      appended: (bytes) => {
        const { policy } = this.journalFlush;
        const stream = this.attempt ?? this.chain.tail;
        if (stream !== undefined) {
          policy.wrote(bytes, stream.appended, this.context.clock.now());
          this.journalFlush.arm();
        }
        this.progressed();
      },
      full: (full) => this.options.events.journalFull(full),
      failed: (error) => this.fail(error),
    };
  }

  progressed(): void {
    this.applier.notify();
    this.onProgress();
    this.options.events.acked();
    this.options.events.roomFreed();
  }

  /** The mirrors are ours, opened and locked. */
  takeMirrors(devices: readonly BlockDevice[]): void {
    const { ring, memory, record } = this.options;
    const { devices: opener } = this.context.ports;
    const mirror: Mirror = new Mirror(this.context, opener, devices, {
      progressed: (bytes) => {
        const now = this.context.clock.now();
        const applied = this.direct ? this.entries!.apply.applied : 0;
        if (this.direct || !this.applier.running) {
          this.mirrorFlush.policy.wrote(bytes, applied, now);
          this.mirrorFlush.arm();
        }
        this.progressed();
      },
      failed: (error) => this.fail(error),
    });
    this.mirror = mirror;
    const source = { ring, memory };
    this.entries = mirror.lane(source, (applied) => {
      if (this.direct) record.page.setApplied(applied);
    });
    this.blocks = mirror.lane(source, () => undefined);
  }

  /** Gives the mirrors back: their last I/O is done, their locks are free (Rule 22). */
  async releaseMirrors(): Promise<void> {
    const { mirror } = this;
    this.mirror = undefined;
    this.entries = undefined;
    this.blocks = undefined;
    await mirror?.close();
  }

  /** From now on the mirror is this primary's, written under this boot. */
  async claim(change: Parameters<RmdRecord['save']>[0]): Promise<void> {
    const { record } = this;
    const { hello } = this.options;
    await record.save({
      clean: false,
      bootId: record.bootId,
      ownerNodeId: hello.nodeId,
      launch: hello.launch,
      mirrors: record.mirrors,
      backfreshId: '',
      ...change,
    });
  }

  /** Entries go straight to the mirror from `position` on. */
  beginDirect(position: WirePosition, durable: number): void {
    const { record } = this;
    record.page.guard(position.era, record.bootId, position.sequence);
    this.era = position.era;
    this.durable = durable;
    this.entries!.apply.begin(position.sequence);
    const now = this.context.clock.now();
    this.mirrorFlush.policy.begin(durable, position.sequence, now);
    this.direct = true;
    this.mirrorFlush.arm();
  }

  /** Entries go to the tail of the chain, which goes as far as `position`. */
  beginJournal(position: WirePosition): void {
    this.era = position.era;
    this.durable = position.sequence;
    this.direct = false;
    const now = this.context.clock.now();
    this.journalFlush.policy.begin(position.sequence, position.sequence, now);
  }

  /** Brings the chain onto the mirror, unless a checkpoint keeps it away. */
  startApplier(): void {
    // Rule 15a: the machine leads from a checkpoint to `replays` by its end only.
    if (!this.#mode.getSnapshot().hasTag('replays')) return;
    if (this.mirror === undefined || this.stopped) return;
    this.applier.keep = this.writeAhead && this.chain.tail !== undefined;
    this.applier.start(this.mirror);
  }

  /** All that was received is on the mirror, or in the journal, and no flush is under way. */
  async settle(): Promise<void> {
    await this.mirror?.idle();
    await Promise.all([this.mirrorFlush.settle(), this.journalFlush.settle()]);
  }

  /** Flushes the mirrors; after an error nothing since the last good flush counts (H21). */
  async flushMirrors(): Promise<void> {
    const error = await this.mirror?.flush();
    if (error !== undefined) throw await this.lost(error);
  }

  /** What is readable in the tail of the chain is durable, and the primary hears it. */
  async flushTail(): Promise<TdmfError | undefined> {
    await this.journalFlush.settle();
    const { tail } = this.chain;
    const covers = tail?.appended ?? 0;
    const error = await tail?.flush();
    if (error === undefined && this.era !== undefined) await this.madeDurable(covers);
    return error;
  }

  /** Acknowledged only after the page is synced. */
  async madeDurable(sequence: number): Promise<void> {
    if (sequence <= this.durable) return;
    await this.record.saveDurable(this.era!, sequence);
    this.durable = Math.max(this.durable, sequence);
    this.options.events.acked();
  }

  async lost(error: TdmfError): Promise<TdmfError> {
    this.mirror?.stop();
    await this.record.distrust();
    return error;
  }

  fail(error: unknown): void {
    this.mirror?.stop();
    this.applier.notify();
    if (!this.stopped) this.options.events.failed(error);
    this.stopped = true;
  }

  async #flushMirror(): Promise<void> {
    const { mirror, direct } = this;
    const { policy } = this.mirrorFlush;
    const covers = policy.flushBegan();
    const error = await mirror?.flush();
    if (error !== undefined) {
      policy.flushFailed();
      this.fail(await this.lost(error));
      return;
    }
    if (direct && this.direct) {
      await this.madeDurable(covers);
      await this.#closeWindow(covers);
    }
    policy.flushEnded();
    this.options.events.acked();
  }

  /** Rule 7b: everything the primary had ever sent is back. */
  async #closeWindow(durable: number): Promise<void> {
    if (!this.windowClosed(durable)) return;
    await this.record.save({ state: 'coherent', reach: 0 });
    this.options.events.stateChanged('coherent');
  }

  windowClosed(durable: number): boolean {
    const { state, refreshId, era, reach } = this.record.record;
    return state === 'incoherent' && refreshId === '' && era !== undefined && durable >= reach;
  }

  async #flushJournal(): Promise<void> {
    const { policy } = this.journalFlush;
    const stream = this.attempt ?? this.chain.tail;
    const covers = policy.flushBegan();
    const error = await stream?.flush();
    if (error !== undefined) {
      policy.flushFailed();
      this.fail(error);
      return;
    }
    policy.flushEnded();
    if (stream === this.chain.tail && stream !== undefined) await this.madeDurable(covers);
    // Before the commit the era is not the mirror's yet: nothing of it is in the position page.
    else if (stream !== undefined && stream === this.attempt)
      this.durable = Math.max(this.durable, covers);
    this.applier.notify();
    this.options.events.acked();
  }
}

/**
 * One refresh as the PMD carries it out, over as many sessions as it takes: the conversation with
 * the RMD and the group around the walk (core/engine/refresh.ts) and the reads (refresh-sender.ts).
 *
 *   waiting ─attach─► beginning ─refreshReady─► a ─freeze─► b ─mark sent─► marked ─committed─► over
 *      ▲                 ▲                                  │ abort           │
 *      │                 └──────────────────────────────────┴─────────────────┤
 *      └──────────── link lost (R9) ─────────────────────── verdict ◄─────────┘ link lost
 *
 * In `verdict` the mark was sent and the link broke: whether the commit happened is for the next
 * `welcome` to say (R10), so nothing is given up before. The group decides when to go to phase b;
 * this file reports facts, and answers `refresh.phaseBLost` whenever phase b cannot be had.
 */
import type { BabReader } from '../core/bab/reader.js';
import type { DeviceMap } from '../core/bitmap/device-map.js';
import { markBits } from '../core/bitmap/mark-bits.js';
import { sectorBytes } from '../core/constants.js';
import { Rate } from '../core/engine/rate.js';
import { Refresh } from '../core/engine/refresh.js';
import type { Window } from '../core/engine/window.js';
import { TdmfError } from '../core/errors.js';
import type { Differs, Dirt, Welcome } from '../core/wire/messages.js';
import type { BlockDevice } from '../ports/block-device.js';
import type { TimerHandle } from '../ports/clock.js';
import type { ActorContext } from './actor.js';
import type { GroupMessage, RefreshKind } from './messages.js';
import type { PmdSession } from './pmd-session.js';
import { RefreshSender } from './refresh-sender.js';
import { RefreshThrottle } from './refresh-throttle.js';

export interface PmdRefreshOptions {
  readonly refreshId: string;
  readonly kind: RefreshKind;
  /** Both sides wrote since they were equal: the blocks of both are to be done (Rule 10b). */
  readonly union: boolean;
  readonly maps: readonly DeviceMap[];
  readonly reader: BabReader;
  readonly poolSlot: number;
  /** CHUNKSIZE, as it is now. */
  readonly chunkBytes: () => number;
  /** REFRESHRATE, as it is now. */
  readonly rateKb: () => number;
  readonly tell: (message: GroupMessage) => void;
  /** Something can be sent. */
  readonly changed: () => void;
}

/** `again`: phase b was given up, and the secondary has not said yet that it knows. */
type State = 'waiting' | 'beginning' | 'again' | 'a' | 'b' | 'marked' | 'verdict';

export class PmdRefresh {
  readonly refreshId: string;
  readonly kind: RefreshKind;
  readonly engine: Refresh;
  /** Era of phase b, and its mark once known. */
  era: string | undefined;
  mark: number | undefined;
  readonly #context: ActorContext;
  readonly #options: PmdRefreshOptions;
  #state: State = 'waiting';
  #session: PmdSession | undefined;
  #sender: RefreshSender | undefined;
  readonly #throttle: RefreshThrottle;
  #toldRead = false;
  #failed = false;
  #passStartedAt = 0;
  #passRested = false;
  #passTimer: TimerHandle | undefined;
  readonly #writeRate = new Rate();
  #bootId: string | undefined;
  #sameMirror = false;
  #union = false;

  constructor(context: ActorContext, options: PmdRefreshOptions) {
    this.#context = context;
    this.#options = options;
    this.refreshId = options.refreshId;
    this.kind = options.kind;
    const full = options.kind === 'full';
    this.engine = new Refresh({ full, devices: options.maps, recordsMax });
    const { control } = options.reader;
    this.#throttle = new RefreshThrottle(context, control, options.rateKb, options.changed);
  }

  get maps(): readonly DeviceMap[] {
    return this.#options.maps;
  }

  get inPhaseB(): boolean {
    return this.#state === 'b' || this.#state === 'marked';
  }

  get awaitsVerdict(): boolean {
    return this.#state === 'verdict';
  }

  /** The local devices; without them nothing is read. Resolves when the old ones are not used. */
  async useDevices(devices: readonly BlockDevice[] | undefined): Promise<void> {
    const old = this.#sender;
    this.#sender = undefined;
    const done = old?.close();
    if (devices !== undefined) {
      this.#sender = new RefreshSender(this.#context, {
        devices,
        refresh: this.engine,
        compares: this.kind !== 'full' && this.#options.maps.some((map) => map.compare.count > 0),
        changed: this.#options.changed,
        throttle: this.#throttle,
        skipped: (bytes) => this.#options.reader.control.countSent(bytes, 0),
        failed: (path, errno) => this.#readFailed(path, errno),
      });
    }
    await done;
  }

  /** A session was admitted: begin, or go on where the secondary can be trusted (R10). */
  attach(session: PmdSession, welcome: Welcome, union: boolean): void {
    this.#session = session;
    this.#union = union || this.#options.union;
    this.#state = 'beginning';
    // A full refresh is on the mirror, which is only trusted when it has been up since, and says that
    // this refresh is what it is in the middle of.
    this.#sameMirror =
      this.kind !== 'full' ||
      (this.#bootId === welcome.bootId && welcome.refreshId === this.refreshId);
    this.#bootId = welcome.bootId;
    this.#sender?.beginSession();
    const { refreshId, kind } = this;
    session.control({ kind: 'refreshBegin', refreshId, refresh: kind, union: this.#union });
  }

  /** Blocks that changed on the other side (Rule 10b). Returns what is wrong with them, if anything. */
  dirt({ device, firstBlock, bits }: Dirt): string | undefined {
    // Said to a refresh that was ended meanwhile.
    if (this.#state !== 'beginning' || !this.#union) return undefined;
    const map = this.#options.maps[device];
    if (map === undefined) return 'dirt of a device that is not there';
    return markBits(map, firstBlock, bits);
  }

  /** R10: whether the secondary committed before the link broke. Otherwise the attempt is over. */
  committedMeanwhile(welcome: Welcome): boolean {
    const { position } = welcome;
    const whole = welcome.state === 'coherent' || welcome.state === 'recoverable';
    if (whole && position !== undefined && position.era === this.era) {
      if (position.sequence >= this.mark!) return true;
    }
    this.#abandon();
    this.#tellLost();
    return false;
  }

  /** False: not what this session asked for. */
  ready(refreshId: string, kept: boolean): boolean {
    if (refreshId !== this.refreshId) return false;
    if (this.#state === 'beginning') this.engine.begin(kept && this.#sameMirror);
    else if (this.#state !== 'again') return false;
    this.#state = 'a';
    this.#passStartedAt = this.#context.clock.now();
    this.#passRested = false;
    this.#passTimer?.cancel();
    this.#passTimer = undefined;
    this.#options.changed();
    return true;
  }

  /** R4: phase b. False: there is no phase a to leave, and the group is told. */
  freeze(era: string, s0: number): boolean {
    if (this.#state !== 'a' || this.#failed) {
      this.#tellLost();
      return false;
    }
    this.#sender?.reset();
    this.engine.freeze();
    this.#state = 'b';
    this.era = era;
    this.mark = undefined;
    this.#toldRead = false;
    this.#session!.control({ kind: 'phaseB', refreshId: this.refreshId, era, s0 });
    return true;
  }

  setMark(mark: number): void {
    if (this.#state === 'b') this.mark = mark;
    else if (this.#state !== 'marked' && this.#state !== 'verdict') this.#tellLost();
  }

  /** False: not a commit of this attempt. */
  committed(refreshId: string, era: string, mark: number): boolean {
    return (
      this.#state === 'marked' &&
      refreshId === this.refreshId &&
      era === this.era &&
      mark === this.mark
    );
  }

  /** R9: back to phase a, in this session if there is one. True: phase b was on. */
  abort(): boolean {
    if (!this.inPhaseB && this.#state !== 'verdict') {
      // The group did not get as far as phase b: it wants to hear of convergence again.
      this.engine.reconsider();
      return false;
    }
    const session = this.#session;
    this.#abandon();
    if (session !== undefined) {
      // Eras count from the same number: an acknowledgement of this attempt that is still on its way
      // must not meet entries of the next one. It has come when the secondary is ready again (H26).
      this.#state = 'again';
      session.control({ kind: 'abortB', refreshId: this.refreshId });
    }
    return true;
  }

  linkLost(): void {
    this.#session = undefined;
    this.#sender?.reset();
    if (this.#state === 'marked') {
      this.#state = 'verdict';
    } else if (this.#state === 'b') {
      this.#abandon();
      this.#tellLost();
    } else if (this.#state !== 'verdict') {
      this.#state = 'waiting';
      this.engine.linkLost();
    }
  }

  /** The refresh is over: committed, or killed. What was not acknowledged stays marked. */
  async end(committed: boolean): Promise<void> {
    this.#passTimer?.cancel();
    if (!committed) {
      this.#sender?.reset();
      if (this.engine.phase === 'b') this.engine.abort();
      else this.engine.linkLost();
      this.#session?.control({ kind: 'refreshEnd', refreshId: this.refreshId });
    }
    this.#session = undefined;
    this.#state = 'waiting';
    this.#throttle.close();
    await this.useDevices(undefined);
  }

  /** False: an acknowledgement that cannot be true. */
  acknowledged(blocks: number): boolean {
    if (!this.#walking && this.#state !== 'marked') return true;
    const unsent = this.#sender?.allSent === false;
    return this.engine.acknowledged(blocks, unsent, this.#context.clock.now());
  }

  /** Which blocks of a batch of hashes differ (Rule 17). Returns what is wrong, if anything. */
  compared(answer: Differs): string | undefined {
    // Without the devices the blocks were given back already.
    return this.#sender?.compared(answer);
  }

  /** Sends one frame of blocks. False: nothing ready, or no credit. */
  send(window: Window, sent: () => void): boolean {
    const session = this.#session;
    const sender = this.#sender;
    if (session === undefined || sender === undefined || !this.#walking) return false;
    if (!sender.send(session, window, this.#creditBytes(window), sent)) return false;
    this.#options.reader.control.countSent(sender.lastFrameBytes, 0);
    return true;
  }

  /** Reads ahead, ends passes, reports the last read and sends the mark when its time has come. */
  advance(window: Window): void {
    const session = this.#session;
    if (session === undefined || !this.#walking || this.#failed) return;
    this.#sender?.readAhead(this.#creditBytes(window));
    this.#sender?.askAhead(session);
    if (this.#state === 'a') this.#endPass();
    else this.#finishB();
  }

  progress(): GroupMessage {
    const { doneBytes, totalBytes } = this.engine;
    return { type: 'refresh.progressed', refreshId: this.refreshId, doneBytes, totalBytes };
  }

  sampleWrites(): number {
    const { devices } = this.#options.reader.control.snapshot();
    const sectors = devices.reduce((sum, device) => sum + device.sectorsWritten, 0);
    return this.#writeRate.sample(this.#context.clock.now(), sectors * sectorBytes);
  }

  get #walking(): boolean {
    return this.#state === 'a' || this.#state === 'b';
  }

  /** In phase b half of the window stays free for entries, which have precedence (R5). */
  #creditBytes(window: Window): number {
    if (this.#state === 'a' || window.underWayBytes === 0) return window.creditBytes;
    return Math.min(window.creditBytes, window.windowBytes / 2 - window.underWayBytes);
  }

  #endPass(): void {
    if (!this.engine.passOver || this.#sender === undefined) return;
    // What is being compared is neither done nor left over: the pass cannot be judged yet.
    if (this.#sender.comparing) return;
    if (!this.#passRested) {
      this.#restPass();
      return;
    }
    this.#passRested = false;
    this.#passStartedAt = this.#context.clock.now();
    const { reader, poolSlot } = this.#options;
    const writeBytesPerSecond = this.sampleWrites();
    const verdict = this.engine.endPass({
      babUsedBytes: reader.control.snapshot().bytes,
      chunkBytes: this.#options.chunkBytes(),
      writeBytesPerSecond,
      mayTakeBytes: reader.pool.availableBytes(poolSlot),
    });
    const { refreshId } = this;
    if (verdict === 'converged') this.#options.tell({ type: 'refresh.converged', refreshId });
    if (verdict === 'notConverging') {
      const { linkBytesPerSecond } = this.engine;
      const type = 'refresh.notConverging';
      this.#options.tell({ type, refreshId, writeBytesPerSecond, linkBytesPerSecond });
    }
    this.#options.changed();
  }

  /** A few hot blocks must not make a pass a millisecond. */
  #restPass(): void {
    if (this.#passTimer !== undefined) return;
    const { clock } = this.#context;
    const elapsedMs = clock.now() - this.#passStartedAt;
    const over = this.#context.guard(() => {
      this.#passTimer = undefined;
      this.#passRested = true;
      this.#options.changed();
    });
    this.#passTimer = clock.after(Math.max(0, passMsMin - elapsedMs), over);
  }

  #finishB(): void {
    const sender = this.#sender;
    if (!this.engine.passOver || sender === undefined) return;
    const { era } = this;
    if (sender.allRead && !this.#toldRead && era !== undefined) {
      this.#toldRead = true;
      this.#options.tell({ type: 'refresh.frozenRead', refreshId: this.refreshId, era });
    }
    if (this.mark === undefined || !sender.allSent) return;
    const { refreshId, mark } = this;
    this.#session!.control({ kind: 'mark', refreshId, mark, blocks: this.engine.blocksInB });
    this.#state = 'marked';
  }

  #abandon(): void {
    this.#sender?.reset();
    this.engine.abort();
    this.#state = 'waiting';
    this.era = undefined;
    this.mark = undefined;
  }

  #tellLost(): void {
    this.#options.tell({ type: 'refresh.phaseBLost', refreshId: this.refreshId });
  }

  #readFailed(path: string, errno: number): void {
    this.#failed = true;
    const details = { path, operation: 'read', errno };
    this.#options.tell({ type: 'driver.ioFailed', device: path, operation: 'read', errno });
    const error = new TdmfError('TDMF_DEVICE_FAILED', details);
    const { refreshId } = this;
    this.#options.tell({
      type: 'refresh.failed',
      refreshId,
      code: error.code,
      message: error.message,
    });
  }
}

/** Records under way at once (I12): with small ones the window alone would allow too many. */
const recordsMax = 4096;
const passMsMin = 100;

/**
 * A backfresh as the PMD carries it out: makes the local devices equal to the mirror, over as many
 * sessions as it takes (Rule 30, MD 17–19). The local devices are ours alone meanwhile; the group has
 * made that durable before.
 *
 *   waiting ─attach─► beginning ─refreshReady─► walking ─ all equal, flushed ─► finished ─► handing over
 *      ▲                                          │                                           │
 *      └──────────────── link lost ───────────────┘                       eraTaken ◄─ era ────┘
 *
 * The cursor moves only after a flush. It is used again only for a mirror that is what it was when the
 * cursor was made: anything else is compared from the beginning, which costs reads, not transfers.
 */

import type { DeviceMap } from '../core/bitmap/device-map.js';
import { markBits } from '../core/bitmap/mark-bits.js';
import { wireEntryBytes } from '../core/constants.js';
import { Backfresh, type BackfreshPlace } from '../core/engine/backfresh.js';
import { TdmfError } from '../core/errors.js';
import {
  decodeEntry,
  type EntryTable,
  emptyWireEntry,
  entryDataLength,
  validateEntries,
} from '../core/wire/entry.js';
import type { Differs, Dirt, Welcome } from '../core/wire/messages.js';
import type { BlockDevice } from '../ports/block-device.js';
import type { TimerHandle } from '../ports/clock.js';
import type { ActorContext } from './actor.js';
import { BackfreshBatches } from './backfresh-batches.js';
import { deviceCall } from './device-call.js';
import type { BackfreshCursor, GroupMessage } from './messages.js';
import type { PmdSession } from './pmd-session.js';

export interface PmdBackfreshOptions {
  readonly refreshId: string;
  readonly compareAll: boolean;
  readonly maps: readonly DeviceMap[];
  readonly tell: (message: GroupMessage) => void;
}

type State = 'waiting' | 'beginning' | 'walking' | 'finishing' | 'finished' | 'failed';

export class PmdBackfresh {
  readonly refreshId: string;
  readonly #context: ActorContext;
  readonly #options: PmdBackfreshOptions;
  readonly #walk: Backfresh;
  readonly #sizes: readonly number[];
  #state: State = 'waiting';
  #session: PmdSession | undefined;
  #welcome: Welcome | undefined;
  #devices: readonly BlockDevice[] | undefined;
  #batches: BackfreshBatches | undefined;
  #nextBlock = 1;
  readonly #entry = emptyWireEntry();
  /** Flushed up to here, of the mirror that `#source` describes. */
  #flushed: BackfreshPlace = start;
  #source = '';
  #union = false;
  /** What the walk goes on with; undefined until the I/O of before has ended. */
  #walking: BackfreshBatches | undefined;
  #writtenBytes = 0;
  #flushing: Promise<void> | undefined;
  #tick: TimerHandle | undefined;
  #ended = false;

  constructor(context: ActorContext, options: PmdBackfreshOptions) {
    this.#context = context;
    this.#options = options;
    this.refreshId = options.refreshId;
    this.#walk = new Backfresh(options.maps);
    this.#sizes = options.maps.map(({ sizeBytes }) => sizeBytes);
  }

  /** The local devices; without them nothing is read or written. */
  async useDevices(devices: readonly BlockDevice[] | undefined): Promise<void> {
    const old = this.#batches;
    this.#batches = undefined;
    this.#devices = undefined;
    await old?.close();
    await this.#flushing;
    if (devices === undefined || this.#ended) return;
    this.#devices = devices;
    this.#batches = new BackfreshBatches(this.#context, devices, this.#walk, {
      done: (run, bytes) => {
        this.#writtenBytes += bytes;
        if (run.count > 0) this.#walk.done(run);
      },
      failed: (path, operation, errno) => this.#failed(path, operation, errno),
      changed: () => this.#advance(),
    });
    // What was under way with the old ones is walked again.
    if (this.#state === 'walking') this.#startWalk();
  }

  attach(session: PmdSession, welcome: Welcome, union: boolean): void {
    if (this.#state === 'failed' || this.#state === 'finished') return;
    const bothKnow = union && !this.#options.compareAll;
    const { position, own } = welcome;
    const source = JSON.stringify([position, own.changes, own.bytes, bothKnow]);
    if (source !== this.#source) this.#flushed = start;
    this.#source = source;
    this.#union = bothKnow;
    this.#session = session;
    this.#welcome = welcome;
    this.#state = 'beginning';
    this.#nextBlock = 1;
    session.takeBlocks();
    session.control({ kind: 'backfreshBegin', refreshId: this.refreshId, union: bothKnow });
  }

  /** Blocks that changed on the other side (Rule 10b). */
  dirt({ device, firstBlock, bits }: Dirt): string | undefined {
    const map = this.#options.maps[device];
    if (this.#state !== 'beginning') return 'dirt that nobody asked for';
    if (map === undefined) return 'dirt of a device that is not there';
    return markBits(map, firstBlock, bits);
  }

  /** False: not what this session asked for. */
  ready(refreshId: string, kept: boolean): boolean {
    if (this.#state !== 'beginning' || refreshId !== this.refreshId) return false;
    if (!kept) this.#flushed = start;
    this.#state = 'walking';
    this.#startWalk();
    this.#tellProgress();
    return true;
  }

  compared(answer: Differs): string | undefined {
    if (this.#state !== 'walking' || this.#batches === undefined) return undefined;
    const problem = this.#batches.differs(answer);
    this.#advance();
    return problem;
  }

  /** A frame of blocks of the mirror; what is wrong with it, if anything. */
  blocks(bytes: Uint8Array, table: EntryTable): string | undefined {
    if (this.#state !== 'walking' && this.#state !== 'failed') return 'blocks before the question';
    const problem = validateEntries(bytes, 0, table, this.#sizes);
    if (problem !== undefined) return problem;
    const entry = this.#entry;
    let data = table.count * wireEntryBytes;
    for (let index = 0; index < table.count; index += 1) {
      decodeEntry(bytes, index * wireEntryBytes, entry);
      if (entry.sequence !== this.#nextBlock) return 'a block is missing';
      this.#nextBlock += 1;
      const wrong = this.#batches?.block(entry, bytes, data);
      if (wrong !== undefined && this.#state === 'walking') return wrong;
      data += entryDataLength(entry);
    }
    return undefined;
  }

  linkLost(): void {
    this.#session = undefined;
    this.#tick?.cancel();
    if (this.#state !== 'failed' && this.#state !== 'finished') this.#state = 'waiting';
    void this.#batches?.giveUp();
  }

  /** Killed, or over: resolves when nothing of it is in flight; says how much was written. */
  async end(): Promise<number> {
    this.#ended = true;
    this.#state = 'waiting';
    this.#session = undefined;
    this.#tick?.cancel();
    await this.useDevices(undefined);
    return this.#writtenBytes;
  }

  /** Begins behind what is flushed, when no I/O of an earlier session is in flight any more. */
  #startWalk(): void {
    const batches = this.#batches;
    const session = this.#session;
    if (batches === undefined || session === undefined) return;
    const begin = this.#context.guard(() => {
      if (this.#state !== 'walking' || this.#session !== session) return;
      if (this.#batches !== batches) return;
      this.#walk.begin(!this.#union, this.#flushed);
      this.#walking = batches;
      this.#advance();
    });
    this.#walking = undefined;
    void batches.giveUp().then(begin);
  }

  #advance(): void {
    const batches = this.#batches;
    const session = this.#session;
    if (this.#state !== 'walking' || session === undefined || batches === undefined) return;
    if (this.#walking !== batches) return;
    batches.readAhead();
    batches.ask(session);
    if (this.#walk.over) this.#finish();
  }

  /** Every `progressMs`: what is written by now becomes firm, and is told. */
  #tellProgress(): void {
    if (this.#state !== 'walking') return;
    this.#flush(() => {
      if (this.#state !== 'walking') return;
      this.#tellCursor();
      const again = this.#context.guard(() => this.#tellProgress());
      this.#tick = this.#context.clock.after(progressMs, again);
    });
  }

  #finish(): void {
    this.#state = 'finishing';
    this.#tick?.cancel();
    const session = this.#session;
    this.#flush(() => {
      // The session may have ended meanwhile: then the next one finds nothing to do.
      if (this.#state !== 'finishing' || this.#session !== session) return;
      const { position } = this.#welcome!;
      this.#tellCursor();
      if (position === undefined) return;
      this.#state = 'finished';
      this.#options.tell({ type: 'backfresh.finished', refreshId: this.refreshId, position });
    });
  }

  /** One at a time. What was done when it began is firm when it ends. */
  #flush(then: () => void): void {
    const after = this.#flushing ?? Promise.resolve();
    const guarded = this.#context.guard(then);
    const flushing = after.then(async () => {
      const devices = this.#devices;
      if (devices === undefined || this.#ended) return;
      const { cursor } = this.#walk;
      const walked = this.#walking !== undefined;
      const source = this.#source;
      for (const device of devices) {
        const result = await deviceCall((sink) => device.flush(sink, 0));
        if (result < 0) {
          this.#context.guard(() => this.#failed(device.path, 'flush', -result))();
          return;
        }
      }
      if (walked && source === this.#source) this.#flushed = cursor;
      guarded();
    });
    this.#flushing = flushing;
  }

  #tellCursor(): void {
    const { totalBytes, doneBytes } = this.#walk;
    const { device, offset } = this.#flushed;
    const last = this.#sizes.length - 1;
    const end = { device: last, offset: this.#sizes[last]! };
    const cursor: BackfreshCursor = device > last ? end : { device, offset };
    const { refreshId } = this;
    this.#options.tell({ type: 'backfresh.progressed', refreshId, doneBytes, totalBytes, cursor });
  }

  #failed(path: string, operation: string, errno: number): void {
    if (this.#state === 'failed') return;
    this.#state = 'failed';
    this.#tick?.cancel();
    const { code, message } = new TdmfError('TDMF_DEVICE_FAILED', { path, operation, errno });
    this.#options.tell({ type: 'driver.ioFailed', device: path, operation, errno });
    this.#options.tell({ type: 'backfresh.failed', refreshId: this.refreshId, code, message });
  }
}

const start: BackfreshPlace = { device: 0, offset: 0 };
const progressMs = 1_000;

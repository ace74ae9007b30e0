/**
 * Brings the chain onto the mirror (Rule 24), beside whatever is appended to its end: images whole,
 * then entries in sequence order, and of the tail only what is durable. So the mirror is never ahead of
 * what the journal would give back, and replaying from the start of the chain is exact, whatever crashed
 * and under whichever boot. A file goes when the mirror has it, flushed.
 *
 *   file ─► feeder ─► lane ─► mirror ─► flush ─► record: the chain begins later ─► the file is removed
 *
 * When all that is left is short it asks the session to take nothing for a moment, applies the rest, and
 * the chain is over: entries go to the mirror from there (`drained`), unless they shall stay in the
 * journal (`keep`). Under a checkpoint nobody starts it (Rule 15a).
 */
import { framePayloadMax } from '../core/constants.js';
import { FrameRing } from '../core/engine/frame-ring.js';
import { isTdmfError, type TdmfError } from '../core/errors.js';
import { committedOf } from '../core/journal/chain.js';
import type { RecordedState } from '../core/meta.js';
import type { WirePosition } from '../core/wire/messages.js';
import type { ArenaMemory, DeviceOpener } from '../ports/block-device.js';
import { ImageReader } from './image-reader.js';
import type { ChainFile, JournalChain } from './journal-chain.js';
import { JournalFeeder } from './journal-feeder.js';
import type { StreamSegment } from './journal-stream.js';
import { type Mirror, stoppedError } from './mirror.js';
import type { MirrorLane } from './mirror-lane.js';
import type { RmdRecord } from './rmd-record.js';

export interface ApplierEvents {
  /** Nothing may be appended for a moment; or it may again. */
  hold(on: boolean): void;
  /** All of it is on the mirror, durably, which stands here; `frames` were not appended any more. */
  drained(position: WirePosition, frames: readonly number[]): void;
  /** The mirror has the file with this number, durably. */
  retired(segment: number): void;
  stateChanged(state: RecordedState): void;
  /** Makes what was appended durable, and says so to the primary. */
  flushTail(): Promise<TdmfError | undefined>;
  failed(error: unknown): void;
}

export interface ApplierPlace {
  readonly opener: DeviceOpener;
  readonly chain: JournalChain;
  readonly record: RmdRecord;
  readonly sizes: readonly number[];
  readonly events: ApplierEvents;
}

const framesMax = 1024;
const memoryBytes = 4 * 1024 * 1024 + 2 * framePayloadMax;
/** What the mirror has taken since its last flush is flushed before the session is held. */
const heldBytesMax = 8 * 1024 * 1024;

export class ChainApplier {
  /** Entries stay in the journal: the chain is never over by itself. */
  keep = false;
  readonly #place: ApplierPlace;
  #mirror: Mirror | undefined;
  #lane: MirrorLane | undefined;
  #memory: ArenaMemory | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  #waiters: (() => void)[] = [];
  /** What was not appended any more, once the session is held. */
  #withdrawn: readonly number[] | undefined;

  constructor(place: ApplierPlace) {
    this.#place = place;
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** Begins, or goes on, with this mirror; nothing else writes to it until the chain is over. */
  start(mirror: Mirror): void {
    if (this.#running !== undefined || this.#stopped || this.#place.chain.empty) return;
    if (this.#mirror !== mirror) {
      this.#memory ??= this.#place.opener.allocate(Math.ceil(memoryBytes / 4096) * 4096);
      const { devices } = mirror;
      const alignment = Math.max(64, ...devices.map(({ alignmentBytes }) => alignmentBytes));
      const ring = new FrameRing(this.#memory.bytes.length, framesMax, alignment);
      this.#lane = mirror.lane({ ring, memory: this.#memory }, () => undefined);
      this.#mirror = mirror;
    }
    this.#running = this.#run(mirror, this.#lane!).then(
      () => {
        this.#running = undefined;
        this.notify();
      },
      (error: unknown) => {
        this.#running = undefined;
        this.notify();
        if (!this.#stopped) this.#place.events.failed(error);
      },
    );
  }

  /** Something became durable, or room may be free: look again. */
  notify(): void {
    const waiters = this.#waiters;
    if (waiters.length === 0) return;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }

  /** Resolves when the chain is over, or it stopped. Nothing may be appended meanwhile. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#progress();
  }

  /** Starts nothing more; resolves when nothing of it is under way, with what nobody took. */
  async stop(): Promise<readonly number[]> {
    this.#stopped = true;
    this.notify();
    await this.#running?.catch(() => undefined);
    return this.#withdrawn ?? [];
  }

  /** After `stop`, and after the mirror was closed. */
  close(): void {
    if (this.#memory !== undefined) this.#place.opener.release(this.#memory);
    this.#memory = undefined;
  }

  async #run(mirror: Mirror, lane: MirrorLane): Promise<void> {
    const { chain } = this.#place;
    while (!this.#stopped) {
      const first = chain.files[0];
      if (first === undefined) return;
      if (first.header.kind === 'i') await this.#image(first, mirror);
      else if (await this.#entries(first, mirror, lane)) return;
    }
  }

  async #image(first: ChainFile, mirror: Mirror): Promise<void> {
    const { opener, chain, record, sizes, events } = this.#place;
    // Blocks of an image are in no order of time: until all are there the mirror alone is no cut.
    if (record.record.state === 'coherent') {
      await record.save({ state: 'recoverable' });
      events.stateChanged('recoverable');
    }
    const device = await first.file.hold();
    try {
      await (await ImageReader.open(opener, device, sizes)).apply(mirror);
    } finally {
      await first.file.release();
    }
    if (mirror.stopped) throw stoppedError();
    await this.#flush(mirror);
    await chain.retire(1, {});
    events.retired(first.header.segment);
  }

  /** All entries of a file; true when the chain is over. */
  async #entries(first: ChainFile, mirror: Mirror, lane: MirrorLane): Promise<boolean> {
    const { opener, chain, record, sizes, events } = this.#place;
    await mirror.idle();
    lane.apply.begin(first.header.firstSequence - 1);
    const device = await first.file.hold();
    const progress = () => this.#progress();
    const place = { opener, mirror, lane, sizes, progress };
    const feeder = new JournalFeeder(place, device, first.header, first.file.path);
    let flushedBytes = 0;
    try {
      while (!this.#stopped) {
        const { tail } = chain;
        if (chain.files.length > 1) {
          await this.#rest(first, feeder);
          break;
        }
        if (tail === undefined) {
          const { end, last } = await chain.walk(0);
          await feeder.feed(end, last);
          return await this.#over(mirror, last);
        }
        const { segment } = tail;
        if (feeder.next <= segment.durableLast) {
          await feeder.feed(segment.durableLength, segment.durableLast);
        } else if (this.#isCutAt(first, feeder.next - 1)) {
          await this.#idle(mirror);
          await this.#flush(mirror);
          await record.save({ state: 'coherent' });
          events.stateChanged('coherent');
        } else if (this.#withdrawn !== undefined) {
          return await this.#over(mirror, segment.last);
        } else if (this.keep) await this.#progress();
        else if (feeder.bytes - flushedBytes > heldBytesMax) {
          flushedBytes = feeder.bytes;
          await this.#idle(mirror);
          await this.#flush(mirror);
        } else {
          events.hold(true);
          this.#withdrawn = await tail.withdraw();
          const error = await events.flushTail();
          if (error !== undefined) throw error;
        }
      }
      if (this.#stopped) return true;
      await this.#idle(mirror);
      await this.#flush(mirror);
    } finally {
      feeder.close();
      await first.file.release();
    }
    await chain.retire(1, {});
    events.retired(first.header.segment);
    return false;
  }

  /** Everything up to the mark of the last commit was fed: with it the mirror alone is a cut. */
  #isCutAt({ header }: ChainFile, fed: number): boolean {
    const { state, base } = this.#place.record.record;
    if (state !== 'recoverable' || this.#place.chain.holdsImage) return false;
    return base?.era === header.era && fed >= base.sequence;
  }

  /** What is left of a file that others follow. */
  async #rest(first: ChainFile, feeder: JournalFeeder): Promise<void> {
    const { chain } = this.#place;
    const segment = first as ChainFile & Partial<StreamSegment>;
    const committed = committedOf(first.header, chain.files[1]!.header);
    if (segment.durableLength !== undefined && segment.durableLast !== undefined) {
      await feeder.feed(segment.durableLength, segment.durableLast);
      return;
    }
    const { end, last } = await chain.walk(0);
    await feeder.feed(end, committed < 0 ? last : committed);
  }

  /** The last entry was fed: the mirror takes over. */
  async #over(mirror: Mirror, last: number): Promise<boolean> {
    const { chain, record, events } = this.#place;
    await this.#idle(mirror);
    await this.#flush(mirror);
    const { era, segment } = chain.files[0]!.header;
    await chain.closeTail();
    // Rule 7a: the page says where the mirror is before the record says that the page counts.
    record.page.guard(era, record.bootId, last);
    const { state } = record.record;
    const whole = state === 'recoverable' ? ({ state: 'coherent' } as const) : {};
    await chain.retire(1, { ...whole, durable: last });
    if (state === 'recoverable') events.stateChanged('coherent');
    events.retired(segment);
    const frames = this.#withdrawn ?? [];
    this.#withdrawn = undefined;
    events.drained({ era, sequence: last }, frames);
    events.hold(false);
    return true;
  }

  async #idle(mirror: Mirror): Promise<void> {
    await mirror.idle();
    if (mirror.stopped) throw stoppedError();
  }

  /** H21: nothing since the last good flush counts. */
  async #flush(mirror: Mirror): Promise<void> {
    const error = await mirror.flush();
    if (error === undefined) return;
    mirror.stop();
    await this.#place.record.distrust();
    throw error;
  }

  #progress(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }
}

/** A damaged journal, wherever it was found (Rule 25). */
export function isDamage(error: unknown): error is TdmfError {
  return isTdmfError(error) && error.code === 'TDMF_JOURNAL_DAMAGED';
}

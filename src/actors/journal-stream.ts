/**
 * Appends entries to the journal: `.c`, or `.p` under a checkpoint. A frame is appended as it came over
 * the link, header included; one append at a time, of everything that waits, so that what a killed
 * process leaves is a beginning of the file. At a size limit it goes on in the next file, which is
 * durable, and named by the chain, before anything in it counts (Rules 15d, 25).
 *
 * Without space (H44) it keeps what waits in receive memory, says so, and tries again with a growing
 * pause: nothing is acknowledged meanwhile, so the primary's BAB fills and its group tracks. The
 * journal of a refresh that is not committed fails instead.
 */
import { assert } from '../core/assert.js';
import { frameHeaderBytes, journalRetryFirstMs, journalRetryMaxMs } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import { IoVector } from '../core/io-vector.js';
import { segmentName } from '../core/journal/names.js';
import {
  encodeSegmentHeader,
  type SegmentHeader,
  segmentHeaderBytes,
} from '../core/journal/segment.js';
import type { BlockDevice } from '../ports/block-device.js';
import type { TimerHandle } from '../ports/clock.js';
import type { CompletionSink } from '../ports/completion.js';
import { deviceCall } from './device-call.js';
import type { JournalPlace } from './journal-place.js';
import { deviceFailed } from './mirror.js';
import { SegmentFile } from './segment-file.js';

export interface StreamEvents {
  /** `bytes` more are in a file, readable; memory may be free again. */
  appended(bytes: number): void;
  /** The file system is full, or it is not any more. */
  full(full: boolean): void;
  /** Nothing more is appended: TDMF_JOURNAL_FULL or TDMF_DEVICE_FAILED. */
  failed(error: TdmfError): void;
  /** It goes on in another file, which is durable; nothing is appended before this resolves. */
  rolled(segment: StreamSegment): Promise<void>;
}

/** One file of entries, while it is or was appended to. */
export interface StreamSegment {
  readonly header: SegmentHeader;
  readonly file: SegmentFile;
  /** Bytes that are readable, and the last sequence in them. */
  length: number;
  last: number;
  /** The part of it that survives a power cut. */
  durableLength: number;
  durableLast: number;
}

const framesPerAppend = 64;

export class JournalStream {
  /** Last sequence of what was handed in. */
  received: number;
  /** Without space: wait, or fail. */
  patient = true;
  /** Of the next file it goes on in: a checkpoint may have ended (MD#26). */
  kind: 'c' | 'p';
  segment: StreamSegment;
  readonly #place: JournalPlace;
  readonly #events: StreamEvents;
  readonly #sink: CompletionSink;
  readonly #vector: IoVector;
  readonly #queue: number[] = [];
  readonly #lasts: number[] = [];
  #device: BlockDevice;
  #writing: number[] = [];
  #writingLast = 0;
  #rolling: Promise<void> | undefined;
  #retry: TimerHandle | undefined;
  #retryMs = 0;
  #ended = false;
  #failed = false;
  #closed = false;
  #landed: (() => void) | undefined;

  private constructor(
    place: JournalPlace,
    device: BlockDevice,
    segment: StreamSegment,
    events: StreamEvents,
  ) {
    this.#place = place;
    this.#device = device;
    this.#events = events;
    this.segment = segment;
    this.received = segment.last;
    this.kind = segment.header.kind === 'p' ? 'p' : 'c';
    this.#vector = new IoVector(framesPerAppend + 1);
    this.#sink = {
      completed: place.context.guard((_tag: number, result: number) => {
        this.#completed(result);
      }),
    };
  }

  /** Makes the first file, durable with its name. @throws TDMF_JOURNAL_FULL, TDMF_DEVICE_FAILED */
  static async create(
    place: JournalPlace,
    header: SegmentHeader,
    events: StreamEvents,
  ): Promise<JournalStream> {
    const { device, segment } = await makeSegment(place, header);
    return new JournalStream(place, device, segment, events);
  }

  /** Goes on at the end of a file that an earlier session left, whole up to there. */
  static async reopen(
    place: JournalPlace,
    segment: StreamSegment,
    events: StreamEvents,
  ): Promise<JournalStream> {
    return new JournalStream(place, await segment.file.hold(), segment, events);
  }

  /** Last sequence that is readable. */
  get appended(): number {
    return this.segment.last;
  }

  /** Nothing waits to be appended. */
  get idle(): boolean {
    return this.#writing.length === 0 && this.#queue.length === 0 && this.#rolling === undefined;
  }

  /** Waits for space. */
  get full(): boolean {
    return this.#retryMs > 0;
  }

  /** Takes the frame over, with the caller's hold; its last record is `last`. */
  append(frame: number, last: number): void {
    assert(!this.#ended, 'a journal that has ended takes nothing');
    this.received = last;
    this.#queue.push(frame);
    this.#lasts.push(last);
    this.#kick();
  }

  /**
   * Ends appending: gives back what waits and is not under way, with its holds, in order: the mirror
   * takes it instead. `close` must follow.
   */
  async withdraw(): Promise<readonly number[]> {
    this.#ended = true;
    await this.#quiet();
    this.#relieved();
    this.received = this.appended;
    this.#lasts.length = 0;
    return [...this.#writing.splice(0), ...this.#queue.splice(0)];
  }

  /** What is readable now is durable when this resolves with undefined. */
  async flush(): Promise<TdmfError | undefined> {
    const { segment } = this;
    const { length, last } = segment;
    const device = await segment.file.hold();
    const result = await deviceCall((sink) => device.flush(sink, 0));
    await segment.file.release();
    if (result < 0) return deviceFailed(segment.file.path, 'flush', -result);
    segment.durableLength = Math.max(segment.durableLength, length);
    segment.durableLast = Math.max(segment.durableLast, last);
    return undefined;
  }

  /** Appends nothing more, waits for what is under way and gives the file back. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const left = await this.withdraw();
    for (const frame of left) this.#place.ring.release(frame);
    await this.segment.file.release();
  }

  /** Resolves when no append is under way, and none is tried again. */
  async #quiet(): Promise<void> {
    this.#retry?.cancel();
    const landed = this.#retry !== undefined || this.#failed;
    this.#retry = undefined;
    if (!landed && this.#writing.length > 0) {
      await new Promise<void>((resolve) => {
        this.#landed = resolve;
      });
    }
    await this.#rolling?.catch(() => undefined);
  }

  #kick(): void {
    if (this.#writing.length > 0 || this.#queue.length === 0) return;
    if (this.#rolling !== undefined || this.#retry !== undefined || this.#ended) return;
    const { length } = this.segment;
    if (length === 0 || length >= this.#place.segmentBytes) {
      this.#roll(length === 0 ? () => this.#begin() : () => this.#next());
      return;
    }
    const count = Math.min(framesPerAppend, this.#queue.length);
    this.#writing = this.#queue.splice(0, count);
    this.#writingLast = this.#lasts.splice(0, count).at(-1)!;
    this.#write();
  }

  #write(): void {
    const { ring, memory } = this.#place;
    const vector = this.#vector.reset(memory.arena);
    for (const frame of this.#writing) {
      vector.push(ring.headerOf(frame), frameHeaderBytes + ring.payloadBytesOf(frame));
    }
    this.#device.write(vector, this.segment.length, false, this.#sink, 0);
  }

  #completed(result: number): void {
    const { ring } = this.#place;
    const total = this.#vector.totalBytes;
    if (result === total) {
      const frames = this.#writing;
      this.#writing = [];
      for (const frame of frames) ring.release(frame);
      this.segment.length += total;
      this.segment.last = this.#writingLast;
      this.#relieved();
    } else if (!this.#ended) {
      const failure = journalFailed(this.#place.directory, this.segment.file.path, result);
      if (this.patient && isFull(result)) this.#wait(() => this.#write());
      else {
        this.#failed = true;
        this.#events.failed(failure);
      }
    } else this.#failed = true;
    this.#landed?.();
    if (result < total) return;
    this.#kick();
    this.#events.appended(total);
  }

  /** H44: the same bytes at the same place, later. */
  #wait(again: () => void): void {
    if (this.#retryMs === 0) this.#events.full(true);
    this.#retryMs = Math.min(journalRetryMaxMs, Math.max(journalRetryFirstMs, 2 * this.#retryMs));
    const { clock, guard } = this.#place.context;
    this.#retry = clock.after(
      this.#retryMs,
      guard(() => {
        this.#retry = undefined;
        if (!this.#ended) again();
      }),
    );
  }

  #relieved(): void {
    if (this.#retryMs === 0) return;
    this.#retryMs = 0;
    this.#events.full(false);
  }

  /** Nothing is appended until `step` is done; without space it is tried again. */
  #roll(step: () => Promise<void>): void {
    const rolling = step();
    this.#rolling = rolling;
    rolling.then(
      () => {
        this.#rolling = undefined;
        this.#relieved();
        this.#kick();
      },
      (error: unknown) => {
        this.#rolling = undefined;
        if (this.#ended) return;
        const full = error instanceof TdmfError && error.code === 'TDMF_JOURNAL_FULL';
        if (full && this.patient) this.#wait(() => this.#roll(step));
        else this.#events.failed(error as TdmfError);
      },
    );
  }

  /** The marker of a checkpoint is an empty file (MD#26): its header comes with its first entry. */
  async #begin(): Promise<void> {
    const { segment } = this;
    await writeHeader(this.#place, this.#device, segment.header);
    segment.length = segmentHeaderBytes;
  }

  async #next(): Promise<void> {
    const before = this.segment;
    const error = await this.flush();
    if (error !== undefined) throw error;
    const { header } = before;
    const { device, segment } = await makeSegment(this.#place, {
      ...header,
      kind: this.kind,
      segment: await this.#place.nextSegment(),
      previous: header.segment,
      firstSequence: before.last + 1,
      from: { era: header.era, sequence: before.last },
    });
    await this.#events.rolled(segment);
    this.segment = segment;
    this.#device = device;
    await before.file.release();
  }
}

async function makeSegment(
  place: JournalPlace,
  header: SegmentHeader,
): Promise<{ device: BlockDevice; segment: StreamSegment }> {
  const { opener, files, directory, group } = place;
  const path = `${directory}/${segmentName(group, header.segment, header.kind)}`;
  const device = await opener.open({
    path,
    access: 'readwrite',
    cache: 'writeback',
    createBytes: 0,
    growable: true,
  });
  const marker = header.kind === 'p' && header.previous === 0;
  try {
    if (!marker) await writeHeader(place, device, header);
    const flushed = await deviceCall((sink) => device.flush(sink, 0));
    if (flushed < 0) throw deviceFailed(path, 'flush', -flushed);
    await files.syncDirectory(directory);
  } catch (error) {
    await device.close();
    await files.remove(path);
    throw error;
  }
  const last = header.firstSequence - 1;
  const length = marker ? 0 : segmentHeaderBytes;
  return {
    device,
    segment: {
      header,
      file: new SegmentFile(opener, path, device),
      length,
      last,
      durableLength: length,
      durableLast: last,
    },
  };
}

async function writeHeader(
  place: JournalPlace,
  device: BlockDevice,
  header: SegmentHeader,
): Promise<void> {
  const { opener, directory } = place;
  const scratch = opener.allocate(4096);
  encodeSegmentHeader(scratch.bytes, 0, header, opener.digest.crc32c);
  const vector = new IoVector(1).single(scratch.arena, 0, segmentHeaderBytes);
  const result = await deviceCall((sink) => device.write(vector, 0, false, sink, 0));
  opener.release(scratch);
  if (result < segmentHeaderBytes) throw journalFailed(directory, device.path, result);
}

function isFull(result: number): boolean {
  return result === -ENOSPC || result === -EDQUOT || result >= 0;
}

export function journalFailed(directory: string, path: string, result: number): TdmfError {
  // A write that comes short has met the end of the space; what else there is shows in the next one.
  if (isFull(result)) return new TdmfError('TDMF_JOURNAL_FULL', { path: directory });
  return deviceFailed(path, 'write', -result);
}

const ENOSPC = 28;
const EDQUOT = 122;

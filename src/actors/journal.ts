/**
 * Owns the journal files of one refresh attempt: `.i` for blocks, `.c` for entries from s0 on (Rule
 * 4). A frame is appended as it came over the link, header included. One append at a time per file,
 * of everything that waits, so that what a killed process leaves is a beginning of the file. It does
 * not decide what is committed; rmd-refresh.ts does, and jGGG.meta says it.
 */
import { assert } from '../core/assert.js';
import { frameHeaderBytes } from '../core/constants.js';
import type { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError } from '../core/errors.js';
import { IoVector } from '../core/io-vector.js';
import { nextSegment, segmentName, segmentsOf } from '../core/journal/names.js';
import {
  encodeSegmentHeader,
  type SegmentHeader,
  segmentHeaderBytes,
} from '../core/journal/segment.js';
import type { JournalFile } from '../core/meta.js';
import type { ArenaMemory, BlockDevice, DeviceOpener } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { FileStore } from '../ports/file-store.js';
import type { ActorContext } from './actor.js';
import { deviceCall } from './device-call.js';
import { deviceFailed } from './mirror.js';

const ENOSPC = 28;
const EIO = 5;
const framesPerAppend = 64;

export interface JournalEvents {
  /** `bytes` more are in a file, readable; memory may be free again. */
  appended(bytes: number): void;
  /** Nothing more is appended: TDMF_JOURNAL_FULL or TDMF_DEVICE_FAILED. */
  failed(error: TdmfError): void;
}

/** What the files of an attempt need from their session. */
export interface JournalPlace {
  readonly context: ActorContext;
  readonly opener: DeviceOpener;
  readonly files: FileStore;
  readonly directory: string;
  readonly group: number;
  readonly ring: FrameRing;
  readonly memory: ArenaMemory;
  readonly events: JournalEvents;
}

export interface Attempt {
  readonly refreshId: string;
  readonly era: string;
  readonly s0: number;
  /** Running number of the next block record. */
  readonly firstBlock: number;
}

export class Journal {
  readonly i: JournalWriter;
  readonly c: JournalWriter;
  readonly #place: JournalPlace;

  private constructor(place: JournalPlace, i: JournalWriter, c: JournalWriter) {
    this.#place = place;
    this.i = i;
    this.c = c;
  }

  /** Makes both files, under a number no file of the group bears. @throws TDMF_JOURNAL_FULL */
  static async create(place: JournalPlace, attempt: Attempt): Promise<Journal> {
    const { group, directory, files } = place;
    const names = (await files.list(directory)) ?? [];
    const segment = nextSegment(group, names);
    const { refreshId, era, s0, firstBlock } = attempt;
    const about = { group, segment, refreshId, era };
    const i = await JournalWriter.create(place, { ...about, kind: 'i', firstSequence: firstBlock });
    try {
      const c = await JournalWriter.create(place, { ...about, kind: 'c', firstSequence: s0 });
      return new Journal(place, i, c);
    } catch (error) {
      await i.close();
      throw error;
    }
  }

  /**
   * Makes everything appended so far durable, files and directory, and says what a commit record must
   * say of the files (Rule 24).
   */
  async seal(): Promise<readonly JournalFile[]> {
    const sealed: JournalFile[] = [];
    for (const writer of [this.i, this.c]) {
      const { kind, segment, firstSequence } = writer.header;
      const { length, checksum } = writer;
      sealed.push({ kind, segment, length, checksum, firstSequence });
    }
    const errors = await Promise.all([this.i.flush(), this.c.flush()]);
    const error = errors.find((each) => each !== undefined);
    if (error !== undefined) throw error;
    await this.#place.files.syncDirectory(this.#place.directory);
    return sealed;
  }

  /** Appends nothing more, waits for what is under way and closes the files. */
  async close(): Promise<void> {
    await Promise.all([this.i.close(), this.c.close()]);
  }

  /** After `close`: without a commit record the files are worth nothing, with it they are done. */
  async remove(): Promise<void> {
    const { files, directory } = this.#place;
    for (const { path } of [this.i, this.c]) await files.remove(path);
    await files.syncDirectory(directory);
  }
}

export class JournalWriter {
  readonly device: BlockDevice;
  readonly path: string;
  readonly header: SegmentHeader;
  /** Bytes that are readable, and their CRC32C. */
  length = segmentHeaderBytes;
  checksum: number;
  /** Last sequence (or running number) of what is readable, and of what was handed in. */
  appended: number;
  received: number;
  readonly #place: JournalPlace;
  readonly #sink: CompletionSink;
  readonly #vector = new IoVector(framesPerAppend);
  readonly #queue: number[] = [];
  #lasts: number[] = [];
  #writing: number[] = [];
  #writingLast = 0;
  #writingChecksum = 0;
  #closed = false;
  #closing: (() => void) | undefined;

  private constructor(
    place: JournalPlace,
    device: BlockDevice,
    header: SegmentHeader,
    checksum: number,
  ) {
    this.#place = place;
    this.device = device;
    this.path = device.path;
    this.header = header;
    this.checksum = checksum;
    this.appended = header.firstSequence - 1;
    this.received = this.appended;
    this.#sink = {
      completed: place.context.guard((_tag: number, result: number) => {
        this.#completed(result);
      }),
    };
  }

  static async create(place: JournalPlace, header: SegmentHeader): Promise<JournalWriter> {
    const { opener, directory, group } = place;
    const path = `${directory}/${segmentName(group, header.segment, header.kind)}`;
    const device = await opener.open({
      path,
      access: 'readwrite',
      cache: 'writeback',
      createBytes: 0,
      growable: true,
    });
    const scratch = opener.allocate(4096);
    encodeSegmentHeader(scratch.bytes, 0, header, opener.digest.crc32c);
    const vector = new IoVector(1).single(scratch.arena, 0, segmentHeaderBytes);
    const result = await deviceCall((sink) => device.write(vector, 0, false, sink, 0));
    const checksum = opener.digest.crc32c(scratch.bytes, 0, segmentHeaderBytes);
    opener.release(scratch);
    if (result < segmentHeaderBytes) {
      await device.close();
      throw journalFailed(directory, path, result);
    }
    return new JournalWriter(place, device, header, checksum);
  }

  get idle(): boolean {
    return this.#writing.length === 0 && this.#queue.length === 0;
  }

  /** Takes the frame over, with the caller's hold; its last record is `last`. */
  append(frame: number, last: number): void {
    assert(!this.#closed, 'a closed journal takes nothing');
    this.received = last;
    this.#queue.push(frame);
    this.#lasts.push(last);
    this.#kick();
  }

  /** What is readable now is durable when this resolves with undefined. */
  async flush(): Promise<TdmfError | undefined> {
    const result = await deviceCall((sink) => this.device.flush(sink, 0));
    return result < 0 ? deviceFailed(this.path, 'flush', -result) : undefined;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const frame of this.#queue.splice(0)) this.#place.ring.release(frame);
    if (this.#writing.length > 0) {
      await new Promise<void>((resolve) => {
        this.#closing = resolve;
      });
    }
    await this.device.close();
  }

  #kick(): void {
    if (this.#writing.length > 0 || this.#queue.length === 0) return;
    const { ring, memory, opener } = this.#place;
    const vector = this.#vector.reset(memory.arena);
    const count = Math.min(framesPerAppend, this.#queue.length);
    this.#writing = this.#queue.splice(0, count);
    this.#writingLast = this.#lasts.splice(0, count).at(-1)!;
    let checksum = this.checksum;
    for (const frame of this.#writing) {
      const header = ring.headerOf(frame);
      const length = frameHeaderBytes + ring.payloadBytesOf(frame);
      vector.push(header, length);
      checksum = opener.digest.crc32c(memory.bytes, header, length, checksum);
    }
    this.#writingChecksum = checksum;
    this.device.write(vector, this.length, false, this.#sink, 0);
  }

  #completed(result: number): void {
    const { ring, events, directory } = this.#place;
    const frames = this.#writing;
    const total = this.#vector.totalBytes;
    this.#writing = [];
    for (const frame of frames) ring.release(frame);
    if (this.#closed || result < total) {
      this.#closing?.();
      if (!this.#closed) events.failed(journalFailed(directory, this.path, result));
      return;
    }
    this.length += total;
    this.checksum = this.#writingChecksum;
    this.appended = this.#writingLast;
    this.#kick();
    events.appended(total);
  }
}

/** Removes the files of attempts that were never committed, or whose commit is over. */
export async function removeSegments(
  place: Pick<JournalPlace, 'files' | 'directory' | 'group'>,
): Promise<void> {
  const { files, directory, group } = place;
  const segments = segmentsOf(group, (await files.list(directory)) ?? []);
  if (segments.length === 0) return;
  for (const { name, kind } of segments) {
    if (kind !== 'p') await files.remove(`${directory}/${name}`);
  }
  await files.syncDirectory(directory);
}

function journalFailed(directory: string, path: string, result: number): TdmfError {
  if (result === -ENOSPC) return new TdmfError('TDMF_JOURNAL_FULL', { path: directory });
  return deviceFailed(path, 'write', result < 0 ? -result : EIO);
}

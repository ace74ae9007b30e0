/**
 * Owns the committed journal of a mirror: the files of the chain in order, the one that is still
 * appended to (the tail), and what the record says of them (Rules 15d, 24). It opens the chain that an
 * earlier session left, makes further files, takes over what a refresh has committed, and removes files
 * from the front when the mirror has all of them, durably. It writes nothing to the mirror;
 * chain-applier.ts does.
 */
import { assert } from '../core/assert.js';
import { TdmfError } from '../core/errors.js';
import { IoVector } from '../core/io-vector.js';
import { committedOf, judgeChainFile } from '../core/journal/chain.js';
import { segmentName, segmentsOf } from '../core/journal/names.js';
import {
  decodeSegmentHeader,
  noEra,
  type SegmentHeader,
  type SegmentKind,
  segmentHeaderBytes,
} from '../core/journal/segment.js';
import type { MirrorRecord } from '../core/meta.js';
import type { WirePosition } from '../core/wire/messages.js';
import type { BlockDevice } from '../ports/block-device.js';
import { deviceCall } from './device-call.js';
import { ImageReader } from './image-reader.js';
import type { JournalPlace } from './journal-place.js';
import { JournalReader, walkEntries } from './journal-reader.js';
import { JournalStream, type StreamEvents, type StreamSegment } from './journal-stream.js';
import { deviceFailed } from './mirror.js';
import type { RmdRecord } from './rmd-record.js';
import { SegmentFile } from './segment-file.js';

export interface ChainFile {
  readonly header: SegmentHeader;
  readonly file: SegmentFile;
}

export class JournalChain {
  /** In order; the first one is needed, the last one is the tail while there is one. */
  readonly files: ChainFile[] = [];
  tail: JournalStream | undefined;
  readonly #place: JournalPlace;
  readonly #record: RmdRecord;
  readonly #events: Omit<StreamEvents, 'rolled'>;
  /** Where it ended when it was opened, and whether something torn lies behind. */
  #end: WirePosition | undefined;
  #torn = false;
  #endLength = 0;

  constructor(place: JournalPlace, record: RmdRecord, events: Omit<StreamEvents, 'rolled'>) {
    this.#place = place;
    this.#record = record;
    this.#events = events;
  }

  get empty(): boolean {
    return this.files.length === 0;
  }

  /** Images are part of it: until they are applied the mirror alone is not the newest cut. */
  get holdsImage(): boolean {
    return this.files.some(({ header }) => header.kind === 'i');
  }

  /**
   * Finds the files the record names and how far they go. What was readable under the same boot counts
   * as far as it is whole; it is flushed before it does. @throws TDMF_JOURNAL_DAMAGED (Rule 25)
   */
  async load(): Promise<void> {
    const range = this.#record.record.chain;
    if (range === undefined) return;
    const names = (await this.#place.files.list(this.#place.directory)) ?? [];
    const known = segmentsOf(this.#place.group, names);
    for (let number = range.last; ; ) {
      const name = known.find(({ segment }) => segment === number);
      const path = `${this.#place.directory}/${name?.name ?? segmentName(this.#place.group, number, 'c')}`;
      const file = new SegmentFile(this.#place.opener, path);
      const header = name === undefined ? 'missing' : await this.#headerOf(file, name.kind);
      const followed = typeof header !== 'string';
      const { id, verdict } = judgeChainFile({
        found: followed ? 'file' : header,
        itself: !followed || (header.segment === number && header.group === this.#place.group),
        last: number === range.last,
        marker: this.#record.record.checkpoint !== 'off' && range.first === range.last,
        follows:
          !followed ||
          number === range.first ||
          (header.previous >= range.first && header.previous < number),
      });
      if (verdict === 'damage') throw new TdmfError('TDMF_JOURNAL_DAMAGED', { path, what: id });
      const taken = followed ? header : this.#markerHeader(number);
      this.files.unshift({ header: taken, file });
      if (number === range.first) break;
      number = taken.previous;
    }
    await this.#findEnd();
  }

  /** Looks at all of it before any of it reaches the mirror. @throws TDMF_JOURNAL_DAMAGED */
  async verify(stopped: () => boolean): Promise<void> {
    for (const [index, { header, file }] of this.files.entries()) {
      if (stopped()) return;
      const device = await file.hold();
      try {
        if (header.kind === 'i') await this.#verifyImage(device, stopped);
        else if (index < this.files.length - 1) await this.walk(index);
      } finally {
        await file.release();
      }
    }
  }

  /** How far the entries of a file go that is not the tail. @throws TDMF_JOURNAL_DAMAGED */
  async walk(
    index: number,
  ): Promise<{ readonly last: number; readonly end: number; torn: boolean }> {
    const { header, file } = this.files[index]!;
    const next = this.files[index + 1]?.header;
    const device = await file.hold();
    const reader = new JournalReader(this.#place.opener, device);
    const { record } = this.#record;
    try {
      return await walkEntries(reader, {
        path: file.path,
        firstSequence: header.firstSequence,
        committed: committedOf(header, next),
        durable: next === undefined ? (this.#record.standing().durable ?? 0) : 0,
        ordered: record.bootId === this.#record.bootId,
        sizes: this.#place.sizes,
      });
    } finally {
      reader.close();
      await file.release();
    }
  }

  /** Where the chain ends; undefined when there is none. */
  get end(): WirePosition | undefined {
    const { tail } = this;
    if (tail === undefined) return this.#end;
    return { era: tail.segment.header.era, sequence: tail.appended };
  }

  /**
   * Entries go to the journal from `position` on: behind the last file, in one more of another era or
   * kind, or in the first of all. The record names it before anything is appended.
   */
  async openTail(
    kind: 'c' | 'p',
    position: WirePosition,
    options: { readonly fresh?: boolean; readonly change?: Partial<MirrorRecord> } = {},
  ): Promise<JournalStream> {
    const { fresh = false, change = {} } = options;
    assert(this.tail === undefined, 'one file is appended to at a time');
    const last = this.files.at(-1);
    const goesOn = last !== undefined && last.header.era === position.era && !this.#torn;
    if (goesOn && !fresh && last.header.kind !== 'i') {
      assert(this.#end?.sequence === position.sequence, 'the chain goes on where it ended');
      const segment = {
        ...last,
        length: this.#endLength,
        last: position.sequence,
        durableLength: this.#endLength,
        durableLast: position.sequence,
      };
      this.files[this.files.length - 1] = segment;
      this.tail = await JournalStream.reopen(this.#place, segment, this.#streamEvents());
      this.tail.kind = kind;
      await this.#record.save(change);
      return this.tail;
    }
    const header: SegmentHeader = {
      group: this.#place.group,
      kind,
      segment: await this.#place.nextSegment(),
      refreshId: '',
      era: position.era,
      firstSequence: position.sequence + 1,
      previous: last?.header.segment ?? 0,
      from: last === undefined ? position : (this.end ?? position),
    };
    const tail = await JournalStream.create(this.#place, header, this.#streamEvents());
    await this.#name(tail.segment, change);
    this.tail = tail;
    return tail;
  }

  /** A refresh is committed: its files are the end of the chain; `save` is the commit record. */
  async commit(
    files: readonly ChainFile[],
    tail: JournalStream,
    save: (range: { first: number; last: number }) => Promise<void>,
  ): Promise<void> {
    assert(this.tail === undefined, 'one file is appended to at a time');
    const all = [...this.files, ...files];
    await save({ first: all[0]!.header.segment, last: all.at(-1)!.header.segment });
    this.files.push(...files);
    this.tail = tail;
  }

  /** Appends nothing more for now; what was appended stays. */
  async closeTail(): Promise<void> {
    const { tail } = this;
    if (tail === undefined) return;
    await tail.close();
    this.#end = { era: tail.segment.header.era, sequence: tail.appended };
    // Whatever else was being appended when it closed lies behind: not to be gone on from.
    this.#torn = tail.received !== tail.appended;
    this.#endLength = tail.segment.length;
    this.tail = undefined;
  }

  /** A tail of the refresh that was committed names its next files here. */
  async name(segment: StreamSegment): Promise<void> {
    await this.#name(segment);
  }

  /**
   * The mirror has the first `count` files, durably: the record says so, then they are removed. All of
   * them: the tail was closed before, and `change` says where the mirror stands.
   */
  async retire(count: number, change: Partial<MirrorRecord>): Promise<void> {
    const gone = this.files.splice(0, count);
    const first = this.files[0]?.header.segment;
    const chain =
      first === undefined ? undefined : { first, last: this.files.at(-1)!.header.segment };
    await this.#record.save({ ...change, chain });
    if (chain === undefined) this.#end = undefined;
    for (const { file } of gone) await this.#place.files.remove(file.path);
    await this.#place.files.syncDirectory(this.#place.directory);
  }

  /** Forgets the chain without applying it: the record says that something else is the truth now. */
  async drop(change: Partial<MirrorRecord>): Promise<void> {
    await this.closeTail();
    await this.retire(this.files.length, change);
  }

  /** Every file of entries changes its kind: -off (Rule 15a), or a crash in the middle of it. */
  async rename(from: 'c' | 'p', to: 'c' | 'p'): Promise<void> {
    const { files, directory } = this.#place;
    for (const { file } of this.files) {
      if (!file.path.endsWith(`.${from}`)) continue;
      const path = `${file.path.slice(0, -1)}${to}`;
      await files.rename(file.path, path);
      file.path = path;
    }
    if (this.tail !== undefined) this.tail.kind = to;
    await files.syncDirectory(directory);
  }

  async close(): Promise<void> {
    await this.closeTail();
  }

  #streamEvents(): StreamEvents {
    return { ...this.#events, rolled: (segment) => this.#name(segment) };
  }

  /** The record must never forget a file: it is changed here and in `retire`, one after the other. */
  async #name(segment: StreamSegment, change: Partial<MirrorRecord> = {}): Promise<void> {
    this.files.push(segment);
    const first = this.files[0]!.header.segment;
    const last = segment.header.segment;
    await this.#record.save({ ...change, chain: { first, last } });
  }

  async #findEnd(): Promise<void> {
    const last = this.files.at(-1)!;
    const { header, file } = last;
    if (header.kind === 'i') throw damagedFile(file.path, 'nothing follows the image');
    const device = await file.hold();
    try {
      const { last: sequence, end, torn } = await this.walk(this.files.length - 1);
      const result = await deviceCall((sink) => device.flush(sink, 0));
      if (result < 0) throw deviceFailed(file.path, 'flush', -result);
      this.#end = { era: header.era, sequence };
      this.#torn = torn;
      this.#endLength = device.sizeBytes === 0 ? 0 : end;
    } finally {
      await file.release();
    }
  }

  async #verifyImage(device: BlockDevice, stopped: () => boolean): Promise<void> {
    const { opener, sizes } = this.#place;
    const reader = await ImageReader.open(opener, device, sizes);
    if (!reader.page.closed) throw damagedFile(device.path, 'it was never sealed');
    await reader.verify(stopped);
  }

  async #headerOf(
    file: SegmentFile,
    kind: SegmentKind,
  ): Promise<SegmentHeader | 'empty' | 'unreadable'> {
    const { opener } = this.#place;
    const device = await file.hold();
    const memory = opener.allocate(4096);
    try {
      const vector = new IoVector(1).single(memory.arena, 0, segmentHeaderBytes);
      const result = await deviceCall((sink) => device.read(vector, 0, sink, 0));
      if (result < 0) throw deviceFailed(file.path, 'read', -result);
      if (result === 0) return 'empty';
      const header = decodeSegmentHeader(memory.bytes.subarray(0, result), 0, opener.digest.crc32c);
      if (typeof header === 'string') return 'unreadable';
      // `.p` files are renamed; an image is one thing only.
      return (header.kind === 'i') === (kind === 'i') ? header : 'unreadable';
    } finally {
      opener.release(memory);
      await file.release();
    }
  }

  /** What the first `.p` would say, had anything come (MD#26). */
  #markerHeader(segment: number): SegmentHeader {
    const { era, checkpointSequence } = this.#record.record;
    return {
      group: this.#place.group,
      kind: 'p',
      segment,
      refreshId: '',
      era: era ?? noEra,
      firstSequence: checkpointSequence + 1,
      previous: 0,
      from: undefined,
    };
  }
}

function damagedFile(path: string, what: string): TdmfError {
  return new TdmfError('TDMF_JOURNAL_DAMAGED', { path, what });
}

/**
 * Owns the `.i` file of a refresh: blocks go into their slots (Rule 44), then into the table, and only
 * then they count. A later version of a block takes the place of the earlier one, and two versions are
 * never under way at once, so arrival order holds (Rule 4). It is sealed by a commit, or closed in
 * order when the link is lost, so that the next session of the refresh finds what it acknowledged
 * (R10). It does not decide what is committed.
 */
import { assert } from '../core/assert.js';
import { mapBlockBytes, sectorBytes, wireEntryBytes } from '../core/constants.js';
import { isTdmfError, TdmfError } from '../core/errors.js';
import { IoVector } from '../core/io-vector.js';
import {
  encodeImagePage,
  type ImagePlaces,
  imagePageBytes,
  imagePlaces,
  sectorsPerBlock,
  slotStates,
} from '../core/journal/image.js';
import { type ImageTable, tablePageBytes } from '../core/journal/image-table.js';
import type { SegmentHeader } from '../core/journal/segment.js';
import { decodeEntry, emptyWireEntry, entryDataLength } from '../core/wire/entry.js';
import { entryFlags, type WireEntry } from '../core/wire/messages.js';
import type { ArenaMemory } from '../ports/block-device.js';
import { deviceCall } from './device-call.js';
import type { JournalPlace } from './journal-place.js';
import { journalFailed } from './journal-stream.js';
import { deviceFailed } from './mirror.js';
import type { SegmentFile } from './segment-file.js';

export interface ImageEvents {
  /** `bytes` more are in the file, readable; memory may be free again. */
  appended(bytes: number): void;
  /** Nothing more is taken: TDMF_JOURNAL_FULL or TDMF_DEVICE_FAILED. */
  failed(error: TdmfError): void;
}

/** What an image is made of, new or found. */
export interface ImageParts {
  readonly header: SegmentHeader;
  readonly bootId: string;
  readonly file: SegmentFile;
  readonly table: ImageTable;
}

const scratchPages = 16;
const bitmapBytes = sectorsPerBlock / 8;

export class ImageFile {
  /** Running number of the last record handed in, and of the last one that is readable. */
  received = 0;
  appended = 0;
  readonly table: ImageTable;
  readonly places: ImagePlaces;
  readonly file: SegmentFile;
  header: SegmentHeader;
  readonly #bootId: string;
  readonly #place: JournalPlace;
  readonly #events: ImageEvents;
  readonly #scratch: ArenaMemory;
  readonly #queue: number[] = [];
  readonly #lasts: number[] = [];
  readonly #touched = new Set<number>();
  #working: Promise<void> | undefined;
  #failed = false;
  #sealed = false;
  #closed = false;

  constructor(place: JournalPlace, parts: ImageParts, events: ImageEvents) {
    this.#place = place;
    this.#events = events;
    this.header = parts.header;
    this.#bootId = parts.bootId;
    this.file = parts.file;
    this.table = parts.table;
    this.places = imagePlaces(place.sizes);
    this.#scratch = place.opener.allocate(Math.max(scratchPages * tablePageBytes, mapBlockBytes));
  }

  /** Records are numbered on from here: 1 is the first of a session (docs/link-session.md). */
  begin(lastBlock: number): void {
    assert(this.idle, 'numbers begin anew when nothing is under way');
    this.received = lastBlock;
    this.appended = lastBlock;
  }

  get idle(): boolean {
    return this.#working === undefined;
  }

  /** Takes the frame over, with the caller's hold; its last record is `last`. */
  append(frame: number, last: number): void {
    assert(!this.#closed, 'a closed image takes nothing');
    this.received = last;
    this.#queue.push(frame);
    this.#lasts.push(last);
    this.#working ??= this.#work();
  }

  /** Resolves when all that was handed in is readable, or the image failed. */
  async settle(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  /** Durable, with all that a commit record relies on (Rule 24). */
  async seal(change: Pick<SegmentHeader, 'era' | 'previous' | 'from'>): Promise<void> {
    await this.settle();
    this.header = { ...this.header, ...change };
    await this.#writePage(true);
    const device = await this.file.hold();
    const result = await deviceCall((sink) => device.flush(sink, 0));
    await this.file.release();
    if (result < 0) throw deviceFailed(this.file.path, 'flush', -result);
    this.#sealed = true;
  }

  /** A place in the file's slots: the caller reads there what the table says is there. */
  slotOf(device: number, block: number): number {
    return this.places.slots[device]! + block * mapBlockBytes;
  }

  /** Takes nothing more; what it holds can be found again under this boot. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.settle();
    for (const frame of this.#queue.splice(0)) this.#place.ring.release(frame);
    // A failure here leaves the page open: then every slot is looked at before it is believed.
    if (!this.#failed && !this.#sealed) await this.#writePage(true).catch(() => undefined);
    await this.file.release();
    this.#place.opener.release(this.#scratch);
  }

  async #work(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#closed) await this.#batch();
    } catch (error) {
      this.#failed = true;
      this.#events.failed(asTdmfError(error));
    }
    this.#working = undefined;
  }

  /** Frames that touch no block twice: slots, then table, then they count. */
  async #batch(): Promise<void> {
    const { ring } = this.#place;
    this.#touched.clear();
    const frames: number[] = [];
    let last = 0;
    let bytes = 0;
    const writes: Promise<void>[] = [];
    const ranges: (() => Promise<void>)[] = [];
    while (this.#queue.length > 0 && frames.length < framesPerBatch) {
      const frame = this.#queue[0]!;
      if (frames.length > 0 && !this.#disjoint(frame)) break;
      this.#queue.shift();
      last = this.#lasts.shift()!;
      frames.push(frame);
      bytes += ring.payloadBytesOf(frame);
      await this.#records(frame, writes, ranges);
    }
    await Promise.all(writes);
    for (const write of ranges) await write();
    await this.#writeTable();
    for (const frame of frames) ring.release(frame);
    this.appended = last;
    this.#events.appended(bytes);
  }

  /** Whether the blocks of the frame are touched by no earlier frame of the batch. */
  #disjoint(frame: number): boolean {
    let disjoint = true;
    this.#eachBlock(frame, (key) => {
      if (this.#touched.has(key)) disjoint = false;
    });
    return disjoint;
  }

  #eachBlock(frame: number, visit: (key: number) => void): void {
    const { ring, memory } = this.#place;
    const entry = emptyWireEntry();
    const count = ring.entriesOf(frame);
    for (let index = 0; index < count; index += 1) {
      decodeEntry(memory.bytes, ring.tableOf(frame) + index * wireEntryBytes, entry);
      const end = Math.ceil((entry.offset + entry.length) / mapBlockBytes);
      for (let block = Math.floor(entry.offset / mapBlockBytes); block < end; block += 1) {
        visit(block * deviceStride + entry.device);
      }
    }
  }

  async #records(
    frame: number,
    writes: Promise<void>[],
    ranges: (() => Promise<void>)[],
  ): Promise<void> {
    const { ring, memory } = this.#place;
    const count = ring.entriesOf(frame);
    let data = ring.dataOf(frame);
    for (let index = 0; index < count; index += 1) {
      const entry = emptyWireEntry();
      decodeEntry(memory.bytes, ring.tableOf(frame) + index * wireEntryBytes, entry);
      const twice = this.#touches(entry);
      // Two records of one frame may name one block: the earlier one must be there first.
      if (twice) {
        await Promise.all(writes.splice(0));
        for (const write of ranges.splice(0)) await write();
      }
      const from = data;
      if (!(entry.flags & entryFlags.zero)) {
        writes.push(this.#write(entry.device, entry.offset, memory, from, entry.length));
      }
      this.#blocksOf(entry, from, ranges);
      data += entryDataLength(entry);
    }
  }

  #touches(entry: WireEntry): boolean {
    const end = Math.ceil((entry.offset + entry.length) / mapBlockBytes);
    let twice = false;
    for (let block = Math.floor(entry.offset / mapBlockBytes); block < end; block += 1) {
      const key = block * deviceStride + entry.device;
      twice ||= this.#touched.has(key);
      this.#touched.add(key);
    }
    return twice;
  }

  /** Says in the table what the record puts into each of its blocks. */
  #blocksOf(entry: WireEntry, data: number, ranges: (() => Promise<void>)[]): void {
    const { memory, sizes, opener } = this.#place;
    const { device, offset, length, flags } = entry;
    const zero = (flags & entryFlags.zero) !== 0;
    const size = sizes[device]!;
    const end = offset + length;
    for (let block = Math.floor(offset / mapBlockBytes); block * mapBlockBytes < end; block += 1) {
      const first = Math.max(offset, block * mapBlockBytes);
      const last = Math.min(end, (block + 1) * mapBlockBytes);
      const whole =
        first === block * mapBlockBytes && last === Math.min(size, (block + 1) * mapBlockBytes);
      if (whole && zero) this.table.set(device, block, slotStates.zero, 0);
      else if (whole) {
        const crc = opener.digest.crc32c(memory.bytes, data + first - offset, last - first);
        this.table.set(device, block, slotStates.data, crc);
      } else {
        const before = this.table.stateOf(device, block);
        ranges.push(() =>
          this.#part(device, block, first, last, before, zero ? -1 : data + first - offset),
        );
      }
    }
  }

  /** A record that covers a block in part: beside what is there already. */
  async #part(
    device: number,
    block: number,
    first: number,
    last: number,
    before: number,
    data: number,
  ): Promise<void> {
    const { memory, sizes, opener } = this.#place;
    const start = block * mapBlockBytes;
    const blockEnd = Math.min(sizes[device]!, start + mapBlockBytes);
    const scratch = this.#scratch;
    if (before === slotStates.zero) {
      // What is around it reads as zeroes: from now on that is data.
      scratch.bytes.fill(0, 0, mapBlockBytes);
      await this.#write(device, start, scratch, 0, blockEnd - start);
      if (data >= 0) await this.#write(device, first, memory, data, last - first);
    } else if (data < 0) {
      scratch.bytes.fill(0, 0, last - first);
      await this.#write(device, first, scratch, 0, last - first);
    }
    const sectors =
      before === slotStates.part
        ? this.table.sectorsOf(device, block).slice()
        : new Uint8Array(bitmapBytes).fill(before === slotStates.absent ? 0 : 0xff);
    const from = (first - start) / sectorBytes;
    for (let sector = from; sector < Math.ceil((last - start) / sectorBytes); sector += 1) {
      sectors[sector >> 3]! |= 1 << (sector & 7);
    }
    const count = Math.ceil((blockEnd - start) / sectorBytes);
    let all = true;
    for (let sector = 0; sector < count; sector += 1) {
      all &&= (sectors[sector >> 3]! & (1 << (sector & 7))) !== 0;
    }
    const handle = await this.file.hold();
    const vector = new IoVector(1).single(scratch.arena, 0, blockEnd - start);
    const result = await deviceCall((sink) =>
      handle.read(vector, this.slotOf(device, block), sink, 0),
    );
    await this.file.release();
    if (result < 0) throw deviceFailed(this.file.path, 'read', -result);
    scratch.bytes.fill(0, result, blockEnd - start);
    const state = all ? slotStates.data : slotStates.part;
    const crc = slotCrc(opener.digest.crc32c, scratch.bytes, 0, blockEnd - start, all, sectors);
    this.table.set(device, block, state, crc, all ? undefined : sectors);
  }

  async #write(
    device: number,
    offset: number,
    memory: ArenaMemory,
    from: number,
    length: number,
  ): Promise<void> {
    await this.#put(memory, from, length, this.places.slots[device]! + offset);
  }

  async #writeTable(): Promise<void> {
    const pages: { device: number; page: number }[] = [];
    this.table.takeDirty((device, page) => pages.push({ device, page }));
    while (pages.length > 0) {
      const some = pages.splice(0, scratchPages);
      await Promise.all(
        some.map(({ device, page }, index) => {
          const from = index * tablePageBytes;
          this.table.encodePage(device, page, this.#scratch.bytes, from);
          const to = this.places.tables[device]! + page * tablePageBytes;
          return this.#put(this.#scratch, from, tablePageBytes, to);
        }),
      );
    }
  }

  async #writePage(closed: boolean): Promise<void> {
    const { opener, sizes } = this.#place;
    const { crc32c } = opener.digest;
    const tableCrc = closed ? this.table.checksum(crc32c) : 0;
    const page = { header: this.header, bootId: this.#bootId, closed, tableCrc, sizes };
    this.#scratch.bytes.set(encodeImagePage(page, crc32c));
    await this.#put(this.#scratch, 0, imagePageBytes, 0);
  }

  /** Writes the page of a new image, or of one that goes on: its slots move from now on. */
  opened(): Promise<void> {
    return this.#writePage(false);
  }

  async #put(memory: ArenaMemory, from: number, length: number, to: number): Promise<void> {
    const device = await this.file.hold();
    const vector = new IoVector(1).single(memory.arena, from, length);
    const result = await deviceCall((sink) => device.write(vector, to, false, sink, 0));
    await this.file.release();
    if (result < length) throw journalFailed(this.#place.directory, this.file.path, result);
  }
}

/** CRC32C of the sectors of a block that are there. */
export function slotCrc(
  crc32c: (bytes: Uint8Array, offset: number, length: number, seed?: number) => number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  all: boolean,
  sectors: Uint8Array,
): number {
  if (all) return crc32c(bytes, offset, length);
  let crc = 0;
  for (let at = 0; at < length; at += sectorBytes) {
    const sector = at / sectorBytes;
    if ((sectors[sector >> 3]! & (1 << (sector & 7))) === 0) continue;
    crc = crc32c(bytes, offset + at, Math.min(sectorBytes, length - at), crc);
  }
  return crc;
}

function asTdmfError(error: unknown): TdmfError {
  if (isTdmfError(error)) return error;
  const what = error instanceof Error ? error.message : String(error);
  return new TdmfError('TDMF_INTERNAL', { what }, { cause: error });
}

const framesPerBatch = 16;
/** Blocks of different devices have different keys. */
const deviceStride = 64;

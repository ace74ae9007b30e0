/**
 * Reads journal files of entries back, frame by frame in file order, and judges every place where a
 * record should begin (Rule 25). A frame goes to the mirror through receive memory, exactly as if it
 * had come over the link. It knows one file at a time; the chain is journal-chain.ts's.
 */
import { frameHeaderBytes, framePayloadMax } from '../core/constants.js';
import type { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError } from '../core/errors.js';
import { IoVector } from '../core/io-vector.js';
import { judgeRecord } from '../core/journal/recovery.js';
import { segmentHeaderBytes } from '../core/journal/segment.js';
import { decodeEntry, emptyWireEntry, validateEntries } from '../core/wire/entry.js';
import { decodeFrameHeader, emptyFrameHeader, frameMagic } from '../core/wire/frame.js';
import { frameKinds } from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice, DeviceOpener } from '../ports/block-device.js';
import { deviceCall } from './device-call.js';
import { deviceFailed } from './mirror.js';

/** The frame at some place of a file. */
export interface JournalFrame {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

const everything = Number.MAX_SAFE_INTEGER;
const windowBytes = 2 * (frameHeaderBytes + framePayloadMax);

/** Reads frames of one file into memory of its own. */
export class JournalReader {
  readonly #opener: DeviceOpener;
  readonly #device: BlockDevice;
  readonly #memory: ArenaMemory;
  readonly #vector = new IoVector(1);
  readonly #header = emptyFrameHeader();
  readonly #entry = emptyWireEntry();
  #session: { low: number; high: number } | undefined;
  /** What of the file lies in memory, and where in memory the frame last read begins. */
  #base = 0;
  #held = 0;
  #at = 0;

  constructor(opener: DeviceOpener, device: BlockDevice) {
    this.#opener = opener;
    this.#device = device;
    this.#memory = opener.allocate(windowBytes);
  }

  close(): void {
    this.#opener.release(this.#memory);
  }

  /**
   * The frame at `offset`, validated: it holds the entry `next`, which in all frames but the first of
   * a file is its first. `place` copies it until the next read. Nothing at or behind `limit` is looked
   * at: it may be half written.
   */
  async frameAt(
    offset: number,
    limit: number,
    kind: number,
    next: number,
    sizes: ArrayLike<number>,
  ): Promise<JournalFrame | 'end' | 'bad'> {
    let got = this.#inMemory(offset);
    if (got < frameHeaderBytes) got = await this.#load(offset, limit);
    if (got === 0) return 'end';
    const { crc32c } = this.#opener.digest;
    const { bytes } = this.#memory;
    const header = this.#header;
    if (got < frameHeaderBytes) return 'bad';
    if (decodeFrameHeader(bytes, this.#at, header, crc32c) !== undefined) return 'bad';
    const { payloadLength, count } = header;
    if (header.kind !== kind || payloadLength > framePayloadMax) return 'bad';
    if (frameHeaderBytes + payloadLength > got) got = await this.#load(offset, limit);
    if (frameHeaderBytes + payloadLength > got) return 'bad';
    const payload = this.#at + frameHeaderBytes;
    if (crc32c(bytes, payload, payloadLength) !== header.payloadCrc) return 'bad';
    if (validateEntries(bytes, payload, header, sizes) !== undefined) return 'bad';
    decodeEntry(bytes, payload, this.#entry);
    const first = this.#entry.sequence;
    const last = first + count - 1;
    const begins = offset === segmentHeaderBytes ? first <= next && next <= last : first === next;
    if (!begins) return 'bad';
    this.#session = { low: header.sessionLow, high: header.sessionHigh };
    return { bytes: frameHeaderBytes + payloadLength, first, last };
  }

  /** Whether a whole header of the session of the frames read so far begins behind `offset`. */
  async successorBehind(offset: number): Promise<boolean> {
    const { crc32c } = this.#opener.digest;
    const { bytes } = this.#memory;
    const header = emptyFrameHeader();
    for (let at = offset + 1; ; ) {
      const got = await this.#read(at, windowBytes);
      for (let index = 0; index + frameHeaderBytes <= got; index += 1) {
        if (bytes[index] !== (frameMagic & 0xff)) continue;
        if (decodeFrameHeader(bytes, index, header, crc32c) !== undefined) continue;
        const session = this.#session;
        if (session === undefined) return true;
        if (header.sessionLow === session.low && header.sessionHigh === session.high) return true;
      }
      if (got < windowBytes) return false;
      at += got - frameHeaderBytes + 1;
    }
  }

  /** Copies the frame last read into the receive memory; its number there, or −1 without room. */
  place(ring: FrameRing, into: Uint8Array): number {
    const { count, payloadLength, kind } = this.#header;
    const frame = ring.place(kind, count, payloadLength, false);
    if (frame < 0) return -1;
    const length = frameHeaderBytes + payloadLength;
    into.set(this.#memory.bytes.subarray(this.#at, this.#at + length), ring.headerOf(frame));
    return frame;
  }

  /** Bytes of the file from `offset` on that are in memory; `#at` is where they begin. */
  #inMemory(offset: number): number {
    this.#at = offset - this.#base;
    return this.#at < 0 ? 0 : Math.max(0, this.#held - this.#at);
  }

  async #load(offset: number, limit: number): Promise<number> {
    this.#held = await this.#read(offset, Math.min(windowBytes, limit - offset));
    this.#base = offset;
    this.#at = 0;
    return this.#held;
  }

  async #read(offset: number, length: number): Promise<number> {
    this.#held = 0;
    const vector = this.#vector.single(this.#memory.arena, 0, length);
    const result = await deviceCall((sink) => this.#device.read(vector, offset, sink, 0));
    if (result < 0) throw deviceFailed(this.#device.path, 'read', -result);
    return result;
  }
}

/** How far a file of entries goes. */
export interface Extent {
  /** Last sequence of the file, and the place behind it. */
  readonly last: number;
  readonly end: number;
  /** Something lies behind that place that does not count. */
  readonly torn: boolean;
}

export interface WalkFacts {
  readonly path: string;
  /** The first entry that belongs to the file. */
  readonly firstSequence: number;
  /** The next file of the chain says that entries up to here belong to this one; −1: it is the last. */
  readonly committed: number;
  /** The recorded durable position. */
  readonly durable: number;
  /** Still the boot that wrote the file. */
  readonly ordered: boolean;
  readonly sizes: ArrayLike<number>;
}

/** Walks a file from its first frame and judges every place (Rule 25). @throws TDMF_JOURNAL_DAMAGED */
export async function walkEntries(reader: JournalReader, facts: WalkFacts): Promise<Extent> {
  const { path, committed, durable, ordered, sizes } = facts;
  let end = segmentHeaderBytes;
  let last = facts.firstSequence - 1;
  for (;;) {
    // What lies behind the entries that the next file goes on from was never acknowledged.
    if (committed >= 0 && last >= committed) return { last: committed, end, torn: false };
    const frame = await reader.frameAt(end, everything, frameKinds.entries, last + 1, sizes);
    const bad = frame === 'bad';
    const { id, verdict } = judgeRecord({
      valid: typeof frame === 'object',
      atEnd: frame === 'end',
      committed: last < committed,
      needed: last < durable,
      successor: bad && ordered && (await reader.successorBehind(end)),
      ordered,
    });
    if (verdict === 'damage') throw new TdmfError('TDMF_JOURNAL_DAMAGED', { path, what: id });
    if (typeof frame === 'string') return { last, end, torn: frame === 'bad' };
    last = frame.last;
    end += frame.bytes;
  }
}

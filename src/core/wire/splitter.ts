/**
 * Bytes of the link in, whole frames out. Chunks may be cut anywhere; memory is bounded: one header,
 * and one small buffer for control and ack frames. The payload of a data frame is written once,
 * straight into the memory the sink names when it has seen the header, and checksummed there, piece
 * by piece while it is in the cache.
 *
 *   push(chunk) ─► header whole? ─► checks ─► sink.begin ─► payload whole? ─► checksum ─► sink.frame
 *                        └──────────── anything wrong: sink.malformed once, then deaf ──┘
 *
 * A compressed payload is gathered in a buffer of its own and unpacked into the sink's memory, which
 * sees no difference. A length is believed only after the header's checksum (Rule 55); the first frame is a small control
 * frame; numbers run without a gap; the session nonce must be ours. Contents of a payload are judged
 * by codec.ts, ack.ts and entry.ts.
 */
import { assert } from '../assert.js';
import type { Crc32c } from '../checksum.js';
import {
  controlPayloadMax,
  firstFramePayloadMax,
  frameEntriesMax,
  frameHeaderBytes,
  framePayloadMax,
  wireEntryBytes,
} from '../constants.js';
import { TdmfError } from '../errors.js';
import { ackBytes } from './ack.js';
import {
  decodeFrameHeader,
  emptyFrameHeader,
  type FrameHeader,
  frameFlags,
  frameLayout,
  protocolVersion,
} from './frame.js';
import type { Lz4Decompress } from './lz4.js';
import { frameKinds } from './messages.js';
import type { Sender, SessionNonce } from './session.js';

/** Where a payload goes; at least `payloadLength` bytes from `offset` on. */
export interface PayloadTarget {
  readonly bytes: Uint8Array;
  readonly offset: number;
}

export interface FrameSink {
  /**
   * A good header has arrived; `header` is valid only during the call. Names the memory for the
   * payload. Undefined: the splitter's own buffer, for control, ack and heartbeat frames; for a data
   * frame it means that no memory was promised to the peer, and the frame is malformed.
   */
  begin(header: Readonly<FrameHeader>): PayloadTarget | undefined;
  /**
   * The payload is whole and its checksum right. `header`, and `target` when it is the splitter's
   * own buffer, are valid only during the call.
   */
  frame(header: Readonly<FrameHeader>, target: PayloadTarget): void;
  /** Once: TDMF_LINK_PROTOCOL or TDMF_LINK_VERSION. What follows is ignored; close the link. */
  malformed(error: TdmfError): void;
}

export interface SplitterOptions {
  /** Who sends the frames: the primary sends entries and blocks, the secondary acks, and blocks home. */
  readonly sender: Sender;
  readonly nonce: SessionNonce;
  readonly crc32c: Crc32c;
  /** Given when this side said that it takes compressed frames. */
  readonly lz4Decompress?: Lz4Decompress;
}

export class FrameSplitter {
  /** In a backfresh the secondary sends blocks; otherwise only a primary sends data. */
  takesBlocks = false;
  #sink: FrameSink;
  #options: SplitterOptions;
  #header: FrameHeader = emptyFrameHeader();
  #headerBytes = new Uint8Array(frameHeaderBytes);
  #own: PayloadTarget = { bytes: new Uint8Array(controlPayloadMax), offset: 0 };
  /** Where bytes go now: the sink's memory, or ours for a compressed payload. */
  #target: PayloadTarget | undefined = undefined;
  /** Bytes that follow the header; of a compressed frame the header then says what comes of them. */
  #wireLength = 0;
  /** The sink's memory, for what becomes of a compressed payload. */
  #unpacked: PayloadTarget | undefined = undefined;
  /** Made with the first compressed frame. */
  #packed: PayloadTarget | undefined = undefined;
  /** Bytes of the present header, or of the present payload once there is a target. */
  #filled = 0;
  #crc = 0;
  #frames = 0;
  #controls = 0;
  #stopped = false;

  constructor(sink: FrameSink, options: SplitterOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  /** Good frames delivered so far. */
  get frames(): number {
    return this.#frames;
  }

  /** True after `stop` or a malformed frame: whatever is pushed is ignored. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Ignore everything from now on; may be called from within the sink. */
  stop(): void {
    this.#stopped = true;
    this.#target = undefined;
    this.#unpacked = undefined;
  }

  /** Takes the whole chunk; the sink is called any number of times before it returns. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      at = this.#target === undefined ? this.#takeHeader(chunk, at) : this.#takePayload(chunk, at);
    }
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const length = Math.min(frameHeaderBytes - this.#filled, chunk.length - at);
    for (let index = 0; index < length; index += 1) {
      this.#headerBytes[this.#filled + index] = chunk[at + index]!;
    }
    this.#filled += length;
    if (this.#filled === frameHeaderBytes) this.#begin();
    return at + length;
  }

  #begin(): void {
    const { crc32c } = this.#options;
    const header = this.#header;
    const unreadable = decodeFrameHeader(this.#headerBytes, 0, header, crc32c);
    if (unreadable !== undefined) {
      this.#malformed(unreadable);
      return;
    }
    if (header.version !== protocolVersion) {
      this.stop();
      const details = { theirs: header.version, ours: protocolVersion };
      this.#sink.malformed(new TdmfError('TDMF_LINK_VERSION', details));
      return;
    }
    const problem = this.#judgeHeader();
    if (problem !== undefined) {
      this.#malformed(problem);
      return;
    }
    this.#wireLength = header.payloadLength;
    const compressed = header.flags === frameFlags.compressed;
    if (compressed) header.payloadLength = header.rawLength;
    const named = this.#sink.begin(header);
    if (this.#stopped) return;
    if (named === undefined && isData(header.kind)) {
      this.#malformed('data beyond the credit');
      return;
    }
    const target = named ?? this.#own;
    assert(
      target.offset + header.payloadLength <= target.bytes.length,
      'the sink names memory for the whole payload',
    );
    if (compressed) {
      this.#packed ??= { bytes: new Uint8Array(framePayloadMax), offset: 0 };
      this.#unpacked = target;
    }
    this.#target = compressed ? this.#packed : target;
    this.#filled = 0;
    this.#crc = 0;
    if (this.#wireLength === 0) this.#deliver(target);
  }

  #judgeHeader(): string | undefined {
    const { nonce, sender } = this.#options;
    const header = this.#header;
    const { kind, flags, payloadLength, count, sessionLow, sessionHigh, number } = header;
    if (sessionLow !== nonce.low || sessionHigh !== nonce.high) return 'frame of another session';
    if (number !== this.#frames + 1) return 'frame number';
    if (!this.#reservedIsZero()) return 'frame flags';
    const compression = this.#judgeCompression(header);
    if (compression !== undefined) return compression;
    // A secondary may have a journal to replay before it can answer: only its heart beats meanwhile.
    const beating = kind === frameKinds.heartbeat && sender === 'secondary';
    if (this.#controls === 0 && !beating) {
      if (kind !== frameKinds.control) return 'first frame is no control frame';
      if (payloadLength > firstFramePayloadMax) return 'first frame too long';
    }
    if (isData(kind)) {
      const homewards = this.takesBlocks && kind === frameKinds.blocks;
      if (sender !== 'primary' && !homewards) return 'frame kind';
      if (payloadLength > framePayloadMax) return 'data frame too long';
      if (count < 1 || count > frameEntriesMax) return 'entry count';
      const length = flags === 0 ? payloadLength : header.rawLength;
      return length < count * wireEntryBytes ? 'entry table cut short' : undefined;
    }
    if (count !== 0) return 'entry count';
    switch (kind) {
      case frameKinds.control:
        return payloadLength < 1 || payloadLength > controlPayloadMax
          ? 'control frame length'
          : undefined;
      case frameKinds.ack:
        if (sender !== 'secondary') return 'frame kind';
        return payloadLength === ackBytes ? undefined : 'ack frame length';
      case frameKinds.heartbeat:
        return payloadLength === 0 ? undefined : 'heartbeat frame length';
      default:
        return 'frame kind';
    }
  }

  /** Rule 55: what is declared is bounded before a byte of it is believed. */
  #judgeCompression(header: Readonly<FrameHeader>): string | undefined {
    const { flags, kind, payloadLength, rawLength } = header;
    if (flags === 0) return rawLength === 0 ? undefined : 'raw length';
    const agreed = this.#options.lz4Decompress !== undefined && isData(kind);
    if (flags !== frameFlags.compressed || !agreed) return 'frame flags';
    return payloadLength < rawLength && rawLength <= framePayloadMax ? undefined : 'raw length';
  }

  #reservedIsZero(): boolean {
    const { reserved, headerCrc } = frameLayout.at;
    let sum = 0;
    for (let at = reserved; at < headerCrc; at += 1) sum |= this.#headerBytes[at]!;
    return sum === 0;
  }

  #takePayload(chunk: Uint8Array, at: number): number {
    const target = this.#target!;
    const length = Math.min(this.#wireLength - this.#filled, chunk.length - at);
    const position = target.offset + this.#filled;
    const whole = at === 0 && length === chunk.length;
    target.bytes.set(whole ? chunk : chunk.subarray(at, at + length), position);
    if (this.#unpacked === undefined) {
      this.#crc = this.#options.crc32c(target.bytes, position, length, this.#crc);
    }
    this.#filled += length;
    if (this.#filled === this.#wireLength) this.#deliver(this.#unpacked ?? target);
    return at + length;
  }

  #deliver(target: PayloadTarget): void {
    if (this.#unpacked !== undefined && !this.#unpack(target)) {
      this.#malformed('compressed payload');
      return;
    }
    this.#unpacked = undefined;
    if (this.#crc !== this.#header.payloadCrc) {
      this.#malformed('payload checksum');
      return;
    }
    this.#frames += 1;
    if (this.#header.kind === frameKinds.control) this.#controls += 1;
    this.#filled = 0;
    this.#target = undefined;
    this.#sink.frame(this.#header, target);
  }

  /** The checksum is of what comes out: it covers the compression as well. */
  #unpack({ bytes, offset }: PayloadTarget): boolean {
    const { lz4Decompress, crc32c } = this.#options;
    const { rawLength } = this.#header;
    const packed = this.#packed!;
    if (!lz4Decompress?.(packed.bytes, 0, this.#wireLength, bytes, offset, rawLength)) return false;
    this.#crc = crc32c(bytes, offset, rawLength, 0);
    return true;
  }

  #malformed(what: string): void {
    this.stop();
    this.#sink.malformed(new TdmfError('TDMF_LINK_PROTOCOL', { what }));
  }
}

function isData(kind: number): boolean {
  return kind === frameKinds.entries || kind === frameKinds.blocks;
}

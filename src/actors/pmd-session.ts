/**
 * One connection of the PMD to its RMD: frames out, frames in, heartbeats, and the end. It knows how
 * to talk, not what to say; actors/pmd.ts decides. Whoever ends the session, `ended` is called once
 * and nothing is sent or delivered afterwards. A peer that is silent for linkDeadMs is given up,
 * whatever the data waits for (Rule 51).
 */
import { frameHeaderBytes, framePayloadMax, heartbeatMs, linkDeadMs } from '../core/constants.js';
import { FrameCompressor } from '../core/engine/frame-compressor.js';
import { TdmfError } from '../core/errors.js';
import { decodeAck, emptyAck } from '../core/wire/ack.js';
import { decodeControl } from '../core/wire/codec.js';
import type { EntryTable } from '../core/wire/entry.js';
import type { FrameHeader } from '../core/wire/frame.js';
import { type Ack, type ControlMessage, frameKinds } from '../core/wire/messages.js';
import { hashSeed, type SessionNonce, sessionNonce } from '../core/wire/session.js';
import { FrameSplitter, type PayloadTarget } from '../core/wire/splitter.js';
import { FrameWriter } from '../core/wire/writer.js';
import type { TimerHandle } from '../ports/clock.js';
import type { LinkClosed, LinkConnection } from '../ports/link.js';
import type { ActorContext } from './actor.js';

export interface SessionHandlers {
  control(message: ControlMessage): void;
  /** `ack` is valid only during the call. */
  ack(ack: Readonly<Ack>): void;
  /** A frame of blocks, in a session that asked for them; `bytes` is valid only during the call. */
  blocks(bytes: Uint8Array, table: EntryTable): void;
  /** The link takes data again. */
  writable(): void;
  ended(code: string, message: string): void;
}

export class PmdSession {
  readonly peer: string;
  /** Resolves when the connection has let go of every buffer. */
  readonly closed: Promise<void>;
  /** False between a `send` that filled the link and its `drained`. */
  writable = true;
  readonly compressor: FrameCompressor;
  linkBytes = 0;
  /** Batches of hashes sent so far. */
  hashBatches = 0;
  /** Of them, those without an answer (at most `hashBatchesMax`). */
  hashesUnderWay = 0;
  /** Of the hashes of a comparison (Rule 17). */
  readonly hashSeed: SessionNonce;
  readonly #context: ActorContext;
  readonly #connection: LinkConnection;
  readonly #handlers: SessionHandlers;
  readonly #writer: FrameWriter;
  readonly #splitter: FrameSplitter;
  readonly #ack = emptyAck();
  /** One frame of blocks at a time; made when the first may come. */
  #received: PayloadTarget | undefined;
  #beat: TimerHandle;
  #heardAt: number;
  #sentAt: number;
  #ended = false;

  constructor(context: ActorContext, connection: LinkConnection, handlers: SessionHandlers) {
    this.#context = context;
    this.#connection = connection;
    this.#handlers = handlers;
    this.peer = connection.peerAddress;
    const { crc32c, lz4Compress, lz4Decompress } = context.ports.devices.digest;
    this.compressor = new FrameCompressor(lz4Compress);
    const secret = connection.sessionSecret;
    this.hashSeed = hashSeed(secret);
    this.#writer = new FrameWriter(sessionNonce(secret, 'primary'), crc32c);
    this.#splitter = new FrameSplitter(
      {
        begin: ({ kind }) => (kind === frameKinds.blocks ? this.#received : undefined),
        frame: (header, target) => this.#frame(header, target.bytes),
        malformed: (error) => this.end(error.code, error.message),
      },
      { sender: 'secondary', nonce: sessionNonce(secret, 'secondary'), crc32c, lz4Decompress },
    );
    this.#heardAt = context.clock.now();
    this.#sentAt = this.#heardAt;
    this.closed = new Promise((resolve) => {
      connection.handlers = {
        data: context.guard((chunk: Uint8Array) => {
          this.#heardAt = context.clock.now();
          if (!this.#ended) this.#splitter.push(chunk);
        }),
        drained: context.guard(() => {
          this.writable = true;
          if (!this.#ended) handlers.writable();
        }),
        closed: context.guard((reason: LinkClosed) => {
          resolve();
          this.#finish(reason.code, reason.message);
        }),
      };
    });
    this.#beat = this.#nextBeat();
  }

  /** From now on the secondary may send blocks (BACKFRESH). */
  takeBlocks(): void {
    this.#received = { bytes: new Uint8Array(framePayloadMax), offset: 0 };
    this.#splitter.takesBlocks = true;
  }

  get ended(): boolean {
    return this.#ended;
  }

  control(message: ControlMessage): void {
    this.#send(this.#writer.control(message));
  }

  /**
   * Sends a data frame whose payload lies at `bytes[at + header…]`; its header is written here.
   * The memory is the link's until `sent`, which is called even when the link ends first; at once
   * when the payload was compressed.
   */
  data(
    kind: typeof frameKinds.entries | typeof frameKinds.blocks,
    bytes: Uint8Array,
    at: number,
    count: number,
    payloadLength: number,
    sent: () => void,
  ): void {
    const start = at + frameHeaderBytes;
    const crc = this.#context.ports.devices.digest.crc32c(bytes, start, payloadLength);
    const packed = this.compressor.pack(bytes, start, payloadLength);
    if (packed === undefined) {
      this.#writer.dataHeader(bytes, at, kind, count, payloadLength, crc);
      this.#send(bytes.subarray(at, start + payloadLength), this.#context.guard(sent));
    } else {
      const wireLength = packed.length - frameHeaderBytes;
      this.#writer.dataHeader(packed, 0, kind, count, wireLength, crc, payloadLength);
      this.#send(packed);
      sent();
    }
  }

  /** Ends the session from this side, with last words to the peer. */
  end(code: string, message: string): void {
    if (this.#ended) return;
    if (this.#writer.framesWritten > 0) this.control({ kind: 'bye', code, details: {} });
    this.drop(code, message);
  }

  /** Ends the session after last words of the peer. */
  drop(code: string, message: string): void {
    if (this.#ended) return;
    // First deaf, then closed: the port may call back at once.
    this.#finish(code, message);
    this.#connection.close({ code, message });
  }

  #send(bytes: Uint8Array, sent?: () => void): void {
    if (this.#ended) {
      sent?.();
      return;
    }
    this.#sentAt = this.#context.clock.now();
    this.linkBytes += bytes.length;
    if (!this.#connection.send(bytes, sent)) this.writable = false;
  }

  #frame({ kind, payloadLength: length, count }: FrameHeader, bytes: Uint8Array): void {
    if (kind === frameKinds.blocks) {
      this.#handlers.blocks(bytes, { kind, count, payloadLength: length });
    } else if (kind === frameKinds.ack) {
      const problem = decodeAck(bytes, 0, this.#ack);
      if (problem === undefined) this.#handlers.ack(this.#ack);
      else this.breach(problem);
    } else if (kind === frameKinds.control) {
      const { message, problem } = decodeControl(bytes, 0, length);
      if (message === undefined) this.breach(problem);
      else this.#handlers.control(message);
    }
  }

  /** The peer broke the protocol. */
  breach(what: string): void {
    const error = new TdmfError('TDMF_LINK_PROTOCOL', { what });
    this.end(error.code, error.message);
  }

  #nextBeat(): TimerHandle {
    const { clock } = this.#context;
    return clock.after(
      heartbeatMs,
      this.#context.guard(() => {
        if (this.#ended) return;
        const now = clock.now();
        if (now - this.#heardAt >= linkDeadMs) {
          const details = { peer: this.peer, seconds: linkDeadMs / 1000 };
          const error = new TdmfError('TDMF_LINK_TIMEOUT', details);
          this.end(error.code, error.message);
          return;
        }
        // The first frame is `hello`, never a heartbeat.
        if (this.#writer.framesWritten > 0 && now - this.#sentAt >= heartbeatMs) {
          this.#send(this.#writer.heartbeat());
        }
        this.#beat = this.#nextBeat();
      }),
    );
  }

  #finish(code: string, message: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#splitter.stop();
    this.#beat.cancel();
    this.#handlers.ended(code, message);
  }
}

/**
 * The secondary's end of the link: frames out, heart beats, acknowledgements once per turn, last words.
 * It knows how much the connection takes, and nothing of what the frames mean.
 */
import { frameHeaderBytes, heartbeatMs, linkDeadMs } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import { emptyAck } from '../core/wire/ack.js';
import { type Ack, type ControlMessage, frameKinds } from '../core/wire/messages.js';
import { sessionNonce } from '../core/wire/session.js';
import { FrameWriter } from '../core/wire/writer.js';
import type { TimerHandle } from '../ports/clock.js';
import type { LinkConnection } from '../ports/link.js';
import type { ActorContext } from './actor.js';
import { refusalOf } from './rmd-admission.js';

export interface RmdLinkEvents {
  data(chunk: Uint8Array): void;
  /** Fills in what may be acknowledged now; false: nothing is yet. */
  ack(into: Ack): boolean;
  /** The connection is gone, or the primary was not heard for too long. */
  lost(error: TdmfError, say: 'bye' | 'nothing'): void;
  /** Whether the primary is kept from sending, so that its silence says nothing. */
  paused(): boolean;
}

/** How long the last words may take to leave. */
const byeMs = 1_000;

export class RmdLink {
  readonly #context: ActorContext;
  readonly #connection: LinkConnection;
  readonly #writer: FrameWriter;
  readonly #events: RmdLinkEvents;
  readonly #acked = emptyAck();
  readonly #ack = emptyAck();
  /** One function for all turns: nothing is allocated per acknowledgement but the frame. */
  readonly #turnEnds: () => void;
  #ackAsked = false;
  #writable = true;
  #open = true;
  #ended = false;
  #heardAt: number;
  #timer: TimerHandle;
  #drainWaiters: (() => void)[] = [];

  constructor(context: ActorContext, connection: LinkConnection, events: RmdLinkEvents) {
    this.#context = context;
    this.#connection = connection;
    this.#events = events;
    const { crc32c } = context.ports.devices.digest;
    const nonce = sessionNonce(connection.sessionSecret, 'secondary');
    this.#writer = new FrameWriter(nonce, crc32c);
    this.#heardAt = context.clock.now();
    this.#turnEnds = context.guard(() => {
      this.#ackAsked = false;
      this.#sendAck();
    });
    connection.handlers = {
      data: context.guard((chunk: Uint8Array) => {
        this.#heardAt = context.clock.now();
        events.data(chunk);
      }),
      drained: context.guard(() => {
        this.#writable = true;
        this.#wake();
        this.#sendAck();
      }),
      closed: context.guard(({ code, message }) => {
        this.#open = false;
        this.#wake();
        const why = message === '' ? code : message;
        events.lost(
          new TdmfError('TDMF_LINK_LOST', { peer: connection.peerAddress, why }),
          'nothing',
        );
      }),
    };
    this.#timer = this.#beat();
  }

  get peer(): string {
    return this.#connection.peerAddress;
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#heardAt = this.#context.clock.now();
    this.#connection.resume();
  }

  say(message: ControlMessage): void {
    if (!this.#ended) this.#send(this.#writer.control(message));
  }

  /** An acknowledgement leaves at the end of this turn, if there is anything new. */
  askAck(): void {
    if (this.#ackAsked) return;
    this.#ackAsked = true;
    this.#context.clock.endOfTurn(this.#turnEnds);
  }

  /** A frame of blocks (backfresh); resolves when the connection takes more. */
  async blocks(payload: Uint8Array, count: number): Promise<void> {
    while (!this.#writable && this.#open && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#drainWaiters.push(resolve);
      });
    }
    if (this.#ended) return;
    const { crc32c } = this.#context.ports.devices.digest;
    const frame = new Uint8Array(frameHeaderBytes + payload.length);
    frame.set(payload, frameHeaderBytes);
    const crc = crc32c(frame, frameHeaderBytes, payload.length);
    this.#writer.dataHeader(frame, 0, frameKinds.blocks, count, payload.length, crc);
    this.#send(frame);
  }

  /** Nothing more is said but these last words. */
  end(error: TdmfError, say: 'refused' | 'bye' | 'nothing'): void {
    this.#ended = true;
    this.#timer.cancel();
    this.#wake();
    if (!this.#open) return;
    const close = () => {
      if (this.#open) this.#connection.close({ code: error.code, message: error.message });
      this.#open = false;
    };
    if (say === 'nothing') {
      close();
      return;
    }
    const { code, details } = refusalOf(error);
    const limit = this.#context.clock.after(byeMs, this.#context.guard(close));
    this.#connection.send(this.#writer.control({ kind: say, code, details }), () => {
      limit.cancel();
      close();
    });
  }

  #sendAck(): void {
    if (this.#ended || !this.#writable) return;
    const ack = this.#ack;
    if (!this.#events.ack(ack)) return;
    const { received, applied, durable, blocks, freedBytes } = this.#acked;
    const news =
      ack.received !== received ||
      ack.applied !== applied ||
      ack.durable !== durable ||
      ack.blocks !== blocks ||
      ack.freedBytes !== freedBytes;
    if (!news) return;
    Object.assign(this.#acked, ack);
    this.#send(this.#writer.ack(ack));
  }

  #send(frame: Uint8Array): void {
    if (!this.#connection.send(frame)) this.#writable = false;
  }

  #wake(): void {
    const waiters = this.#drainWaiters;
    this.#drainWaiters = [];
    for (const resolve of waiters) resolve();
  }

  /** Rule 51: heard and seen, independent of what data waits for. */
  #beat(): TimerHandle {
    return this.#context.clock.after(
      heartbeatMs,
      this.#context.guard(() => {
        if (this.#ended) return;
        const now = this.#context.clock.now();
        if (!this.#events.paused() && now - this.#heardAt >= linkDeadMs) {
          const { peer } = this;
          const seconds = linkDeadMs / 1000;
          this.#events.lost(new TdmfError('TDMF_LINK_TIMEOUT', { peer, seconds }), 'bye');
          return;
        }
        this.#send(this.#writer.heartbeat());
        this.#timer = this.#beat();
      }),
    );
  }
}

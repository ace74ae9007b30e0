/**
 * The RMD: the secondary end of one session of the link. It receives frames into the receive memory,
 * admits the primary (rmd-admission.ts), hands frames and control messages to the mirror side in
 * order of arrival (mirror-session.ts), and acknowledges: once per turn, cumulatively, never beyond
 * what the mirror side says. It ends with its connection; whatever ends it, `stop` resolves only when
 * all device I/O is done and the locks are free (Rule 22), and main admits the next session only then.
 *
 *   link ─► splitter ─► inbox ─► mirror session ─► mirror, journal
 *     ◄──── acks, heartbeats, control ────┘
 */
import { framePayloadMax, heartbeatMs, linkDeadMs, linkWindowBytes } from '../core/constants.js';
import { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError, type TdmfErrorCode } from '../core/errors.js';
import type { Standing } from '../core/journal/recovery.js';
import { changedMirror, type RecordedState } from '../core/meta.js';
import { emptyAck } from '../core/wire/ack.js';
import { decodeControl } from '../core/wire/codec.js';
import { type FrameHeader, protocolVersion } from '../core/wire/frame.js';
import { type ControlMessage, frameKinds, type Hello } from '../core/wire/messages.js';
import { sessionNonce } from '../core/wire/session.js';
import { type FrameSink, FrameSplitter, type PayloadTarget } from '../core/wire/splitter.js';
import { FrameWriter } from '../core/wire/writer.js';
import type { ArenaMemory, BlockDevice } from '../ports/block-device.js';
import type { TimerHandle } from '../ports/clock.js';
import type { LinkConnection } from '../ports/link.js';
import type { Actor, ActorContext } from './actor.js';
import { MirrorSession } from './mirror-session.js';
import {
  type AdmissionPlace,
  checkHello,
  failedOf,
  type MirrorConfig,
  openMirrors,
  refusalOf,
  stampMirrors,
} from './rmd-admission.js';
import { RmdInbox } from './rmd-inbox.js';
import { RmdRecord, withBarred } from './rmd-record.js';

export interface RmdOptions extends MirrorConfig {
  /** Names the session to the actor that admits it. */
  readonly session: string;
  /** A live object: the RMD runs where TLS ends. */
  readonly connection: LinkConnection;
  readonly nodeId: string;
  readonly version: string;
  /** TDMF_HOME, for sGGG.off. */
  readonly home: string;
  /** The actor on main that ends an earlier session of the group first (Rules 22, 34). */
  readonly supervisor: string;
  readonly windowBytes?: number;
}

export interface RmdStatus {
  readonly phase: 'handshake' | 'admitted' | 'stream' | 'phaseA' | 'phaseB' | 'ended';
  /** The word of `info` for what the RMD does. */
  readonly rmd: 'MIRRORING' | 'JOURNALING' | 'MIRRORING_AND_JOURNALING' | 'OFF';
  readonly mirrorState: string;
  readonly era: string | undefined;
  readonly received: number;
  readonly applied: number;
  readonly durable: number;
}

/** Answered with RmdStatus, or with nothing. */
export type RmdQuestion =
  | { readonly kind: 'rmd.status' }
  /** killrmd: bars this launch of the PMD durably, then ends the session (Rule 50). */
  | { readonly kind: 'rmd.kill' }
  /** The operator of this side wants a checkpoint on, or off; the primary carries it out. */
  | { readonly kind: 'rmd.checkpoint'; readonly on: boolean };

export type RmdMessage = { readonly type: 'rmd.end'; readonly code: TdmfErrorCode };

/** How long the last words may take to leave. */
const byeMs = 1_000;
const framesMax = 8192;

export async function startRmd(
  context: ActorContext,
  options: RmdOptions,
): Promise<Actor<RmdMessage>> {
  const session = new RmdSession(context, options);
  return {
    receive: (message) => session.end(new TdmfError(message.code), 'bye'),
    ask: (question) => session.ask(question as RmdQuestion),
    stop: () => session.stop(),
  };
}

class RmdSession implements FrameSink {
  readonly #context: ActorContext;
  readonly #options: RmdOptions;
  readonly #connection: LinkConnection;
  readonly #splitter: FrameSplitter;
  readonly #writer: FrameWriter;
  readonly #acked = emptyAck();
  readonly #ack = emptyAck();
  #hello: Hello | undefined;
  #inbox: RmdInbox | undefined;
  #side: MirrorSession | undefined;
  #record: RmdRecord | undefined;
  #memory: ArenaMemory | undefined;
  #standing: Standing | undefined;
  #welcomed = false;
  /** What keeps the inbox waiting: admission, or a control message that takes time. */
  #busy: Promise<void> | undefined;
  #ackAsked = false;
  #writable = true;
  #open = true;
  #stopping = false;
  #heardAt: number;
  /** One function for all turns: nothing is allocated per acknowledgement but the frame. */
  readonly #turnEnds: () => void;
  #timer: TimerHandle;
  #ended: Promise<void> | undefined;

  constructor(context: ActorContext, options: RmdOptions) {
    this.#context = context;
    this.#options = options;
    this.#connection = options.connection;
    const { sessionSecret } = options.connection;
    const { crc32c } = context.ports.devices.digest;
    this.#writer = new FrameWriter(sessionNonce(sessionSecret, 'secondary'), crc32c);
    const nonce = sessionNonce(sessionSecret, 'primary');
    this.#splitter = new FrameSplitter(this, { sender: 'primary', nonce, crc32c });
    this.#heardAt = context.clock.now();
    this.#turnEnds = context.guard(() => {
      this.#ackAsked = false;
      this.#sendAck();
    });
    options.connection.handlers = {
      data: context.guard((chunk: Uint8Array) => {
        this.#heardAt = context.clock.now();
        this.#splitter.push(chunk);
      }),
      drained: context.guard(() => {
        this.#writable = true;
        this.#sendAck();
      }),
      closed: context.guard(({ code, message }) => {
        this.#open = false;
        const peer = options.connection.peerAddress;
        const why = message === '' ? code : message;
        this.end(new TdmfError('TDMF_LINK_LOST', { peer, why }), 'nothing');
      }),
    };
    this.#timer = this.#beat();
  }

  begin(header: Readonly<FrameHeader>): PayloadTarget | undefined {
    const data = header.kind === frameKinds.entries || header.kind === frameKinds.blocks;
    return data && this.#welcomed ? this.#inbox!.begin(header) : undefined;
  }

  frame(header: Readonly<FrameHeader>, target: PayloadTarget): void {
    if (header.kind === frameKinds.heartbeat) return;
    try {
      if (header.kind === frameKinds.control) {
        const decoded = decodeControl(target.bytes, target.offset, header.payloadLength);
        if (decoded.message === undefined) throw broken(decoded.problem);
        this.#arrived(decoded.message);
      } else this.#inbox!.frame(header, target);
    } catch (error) {
      this.end(error, 'bye');
      return;
    }
    this.#process();
  }

  malformed(error: TdmfError): void {
    this.end(error, this.#welcomed ? 'bye' : 'refused');
  }

  async ask(question: RmdQuestion): Promise<unknown> {
    if (question.kind === 'rmd.status') return this.#status();
    if (question.kind === 'rmd.checkpoint') {
      throw new TdmfError('TDMF_MODE_NOT_YET', { what: 'checkpoint from the secondary' });
    }
    const record = this.#record;
    if (record !== undefined && this.#hello !== undefined) {
      const { launch } = this.#hello;
      await record.save({ launch, barred: withBarred({ ...record.record, launch }) });
    }
    this.end(new TdmfError('TDMF_RMD_BARRED'), 'bye');
    return this.#ended;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.end(new TdmfError('TDMF_LINK_CLOSED'), 'bye');
    await this.#ended;
  }

  /** Ends the session, once: last words, then no more I/O is started; the rest is waited for. */
  end(cause: unknown, say: 'refused' | 'bye' | 'nothing'): void {
    if (this.#ended !== undefined) return;
    const error = failedOf(cause);
    const { group } = this.#options;
    this.#splitter.stop();
    this.#timer.cancel();
    this.#side?.stop();
    this.#lastWords(error, say);
    this.#ended = this.#tearDown();
    const level = error.code === 'TDMF_LINK_CLOSED' ? 'info' : 'warn';
    this.#context.log.write(level, 'the session of the RMD ended', {
      group,
      peer: this.#connection.peerAddress,
      code: error.code,
      why: error.message,
    });
    const type = say === 'refused' ? 'rmd.refused' : 'rmd.ended';
    this.#context.publish(type, { group, code: error.code, message: error.message });
    if (!this.#stopping) this.#context.fail(error);
  }

  #arrived(message: ControlMessage): void {
    if (this.#hello === undefined) {
      if (message.kind !== 'hello') throw broken(`${message.kind} before hello`);
      this.#hello = message;
      this.#wait(this.#admit(message), 'refused');
      return;
    }
    if (message.kind === 'bye') {
      const why = message.code;
      const peer = this.#connection.peerAddress;
      this.end(new TdmfError('TDMF_LINK_LOST', { peer, why }), 'nothing');
      return;
    }
    if (!this.#welcomed) throw broken(`${message.kind} before welcome`);
    // It only says when to flush: order does not matter, and it should not wait (Rule 39).
    if (message.kind === 'flushWanted') this.#side!.flushWanted(message.sequence);
    else this.#inbox!.control(message);
  }

  async #admit(hello: Hello): Promise<void> {
    const { group, supervisor, session, journal, nodeId, version } = this.#options;
    const { ports } = this.#context;
    const { devices: opener, files } = ports;
    const { home } = this.#options;
    const place: AdmissionPlace = { config: this.#options, nodeId, home, files, devices: opener };
    await checkHello(place, hello);
    await this.#context.address(supervisor).ask({ kind: 'rmd.admit', group, session });
    // The earlier session may have changed what was checked: its owner, what it bars.
    await checkHello(place, hello);
    if (this.#ended !== undefined) return;
    const devices = await openMirrors(place, hello);
    const side = await this.#makeSide(hello, devices, place).catch(async (error: unknown) => {
      // Nobody else would: the side that closes them was not made.
      if (this.#side === undefined) await Promise.all(devices.map((device) => device.close()));
      throw error;
    });
    const damage = await side.recover();
    if (damage !== undefined) this.#damaged(damage);
    if (this.#ended !== undefined) return;
    const record = this.#record!;
    const standing = record.standing();
    const { era, refreshId, base, history } = record.record;
    this.#standing = standing;
    this.#welcomed = true;
    const at = (sequence: number | undefined) =>
      era === undefined || sequence === undefined ? undefined : { era, sequence };
    this.#say({
      kind: 'welcome',
      protocol: protocolVersion,
      features: 0,
      version,
      nodeId,
      bootId: record.bootId,
      state: standing.state,
      refreshId: refreshId === '' ? undefined : refreshId,
      position: at(standing.position),
      durable: at(standing.durable),
      base,
      history: [...history],
      windowBytes: this.#options.windowBytes ?? linkWindowBytes,
      checkpoint: 'off',
      own: { changes: 'none', bytes: 0, since: 0 },
    });
    this.#context.publish('rmd.connected', {
      group,
      peer: this.#connection.peerAddress,
      mirrorState: standing.state,
      journal,
    });
  }

  async #makeSide(
    hello: Hello,
    devices: BlockDevice[],
    place: AdmissionPlace,
  ): Promise<MirrorSession> {
    const { group, journal } = this.#options;
    const { devices: opener, files } = this.#context.ports;
    const windowBytes = this.#options.windowBytes ?? linkWindowBytes;
    const sizes = hello.devices.map(({ sizeBytes }) => sizeBytes);
    const mirrors = await stampMirrors(place, sizes);
    const record = await RmdRecord.open(files, opener.digest, journal, group, mirrors);
    this.#record = record;
    const changed = changedMirror(record.record.mirrors, mirrors);
    if (changed !== undefined) {
      // What the record promises is about another object. Only an order to overwrite may go on (H33).
      const path = this.#options.devices[changed]!.mirror;
      if (hello.refreshId === undefined) throw new TdmfError('TDMF_RMD_OTHER_MIRROR', { path });
      record.disown();
    }
    const alignment = Math.max(64, ...devices.map((device) => device.alignmentBytes));
    // A window of whole frames, and what lies between them; many small frames pause the link.
    const sizeBytes = windowBytes + 2 * framePayloadMax;
    const memory = opener.allocate(Math.ceil(sizeBytes / 4096) * 4096);
    this.#memory = memory;
    const ring = new FrameRing(memory.bytes.length, framesMax, alignment);
    this.#side = new MirrorSession(this.#context, {
      group,
      directory: journal,
      hello,
      devices,
      record,
      ring,
      memory,
      events: {
        acked: () => this.#askAck(),
        roomFreed: () => {
          this.#inbox!.roomFreed();
          this.#process();
        },
        committed: (refreshId, era, mark) => {
          this.#say({ kind: 'committed', refreshId, era, mark });
          this.#context.publish('rmd.committed', { group, refreshId, era, mark });
        },
        stateChanged: (state) => {
          if (this.#welcomed) this.#say({ kind: 'stateChanged', state });
          this.#context.publish('mirror.stateChanged', { group, mirrorState: state });
        },
        failed: (error) => this.end(error, this.#welcomed ? 'bye' : 'refused'),
      },
    });
    this.#inbox = new RmdInbox({
      ring,
      memory,
      windowBytes,
      sizes: hello.devices.map(({ sizeBytes: agreed }) => agreed),
      crc32c: opener.digest.crc32c,
      pause: () => this.#connection.pause(),
      resume: () => {
        this.#heardAt = this.#context.clock.now();
        this.#connection.resume();
      },
    });
    if (this.#ended !== undefined) this.#side.stop();
    return this.#side;
  }

  /** Deals with what arrived, in order, as far as there is room and nothing takes time. */
  #process(): void {
    const inbox = this.#inbox;
    if (inbox === undefined) return;
    while (this.#busy === undefined && this.#ended === undefined) {
      const item = inbox.head();
      if (item === undefined) return;
      try {
        if (typeof item === 'number') {
          if (!this.#side!.take(item)) return;
          inbox.shift();
        } else {
          inbox.shift();
          const work = this.#control(item);
          if (work !== undefined) this.#wait(work, 'bye');
        }
      } catch (error) {
        this.end(error, 'bye');
      }
    }
  }

  #control(message: ControlMessage): Promise<void> | undefined {
    const side = this.#side!;
    switch (message.kind) {
      case 'resume':
        return side.resume(message, this.#standing!);
      case 'refreshBegin':
        return side.refreshBegin(message).then(() => {
          this.#say({ kind: 'refreshReady', refreshId: message.refreshId, kept: true });
        });
      case 'phaseB':
        return side.phaseB(message);
      case 'mark':
        side.mark(message);
        return undefined;
      case 'abortB':
        // Phase a anew: what was acknowledged before this word belongs to the attempt (H26).
        return side.abortB(message.refreshId).then(() => {
          this.#say({ kind: 'refreshReady', refreshId: message.refreshId, kept: true });
        });
      case 'refreshEnd':
        return side.refreshEnd(message.refreshId);
      default:
        throw broken(`${message.kind} from the primary`);
    }
  }

  /** Lets the inbox wait for `work`; its failure ends the session. */
  #wait(work: Promise<void>, say: 'refused' | 'bye'): void {
    this.#busy = work.then(
      () => {
        this.#busy = undefined;
        this.#askAck();
        this.#process();
      },
      (error: unknown) => {
        this.#busy = undefined;
        this.end(error, say);
      },
    );
  }

  #askAck(): void {
    if (this.#ackAsked || !this.#welcomed) return;
    this.#ackAsked = true;
    this.#context.clock.endOfTurn(this.#turnEnds);
  }

  #sendAck(): void {
    if (this.#ended !== undefined || !this.#writable || this.#side === undefined) return;
    if (!this.#welcomed) return;
    const { received, applied, durable, blocks, freedBytes } = this.#acked;
    this.#side.ack(this.#ack);
    const ack = this.#ack;
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

  #say(message: ControlMessage): void {
    if (this.#ended === undefined) this.#send(this.#writer.control(message));
  }

  #send(frame: Uint8Array): void {
    if (!this.#connection.send(frame)) this.#writable = false;
  }

  /** Rule 51: heard and seen, independent of what data waits for. */
  #beat(): TimerHandle {
    return this.#context.clock.after(
      heartbeatMs,
      this.#context.guard(() => {
        if (this.#ended !== undefined) return;
        const now = this.#context.clock.now();
        const paused = this.#inbox?.paused === true;
        if (!paused && now - this.#heardAt >= linkDeadMs) {
          const peer = this.#connection.peerAddress;
          const seconds = linkDeadMs / 1000;
          this.end(new TdmfError('TDMF_LINK_TIMEOUT', { peer, seconds }), 'bye');
          return;
        }
        this.#send(this.#writer.heartbeat());
        this.#timer = this.#beat();
      }),
    );
  }

  #lastWords(error: TdmfError, say: 'refused' | 'bye' | 'nothing'): void {
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

  async #tearDown(): Promise<void> {
    await this.#busy;
    try {
      await this.#side?.close();
    } catch (error) {
      this.#context.log.write('error', 'the mirror side could not be closed cleanly', {
        group: this.#options.group,
        why: failedOf(error).message,
      });
    }
    await this.#record?.close();
    if (this.#memory !== undefined) this.#context.ports.devices.release(this.#memory);
  }

  #damaged(error: TdmfError): void {
    const { group } = this.#options;
    this.#context.log.write('error', error.message, { group, remedy: error.remedy });
    this.#context.publish('journal.damaged', { group, message: error.message });
  }

  /** Before the primary has said how to go on the record may promise more than there is (Rule 7b). */
  #mirrorState(): RecordedState {
    const recorded = this.#record?.record.state ?? 'unknown';
    const waits = this.#side?.phase === 'admitted' && recorded === 'coherent';
    return waits ? (this.#standing?.state ?? recorded) : recorded;
  }

  #status(): RmdStatus {
    const ack = emptyAck();
    const side = this.#side;
    if (this.#welcomed) side!.ack(ack);
    const { received, applied, durable } = ack;
    const journaling = side?.journaling === true;
    const streaming = side?.phase === 'stream';
    const phase = this.#welcomed ? side!.phase : 'handshake';
    return {
      phase: this.#ended === undefined ? phase : 'ended',
      rmd: !this.#welcomed
        ? 'OFF'
        : !journaling
          ? 'MIRRORING'
          : streaming
            ? 'MIRRORING_AND_JOURNALING'
            : 'JOURNALING',
      mirrorState: this.#mirrorState(),
      era: side?.era,
      received,
      applied,
      durable,
    };
  }
}

function broken(what: string): TdmfError {
  return new TdmfError('TDMF_LINK_PROTOCOL', { what });
}

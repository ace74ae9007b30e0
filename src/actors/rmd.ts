/**
 * The RMD: the secondary end of one session of the link. It receives frames into the receive memory,
 * admits the primary (rmd-opening.ts), hands frames and control messages to the mirror side in order of
 * arrival (mirror-session.ts), and acknowledges never beyond what the mirror side says. It ends with its
 * connection; whatever ends it, `stop` resolves only when all device I/O is done and the locks are free
 * (Rule 22), and main admits the next session only then.
 *
 *   link ─► splitter ─► inbox ─► mirror session ─► mirror, journal
 *     ◄──── acks, heartbeats, control ────┘
 */
import { linkWindowBytes } from '../core/constants.js';
import { TdmfError, type TdmfErrorCode } from '../core/errors.js';
import type { Standing } from '../core/journal/recovery.js';
import type { RecordedState } from '../core/meta.js';
import { emptyAck } from '../core/wire/ack.js';
import { decodeControl } from '../core/wire/codec.js';
import type { FrameHeader } from '../core/wire/frame.js';
import { type ControlMessage, frameKinds, type Hello } from '../core/wire/messages.js';
import { sessionNonce } from '../core/wire/session.js';
import { type FrameSink, FrameSplitter, type PayloadTarget } from '../core/wire/splitter.js';
import type { RmdWord } from '../machines/rmd-mode.js';
import type { LinkConnection } from '../ports/link.js';
import type { Actor, ActorContext } from './actor.js';
import type { MirrorSessionEvents } from './mirror-core.js';
import { broken } from './mirror-errors.js';
import type { MirrorPhase, MirrorSession } from './mirror-session.js';
import { failedOf, type MirrorConfig, refusalOf } from './rmd-admission.js';
import { RmdInbox } from './rmd-inbox.js';
import { RmdLink } from './rmd-link.js';
import { admit, type OpenedSide, openSide, welcomeOf } from './rmd-opening.js';
import { withBarred } from './rmd-record.js';

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
  /** A file of journaled entries goes on in the next one from here on. */
  readonly segmentBytes?: number;
}

export interface RmdStatus {
  readonly phase: 'handshake' | MirrorPhase | 'ended';
  /** The word of `info` for what the RMD does. */
  readonly rmd: RmdWord;
  readonly mirrorState: string;
  readonly checkpoint: 'off' | 'on' | 'replaying';
  /** The journal's file system is full, and nothing is acknowledged (H44). */
  readonly journalFull: boolean;
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
  readonly #splitter: FrameSplitter;
  readonly #link: RmdLink;
  #hello: Hello | undefined;
  #inbox: RmdInbox | undefined;
  #opened: OpenedSide | undefined;
  #standing: Standing | undefined;
  #welcomed = false;
  /** What keeps the inbox waiting: admission, or a message that takes time. */
  #busy: Promise<void> | undefined;
  #journalFull = false;
  #stopping = false;
  #ended: Promise<void> | undefined;
  /** Who waits for the primary's answer to a checkpoint. */
  readonly #asking: ((error: TdmfError | undefined) => void)[] = [];

  constructor(context: ActorContext, options: RmdOptions) {
    this.#context = context;
    this.#options = options;
    const { sessionSecret } = options.connection;
    const { crc32c } = context.ports.devices.digest;
    const nonce = sessionNonce(sessionSecret, 'primary');
    this.#splitter = new FrameSplitter(this, {
      ...{ sender: 'primary', nonce, crc32c },
      lz4Decompress: context.ports.devices.digest.lz4Decompress,
    });
    this.#link = new RmdLink(context, options.connection, {
      data: (chunk) => this.#splitter.push(chunk),
      ack: (into) => {
        if (this.#ended !== undefined || !this.#welcomed) return false;
        this.#side!.ack(into);
        return true;
      },
      lost: (error, say) => this.end(error, say),
      paused: () => this.#inbox?.paused === true,
    });
  }

  get #side(): MirrorSession | undefined {
    return this.#opened?.side;
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
    // Rule 48: the primary must see which entry it was, also when its bytes cannot be believed.
    const sequence = this.#inbox?.expected;
    const named =
      sequence === undefined || error.code !== 'TDMF_LINK_PROTOCOL'
        ? error
        : new TdmfError('TDMF_LINK_PROTOCOL', { ...error.details, sequence });
    this.end(named, this.#welcomed ? 'bye' : 'refused');
  }

  async ask(question: RmdQuestion): Promise<unknown> {
    if (question.kind === 'rmd.status') return this.#status();
    if (question.kind === 'rmd.checkpoint') return this.#askCheckpoint(question.on);
    const record = this.#opened?.record;
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
    this.#side?.stop();
    this.#link.end(error, say);
    this.#ended = this.#tearDown();
    for (const answer of this.#asking.splice(0)) answer(error);
    const level = error.code === 'TDMF_LINK_CLOSED' ? 'info' : 'warn';
    this.#context.log.write(level, 'the session of the RMD ended', {
      group,
      peer: this.#link.peer,
      code: error.code,
      why: error.message,
    });
    if (error.code === 'TDMF_JOURNAL_DAMAGED') this.#damaged(error);
    const type = say === 'refused' ? 'rmd.refused' : 'rmd.ended';
    this.#context.publish(type, { group, code: error.code, message: error.message });
    if (!this.#stopping) this.#context.fail(error);
  }

  #arrived(message: ControlMessage): void {
    if (this.#hello === undefined) {
      if (message.kind !== 'hello') throw broken(`${message.kind} before hello`);
      this.#hello = message;
      this.#wait(this.#open(message), 'refused');
      return;
    }
    if (message.kind === 'bye') {
      const { code: why } = message;
      this.end(new TdmfError('TDMF_LINK_LOST', { peer: this.#link.peer, why }), 'nothing');
      return;
    }
    if (!this.#welcomed) throw broken(`${message.kind} before welcome`);
    // It only says when to flush: order does not matter, and it should not wait (Rule 39).
    if (message.kind === 'flushWanted') this.#side!.flushWanted(message.sequence);
    else if (message.kind === 'checkpointRefused') this.#answerCheckpoint(message.code);
    else this.#inbox!.control(message);
  }

  async #open(hello: Hello): Promise<void> {
    const { group, journal } = this.#options;
    const options = this.#options;
    const place = await admit(this.#context, options, hello);
    if (this.#ended !== undefined) return;
    const opened = await openSide(this.#context, options, place, hello, this.#events());
    this.#opened = opened;
    const { side, record, ring, memory } = opened;
    this.#inbox = new RmdInbox({
      ring,
      memory,
      windowBytes: options.windowBytes ?? linkWindowBytes,
      sizes: hello.devices.map(({ sizeBytes }) => sizeBytes),
      crc32c: this.#context.ports.devices.digest.crc32c,
      pause: () => this.#link.pause(),
      resume: () => this.#link.resume(),
    });
    if (this.#ended !== undefined) side.stop();
    const damage = await side.recover();
    if (damage !== undefined) this.#damaged(damage);
    if (this.#ended !== undefined) return;
    const standing = record.standing();
    this.#standing = standing;
    this.#welcomed = true;
    this.#link.say(welcomeOf(options, hello, opened, standing));
    this.#context.publish('rmd.connected', {
      group,
      peer: this.#link.peer,
      mirrorState: standing.state,
      journal,
    });
  }

  #events(): MirrorSessionEvents {
    const { group } = this.#options;
    const publish = (type: string, payload: Readonly<Record<string, unknown>>) =>
      this.#context.publish(type, { group, ...payload });
    return {
      acked: () => this.#askAck(),
      roomFreed: () => {
        this.#inbox?.roomFreed();
        this.#process();
      },
      committed: (refreshId, era, mark) => {
        this.#link.say({ kind: 'committed', refreshId, era, mark });
        publish('rmd.committed', { refreshId, era, mark });
      },
      stateChanged: (state) => {
        if (this.#welcomed) this.#link.say({ kind: 'stateChanged', state });
        publish('mirror.stateChanged', { mirrorState: state });
      },
      dirt: (message) => this.#link.say(message),
      differs: (message) => this.#link.say(message),
      checkpoint: (state, sequence, error) => {
        const { code, details } = error === undefined ? noError : refusalOf(error);
        const said = { kind: 'checkpointState', state, sequence, code, details } as const;
        if (this.#welcomed) this.#link.say(said);
        publish(`checkpoint.${state}`, { sequence, code, message: error?.message });
        if (state === 'on') this.#handOut();
        for (const answer of this.#asking.splice(0)) answer(error);
      },
      journalFull: (full) => {
        this.#journalFull = full;
        const { journal } = this.#options;
        publish(full ? 'journal.full' : 'journal.freed', { journal });
      },
      failed: (error) => this.end(error, this.#welcomed ? 'bye' : 'refused'),
    };
  }

  /** Deals with what arrived, in order, as far as there is room and nothing takes time. */
  #process(): void {
    const inbox = this.#inbox;
    if (inbox === undefined || !this.#welcomed) return;
    while (this.#busy === undefined && this.#ended === undefined) {
      const item = inbox.head();
      if (item === undefined) return;
      try {
        const work = typeof item === 'number' ? this.#side!.take(item) : this.#control(item);
        if (work === false) return;
        inbox.shift();
        if (typeof work === 'object') this.#wait(work, 'bye');
      } catch (error) {
        this.end(error, 'bye');
      }
    }
  }

  #control(message: ControlMessage): Promise<void> | true {
    const side = this.#side!;
    const standing = this.#standing!;
    const { own } = this.#opened!;
    switch (message.kind) {
      case 'resume':
        return side.resume(message, standing);
      case 'era':
        return side.handOver(message, standing).then(() => {
          this.#link.say({ kind: 'eraTaken', era: message.era });
        });
      case 'refreshBegin':
        return side.refreshBegin(message, own).then((kept) => {
          this.#link.say({ kind: 'refreshReady', refreshId: message.refreshId, kept });
        });
      case 'backfreshBegin':
        return side
          .backfreshBegin(message, own, (payload, count) => this.#link.blocks(payload, count))
          .then((kept) => {
            this.#link.say({ kind: 'refreshReady', refreshId: message.refreshId, kept });
          });
      case 'hashes':
        side.hashes(message);
        return true;
      case 'phaseB':
        return side.phaseB(message);
      case 'mark':
        side.mark(message);
        return true;
      case 'abortB':
        // Phase a anew: what was acknowledged before this word belongs to the attempt (H26).
        return side.abortB(message.refreshId).then(() => {
          this.#link.say({ kind: 'refreshReady', refreshId: message.refreshId, kept: true });
        });
      case 'refreshEnd':
        return side.refreshEnd(message.refreshId);
      case 'checkpointOff':
        return side.checkpointOff();
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
    if (this.#welcomed) this.#link.askAck();
  }

  /** Resolves when the primary has done it. @throws what it answers, or that there is no session */
  #askCheckpoint(on: boolean): Promise<void> {
    if (!this.#welcomed || this.#ended !== undefined) {
      return Promise.reject(new TdmfError('TDMF_CHECKPOINT_NO_SESSION'));
    }
    return new Promise((resolve, reject) => {
      this.#asking.push((error) => (error === undefined ? resolve() : reject(error)));
      this.#link.say({ kind: 'checkpointWanted', on });
    });
  }

  /** The mirrors are let go: main offers them to applications, and runs the hook of this side. */
  #handOut(): void {
    const { group, supervisor, session } = this.#options;
    this.#context
      .address(supervisor)
      .ask({ kind: 'rmd.handOutMirrors', group, session })
      .catch((error: unknown) => {
        this.#context.log.write('warn', 'a snapshot could not be offered', { group, error });
      });
  }

  #answerCheckpoint(code: string): void {
    const error = failedOf(new TdmfError(code as TdmfErrorCode));
    for (const answer of this.#asking.splice(0)) answer(error);
  }

  async #tearDown(): Promise<void> {
    await this.#busy;
    const opened = this.#opened;
    if (opened === undefined) return;
    try {
      await opened.side.close();
    } catch (error) {
      this.#context.log.write('error', 'the mirror side could not be closed cleanly', {
        group: this.#options.group,
        why: failedOf(error).message,
      });
    }
    await opened.record.close();
    this.#context.ports.devices.release(opened.memory);
  }

  #damaged(error: TdmfError): void {
    const { group } = this.#options;
    this.#context.log.write('error', error.message, { group, remedy: error.remedy });
    this.#context.publish('journal.damaged', { group, message: error.message });
  }

  /** Before the primary has said how to go on the record may promise more than there is (Rule 7b). */
  #mirrorState(): RecordedState {
    const recorded = this.#opened?.record.record.state ?? 'unknown';
    const waits = this.#side?.phase === 'admitted' && recorded === 'coherent';
    return waits ? (this.#standing?.state ?? recorded) : recorded;
  }

  #status(): RmdStatus {
    const ack = emptyAck();
    const side = this.#welcomed ? this.#side : undefined;
    side?.ack(ack);
    const { received, applied, durable } = ack;
    return {
      phase: this.#ended === undefined ? (side?.phase ?? 'handshake') : 'ended',
      rmd: side?.word ?? 'OFF',
      mirrorState: this.#mirrorState(),
      checkpoint: this.#opened?.record.record.checkpoint ?? 'off',
      journalFull: this.#journalFull,
      era: side?.era,
      received,
      applied,
      durable,
    };
  }
}

const noError = { code: undefined, details: {} } as const;

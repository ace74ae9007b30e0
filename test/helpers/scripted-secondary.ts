/**
 * A scripted secondary for tests of the PMD, and the network to it: an in-memory LinkDialer whose
 * other end speaks the protocol, keeps mirrors as plain arrays, journals phase b, and acknowledges as
 * told. The network delays, holds a bounded number of bytes, and is cut at any byte.
 */
import { crc32c } from '../../src/core/checksum.js';
import {
  frameHeaderBytes,
  heartbeatMs,
  mapBlockBytes,
  wireEntryBytes,
} from '../../src/core/constants.js';
import { TdmfError, type TdmfErrorCode } from '../../src/core/errors.js';
import { emptyAck } from '../../src/core/wire/ack.js';
import { decodeControl } from '../../src/core/wire/codec.js';
import {
  decodeEntry,
  emptyWireEntry,
  encodeEntry,
  validateEntries,
} from '../../src/core/wire/entry.js';
import type { FrameHeader } from '../../src/core/wire/frame.js';
import { lz4Decompress } from '../../src/core/wire/lz4.js';
import {
  type Ack,
  type ControlMessage,
  type Dirt,
  entryFlags,
  frameKinds,
  type Hashes,
  type Hello,
  type OwnChanges,
  type Welcome,
  type WireEntry,
  type WirePosition,
} from '../../src/core/wire/messages.js';
import { hashSeed, sessionNonce } from '../../src/core/wire/session.js';
import { type FrameSink, FrameSplitter, type PayloadTarget } from '../../src/core/wire/splitter.js';
import { FrameWriter } from '../../src/core/wire/writer.js';
import type {
  DialTarget,
  LinkClosed,
  LinkConnection,
  LinkDialer,
  LinkHandlers,
} from '../../src/ports/link.js';
import { simDigest } from '../../src/testing/digest.js';
import type { SimWorld } from '../../src/testing/world.js';

export interface SentPiece extends WireEntry {
  readonly data: Uint8Array | undefined;
  readonly session: number;
}

type Phase = 'hello' | 'admitted' | 'stream' | 'phaseA' | 'phaseB' | 'source';

const silent: LinkHandlers = { data: () => {}, drained: () => {}, closed: () => {} };
const highWaterBytes = 1024 * 1024;

export class ScriptedSecondary implements LinkDialer {
  readonly world: SimWorld;
  mirrors: Uint8Array[] = [];
  /** What the next `welcome` says. */
  bootId = 'boot-1';
  state: Welcome['state'] = 'never';
  own: OwnChanges = { changes: 'none', bytes: 0, since: 0 };
  base: WirePosition | undefined;
  history: readonly string[] = [];
  checkpoint: 'off' | 'on' = 'off';
  refreshId: string | undefined;
  position: WirePosition | undefined;
  durable: WirePosition | undefined;
  windowBytes = 16 * 1024 * 1024;
  features = 0;
  /** Answers of the door and of the RMD instead of a session. */
  dialError: TdmfErrorCode | undefined;
  refusal: TdmfErrorCode | undefined;
  /** `.i` of a journaled refresh: per device the blocks it has. */
  image: { refreshId: string; bootId: string; pieces: SentPiece[] } | undefined;
  /** What it says of its own changes when it is asked for them. */
  dirt: readonly Dirt[] = [];
  /** Answers hashes by itself. */
  compares = true;
  /** Acknowledge by itself, and free memory by itself. */
  acks = true;
  /** Answer nothing at all any more: a dead peer behind a live TCP connection. */
  mute = false;
  latencyMs = 0.2;
  dials = 0;
  current: ScriptedSession | undefined;
  /** Everything that arrived, in order, over all sessions. */
  readonly entries: SentPiece[] = [];
  readonly blocks: SentPiece[] = [];
  readonly messages: ControlMessage[] = [];
  heartbeats = 0;

  constructor(world: SimWorld) {
    this.world = world;
  }

  dial(_target: DialTarget, signal: AbortSignal): Promise<LinkConnection> {
    this.dials += 1;
    return new Promise((resolve, reject) => {
      this.world.after(this.latencyMs, 'dial', () => {
        if (signal.aborted) reject(new TdmfError('TDMF_LINK_CLOSED'));
        else if (this.dialError !== undefined) reject(new TdmfError(this.dialError));
        else {
          this.current = new ScriptedSession(this);
          resolve(this.current);
        }
      });
    });
  }

  last<Kind extends ControlMessage['kind']>(kind: Kind) {
    const found = this.messages.findLast((message) => message.kind === kind);
    return found as Extract<ControlMessage, { kind: Kind }> | undefined;
  }
}

/** The PMD's end of one connection, and the RMD behind it. */
export class ScriptedSession implements LinkConnection, FrameSink {
  readonly peerAddress = 'scripted';
  readonly sessionSecret: Uint8Array;
  handlers: LinkHandlers = silent;
  phase: Phase = 'hello';
  hello: Hello | undefined;
  readonly ack: Ack = emptyAck();
  /** Payload bytes of data frames received in this session. */
  payloadBytes = 0;
  /** All bytes that arrived in this session. */
  linkBytes = 0;
  /** The most that was ever under way: received, and not freed. */
  underWayMax = 0;
  readonly #secondary: ScriptedSecondary;
  readonly #number: number;
  readonly #splitter: FrameSplitter;
  readonly #writer: FrameWriter;
  #queue: { bytes: Uint8Array; sent: (() => void) | undefined }[] = [];
  #queuedBytes = 0;
  #full = false;
  #open = true;
  #journalI: SentPiece[] = [];
  #journalC: SentPiece[] = [];
  #phaseB: { refreshId: string; era: string; s0: number } | undefined;
  #mark: { mark: number; blocks: number } | undefined;
  #era = '';
  #sentBlocks = 0;
  /** Stops the network: bytes stay under way. */
  stalled = false;

  constructor(secondary: ScriptedSecondary) {
    this.#secondary = secondary;
    this.#number = secondary.dials;
    this.sessionSecret = secondary.world.random.fill(new Uint8Array(32));
    const nonce = sessionNonce(this.sessionSecret, 'primary');
    this.#splitter = new FrameSplitter(this, { sender: 'primary', nonce, crc32c, lz4Decompress });
    this.#writer = new FrameWriter(sessionNonce(this.sessionSecret, 'secondary'), crc32c);
    this.#beat();
  }

  send(bytes: Uint8Array, sent?: () => void): boolean {
    if (!this.#open) {
      sent?.();
      return true;
    }
    this.#queue.push({ bytes, sent });
    this.#queuedBytes += bytes.length;
    if (this.#queue.length === 1) this.#deliverSoon();
    if (this.#queuedBytes > highWaterBytes) this.#full = true;
    return !this.#full;
  }

  pause(): void {}

  resume(): void {
    this.stalled = false;
    this.#deliverSoon();
  }

  close(reason: LinkClosed): void {
    this.#end(reason);
  }

  /** The network fails after `bytes` more bytes. */
  cut(bytes = 0): void {
    let left = bytes;
    while (left > 0 && this.#queue.length > 0 && this.#open) {
      const part = this.#queue.shift()!.bytes.slice(0, left);
      left -= part.length;
      this.linkBytes += part.length;
      this.#splitter.push(part);
    }
    this.#end({ code: 'TDMF_LINK_LOST', message: 'cut' });
  }

  say(message: ControlMessage): void {
    this.#toPrimary(this.#writer.control(message));
  }

  sendAck(ack: Readonly<Ack> = this.ack): void {
    this.#toPrimary(this.#writer.ack(ack));
  }

  get open(): boolean {
    return this.#open;
  }

  begin(header: Readonly<FrameHeader>): PayloadTarget | undefined {
    const data = header.kind === frameKinds.entries || header.kind === frameKinds.blocks;
    return data ? { bytes: new Uint8Array(header.payloadLength), offset: 0 } : undefined;
  }

  frame(header: Readonly<FrameHeader>, target: PayloadTarget): void {
    if (header.kind === frameKinds.heartbeat) {
      this.#secondary.heartbeats += 1;
    } else if (header.kind === frameKinds.control) {
      const decoded = decodeControl(target.bytes, target.offset, header.payloadLength);
      if (decoded.message === undefined) throw new Error(decoded.problem);
      this.#secondary.messages.push(decoded.message);
      this.#answer(decoded.message);
    } else this.#data(header, target.bytes);
  }

  malformed(error: TdmfError): void {
    throw error;
  }

  #answer(message: ControlMessage): void {
    const { mirrors } = this.#secondary;
    const s = this.#secondary;
    switch (message.kind) {
      case 'hello':
        this.hello = message;
        if (mirrors.length === 0) {
          s.mirrors = message.devices.map(({ sizeBytes }) => new Uint8Array(sizeBytes).fill(0xee));
        }
        this.#welcome();
        break;
      case 'resume':
        this.phase = 'stream';
        this.#era = message.era;
        this.ack.received = message.from - 1;
        this.ack.applied = message.from - 1;
        this.ack.durable = Math.min(s.durable?.sequence ?? 0, message.from - 1);
        break;
      case 'refreshBegin': {
        this.phase = 'phaseA';
        const { refreshId, refresh, union } = message;
        Object.assign(this.ack, { received: 0, applied: 0, durable: 0, blocks: 0 });
        let kept = true;
        if (refresh === 'full') {
          s.state = 'incoherent';
          s.refreshId = refreshId;
          s.image = undefined;
        } else {
          kept = s.image?.refreshId === refreshId && s.image.bootId === s.bootId;
          if (!kept) s.image = { refreshId, bootId: s.bootId, pieces: [] };
        }
        if (union) for (const dirt of s.dirt) this.say(dirt);
        this.say({ kind: 'refreshReady', refreshId, kept });
        break;
      }
      case 'backfreshBegin':
        this.phase = 'source';
        if (message.union) for (const dirt of s.dirt) this.say(dirt);
        this.say({ kind: 'refreshReady', refreshId: message.refreshId, kept: true });
        break;
      case 'hashes':
        if (s.compares) this.compare(message);
        break;
      case 'era':
        this.phase = 'stream';
        this.#era = message.era;
        s.position = { era: message.era, sequence: message.s0 - 1 };
        s.durable = s.position;
        if (message.adopt) s.state = 'unknown';
        else s.own = { changes: 'none', bytes: 0, since: 0 };
        Object.assign(this.ack, {
          received: message.s0 - 1,
          applied: message.s0 - 1,
          durable: message.s0 - 1,
        });
        this.say({ kind: 'eraTaken', era: message.era });
        break;
      case 'phaseB':
        this.phase = 'phaseB';
        this.#phaseB = message;
        this.#journalI = [];
        this.#journalC = [];
        this.#mark = undefined;
        this.#era = message.era;
        Object.assign(this.ack, {
          received: message.s0 - 1,
          applied: message.s0 - 1,
          durable: message.s0 - 1,
        });
        break;
      case 'mark':
        this.#mark = message;
        this.#tryCommit();
        break;
      case 'abortB':
        this.phase = 'phaseA';
        Object.assign(this.ack, { received: 0, applied: 0, durable: 0 });
        this.say({ kind: 'refreshReady', refreshId: message.refreshId, kept: true });
        break;
      case 'refreshEnd':
        this.phase = 'admitted';
        s.image = undefined;
        break;
      default:
    }
  }

  #welcome(): void {
    const s = this.#secondary;
    if (s.refusal !== undefined) {
      this.say({ kind: 'refused', code: s.refusal, details: {} });
      return;
    }
    this.phase = 'admitted';
    this.say({
      kind: 'welcome',
      protocol: 1,
      features: this.#secondary.features,
      version: 'test',
      nodeId: 'secondary',
      bootId: s.bootId,
      state: s.state,
      refreshId: s.refreshId,
      position: s.position,
      durable: s.durable,
      base: s.base,
      history: s.history,
      windowBytes: s.windowBytes,
      checkpoint: s.checkpoint,
      own: s.own,
    });
  }

  /** Rule 17: the logical view, `.i` of this refresh over the mirror. */
  compare({ batch, device, offset, hashes }: Hashes): void {
    const s = this.#secondary;
    const view = s.mirrors[device]!.slice();
    for (const piece of s.image?.pieces ?? [])
      if (piece.device === device) apply([view], { ...piece, device: 0 });
    const { low, high } = hashSeed(this.sessionSecret);
    const count = hashes.length / 16;
    const bits = new Uint8Array(Math.ceil(count / 8));
    const ours = new Uint8Array(16);
    for (let block = 0; block < count; block += 1) {
      const at = offset + block * mapBlockBytes;
      const length = Math.min(mapBlockBytes, view.length - at);
      simDigest.xxh3(view, at, length, ours, 0, low, high);
      const theirs = hashes.subarray(block * 16, block * 16 + 16);
      if (Buffer.compare(ours, theirs) !== 0) bits[block >> 3]! |= 1 << (block & 7);
    }
    this.say({ kind: 'differs', batch, bits });
    if (this.phase !== 'source') return;
    for (let block = 0; block < count; block += 1) {
      if ((bits[block >> 3]! & (1 << (block & 7))) === 0) continue;
      const at = offset + block * mapBlockBytes;
      this.sendBlock(device, at, view.subarray(at, at + mapBlockBytes));
    }
  }

  /** A block of the mirror on its way home. */
  sendBlock(device: number, offset: number, data: Uint8Array): void {
    const frame = new Uint8Array(frameHeaderBytes + wireEntryBytes + data.length);
    this.#sentBlocks += 1;
    const entry = { ...emptyWireEntry(), sequence: this.#sentBlocks, device, offset };
    encodeEntry(frame, frameHeaderBytes, { ...entry, length: data.length });
    frame.set(data, frameHeaderBytes + wireEntryBytes);
    const payload = wireEntryBytes + data.length;
    const crc = crc32c(frame, frameHeaderBytes, payload);
    this.#writer.dataHeader(frame, 0, frameKinds.blocks, 1, payload, crc);
    this.#toPrimary(frame);
  }

  #data(header: Readonly<FrameHeader>, bytes: Uint8Array): void {
    const sizes = this.#secondary.mirrors.map((mirror) => mirror.length);
    const problem = validateEntries(bytes, 0, header, sizes);
    if (problem !== undefined) throw new Error(problem);
    this.payloadBytes += header.payloadLength;
    this.underWayMax = Math.max(this.underWayMax, this.payloadBytes - this.ack.freedBytes);
    let at = header.count * 48;
    for (let index = 0; index < header.count; index += 1) {
      const entry = emptyWireEntry();
      decodeEntry(bytes, index * 48, entry);
      const zero = (entry.flags & entryFlags.zero) !== 0;
      const data = zero ? undefined : bytes.slice(at, at + entry.length);
      at += data?.length ?? 0;
      this.#piece(header.kind, { ...entry, data, session: this.#number });
    }
    if (this.#secondary.acks) this.acknowledge();
  }

  /** Acknowledges everything and frees all memory. */
  acknowledge(): void {
    const s = this.#secondary;
    this.ack.freedBytes = this.payloadBytes;
    if (this.phase === 'stream' || this.phase === 'phaseB') {
      this.ack.applied = this.ack.received;
      this.ack.durable = this.ack.received;
      if (this.phase === 'stream') s.durable = { era: this.#era, sequence: this.ack.durable };
    }
    this.sendAck();
  }

  #piece(kind: number, piece: SentPiece): void {
    const s = this.#secondary;
    if (kind === frameKinds.blocks) {
      if (this.phase !== 'phaseA' && this.phase !== 'phaseB') throw new Error('blocks too early');
      if (piece.sequence !== this.ack.blocks + 1) throw new Error(`block ${piece.sequence}`);
      this.ack.blocks = piece.sequence;
      s.blocks.push(piece);
      if (s.image !== undefined) s.image.pieces.push(piece);
      else if (this.phase === 'phaseA') apply(s.mirrors, piece);
      if (this.phase === 'phaseB') this.#journalI.push(piece);
    } else {
      if (this.phase !== 'stream' && this.phase !== 'phaseB') throw new Error('entries too early');
      if (piece.sequence !== this.ack.received + 1) throw new Error(`entry ${piece.sequence}`);
      this.ack.received = piece.sequence;
      s.entries.push(piece);
      if (this.phase === 'stream') {
        apply(s.mirrors, piece);
        s.position = { era: this.#era, sequence: piece.sequence };
      } else this.#journalC.push(piece);
    }
    this.#tryCommit();
  }

  #tryCommit(): void {
    const mark = this.#mark;
    const attempt = this.#phaseB;
    if (mark === undefined || attempt === undefined || this.phase !== 'phaseB') return;
    if (this.#journalI.length < mark.blocks || this.ack.received < mark.mark) return;
    const s = this.#secondary;
    for (const piece of s.image?.pieces ?? this.#journalI) apply(s.mirrors, piece);
    s.image = undefined;
    s.own = { changes: 'none', bytes: 0, since: 0 };
    for (const piece of this.#journalC) apply(s.mirrors, piece);
    s.state = 'coherent';
    s.refreshId = undefined;
    s.position = { era: attempt.era, sequence: this.ack.received };
    s.durable = s.position;
    this.phase = 'stream';
    const { refreshId, era } = attempt;
    this.say({ kind: 'committed', refreshId, era, mark: mark.mark });
  }

  #beat(): void {
    this.#secondary.world.after(heartbeatMs, 'heartbeat', () => {
      if (!this.#open) return;
      if (this.phase !== 'hello') this.#toPrimary(this.#writer.heartbeat());
      this.#beat();
    });
  }

  #toPrimary(bytes: Uint8Array): void {
    const s = this.#secondary;
    if (s.mute) return;
    s.world.after(s.latencyMs, 'to primary', () => {
      if (this.#open && !s.mute) this.handlers.data(bytes);
    });
  }

  #deliverSoon(): void {
    const s = this.#secondary;
    s.world.after(s.latencyMs, 'to secondary', () => {
      if (!this.#open || this.stalled) return;
      const head = this.#queue.shift();
      if (head === undefined) return;
      this.#queuedBytes -= head.bytes.length;
      this.linkBytes += head.bytes.length;
      if (!s.mute) this.#splitter.push(head.bytes.slice());
      // Memory that is used again before `sent` shows up as wrong data; after it, it may.
      head.sent?.();
      if (this.#full && this.#queuedBytes < highWaterBytes / 2) {
        this.#full = false;
        this.handlers.drained();
      }
      if (this.#queue.length > 0) this.#deliverSoon();
    });
  }

  #end(reason: LinkClosed): void {
    if (!this.#open) return;
    this.#open = false;
    const queue = this.#queue;
    this.#queue = [];
    for (const { sent } of queue) sent?.();
    this.#secondary.world.after(0, 'closed', () => this.handlers.closed(reason));
  }
}

function apply(mirrors: readonly Uint8Array[], { device, offset, length, data }: SentPiece): void {
  const mirror = mirrors[device]!;
  if (data === undefined) mirror.fill(0, offset, offset + length);
  else mirror.set(data, offset);
}

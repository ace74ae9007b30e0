/** A scripted primary: says what the test tells it, remembers everything the secondary says. */
import { crc32c } from '../../src/core/checksum.js';
import { frameHeaderBytes, wireEntryBytes } from '../../src/core/constants.js';
import { decodeAck, emptyAck } from '../../src/core/wire/ack.js';
import { decodeControl } from '../../src/core/wire/codec.js';
import {
  decodeEntry,
  emptyWireEntry,
  encodeEntry,
  entryDataLength,
} from '../../src/core/wire/entry.js';
import {
  type Ack,
  type ControlMessage,
  frameKinds,
  type Hello,
  type WireEntry,
} from '../../src/core/wire/messages.js';
import { hashSeed, sessionNonce } from '../../src/core/wire/session.js';
import { FrameSplitter } from '../../src/core/wire/splitter.js';
import { FrameWriter } from '../../src/core/wire/writer.js';
import { simDigest } from '../../src/testing/digest.js';
import type { MemoryLink } from './memory-link.js';

export interface FakeEntry extends Partial<WireEntry> {
  sequence: number;
  offset: number;
  length: number;
  /** Every byte of the data. */
  fill?: number;
}

export class FakePrimary {
  readonly link: MemoryLink;
  readonly messages: ControlMessage[] = [];
  readonly acks: Ack[] = [];
  heartbeats = 0;
  /** Blocks that came back in a backfresh. */
  readonly home: { readonly entry: WireEntry; readonly data: Uint8Array }[] = [];
  /** Payload bytes of data frames sent. */
  sentBytes = 0;
  /** Called with every ack, at the instant it arrives. */
  onAck: ((ack: Ack) => void) | undefined;
  malformed: string | undefined;
  readonly #writer: FrameWriter;

  constructor(link: MemoryLink) {
    this.link = link;
    this.#writer = new FrameWriter(sessionNonce(link.sessionSecret, 'primary'), crc32c);
    const splitter = new FrameSplitter(
      {
        begin: (header) =>
          header.kind === frameKinds.blocks
            ? { bytes: new Uint8Array(header.payloadLength), offset: 0 }
            : undefined,
        frame: (header, { bytes, offset }) => {
          if (header.kind === frameKinds.blocks) this.#home(bytes, header.count);
          else if (header.kind === frameKinds.heartbeat) this.heartbeats += 1;
          else if (header.kind === frameKinds.ack) {
            const ack = emptyAck();
            this.malformed ??= decodeAck(bytes, offset, ack);
            this.acks.push(ack);
            this.onAck?.(ack);
          } else {
            const decoded = decodeControl(bytes, offset, header.payloadLength);
            if (decoded.message === undefined) this.malformed ??= decoded.problem;
            else this.messages.push(decoded.message);
          }
        },
        malformed: (error) => {
          this.malformed ??= error.message;
        },
      },
      { sender: 'secondary', nonce: sessionNonce(link.sessionSecret, 'secondary'), crc32c },
    );
    splitter.takesBlocks = true;
    link.handlers = { data: (chunk) => splitter.push(chunk), drained: () => {}, closed: () => {} };
  }

  get ack(): Ack {
    return this.acks.at(-1) ?? emptyAck();
  }

  message<Kind extends ControlMessage['kind']>(
    kind: Kind,
  ): Extract<ControlMessage, { kind: Kind }> | undefined {
    return this.messages.findLast(
      (message): message is Extract<ControlMessage, { kind: Kind }> => message.kind === kind,
    );
  }

  say(message: ControlMessage): void {
    this.link.send(this.#writer.control(message));
  }

  beat(): void {
    this.link.send(this.#writer.heartbeat());
  }

  entries(list: readonly FakeEntry[]): void {
    this.#data(frameKinds.entries, list);
  }

  blocks(list: readonly FakeEntry[]): void {
    this.#data(frameKinds.blocks, list);
  }

  /** Hashes of blocks of this content, from `offset` on. */
  compare(batch: number, offset: number, blocks: readonly Uint8Array[], device = 0): void {
    const { low, high } = hashSeed(this.link.sessionSecret);
    const hashes = new Uint8Array(16 * blocks.length);
    for (const [index, block] of blocks.entries()) {
      simDigest.xxh3(block, 0, block.length, hashes, 16 * index, low, high);
    }
    this.say({ kind: 'hashes', batch, device, offset, hashes });
  }

  /** The answer to a batch: one bit a block. */
  differs(batch: number): number | undefined {
    const answer = this.messages.find(
      (message) => message.kind === 'differs' && message.batch === batch,
    );
    return answer?.kind === 'differs' ? answer.bits[0]! | ((answer.bits[1] ?? 0) << 8) : undefined;
  }

  #home(bytes: Uint8Array, count: number): void {
    let data = count * wireEntryBytes;
    for (let index = 0; index < count; index += 1) {
      const entry = emptyWireEntry();
      decodeEntry(bytes, index * wireEntryBytes, entry);
      this.home.push({ entry, data: bytes.slice(data, data + entryDataLength(entry)) });
      data += entryDataLength(entry);
    }
  }

  #data(kind: 2 | 3, list: readonly FakeEntry[]): void {
    const entries = list.map((entry) => ({ dep: 0, device: 0, flags: 0, ...entry }));
    const table = entries.length * wireEntryBytes;
    const payload = table + entries.reduce((sum, entry) => sum + entryDataLength(entry), 0);
    const frame = new Uint8Array(frameHeaderBytes + payload);
    let data = frameHeaderBytes + table;
    for (const [index, entry] of entries.entries()) {
      encodeEntry(frame, frameHeaderBytes + index * wireEntryBytes, entry);
      const length = entryDataLength(entry);
      frame.fill(list[index]!.fill ?? entry.sequence, data, data + length);
      data += length;
    }
    const crc = crc32c(frame, frameHeaderBytes, payload);
    this.#writer.dataHeader(frame, 0, kind, entries.length, payload, crc);
    this.sentBytes += payload;
    this.link.send(frame);
  }
}

export function helloOf(change: Partial<Hello> = {}): Hello {
  return {
    kind: 'hello',
    protocol: 1,
    features: 0,
    version: '0.1.0',
    role: 'primary',
    nodeId: 'node-a',
    loopback: false,
    launch: 'launch-1',
    heartbeatMs: 2000,
    devices: [{ name: 'd0', sizeBytes: 64 * 1024, blockBytes: 512 }],
    era: 'a'.repeat(32),
    s0: 1,
    stamped: 0,
    released: 0,
    sentMax: 0,
    lease: 2 ** 24,
    refreshId: undefined,
    refreshKind: undefined,
    purpose: 'mirror',
    ...change,
  };
}

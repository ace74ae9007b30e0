/**
 * What has arrived from the primary and is not taken yet, in order: data frames in the receive
 * memory, and control messages between them. When the receive memory is full (many small frames cost
 * more memory than the credit counts) frames go to memory of their own and the link is paused until
 * there is room: back-pressure instead of loss (I12). The credit itself is checked here.
 */
import { getU64 } from '../core/bytes.js';
import type { Crc32c } from '../core/checksum.js';
import { frameHeaderBytes } from '../core/constants.js';
import type { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError } from '../core/errors.js';
import { entryLayout, validateEntries } from '../core/wire/entry.js';
import { encodeFrameHeader, type FrameHeader } from '../core/wire/frame.js';
import { type ControlMessage, frameKinds } from '../core/wire/messages.js';
import type { PayloadTarget } from '../core/wire/splitter.js';
import type { ArenaMemory } from '../ports/block-device.js';
import { broken } from './mirror-errors.js';

/** Control messages that may wait: batches of hashes, and a handful of everything else. */
const controlsMax = 256;

/** A number is a frame in the receive memory, held once. */
export type InboxItem = number | ControlMessage;

interface Spilled {
  readonly kind: 'spilled';
  readonly header: Readonly<FrameHeader>;
  readonly target: PayloadTarget;
  whole: boolean;
}

export interface InboxOptions {
  readonly ring: FrameRing;
  readonly memory: ArenaMemory;
  readonly windowBytes: number;
  /** Agreed size of each device. */
  readonly sizes: readonly number[];
  readonly crc32c: Crc32c;
  readonly pause: () => void;
  readonly resume: () => void;
}

export class RmdInbox {
  readonly #options: InboxOptions;
  readonly #items: InboxItem[] = [];
  #taken = 0;
  readonly #late: (Spilled | ControlMessage)[] = [];
  #receivedBytes = 0;
  #placing = -1;
  #spilling: Spilled | undefined;
  #paused = false;
  /** Control messages that wait. */
  #controls = 0;
  #kind = 0;
  #next = 0;
  readonly #target: { bytes: Uint8Array; offset: number };

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#target = { bytes: options.memory.bytes, offset: 0 };
  }

  get paused(): boolean {
    return this.#paused;
  }

  /**
   * While entries are being received: the sequence the first of them should have, if another frame came
   * before (Rule 48: it can be told although the bytes cannot be believed).
   */
  get expected(): number | undefined {
    return this.#kind === frameKinds.entries && this.#next > 0 ? this.#next : undefined;
  }

  /** Memory for the payload of a data frame; undefined when the primary exceeds its credit. */
  begin(header: Readonly<FrameHeader>): PayloadTarget | undefined {
    const { ring, memory, windowBytes, crc32c } = this.#options;
    const { kind, count, payloadLength } = header;
    this.#receivedBytes += payloadLength;
    this.#kind = kind;
    if (this.#receivedBytes - ring.freedBytes > windowBytes) return undefined;
    const frame = this.#late.length > 0 ? -1 : ring.place(kind, count, payloadLength, true);
    if (frame >= 0) {
      encodeFrameHeader(memory.bytes, ring.headerOf(frame), header, crc32c);
      this.#placing = frame;
      this.#target.offset = ring.tableOf(frame);
      return this.#target;
    }
    const target = { bytes: new Uint8Array(payloadLength), offset: 0 };
    this.#spilling = { kind: 'spilled', header: { ...header }, target, whole: false };
    this.#late.push(this.#spilling);
    if (!this.#paused) {
      this.#paused = true;
      this.#options.pause();
    }
    return target;
  }

  /** The payload of the data frame is whole. @throws TDMF_LINK_PROTOCOL */
  frame(header: Readonly<FrameHeader>, target: PayloadTarget): void {
    const { bytes, offset } = target;
    const problem = validateEntries(bytes, offset, header, this.#options.sizes);
    if (problem !== undefined) {
      // The first sequence lets the primary see which entry was refused (Rule 48).
      const sequence = Math.max(0, getU64(bytes, offset + entryLayout.at.sequence));
      throw new TdmfError('TDMF_LINK_PROTOCOL', { what: problem, sequence });
    }
    this.#next = getU64(bytes, offset + entryLayout.at.sequence) + header.count;
    this.#kind = 0;
    if (this.#spilling === undefined) {
      this.#items.push(this.#placing);
      return;
    }
    this.#spilling.whole = true;
    this.#spilling = undefined;
    this.roomFreed();
  }

  /** @throws TDMF_LINK_PROTOCOL when more of them wait than anybody has reason to send (I12) */
  control(message: ControlMessage): void {
    this.#controls += 1;
    if (this.#controls > controlsMax) throw broken('too many control messages');
    if (this.#late.length > 0) this.#late.push(message);
    else this.#items.push(message);
  }

  /** The oldest item, or undefined. */
  head(): InboxItem | undefined {
    return this.#items[this.#taken];
  }

  /** The oldest item was dealt with. */
  shift(): void {
    if (typeof this.#items[this.#taken] !== 'number') this.#controls -= 1;
    this.#taken += 1;
    if (this.#taken < this.#items.length) return;
    this.#items.length = 0;
    this.#taken = 0;
  }

  /** Moves what had to wait into the receive memory, and lets the link go on when all of it fits. */
  roomFreed(): void {
    const { ring, memory, crc32c, resume } = this.#options;
    while (this.#late.length > 0) {
      const first = this.#late[0]!;
      if (first.kind === 'spilled') {
        if (!first.whole) break;
        const { header, target } = first;
        const frame = ring.place(header.kind, header.count, header.payloadLength, true);
        if (frame < 0) return;
        encodeFrameHeader(memory.bytes, ring.headerOf(frame), header, crc32c);
        memory.bytes.set(target.bytes, ring.headerOf(frame) + frameHeaderBytes);
        this.#items.push(frame);
      } else this.#items.push(first);
      this.#late.shift();
    }
    if (!this.#paused) return;
    this.#paused = false;
    resume();
  }
}

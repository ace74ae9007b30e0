/**
 * Makes the frames of one direction of one session: keeps the frame counter and the nonce, so that
 * nobody else has to. Small frames are returned whole in memory of their own; for a data frame only
 * the header is written, over a payload that the caller laid out and checksummed, because its data
 * goes to the link straight from where it is.
 */
import { assert } from '../assert.js';
import type { Crc32c } from '../checksum.js';
import {
  frameEntriesMax,
  frameHeaderBytes,
  framePayloadMax,
  wireEntryBytes,
} from '../constants.js';
import { ackBytes, encodeAck } from './ack.js';
import { encodeControl } from './codec.js';
import { emptyFrameHeader, encodeFrameHeader, type FrameHeader, frameFlags } from './frame.js';
import { type Ack, type ControlMessage, frameKinds } from './messages.js';
import type { SessionNonce } from './session.js';

export class FrameWriter {
  #header: FrameHeader = emptyFrameHeader();
  #crc32c: Crc32c;

  constructor(nonce: SessionNonce, crc32c: Crc32c) {
    this.#header.sessionLow = nonce.low;
    this.#header.sessionHigh = nonce.high;
    this.#crc32c = crc32c;
  }

  /** Frames written so far; the number of the last one. */
  get framesWritten(): number {
    return this.#header.number;
  }

  /** A whole control frame. */
  control(message: ControlMessage): Uint8Array {
    const payload = encodeControl(message);
    const frame = new Uint8Array(frameHeaderBytes + payload.length);
    frame.set(payload, frameHeaderBytes);
    this.#small(frame, frameKinds.control);
    return frame;
  }

  /** A whole ack frame. */
  ack(ack: Readonly<Ack>): Uint8Array {
    const frame = new Uint8Array(frameHeaderBytes + ackBytes);
    encodeAck(frame, frameHeaderBytes, ack);
    this.#small(frame, frameKinds.ack);
    return frame;
  }

  /** A whole heartbeat frame. */
  heartbeat(): Uint8Array {
    const frame = new Uint8Array(frameHeaderBytes);
    this.#small(frame, frameKinds.heartbeat);
    return frame;
  }

  /**
   * Writes the header of an entries or blocks frame at `into[offset…]`. `payloadCrc` is the checksum
   * of the whole payload: the table of `count` entries, then the data, in the order of sending. Of a
   * compressed one `payloadLength` is what follows the header, `rawLength` what becomes of it.
   */
  dataHeader(
    into: Uint8Array,
    offset: number,
    kind: typeof frameKinds.entries | typeof frameKinds.blocks,
    count: number,
    payloadLength: number,
    payloadCrc: number,
    rawLength = 0,
  ): void {
    const length = rawLength === 0 ? payloadLength : rawLength;
    assert(count >= 1 && count <= frameEntriesMax, 'a data frame has entries, within the limit');
    assert(length >= count * wireEntryBytes, 'a data frame begins with its table');
    assert(length <= framePayloadMax, 'a data frame keeps the limit');
    assert(payloadLength <= length, 'a frame that grows is not compressed');
    this.#write(into, offset, kind, count, payloadLength, payloadCrc, rawLength);
  }

  #small(frame: Uint8Array, kind: number): void {
    const payloadLength = frame.length - frameHeaderBytes;
    const payloadCrc = this.#crc32c(frame, frameHeaderBytes, payloadLength, 0);
    this.#write(frame, 0, kind, 0, payloadLength, payloadCrc, 0);
  }

  #write(
    into: Uint8Array,
    offset: number,
    kind: number,
    count: number,
    payloadLength: number,
    payloadCrc: number,
    rawLength: number,
  ): void {
    const header = this.#header;
    header.number += 1;
    header.kind = kind;
    header.count = count;
    header.payloadLength = payloadLength;
    header.payloadCrc = payloadCrc;
    header.flags = rawLength === 0 ? 0 : frameFlags.compressed;
    header.rawLength = rawLength;
    encodeFrameHeader(into, offset, header, this.#crc32c);
  }
}

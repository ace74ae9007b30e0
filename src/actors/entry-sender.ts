/**
 * Published entries of the BAB onto the link, one frame at a time: the table, then the payloads,
 * copied once into the memory of the frame. Copied, and not sent from where they are: an entry may be
 * dropped (Rule 12.3) while a socket still holds its bytes, and its memory must not be written by the
 * next owner then. What goes into a frame is decided by core/engine/drain.ts; no allocation per entry
 * with small payloads.
 */

import { assert } from '../core/assert.js';
import { type BabEntry, newBabEntry } from '../core/bab/descriptors.js';
import type { BabReader } from '../core/bab/reader.js';
import type { DeviceMap } from '../core/bitmap/device-map.js';
import { frameHeaderBytes, wireEntryBytes } from '../core/constants.js';
import { Drain, type PublishedEntries } from '../core/engine/drain.js';
import type { FrameBuffers } from '../core/engine/frame-buffers.js';
import type { BabSide } from '../core/engine/handshake.js';
import type { Window } from '../core/engine/window.js';
import { encodeEntry } from '../core/wire/entry.js';
import { entryFlags, frameKinds } from '../core/wire/messages.js';
import type { PmdSession } from './pmd-session.js';

export class EntrySender implements PublishedEntries {
  readonly drain = new Drain();
  readonly #reader: BabReader;
  readonly #buffers: FrameBuffers;
  readonly #entry: BabEntry = newBabEntry();
  /** Of the era in which entries were dropped: up to here it was released. */
  #held = { generation: -1, released: 0 };

  constructor(reader: BabReader, buffers: FrameBuffers) {
    this.#reader = reader;
    this.#buffers = buffers;
  }

  get published(): number {
    return this.#reader.published;
  }

  get generation(): number {
    return this.#reader.control.generation;
  }

  at(index: number): BabEntry {
    this.#reader.read(index, this.#entry);
    return this.#entry;
  }

  /** Entries of `era` follow from `from` on. False: they are not in the BAB any more. */
  begin(era: string, from: number): boolean {
    const reader = this.#reader;
    if (!this.drain.begin(era, from, this, reader.durable)) return false;
    const index = this.drain.indexOf(from);
    reader.setSent(index);
    reader.setReceived(index);
    reader.setApplied(index);
    return true;
  }

  /** Sends one frame. False: nothing to send, no credit, or no memory for a frame. */
  send(session: PmdSession, window: Window, chunkBytes: number, sent: () => void): boolean {
    const { drain } = this;
    if (!drain.gather(this, chunkBytes, window.creditBytes)) return false;
    const { batch } = drain;
    const buffer = this.#buffers.take(frameHeaderBytes + batch.payloadBytes);
    if (buffer === undefined) return false;
    this.#fill(buffer);
    drain.batchSent();
    window.sentBytes += batch.payloadBytes;
    const { control } = this.#reader;
    this.#reader.setSent(drain.indexOf(drain.sent + 1));
    // Of an earlier era it may be too high; `babSide` bounds it by what is stamped (Rule 7b).
    control.sentMax = Math.max(control.sentMax, drain.sent);
    session.data(frameKinds.entries, buffer, 0, batch.count, batch.payloadBytes, () => {
      this.#buffers.giveBack(buffer);
      sent();
    });
    control.countSent(batch.dataBytes, 0);
    return true;
  }

  /**
   * Phase b: entries of `era` from `s0` on. What is in the BAB from before is in the map, and is
   * released without ever being sent (Rule 12.3).
   */
  beginAttempt(era: string, s0: number): void {
    const words = this.#reader.control.readEra();
    assert(words.era === era && words.first === s0, 'the driver appends in the era of phase b');
    const begun = this.begin(era, s0);
    assert(begun, 'the entries of phase b are in the BAB');
    const { drain } = this;
    drain.durable = Math.max(drain.durable, s0 - 1);
    this.publishPositions();
  }

  /** The blocks of every entry that is about to be dropped: nothing of it is ever lost (H11). */
  markPending(maps: readonly DeviceMap[]): void {
    const reader = this.#reader;
    for (let index = 0; index < reader.pending; index += 1) {
      const { device, offset, length } = this.at((reader.durable + index) >>> 0);
      maps[device]!.mark(offset, length);
    }
  }

  /** Everything published is in the map: it is forgotten, not drained (Rule 12.3). */
  dropAll(): void {
    this.drain.end();
    this.#holdReleased();
    this.#reader.drop();
  }

  /** Forgets entries of an attempt that is over, up to this generation (R9). */
  dropThrough(generation: number): void {
    const reader = this.#reader;
    this.#holdReleased();
    while (reader.pending > 0 && this.at(reader.durable).generation <= generation) {
      reader.setDurable((reader.durable + 1) >>> 0);
    }
  }

  /** What the BAB says of its era, for the handshake. */
  babSide(): BabSide {
    const { control, pending, durable } = this.#reader;
    const era = control.readEra();
    const held = this.#held.generation === era.generation ? this.#held.released : era.stamped;
    const oldest = pending === 0 ? undefined : this.at(durable);
    let released = era.stamped;
    if (oldest !== undefined) {
      released = oldest.generation === era.generation ? oldest.sequence - 1 : era.first - 1;
    }
    const sentMax = Math.max(era.first - 1, Math.min(control.sentMax, era.stamped));
    return { ...era, released: Math.min(released, held), sentMax };
  }

  /** What is dropped was never durable over there: it must not count as released (Rule 26). */
  #holdReleased(): void {
    if (this.#reader.pending === 0) return;
    const { generation, released } = this.babSide();
    this.#held = { generation, released };
  }

  /** Publishes what the secondary has acknowledged; `durable` is what the driver may release (I4). */
  publishPositions(): void {
    const { drain } = this;
    if (drain.era === undefined) return;
    this.#reader.setReceived(drain.indexOf(drain.received + 1));
    this.#reader.setApplied(drain.indexOf(drain.applied + 1));
    this.#reader.setDurable(drain.indexOf(drain.durable + 1));
  }

  #fill(buffer: Uint8Array): void {
    const { batch } = this.drain;
    let table = frameHeaderBytes;
    let data = table + batch.count * wireEntryBytes;
    for (let index = 0; index < batch.count; index += 1) {
      const entry = this.at((batch.index + index) >>> 0);
      encodeEntry(buffer, table, entry);
      table += wireEntryBytes;
      if (entry.flags & entryFlags.zero) continue;
      this.#copy(entry, buffer, data);
      data += entry.length;
    }
  }

  #copy(entry: BabEntry, into: Uint8Array, at: number): void {
    const { length, memoryOffset } = entry;
    if (length > loopBytesMax) {
      into.set(this.#reader.payload(entry), at);
      return;
    }
    // A loop is faster than making a view for so few bytes, and leaves nothing to collect.
    const from = this.#reader.pool.bytes[entry.arena]!;
    for (let index = 0; index < length; index += 1) into[at + index] = from[memoryOffset + index]!;
  }
}

const loopBytesMax = 1024;

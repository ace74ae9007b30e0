/**
 * The block-device port over node:fs, for hosts where io_uring is not allowed. Every operation is a
 * few calls on libuv's pool; at most `inFlightMax` of them run at once, the others wait here in order
 * (Rule 45). Correct first: it may allocate per operation.
 */
import { fdatasync, readv, writev } from 'node:fs';
import { assert } from '../core/assert.js';
import type { IoVector } from '../core/io-vector.js';
import type { BlockDevice, Extent, SharedDevice, ZeroOptions } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { Arenas } from './arenas.js';
import { eInvalid, eIo, errnoOf } from './errno.js';
import { Extents } from './extents.js';
import { native } from './native.js';
import { alignedMemory, alignedTo, refuseRange } from './range-check.js';
import { throwLater } from './throw-later.js';
import { stepRefused, zeroSteps } from './zero-steps.js';

interface Waiting {
  /** The result for the sink: ≥ 0, or −errno. */
  readonly run: () => Promise<number>;
  readonly sink: CompletionSink;
  readonly tag: number;
}

export class FileDevice implements BlockDevice {
  readonly path: string;
  readonly logicalBlockBytes: number;
  readonly direct: boolean;
  readonly alignmentBytes: number;
  readonly #facts: SharedDevice;
  readonly #arenas: Arenas;
  readonly #inFlightMax: number;
  readonly #extents: Extents;
  readonly #closed: () => void;
  readonly #waiting: Waiting[] = [];
  #inFlight = 0;
  #sizeBytes: number;
  #open = true;
  #idle: (() => void) | undefined;

  /** `facts.fd` belongs to this thread. */
  constructor(facts: SharedDevice, arenas: Arenas, inFlightMax: number, closed: () => void) {
    this.path = facts.path;
    this.logicalBlockBytes = facts.logicalBlockBytes;
    this.direct = facts.direct;
    this.alignmentBytes = facts.alignmentBytes;
    this.#facts = facts;
    this.#arenas = arenas;
    this.#inFlightMax = inFlightMax;
    this.#sizeBytes = facts.sizeBytes;
    this.#extents = new Extents(facts);
    this.#closed = closed;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  read(memory: IoVector, offset: number, sink: CompletionSink, tag: number): void {
    this.#transfer('read', memory, offset, false, sink, tag);
  }

  write(memory: IoVector, offset: number, fua: boolean, sink: CompletionSink, tag: number): void {
    this.#transfer('write', memory, offset, fua, sink, tag);
  }

  flush(sink: CompletionSink, tag: number): void {
    this.#queue(() => this.#sync(), sink, tag);
  }

  zero(
    offset: number,
    length: number,
    options: ZeroOptions,
    sink: CompletionSink,
    tag: number,
  ): void {
    const { mayUnmap, fua } = options;
    const refused = refuseRange(this.#facts, 'write', offset, length);
    this.#queue(
      async () => {
        if (refused !== 0 || length === 0) return refused;
        const result = await this.#zero(offset, length, mayUnmap);
        return result < 0 || !fua ? result : this.#sync();
      },
      sink,
      tag,
    );
  }

  async extentAt(offset: number): Promise<Extent> {
    assert(this.#open, handleClosed);
    return this.#extents.at(offset, this.#sizeBytes);
  }

  share(): SharedDevice {
    assert(this.#open, handleClosed);
    return { ...this.#facts, sizeBytes: this.#sizeBytes, fd: native.dupFd(this.#facts.fd) };
  }

  async close(): Promise<void> {
    assert(this.#open, handleClosed);
    this.#open = false;
    await this.#extents.settled();
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await native.closeFd(this.#facts.fd);
    this.#closed();
  }

  #transfer(
    kind: 'read' | 'write',
    memory: IoVector,
    offset: number,
    fua: boolean,
    sink: CompletionSink,
    tag: number,
  ): void {
    const views = this.#arenas.views(memory);
    const refused =
      views === undefined || !alignedMemory(this.#facts, memory)
        ? eInvalid
        : refuseRange(this.#facts, kind, offset, memory.totalBytes);
    this.#queue(
      async () => {
        if (views === undefined || refused !== 0) return refused;
        const done = await this.#move(kind, views, offset);
        return done < 0 || !fua ? done : this.#durable(done);
      },
      sink,
      tag,
    );
  }

  /** Moves all the bytes; a transfer that fails midway says how far it came (only a write may). */
  async #move(kind: 'read' | 'write', views: Uint8Array[], offset: number): Promise<number> {
    let done = 0;
    let rest = views;
    while (rest.length > 0) {
      const moved = await vectored(kind, this.#facts.fd, rest.slice(0, viewsMax), offset + done);
      if (moved < 0) return kind === 'write' && done > 0 ? done : moved;
      if (moved === 0) return kind === 'write' ? done || eIo : done;
      done += moved;
      if (!alignedTo(this.#facts, done)) break; // an odd end is the end of the file
      rest = after(rest, moved);
    }
    if (kind === 'write' && this.#facts.growable) {
      this.#sizeBytes = Math.max(this.#sizeBytes, offset + done);
    }
    return done;
  }

  async #zero(offset: number, length: number, mayUnmap: boolean): Promise<number> {
    const extend = this.#facts.growable && offset + length > this.#sizeBytes;
    for (const step of zeroSteps(mayUnmap, extend)) {
      if (step === 'write') return this.#writeZeroes(offset, length);
      const result = await native
        .fallocate(this.#facts.fd, step === 'punch', extend, offset, length)
        .then(() => 0, errnoOf);
      if (stepRefused(result)) continue;
      if (result === 0 && extend) this.#sizeBytes = Math.max(this.#sizeBytes, offset + length);
      return result;
    }
    return eInvalid;
  }

  async #writeZeroes(offset: number, length: number): Promise<number> {
    const zeroes = this.#arenas.zeroes().bytes;
    for (let done = 0; done < length; ) {
      const chunk = zeroes.subarray(0, Math.min(length - done, zeroes.length));
      const result = await this.#move('write', [chunk], offset + done);
      if (result !== chunk.length) return result < 0 ? result : eIo;
      done += result;
    }
    return 0;
  }

  async #durable(done: number): Promise<number> {
    const result = await this.#sync();
    return result < 0 ? result : done;
  }

  #sync(): Promise<number> {
    return new Promise((resolve) => {
      fdatasync(this.#facts.fd, (error) => resolve(error === null ? 0 : errnoOf(error)));
    });
  }

  #queue(run: () => Promise<number>, sink: CompletionSink, tag: number): void {
    assert(this.#open, handleClosed);
    this.#waiting.push({ run, sink, tag });
    this.#startNext();
  }

  #startNext(): void {
    while (this.#inFlight < this.#inFlightMax) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#inFlight++;
      next.run().then(
        (result) => this.#ended(next, result),
        (error: unknown) => this.#ended(next, errnoOf(error)),
      );
    }
  }

  #ended({ sink, tag }: Waiting, result: number): void {
    this.#inFlight--;
    try {
      sink.completed(tag, result);
    } catch (error) {
      throwLater(error);
    }
    this.#startNext();
    if (this.#inFlight === 0) this.#idle?.();
  }
}

function vectored(
  kind: 'read' | 'write',
  fd: number,
  views: Uint8Array[],
  position: number,
): Promise<number> {
  const call = kind === 'read' ? readv : writev;
  return new Promise((resolve) => {
    call(fd, views, position, (error, moved) => resolve(error === null ? moved : errnoOf(error)));
  });
}

/** The views without their first `moved` bytes. */
function after(views: Uint8Array[], moved: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  for (const view of views) {
    if (moved < view.length) rest.push(view.subarray(moved));
    moved = Math.max(0, moved - view.length);
  }
  return rest;
}

const handleClosed = 'a device is not used after its close';
// IOV_MAX of the kernel.
const viewsMax = 1024;

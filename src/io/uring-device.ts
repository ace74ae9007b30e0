/**
 * The block-device port over the ring: the data path's own adapter. Each call writes one instruction;
 * bounds, size (I20) and alignment (H16) are checked by the addon, which answers through the
 * completion. Decides nothing but the steps that make a range zero.
 */
import { assert } from '../core/assert.js';
import type { IoVector } from '../core/io-vector.js';
import type { BlockDevice, Extent, SharedDevice, ZeroOptions } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import { Extents } from './extents.js';
import { native } from './native.js';
import type { Uring } from './uring.js';
import { uringLayout } from './uring-layout.js';
import { UringZero } from './uring-zero.js';

const { opRead, opWrite, opFlush, flagDurable } = uringLayout;

export class UringDevice implements BlockDevice {
  readonly path: string;
  readonly logicalBlockBytes: number;
  readonly direct: boolean;
  readonly alignmentBytes: number;
  readonly #facts: SharedDevice;
  readonly #ring: Uring;
  readonly #file: number;
  readonly #extents: Extents;
  readonly #idleZeroes: UringZero[] = [];
  readonly #zeroes: IoVector;
  readonly #closed: () => void;
  #open = true;

  /** `facts.fd` belongs to this thread; `zeroes` is memory that nobody ever writes. */
  constructor(ring: Uring, facts: SharedDevice, zeroes: IoVector, closed: () => void) {
    this.path = facts.path;
    this.logicalBlockBytes = facts.logicalBlockBytes;
    this.direct = facts.direct;
    this.alignmentBytes = facts.alignmentBytes;
    this.#facts = facts;
    this.#ring = ring;
    this.#file = ring.addDevice(
      facts.fd,
      facts.writable,
      facts.growable,
      facts.sizeBytes,
      facts.alignmentBytes,
    );
    this.#extents = new Extents(facts);
    this.#zeroes = zeroes;
    this.#closed = closed;
  }

  get sizeBytes(): number {
    const { growable, sizeBytes } = this.#facts;
    return growable && this.#open ? this.#ring.fileSize(this.#file) : sizeBytes;
  }

  read(memory: IoVector, offset: number, sink: CompletionSink, tag: number): void {
    assert(this.#open, handleClosed);
    this.#ring.transfer(opRead, 0, this.#file, memory, offset, sink, tag);
  }

  write(memory: IoVector, offset: number, fua: boolean, sink: CompletionSink, tag: number): void {
    assert(this.#open, handleClosed);
    const flags = fua ? flagDurable : 0;
    this.#ring.transfer(opWrite, flags, this.#file, memory, offset, sink, tag);
  }

  flush(sink: CompletionSink, tag: number): void {
    assert(this.#open, handleClosed);
    this.#ring.operate(opFlush, 0, this.#file, 0, 0, sink, tag);
  }

  zero(
    offset: number,
    length: number,
    options: ZeroOptions,
    sink: CompletionSink,
    tag: number,
  ): void {
    assert(this.#open, handleClosed);
    const task =
      this.#idleZeroes.pop() ??
      new UringZero(this.#ring, this.#file, this.#zeroes, this.#idleZeroes);
    const extend = this.#facts.growable && offset + length > this.sizeBytes;
    task.start(offset, length, options, extend, sink, tag);
  }

  async extentAt(offset: number): Promise<Extent> {
    assert(this.#open, handleClosed);
    return this.#extents.at(offset, this.sizeBytes);
  }

  share(): SharedDevice {
    assert(this.#open, handleClosed);
    return { ...this.#facts, sizeBytes: this.sizeBytes, fd: native.dupFd(this.#facts.fd) };
  }

  async close(): Promise<void> {
    assert(this.#open, handleClosed);
    this.#open = false;
    await this.#extents.settled();
    await this.#ring.closeFile(this.#file);
    this.#closed();
  }
}

const handleClosed = 'a device is not used after its close';

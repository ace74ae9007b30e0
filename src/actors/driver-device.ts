/**
 * A local device as the driver uses it: any offset, length and memory. What a direct device cannot
 * take is done through one aligned buffer, block by block: read, change, write (H16). Everything
 * else goes straight to the device.
 *
 * The caller holds the range, rounded out to `lockBytes`, for as long as a write or zero is under
 * way; reads need nothing. Unaligned operations of a device run one after the other: they are rare
 * (clients see the block size), and correct is enough.
 */
import { assert } from '../core/assert.js';
import { copyFromPieces, copyToPieces } from '../core/io-copy.js';
import { IoVector } from '../core/io-vector.js';
import type { ArenaMemory, BlockDevice, DeviceOpener, ZeroOptions } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';

const bufferBytes = 256 * 1024;
const EIO = 5;

interface BouncedOperation {
  readonly kind: 'read' | 'write' | 'zero';
  readonly memory: IoVector;
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
  readonly options: ZeroOptions;
  readonly sink: CompletionSink;
  readonly tag: number;
  done: number;
}

const noMemory = new IoVector(1);
const noBytes = new Uint8Array(0);

/** What the device's answer is to; also the tag of the internal operation. */
const readStep = 0;
const writeStep = 1;
const zeroStep = 2;

export class DriverDevice implements CompletionSink {
  readonly device: BlockDevice;
  readonly #memory: Pick<DeviceOpener, 'allocate' | 'release'>;
  readonly #queue: BouncedOperation[] = [];
  readonly #vector = new IoVector(1);
  #buffer: ArenaMemory | undefined;
  #broken = false;
  /** The blocks that the current step covers. */
  #stepStart = 0;
  #stepEnd = 0;

  constructor(device: BlockDevice, memory: Pick<DeviceOpener, 'allocate' | 'release'>) {
    this.device = device;
    this.#memory = memory;
  }

  /** Overlap is judged on ranges rounded to this (H16). */
  get lockBytes(): number {
    return Math.max(this.device.logicalBlockBytes, this.device.alignmentBytes);
  }

  read(
    memory: IoVector,
    bytes: Uint8Array,
    offset: number,
    sink: CompletionSink,
    tag: number,
  ): void {
    if (this.#takes(memory, offset)) this.device.read(memory, offset, sink, tag);
    else this.#bounce('read', memory, bytes, offset, memory.totalBytes, fuaOf(false), sink, tag);
  }

  write(
    memory: IoVector,
    bytes: Uint8Array,
    offset: number,
    fua: boolean,
    sink: CompletionSink,
    tag: number,
  ): void {
    if (this.#takes(memory, offset)) this.device.write(memory, offset, fua, sink, tag);
    else this.#bounce('write', memory, bytes, offset, memory.totalBytes, fuaOf(fua), sink, tag);
  }

  /** Completes with 0. */
  zero(
    offset: number,
    length: number,
    options: ZeroOptions,
    sink: CompletionSink,
    tag: number,
  ): void {
    const unit = this.device.alignmentBytes;
    if (offset % unit === 0 && length % unit === 0) {
      this.device.zero(offset, length, options, sink, tag);
    } else {
      this.#bounce('zero', noMemory, noBytes, offset, length, options, sink, tag);
    }
  }

  /** The driver has failed: what is under way ends with the step it is in. */
  break(): void {
    this.#broken = true;
  }

  /** The device is closed. */
  release(): void {
    if (this.#buffer !== undefined) this.#memory.release(this.#buffer);
    this.#buffer = undefined;
  }

  /** A step of the first bounced operation is done. */
  completed(step: number, result: number): void {
    if (this.#broken) return;
    const operation = this.#queue[0];
    assert(operation !== undefined, 'a step belongs to an operation');
    if (result < 0) {
      this.#end(operation, result);
    } else if (step !== zeroStep && result !== this.#stepEnd - this.#stepStart) {
      this.#end(operation, -EIO);
    } else if (step === readStep && operation.kind !== 'read') {
      this.#writeBack(operation);
    } else {
      if (step === readStep) this.#deliver(operation);
      this.#advance(operation);
    }
  }

  #takes(memory: IoVector, offset: number): boolean {
    const unit = this.device.alignmentBytes;
    if (unit === 1) return true;
    if (offset % unit !== 0) return false;
    for (let piece = 0; piece < memory.count; piece++) {
      if (memory.offsets[piece]! % unit !== 0 || memory.lengths[piece]! % unit !== 0) return false;
    }
    return true;
  }

  #bounce(
    kind: BouncedOperation['kind'],
    memory: IoVector,
    bytes: Uint8Array,
    offset: number,
    length: number,
    options: ZeroOptions,
    sink: CompletionSink,
    tag: number,
  ): void {
    this.#queue.push({ kind, memory, bytes, offset, length, options, sink, tag, done: 0 });
    if (this.#queue.length === 1) this.#step(this.#queue[0]!);
  }

  #step(operation: BouncedOperation): void {
    const unit = this.device.alignmentBytes;
    const start = operation.offset + operation.done;
    const end = operation.offset + operation.length;
    this.#buffer ??= this.#memory.allocate(bufferBytes);
    this.#stepStart = Math.floor(start / unit) * unit;
    if (operation.kind === 'zero' && start === this.#stepStart && end - start >= unit) {
      this.#stepEnd = Math.floor(end / unit) * unit;
      this.device.zero(start, this.#stepEnd - start, operation.options, this, zeroStep);
      return;
    }
    const blocksEnd = Math.ceil(end / unit) * unit;
    // Zeroing touches only the partial block here; the whole ones are the device's own business.
    const most = operation.kind === 'zero' ? unit : bufferBytes;
    this.#stepEnd = Math.min(blocksEnd, this.#stepStart + most);
    const whole = start === this.#stepStart && end >= this.#stepEnd;
    if (operation.kind === 'write' && whole) this.#writeBack(operation);
    else this.device.read(this.#blocks(), this.#stepStart, this, readStep);
  }

  /** The buffer holds the blocks of the step, or they are overwritten entirely. */
  #writeBack(operation: BouncedOperation): void {
    const { bytes } = this.#buffer!;
    const from = operation.offset + operation.done - this.#stepStart;
    const length = this.#stepLength(operation);
    if (operation.kind === 'zero') bytes.fill(0, from, from + length);
    else copyFromPieces(operation.memory, operation.bytes, operation.done, bytes, from, length);
    const { fua } = operation.options;
    this.device.write(this.#blocks(), this.#stepStart, fua, this, writeStep);
  }

  #deliver(operation: BouncedOperation): void {
    const from = operation.offset + operation.done - this.#stepStart;
    const length = this.#stepLength(operation);
    const { bytes } = this.#buffer!;
    copyToPieces(bytes, from, length, operation.memory, operation.bytes, operation.done);
  }

  #advance(operation: BouncedOperation): void {
    operation.done += this.#stepLength(operation);
    if (operation.done < operation.length) this.#step(operation);
    else this.#end(operation, operation.kind === 'zero' ? 0 : operation.length);
  }

  #end(operation: BouncedOperation, result: number): void {
    this.#queue.shift();
    if (this.#queue.length > 0) this.#step(this.#queue[0]!);
    operation.sink.completed(operation.tag, result);
  }

  #stepLength(operation: BouncedOperation): number {
    const end = Math.min(operation.offset + operation.length, this.#stepEnd);
    return end - operation.offset - operation.done;
  }

  #blocks(): IoVector {
    return this.#vector.single(this.#buffer!.arena, 0, this.#stepEnd - this.#stepStart);
  }
}

function fuaOf(fua: boolean): ZeroOptions {
  return fua ? forced : unforced;
}

const forced: ZeroOptions = { mayUnmap: false, fua: true };
const unforced: ZeroOptions = { mayUnmap: false, fua: false };

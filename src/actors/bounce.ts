/**
 * Writes that a direct mirror cannot take as they lie: a range that begins or ends inside a block is
 * read, changed and written back whole; data at an odd place in memory is copied. The caller holds the
 * whole rounded range for itself (Rule 16), so nobody writes the rest of the block meanwhile. A long
 * zero is cut into its whole blocks, which the device zeroes itself, and its two ragged ends.
 *
 * A fixed number of buffers; what finds none waits in order. Never used on a buffered mirror.
 */
import { assert } from '../core/assert.js';
import { IoVector } from '../core/io-vector.js';
import type { ArenaMemory, BlockDevice, DeviceOpener, ZeroOptions } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';

const buffersMax = 4;

/** What to write: pieces of `source`, or zeroes. */
interface Job {
  device: BlockDevice;
  offset: number;
  length: number;
  pieces: IoVector | undefined;
  zero: ZeroOptions | undefined;
  sink: CompletionSink;
  tag: number;
}

export class Bounce {
  readonly #opener: DeviceOpener;
  readonly #memory: ArenaMemory;
  readonly #source: Uint8Array;
  readonly #bufferBytes: number;
  readonly #free: number[] = [];
  readonly #waiting: Job[] = [];

  /** `lengthMax`: of a job with data; `source`: the memory its pieces lie in. */
  constructor(opener: DeviceOpener, source: Uint8Array, lengthMax: number, alignmentMax: number) {
    this.#opener = opener;
    this.#source = source;
    this.#bufferBytes = Math.ceil(lengthMax / alignmentMax + 2) * alignmentMax;
    this.#memory = opener.allocate(buffersMax * this.#bufferBytes);
    for (let index = 0; index < buffersMax; index += 1) this.#free.push(index);
  }

  write(
    device: BlockDevice,
    offset: number,
    pieces: IoVector,
    sink: CompletionSink,
    tag: number,
  ): void {
    const length = pieces.totalBytes;
    this.#enqueue({ device, offset, length, pieces, zero: undefined, sink, tag });
  }

  zero(
    device: BlockDevice,
    offset: number,
    length: number,
    zero: ZeroOptions,
    sink: CompletionSink,
    tag: number,
  ): void {
    this.#enqueue({ device, offset, length, pieces: undefined, zero, sink, tag });
  }

  /** No job may be under way. */
  close(): void {
    this.#opener.release(this.#memory);
  }

  #enqueue(job: Job): void {
    this.#waiting.push(job);
    this.#next();
  }

  #next(): void {
    while (this.#waiting.length > 0 && this.#free.length > 0) {
      const job = this.#waiting.shift()!;
      const buffer = this.#free.pop()!;
      const done = (result: number) => {
        this.#free.push(buffer);
        job.sink.completed(job.tag, result);
        this.#next();
      };
      if (job.pieces === undefined) this.#zero(job, buffer, done);
      else this.#change(job.device, job.offset, job.length, job.pieces, buffer, done);
    }
  }

  #zero(job: Job, buffer: number, done: (result: number) => void): void {
    const { device, offset, length, zero } = job;
    const block = device.alignmentBytes;
    const first = Math.ceil(offset / block) * block;
    const last = Math.floor((offset + length) / block) * block;
    const steps: ((then: (result: number) => void) => void)[] = [];
    if (first >= last) {
      steps.push((then) => this.#change(device, offset, length, undefined, buffer, then));
    } else {
      steps.push((then) => device.zero(first, last - first, zero!, sinkOf(then), 0));
      const head = first - offset;
      if (head > 0) {
        steps.push((then) => this.#change(device, offset, head, undefined, buffer, then));
      }
      const tail = offset + length - last;
      if (tail > 0) steps.push((then) => this.#change(device, last, tail, undefined, buffer, then));
    }
    const run = (index: number): void => {
      const step = steps[index];
      if (step === undefined) done(length);
      else step((result) => (result < 0 ? done(result) : run(index + 1)));
    };
    run(0);
  }

  /** Puts data (or zeroes) at [offset, offset + length) of the device, which may be ragged. */
  #change(
    device: BlockDevice,
    offset: number,
    length: number,
    pieces: IoVector | undefined,
    buffer: number,
    done: (result: number) => void,
  ): void {
    const block = device.alignmentBytes;
    const from = Math.floor(offset / block) * block;
    const to = Math.ceil((offset + length) / block) * block;
    const base = buffer * this.#bufferBytes;
    assert(to - from <= this.#bufferBytes, 'a ragged write fits its buffer');
    const vector = new IoVector(1).single(this.#memory.arena, base, to - from);
    const write = () => {
      this.#lay(base + offset - from, length, pieces);
      device.write(
        vector,
        from,
        false,
        sinkOf((result) => {
          done(result < 0 ? result : result < to - from ? -5 : length);
        }),
        0,
      );
    };
    if (from === offset && to === offset + length) {
      write();
      return;
    }
    device.read(
      vector,
      from,
      sinkOf((result) => {
        if (result < to - from) done(result < 0 ? result : -5);
        else write();
      }),
      0,
    );
  }

  #lay(at: number, length: number, pieces: IoVector | undefined): void {
    const { bytes } = this.#memory;
    if (pieces === undefined) {
      bytes.fill(0, at, at + length);
      return;
    }
    let position = at;
    for (let index = 0; index < pieces.count; index += 1) {
      const from = pieces.offsets[index]!;
      bytes.set(this.#source.subarray(from, from + pieces.lengths[index]!), position);
      position += pieces.lengths[index]!;
    }
  }
}

function sinkOf(completed: (result: number) => void): CompletionSink {
  return { completed: (_tag, result) => completed(result) };
}

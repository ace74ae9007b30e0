/**
 * One range being made zero over the ring: the steps of zero-steps.ts one after the other until one
 * is done, then the flush when it must be durable. Tasks are kept and used again.
 */
import { IoVector } from '../core/io-vector.js';
import type { ZeroOptions } from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import { eIo } from './errno.js';
import type { Uring } from './uring.js';
import { uringLayout } from './uring-layout.js';
import { stepRefused, type ZeroStep, zeroSteps } from './zero-steps.js';

const { opPunch, opZeroRange, opWrite, opFlush, flagDurable, flagExtend } = uringLayout;

export class UringZero implements CompletionSink {
  readonly #ring: Uring;
  readonly #file: number;
  readonly #zeroes: IoVector;
  readonly #chunk = new IoVector(1);
  readonly #home: UringZero[];
  #offset = 0;
  #length = 0;
  #written = 0;
  #fua = false;
  #extend = false;
  #steps: readonly ZeroStep[] = [];
  #step = 0;
  #sink: CompletionSink | undefined;
  #tag = 0;

  /** `zeroes` is one piece of memory that nobody writes; `home` is where an idle task waits. */
  constructor(ring: Uring, file: number, zeroes: IoVector, home: UringZero[]) {
    this.#ring = ring;
    this.#file = file;
    this.#zeroes = zeroes;
    this.#home = home;
  }

  /** `extend`: the range reaches beyond the end of a growable file. */
  start(
    offset: number,
    length: number,
    options: ZeroOptions,
    extend: boolean,
    sink: CompletionSink,
    tag: number,
  ): void {
    this.#offset = offset;
    this.#length = length;
    this.#written = 0;
    this.#fua = options.fua;
    this.#extend = extend;
    this.#steps = zeroSteps(options.mayUnmap, extend);
    this.#sink = sink;
    this.#tag = tag;
    this.#attempt(0);
  }

  completed(step: number, result: number): void {
    if (step === stepWrite) this.#wrote(result);
    else if (step === stepRange && stepRefused(result)) this.#attempt(this.#step + 1);
    else if (step === stepRange && result >= 0 && this.#fua) this.#flush();
    else this.#finish(result);
  }

  #attempt(step: number): void {
    this.#step = step;
    const how = this.#steps[step];
    if (how === 'write') {
      this.#write();
      return;
    }
    const opcode = how === 'punch' ? opPunch : opZeroRange;
    const flags = this.#extend ? flagExtend : 0;
    this.#ring.operate(opcode, flags, this.#file, this.#offset, this.#length, this, stepRange);
  }

  #write(): void {
    const length = Math.min(this.#length - this.#written, this.#zeroes.totalBytes);
    this.#chunk.single(this.#zeroes.arena, this.#zeroes.offsets[0]!, length);
    const flags = this.#fua ? flagDurable : 0;
    const at = this.#offset + this.#written;
    this.#ring.transfer(opWrite, flags, this.#file, this.#chunk, at, this, stepWrite);
  }

  #wrote(result: number): void {
    if (result >= 0) this.#written += result;
    if (result < 0) this.#finish(result);
    else if (result !== this.#chunk.totalBytes) this.#finish(eIo);
    else if (this.#written < this.#length) this.#write();
    else this.#finish(0);
  }

  #flush(): void {
    this.#ring.operate(opFlush, 0, this.#file, 0, 0, this, stepFlush);
  }

  #finish(result: number): void {
    const sink = this.#sink;
    this.#sink = undefined;
    this.#home.push(this);
    sink?.completed(this.#tag, result);
  }
}

const stepRange = 0;
const stepWrite = 1;
const stepFlush = 2;

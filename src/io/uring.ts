/**
 * The ring of this thread: writes instructions into memory shared with the addon, hands them over
 * once per turn of the loop, and calls the sink of each completion. Devices and streams stand on it.
 *
 *   device.write ─► record ─┐                          ┌─► sink.completed
 *   stream.send  ─► record ─┤  submit: one system call │
 *                           └──► addon ══ io_uring ════┘  wake: one callback per wake-up
 *
 * Allocates nothing per operation: sinks, tags and free slots are tables (at most `opsMax` operations
 * in flight; one more completes with −EAGAIN). Completions are never delivered from inside the call
 * that started the operation. Checks of bounds, sizes and alignment are the addon's.
 */
import { assert } from '../core/assert.js';
import type { IoVector } from '../core/io-vector.js';
import type { CompletionSink } from '../ports/completion.js';
import { eAgain, eInvalid } from './errno.js';
import { type NativeRing, native } from './native.js';
import { throwLater } from './throw-later.js';
import type { Turn } from './turn.js';
import {
  floatLength,
  floatMemoryOffset,
  floatOffset,
  recordFloats,
  recordWords,
  uringLayout,
  wordArena,
  wordFirstPiece,
  wordPieceCount,
  wordTag,
} from './uring-layout.js';

const { opsMax, filesMax, instructionBytes, pieceBytes, completionBytes, opClose } = uringLayout;

export class Uring {
  readonly #turn: Turn;
  readonly #ring: NativeRing;

  // What one submit hands over.
  readonly #words: Uint32Array;
  readonly #floats: Float64Array;
  readonly #pieces: Float64Array;
  #recordCount = 0;
  #pieceCount = 0;
  #left = 0;

  // What one reap brings.
  readonly #completions: Float64Array;
  #available = 0;

  // One slot per operation in flight; its number is the instruction's tag.
  readonly #sinks: CompletionSink[] = Array.from({ length: opsMax }, () => nobody);
  readonly #tags = new Float64Array(opsMax);
  readonly #files = new Uint16Array(opsMax);
  readonly #free = new Uint16Array(opsMax);
  #freeCount: number = opsMax;

  readonly #pending = new Uint32Array(filesMax);
  readonly #idleWaiters = new Map<number, () => void>();

  constructor(turn: Turn) {
    const records = new SharedArrayBuffer(recordsMax * instructionBytes);
    const pieces = new SharedArrayBuffer(piecesMax * pieceBytes);
    const completions = new SharedArrayBuffer(opsMax * completionBytes);
    this.#words = new Uint32Array(records);
    this.#floats = new Float64Array(records);
    this.#pieces = new Float64Array(pieces);
    this.#completions = new Float64Array(completions);
    for (let slot = 0; slot < opsMax; slot++) this.#free[slot] = opsMax - 1 - slot;
    this.#ring = new native.Ring(
      new Uint8Array(records),
      new Uint8Array(pieces),
      new Uint8Array(completions),
      this.#wake,
    );
    this.#ring.limitWorkers(workersMax, workersMax);
    this.#turn = turn;
    turn.addDrain(this.#drain);
  }

  addDevice(
    fd: number,
    writable: boolean,
    growable: boolean,
    sizeBytes: number,
    alignmentBytes: number,
  ): number {
    return this.#ring.addDevice(fd, writable, growable, sizeBytes, alignmentBytes);
  }

  addSocket(fd: number): number {
    return this.#ring.addSocket(fd);
  }

  fileSize(file: number): number {
    return this.#ring.fileSize(file);
  }

  setArena(arena: number, bytes: Uint8Array): void {
    this.#ring.setArena(arena, bytes);
  }

  /** Throws when an operation still uses the memory. */
  clearArena(arena: number): void {
    this.#ring.clearArena(arena);
  }

  /** Queues a transfer between `memory` and the file. */
  transfer(
    opcode: number,
    flags: number,
    file: number,
    memory: IoVector,
    offset: number,
    sink: CompletionSink,
    tag: number,
  ): void {
    const count = memory.count;
    if (count > piecesMax) {
      this.#refuse(sink, tag, eInvalid);
      return;
    }
    if (count !== 1 && this.#pieceCount + count > piecesMax) this.#submit();
    const record = this.#record(opcode, flags, file, offset, sink, tag);
    if (record < 0) return;
    const word = record * recordWords;
    this.#words[word + wordArena] = memory.arena;
    this.#words[word + wordPieceCount] = count;
    if (count === 1) {
      this.#floats[record * recordFloats + floatLength] = memory.lengths[0]!;
      this.#floats[record * recordFloats + floatMemoryOffset] = memory.offsets[0]!;
      return;
    }
    this.#words[word + wordFirstPiece] = this.#pieceCount;
    let at = this.#pieceCount * 2;
    for (let piece = 0; piece < count; piece++) {
      this.#pieces[at++] = memory.offsets[piece]!;
      this.#pieces[at++] = memory.lengths[piece]!;
    }
    this.#pieceCount += count;
  }

  /** Queues an operation on a range, or on the whole file. */
  operate(
    opcode: number,
    flags: number,
    file: number,
    offset: number,
    length: number,
    sink: CompletionSink,
    tag: number,
  ): void {
    const record = this.#record(opcode, flags, file, offset, sink, tag);
    if (record < 0) return;
    this.#words[record * recordWords + wordPieceCount] = 0;
    this.#floats[record * recordFloats + floatLength] = length;
  }

  /** Closes the file when its operations have completed. The caller starts no more. */
  async closeFile(file: number): Promise<void> {
    if (this.#pending[file]! > 0) {
      await new Promise<void>((resolve) => this.#idleWaiters.set(file, resolve));
    }
    await new Promise<void>((resolve) => {
      this.operate(opClose, 0, file, 0, 0, { completed: () => resolve() }, 0);
    });
  }

  /** Every file must be closed. */
  close(): void {
    assert(this.#freeCount === opsMax, 'a ring is closed when nothing is in flight');
    this.#turn.removeDrain(this.#drain);
    this.#ring.close();
  }

  /** Takes a slot and fills the part of a record that all operations have; −1: refused. */
  #record(
    opcode: number,
    flags: number,
    file: number,
    offset: number,
    sink: CompletionSink,
    tag: number,
  ): number {
    if (this.#freeCount === 0) {
      this.#refuse(sink, tag, eAgain);
      return -1;
    }
    if (this.#recordCount === recordsMax) this.#submit();
    if (this.#recordCount === 0) this.#turn.schedule();
    const slot = this.#free[--this.#freeCount]!;
    this.#sinks[slot] = sink;
    this.#tags[slot] = tag;
    this.#files[slot] = file;
    this.#pending[file] = this.#pending[file]! + 1;
    const record = this.#recordCount++;
    const word = record * recordWords;
    this.#words[word] = opcode | (flags << 8) | (file << 16);
    this.#words[word + wordTag] = slot;
    this.#floats[record * recordFloats + floatOffset] = offset;
    return record;
  }

  #refuse(sink: CompletionSink, tag: number, result: number): void {
    this.#turn.endOfTurn(() => sink.completed(tag, result));
  }

  #submit(): void {
    const count = this.#recordCount;
    this.#recordCount = 0;
    this.#pieceCount = 0;
    this.#left = this.#ring.submit(count);
  }

  readonly #wake = (count: number): void => {
    this.#available = count;
    this.#drain();
  };

  /**
   * Delivers, lets the turn's callbacks run, submits what all of them queued, and does so again as
   * long as that finished at once, a bounded number of times.
   */
  readonly #drain = (): void => {
    let unfinished = true;
    this.#turn.enterDrain();
    for (let round = 0; round < roundsMax; round++) {
      this.#deliver();
      this.#turn.runCallbacks();
      if (this.#recordCount > 0 || this.#left > 0) this.#submit();
      // What the last round brings stays in the kernel's queue, where it wakes the loop again.
      if (round + 1 < roundsMax) this.#available = this.#ring.reap();
      if (this.#available > 0) continue;
      unfinished = this.#left > 0;
      break;
    }
    this.#turn.leaveDrain(unfinished);
  };

  #deliver(): void {
    const available = this.#available;
    this.#available = 0;
    for (let at = 0; at < available * 2; at += 2) {
      const slot = this.#completions[at]!;
      const sink = this.#sinks[slot]!;
      const file = this.#files[slot]!;
      this.#sinks[slot] = nobody;
      this.#free[this.#freeCount++] = slot;
      try {
        sink.completed(this.#tags[slot]!, this.#completions[at + 1]!);
      } catch (error) {
        throwLater(error);
      }
      // After the sink, which may have started the next step of the same operation.
      this.#pending[file] = this.#pending[file]! - 1;
      if (this.#pending[file] === 0 && this.#idleWaiters.size > 0) this.#idle(file);
    }
  }

  #idle(file: number): void {
    const waiter = this.#idleWaiters.get(file);
    this.#idleWaiters.delete(file);
    waiter?.();
  }
}

const nobody: CompletionSink = { completed: () => {} };

// One submit: more than a loop turn ever queues; a full table is handed over early.
const recordsMax = 1024;
const piecesMax = 16384;
// Rounds of one drain before timers and other sockets get their turn.
const roundsMax = 8;
// Kernel threads for operations that would block. A hung device holds at most a few of them (its
// buffered writes share one), so that it does not stop its neighbours (Rule 45).
const workersMax = 256;

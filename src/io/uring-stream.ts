/**
 * The byte-stream port over the ring: one NBD connection. At most one receive and one send are
 * outstanding, so the stream is itself the sink of both and keeps the caller's in four fields;
 * nothing is allocated per operation.
 *
 * Closing shuts the socket down, which brings both operations back; whatever they bring then is
 * reported as −ECANCELED, because nobody waits for data any more.
 */
import { assert } from '../core/assert.js';
import type { IoVector } from '../core/io-vector.js';
import type { ByteStream } from '../ports/byte-stream.js';
import type { CompletionSink } from '../ports/completion.js';
import { eCanceled } from './errno.js';
import { native } from './native.js';
import type { Uring } from './uring.js';
import { uringLayout } from './uring-layout.js';

const { opReceive, opSend } = uringLayout;

export class UringStream implements ByteStream, CompletionSink {
  readonly #ring: Uring;
  readonly #fd: number;
  readonly #file: number;
  readonly #closed: () => void;
  #receiver: CompletionSink | undefined;
  #receiverTag = 0;
  #sender: CompletionSink | undefined;
  #senderTag = 0;
  #open = true;

  /** Takes the socket over. */
  constructor(ring: Uring, fd: number, closed: () => void) {
    native.prepareSocket(fd);
    native.adoptFd(fd);
    this.#ring = ring;
    this.#fd = fd;
    this.#file = ring.addSocket(fd);
    this.#closed = closed;
  }

  receive(memory: IoVector, sink: CompletionSink, tag: number): void {
    assert(this.#open, streamClosed);
    assert(this.#receiver === undefined, 'one receive is outstanding at a time');
    this.#receiver = sink;
    this.#receiverTag = tag;
    this.#ring.transfer(opReceive, 0, this.#file, memory, 0, this, stepReceive);
  }

  send(memory: IoVector, sink: CompletionSink, tag: number): void {
    assert(this.#open, streamClosed);
    assert(this.#sender === undefined, 'one send is outstanding at a time');
    this.#sender = sink;
    this.#senderTag = tag;
    this.#ring.transfer(opSend, 0, this.#file, memory, 0, this, stepSend);
  }

  completed(step: number, result: number): void {
    const outcome = this.#open ? result : eCanceled;
    if (step === stepReceive) {
      const sink = this.#receiver;
      this.#receiver = undefined;
      sink?.completed(this.#receiverTag, outcome);
    } else {
      const sink = this.#sender;
      this.#sender = undefined;
      sink?.completed(this.#senderTag, outcome);
    }
  }

  async close(): Promise<void> {
    assert(this.#open, streamClosed);
    this.#open = false;
    native.shutdownSocket(this.#fd);
    await this.#ring.closeFile(this.#file);
    this.#closed();
  }
}

const stepReceive = 0;
const stepSend = 1;
const streamClosed = 'a stream is not used after its close';

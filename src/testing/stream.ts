/**
 * A ByteStream whose other end is in the hands of a test or of a simulated client: it decides how
 * many bytes each receive delivers, whether the client reads its replies, and when the connection
 * breaks. Like the real one it completes from a later turn, keeps at most one receive and one send
 * outstanding, and completes both with an error when it is closed.
 */
import { assert } from '../core/assert.js';
import type { IoVector } from '../core/io-vector.js';
import type { ByteStream } from '../ports/byte-stream.js';
import type { Clock } from '../ports/clock.js';
import type { CompletionSink } from '../ports/completion.js';
import type { Arenas } from './arenas.js';

const ECANCELED = 125;
const EPIPE = 32;

interface Pending {
  readonly memory: IoVector;
  readonly sink: CompletionSink;
  readonly tag: number;
}

export interface SimStreamOptions {
  /** How many of the available bytes the next receive delivers (at least one); default all. */
  readonly chunk?: (available: number) => number;
}

export class SimStream implements ByteStream {
  readonly #clock: Clock;
  readonly #arenas: Arenas;
  readonly #chunk: (available: number) => number;
  #inbox: Uint8Array = new Uint8Array(0);
  #inputEnd: number | undefined;
  #receive: Pending | undefined;
  #send: Pending | undefined;
  #closed = false;
  #clientReads = true;
  #sent: Uint8Array[] = [];

  /** Called when the client has new replies, and when the server has closed. */
  watcher: (() => void) | undefined;
  /** The lengths of all sends so far, in bytes: one entry is one system call. */
  readonly sendSizes: number[] = [];
  /** The room of each receive so far: bytes, and the pieces they lie in. */
  readonly receives: { readonly byteCount: number; readonly pieceCount: number }[] = [];

  constructor(clock: Clock, arenas: Arenas, options: SimStreamOptions = {}) {
    this.#clock = clock;
    this.#arenas = arenas;
    this.#chunk = options.chunk ?? ((available) => available);
  }

  receive(memory: IoVector, sink: CompletionSink, tag: number): void {
    assert(this.#receive === undefined, 'at most one receive is outstanding');
    assert(memory.totalBytes > 0, 'a receive has room');
    this.receives.push({ byteCount: memory.totalBytes, pieceCount: memory.count });
    this.#receive = { memory, sink, tag };
    this.#deliver();
  }

  send(memory: IoVector, sink: CompletionSink, tag: number): void {
    assert(this.#send === undefined, 'at most one send is outstanding');
    assert(memory.totalBytes > 0, 'a send has bytes');
    this.sendSizes.push(memory.totalBytes);
    this.#send = { memory, sink, tag };
    this.#take();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#deliver();
    this.#take();
    this.watcher?.();
    await new Promise<void>((resolve) => this.#clock.after(0, resolve));
  }

  // The client's end.

  /** The client sends bytes. */
  clientWrites(bytes: Uint8Array): void {
    const inbox = new Uint8Array(this.#inbox.length + bytes.length);
    inbox.set(this.#inbox);
    inbox.set(bytes, this.#inbox.length);
    this.#inbox = inbox;
    this.#deliver();
  }

  /**
   * Behind what was written: the client closes its end (0) but still reads, or the connection
   * breaks (errno) and no send succeeds any more.
   */
  clientEnds(errno = 0): void {
    this.#inputEnd = -errno;
    this.#deliver();
    this.#take();
  }

  /** A client that does not read lets no further send complete. */
  set clientReads(reads: boolean) {
    this.#clientReads = reads;
    this.#take();
  }

  /** Bytes the server has not received yet. */
  get waitingBytes(): number {
    return this.#inbox.length;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** What the client got since the last call. */
  takeReplies(): Uint8Array {
    const all = new Uint8Array(this.#sent.reduce((sum, bytes) => sum + bytes.length, 0));
    let at = 0;
    for (const bytes of this.#sent) {
      all.set(bytes, at);
      at += bytes.length;
    }
    this.#sent = [];
    return all;
  }

  get #broken(): boolean {
    return this.#closed || (this.#inputEnd ?? 0) < 0;
  }

  #deliver(): void {
    const pending = this.#receive;
    if (pending === undefined) return;
    const ready = this.#closed || this.#inbox.length > 0 || this.#inputEnd !== undefined;
    if (!ready) return;
    this.#clock.after(0, () => {
      if (this.#receive !== pending) return;
      this.#receive = undefined;
      pending.sink.completed(pending.tag, this.#fill(pending.memory));
    });
  }

  #fill(memory: IoVector): number {
    if (this.#closed) return -ECANCELED;
    if (this.#inbox.length === 0) return this.#inputEnd ?? 0;
    const available = Math.min(this.#inbox.length, memory.totalBytes);
    const count = Math.min(Math.max(1, this.#chunk(available)), available);
    const received = this.#arenas.scatter(this.#inbox.subarray(0, count), memory);
    this.#inbox = this.#inbox.subarray(received);
    return received;
  }

  #take(): void {
    const pending = this.#send;
    const ready = this.#broken || this.#clientReads;
    if (pending === undefined || !ready) return;
    this.#clock.after(0, () => {
      if (this.#send !== pending) return;
      this.#send = undefined;
      if (this.#broken) {
        pending.sink.completed(pending.tag, -EPIPE);
      } else {
        this.#sent.push(this.#arenas.gather(pending.memory));
        pending.sink.completed(pending.tag, pending.memory.totalBytes);
        this.watcher?.();
      }
    });
  }
}

/**
 * The ByteStream port over node:net, so that the protocol can be tried with real clients where no
 * native code is built. A descriptor cannot be copied without native code, so `detach` keeps the
 * socket under its descriptor's number, and `adoptStream` picks it up there.
 */
import type { Socket } from 'node:net';
import type { IoVector } from '../../src/core/io-vector.js';
import { descriptorOf } from '../../src/io/nbd-door.js';
import type { ByteStream, StreamOpener } from '../../src/ports/byte-stream.js';
import type { CompletionSink } from '../../src/ports/completion.js';
import type { Arenas } from '../../src/testing/arenas.js';

export class NetStreams implements StreamOpener {
  readonly #arenas: Arenas;
  readonly #detached = new Map<number, Socket>();

  constructor(arenas: Arenas) {
    this.#arenas = arenas;
  }

  readonly detach = (socket: Socket): number => {
    const fd = descriptorOf(socket);
    socket.removeAllListeners();
    this.#detached.set(fd, socket);
    return fd;
  };

  adoptStream(fd: number): ByteStream {
    const socket = this.#detached.get(fd);
    if (socket === undefined) throw new Error(`no detached socket has descriptor ${fd}`);
    this.#detached.delete(fd);
    return new NetByteStream(socket, this.#arenas);
  }
}

interface Pending {
  readonly memory: IoVector;
  readonly sink: CompletionSink;
  readonly tag: number;
}

const ECANCELED = 125;
const EPIPE = 32;

class NetByteStream implements ByteStream {
  readonly #socket: Socket;
  readonly #arenas: Arenas;
  #unread: Uint8Array = new Uint8Array(0);
  #ended = false;
  #receive: Pending | undefined;
  #sends = 0;

  constructor(socket: Socket, arenas: Arenas) {
    this.#socket = socket;
    this.#arenas = arenas;
    socket.on('readable', () => this.#deliver());
    socket.on('end', () => this.#finish());
    socket.on('error', () => this.#finish());
    socket.on('close', () => this.#finish());
  }

  receive(memory: IoVector, sink: CompletionSink, tag: number): void {
    this.#receive = { memory, sink, tag };
    setImmediate(() => this.#deliver());
  }

  send(memory: IoVector, sink: CompletionSink, tag: number): void {
    const { totalBytes } = memory;
    this.#sends++;
    const finished = (result: number): void => {
      setImmediate(() => {
        this.#sends--;
        sink.completed(tag, result);
      });
    };
    if (this.#socket.destroyed || !this.#socket.writable) finished(-EPIPE);
    else {
      this.#socket.write(this.#arenas.gather(memory), (error) =>
        finished(error === null || error === undefined ? totalBytes : -EPIPE),
      );
    }
  }

  async close(): Promise<void> {
    this.#socket.destroy();
    this.#finish();
    while (this.#receive !== undefined || this.#sends > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #finish(): void {
    this.#ended = true;
    setImmediate(() => this.#deliver());
  }

  #deliver(): void {
    const pending = this.#receive;
    if (pending === undefined) return;
    if (this.#unread.length === 0) {
      const chunk: unknown = this.#socket.destroyed ? null : this.#socket.read();
      if (chunk instanceof Uint8Array) this.#unread = chunk;
      else if (!this.#ended) return;
    }
    this.#receive = undefined;
    const received = this.#arenas.scatter(this.#unread, pending.memory);
    this.#unread = this.#unread.subarray(received);
    const result = this.#socket.destroyed && received === 0 ? -ECANCELED : received;
    pending.sink.completed(pending.tag, result);
  }
}

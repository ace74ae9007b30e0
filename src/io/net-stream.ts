/**
 * The byte-stream port over node:net, for hosts where io_uring is not allowed. The socket reads into
 * one buffer of its own, from which each receive takes a copy; it is read from only while somebody
 * waits, so that the kernel's buffer and then the peer feel the back-pressure.
 */
import { Socket } from 'node:net';
import { assert } from '../core/assert.js';
import type { IoVector } from '../core/io-vector.js';
import type { ByteStream } from '../ports/byte-stream.js';
import type { CompletionSink } from '../ports/completion.js';
import type { Arenas } from './arenas.js';
import { eCanceled, eInvalid, errnoOf } from './errno.js';
import { throwLater } from './throw-later.js';

interface Outstanding {
  readonly views: readonly Uint8Array[];
  readonly sink: CompletionSink;
  readonly tag: number;
}

export class NetStream implements ByteStream {
  readonly #socket: Socket;
  readonly #arenas: Arenas;
  readonly #closed: () => void;
  #receiver: Outstanding | undefined;
  #sender: Outstanding | undefined;
  /** Received and not taken yet; lies in the socket's buffer, which is not read into meanwhile. */
  #unread: Uint8Array = new Uint8Array(0);
  /** What a receive reports when nothing is left: 0 at the end of the stream, −errno after an error. */
  #end: number | undefined;
  #open = true;

  /** Takes the socket over. */
  constructor(fd: number, arenas: Arenas, closed: () => void) {
    this.#arenas = arenas;
    this.#closed = closed;
    // A variable, because the types of Node 20 know `onread` only for connecting sockets.
    const options = {
      fd,
      allowHalfOpen: true,
      onread: { buffer: new Uint8Array(bufferBytes), callback: this.#received },
    };
    this.#socket = new Socket(options);
    this.#socket.pause();
    this.#socket.on('end', () => this.#ended(0));
    this.#socket.on('error', (error) => this.#ended(errnoOf(error)));
  }

  receive(memory: IoVector, sink: CompletionSink, tag: number): void {
    assert(this.#open, streamClosed);
    assert(this.#receiver === undefined, 'one receive is outstanding at a time');
    this.#receiver = { views: this.#arenas.views(memory) ?? [], sink, tag };
    // From a later turn, also when there is something at hand already.
    setImmediate(this.#deliver);
  }

  send(memory: IoVector, sink: CompletionSink, tag: number): void {
    assert(this.#open, streamClosed);
    assert(this.#sender === undefined, 'one send is outstanding at a time');
    const views = this.#arenas.views(memory) ?? [];
    this.#sender = { views, sink, tag };
    const last = views.pop();
    if (last === undefined) {
      setImmediate(this.#sent, { errno: eInvalid });
      return;
    }
    this.#socket.cork();
    for (const view of views) this.#socket.write(view);
    views.push(last);
    this.#socket.write(last, this.#sent);
    this.#socket.uncork();
  }

  async close(): Promise<void> {
    assert(this.#open, streamClosed);
    this.#open = false;
    if (!this.#socket.closed) {
      const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
      this.#socket.destroy();
      await closed;
    }
    this.#finishReceive(eCanceled);
    this.#sent({ errno: eCanceled });
    this.#closed();
  }

  readonly #received = (count: number, buffer: Uint8Array): boolean => {
    this.#unread = buffer.subarray(0, count);
    this.#deliver();
    return false; // reading goes on when somebody waits again
  };

  readonly #deliver = (): void => {
    const receiver = this.#receiver;
    if (receiver === undefined || !this.#open) return;
    if (receiver.views.length === 0) this.#finishReceive(eInvalid);
    else if (this.#unread.length > 0) this.#finishReceive(this.#take(receiver.views));
    else if (this.#end !== undefined) this.#finishReceive(this.#end);
    else this.#socket.resume();
  };

  #take(views: readonly Uint8Array[]): number {
    let taken = 0;
    for (const view of views) {
      const part = this.#unread.subarray(taken, taken + view.length);
      view.set(part);
      taken += part.length;
    }
    this.#unread = this.#unread.subarray(taken);
    return taken;
  }

  readonly #sent = (error?: unknown): void => {
    const sender = this.#sender;
    if (sender === undefined) return;
    this.#sender = undefined;
    if (!this.#open) report(sender, eCanceled);
    else if (error) report(sender, errnoOf(error));
    else
      report(
        sender,
        sender.views.reduce((sum, view) => sum + view.length, 0),
      );
  };

  #ended(result: number): void {
    this.#end ??= result;
    this.#deliver();
  }

  #finishReceive(result: number): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    if (receiver !== undefined) report(receiver, result);
  }
}

function report({ sink, tag }: Outstanding, result: number): void {
  try {
    sink.completed(tag, result);
  } catch (error) {
    throwLater(error);
  }
}

const streamClosed = 'a stream is not used after its close';
const bufferBytes = 256 * 1024;

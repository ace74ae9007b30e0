/**
 * One accepted NBD connection as bytes, received into and sent from arena memory. Real: io_uring or
 * node:net; simulated: SimStream. At most one receive and one send are outstanding. A vector may be
 * refilled as soon as the call has returned; its memory belongs to the operation until completion.
 */
import type { IoVector } from '../core/io-vector.js';
import type { CompletionSink } from './completion.js';

export interface ByteStream {
  /** Completes with ≥ 1 bytes, 0 at the end of the stream, or −errno. */
  receive(memory: IoVector, sink: CompletionSink, tag: number): void;
  /** Completes when *all* bytes are taken by the system (result = total), or −errno. */
  send(memory: IoVector, sink: CompletionSink, tag: number): void;
  /** Ends both directions; outstanding operations complete with an error. Resolves when they have. */
  close(): Promise<void>;
}

export interface StreamOpener {
  /** Takes over an open socket by its descriptor, which belongs to the stream from now on. */
  adoptStream(fd: number): ByteStream;
}

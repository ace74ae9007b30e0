/**
 * The front door for NBD clients: listens on the unix socket, runs the handshake of each connection
 * on the main thread, and hands the descriptor over to whoever serves the export. It stands before
 * the data path, so it may allocate; nothing of an application's I/O passes here.
 *
 * Keeps I12: the time of a handshake, how many run at once and what one may buffer are bounded, and
 * whatever a client does wrong ends its own connection only. What may be said in a handshake is
 * decided in core/nbd/handshake.ts; permission is the socket file's mode (0660).
 */
import { createServer, type Server, type Socket } from 'node:net';
import { isTdmfError, TdmfError } from '../core/errors.js';
import type { ExportCatalogue } from '../core/nbd/exports.js';
import { Handshake, type HandshakeDecision } from '../core/nbd/handshake.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import { prepareSocketPath, protectSocket } from './socket-path.js';

export interface NbdConnection {
  /** An open socket, non-blocking; it belongs to the receiver of this object. */
  readonly fd: number;
  readonly exportName: string;
  readonly structuredReplies: boolean;
  readonly metaContexts: readonly string[];
  /** Bytes that came behind the handshake: the first of the transmission phase. */
  readonly leftover: Uint8Array;
}

export interface NbdDoorLimits {
  readonly handshakeMs: number;
  readonly handshakesMax: number;
  /** Replies a client has not read; above this it is not listened to until it has. */
  readonly unsentBytesMax: number;
  readonly leftoverBytesMax: number;
}

export interface NbdDoorOptions {
  /** Where to listen; a socket file that nobody listens on is replaced. */
  readonly socketPath: string;
  /** Listen on this descriptor instead (socket activation: LISTEN_FDS gives 3). */
  readonly fd?: number;
  readonly exports: ExportCatalogue;
  /**
   * Gets a descriptor out of a connected socket and destroys the socket without ending the
   * connection: `detachByDup(dupFd)`.
   */
  readonly detach: (socket: Socket) => number;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<NbdDoorLimits>;
}

export interface NbdDoor {
  /** Stops listening, ends the handshakes in progress, removes the socket file. */
  close(): Promise<void>;
}

export const nbdDoorLimits: NbdDoorLimits = {
  handshakeMs: 10_000,
  handshakesMax: 64,
  unsentBytesMax: 1024 * 1024,
  leftoverBytesMax: 128 * 1024,
};

/**
 * Opens the door. `onConnection` is called for each client that entered the transmission phase.
 * @throws TDMF_NBD_SOCKET when the socket is in use, not a socket, or may not be made.
 */
export async function openNbdDoor(
  options: NbdDoorOptions,
  onConnection: (connection: NbdConnection) => void,
): Promise<NbdDoor> {
  const limits = { ...nbdDoorLimits, ...options.limits };
  const guests = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, (socket) => {
    if (guests.size >= limits.handshakesMax) {
      options.log.write('warn', 'NBD: too many handshakes in progress, a connection is refused');
      socket.destroy();
      return;
    }
    guests.add(socket);
    socket.once('close', () => guests.delete(socket));
    receiveGuest(socket, options, limits, onConnection);
  });
  await listen(server, options);
  server.on('error', (error) =>
    options.log.write('error', 'NBD: the listening socket failed', { error: error.message }),
  );
  return {
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const guest of guests) guest.destroy();
      await closed;
    },
  };
}

/** The real `detach`, over the native `dup`. */
export function detachByDup(dupFd: (fd: number) => number): (socket: Socket) => number {
  return (socket) => {
    const copy = dupFd(descriptorOf(socket));
    socket.destroy();
    return copy;
  };
}

/** Node has no public way to the descriptor of a socket; every version so far has this one. */
export function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd = typeof handle === 'object' && handle !== null && 'fd' in handle ? handle.fd : -1;
  if (typeof fd !== 'number' || fd < 0) {
    throw new TdmfError('TDMF_INTERNAL', { what: 'an NBD socket without a descriptor' });
  }
  return fd;
}

async function listen(server: Server, options: NbdDoorOptions): Promise<void> {
  const { socketPath, fd } = options;
  try {
    if (fd === undefined) await prepareSocketPath(socketPath);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', () => {
        server.off('error', reject);
        resolve();
      });
      server.listen(fd === undefined ? { path: socketPath } : { fd });
    });
    if (fd === undefined) protectSocket(socketPath);
  } catch (error) {
    server.close();
    if (isTdmfError(error)) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new TdmfError('TDMF_NBD_SOCKET', { path: socketPath, why }, { cause: error });
  }
}

/** One connection, from its first byte to its hand-over or its end. */
function receiveGuest(
  socket: Socket,
  options: NbdDoorOptions,
  limits: NbdDoorLimits,
  onConnection: (connection: NbdConnection) => void,
): void {
  const { exports, log } = options;
  const handshake = new Handshake(exports);

  const turnAway = (why: string): void => {
    log.write('info', 'NBD: a client was turned away', { why });
    socket.destroy();
  };
  const timer = options.clock.after(limits.handshakeMs, () => turnAway('the handshake timed out'));
  socket.once('close', () => timer.cancel());
  // A client that vanishes is an everyday thing: 'close' follows, and that is all.
  socket.on('error', (error) => log.write('debug', 'NBD: client lost', { error: error.message }));
  socket.on('end', () => socket.destroy());

  const handOver = (decision: HandshakeDecision & { kind: 'transmission' }): void => {
    if (socket.destroyed) return;
    const leftover = takeLeftover(handshake, socket);
    if (leftover.length > limits.leftoverBytesMax) {
      turnAway('too many bytes behind the handshake');
      return;
    }
    timer.cancel();
    const { exportName, structuredReplies, metaContexts } = decision;
    const fd = options.detach(socket);
    onConnection({ fd, exportName, structuredReplies, metaContexts, leftover });
  };

  const finish = (decision: HandshakeDecision, bytes: Uint8Array): void => {
    // Whatever comes now is not for the handshake: it stays in the socket, or in its buffer.
    socket.removeAllListeners('data');
    socket.pause();
    if (decision.kind === 'closed') {
      log.write('debug', 'NBD: a handshake ended', { why: decision.why });
      socket.end(bytes, () => socket.destroy());
    } else {
      socket.write(bytes, (error) => {
        if (error === null || error === undefined) handOver(decision);
      });
    }
  };

  /** Sends what is due; `more` says that the handshake stopped for that alone. */
  const reply = (more: boolean): void => {
    for (;;) {
      const bytes = Buffer.concat(handshake.takeOutput());
      if (handshake.decision !== undefined) {
        finish(handshake.decision, bytes);
        return;
      }
      if (bytes.length > 0) socket.write(bytes);
      if (socket.writableLength > limits.unsentBytesMax) {
        socket.pause();
        socket.once('drain', () => {
          socket.resume();
          reply(handshake.advance());
        });
        return;
      }
      if (!more) return;
      more = handshake.advance();
    }
  };

  socket.on('data', (chunk: Buffer) => reply(handshake.receive(chunk)));
  reply(false);
}

/** What the handshake did not use, then what the socket has read since. */
function takeLeftover(handshake: Handshake, socket: Socket): Uint8Array {
  const chunks = [handshake.takeLeftover()];
  for (;;) {
    const chunk: unknown = socket.read();
    if (!(chunk instanceof Uint8Array)) return Buffer.concat(chunks);
    chunks.push(chunk);
  }
}

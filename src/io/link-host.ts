/**
 * Where TLS of arriving primaries ends, on a host thread: a TLS server that never listens, but is
 * given accepted connections by descriptor. The authenticated identity says which group a session is
 * for (H34); a stranger and a wrong key fail alike (H38). Strangers are bounded in number, per
 * address and in time (Rule 38), and open sessions never wait for them (I11).
 */
import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import {
  linkHandshakeMs,
  linkHandshakesMax,
  linkHandshakesPerAddressMax,
} from '../core/constants.js';
import { HandshakeLimiter } from '../core/handshake-limiter.js';
import { KeyTable, secretBytes } from '../core/psk.js';
import { RefusalTally } from '../core/refusal-tally.js';
import type { LinkKey, LinkServer, LinkSession } from '../ports/link-server.js';
import type { Log } from '../ports/log.js';
import { codeOf } from './link-errors.js';
import { TlsConnection } from './tls-connection.js';
import { keepAliveMs } from './tls-link.js';
import { hmacSha256, sessionSecretOf, tlsParameters } from './tls-parameters.js';

export interface LinkHostOptions {
  /** Refusals are told here, a few a minute whatever strangers do. */
  readonly log?: Log;
  readonly handshakeMs?: number;
  readonly handshakesMax?: number;
  readonly handshakesPerAddressMax?: number;
}

const refusalLineMs = 10_000;

export class LinkHost implements LinkServer {
  readonly #keys = new KeyTable(hmacSha256);
  readonly #limiter: HandshakeLimiter;
  readonly #tally = new RefusalTally(refusalLineMs);
  readonly #log: Log | undefined;
  readonly #server: Server;
  /** Handshakes in progress, by the addresses and ports of the peer. */
  readonly #strangers = new Map<string, Socket>();
  /** Which group an identity stood for when its key was asked for. */
  readonly #groups = new WeakMap<TLSSocket, number>();
  #accept: ((session: LinkSession) => void) | undefined;
  #closed = false;

  constructor(options: LinkHostOptions = {}) {
    this.#log = options.log;
    this.#limiter = new HandshakeLimiter({
      total: options.handshakesMax ?? linkHandshakesMax,
      perAddress: options.handshakesPerAddressMax ?? linkHandshakesPerAddressMax,
    });
    this.#server = createServer({
      ...tlsParameters,
      handshakeTimeout: options.handshakeMs ?? linkHandshakeMs,
      pskCallback: (socket, identity) => this.#keyOf(socket, identity),
    });
    this.#server.on('secureConnection', (socket) => this.#authenticated(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      this.#refuse(codeOf(error));
      socket.destroy();
    });
  }

  /** Handshakes in progress. */
  get handshakes(): number {
    return this.#limiter.inProgress;
  }

  setKeys(keys: readonly LinkKey[]): void {
    for (const { group, problem } of this.#keys.replace(keys)) {
      this.#log?.write('error', 'the key of a group cannot be used', { group, problem });
    }
  }

  onSession(accept: (session: LinkSession) => void): void {
    this.#accept = accept;
  }

  serve(fd: number): void {
    const socket = new Socket({ fd, readable: true, writable: true });
    // TLS reports errors; without a listener of our own an early one would end the process.
    socket.on('error', () => undefined);
    const { remoteAddress, remotePort } = socket;
    if (this.#closed || remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    if (!this.#limiter.enter(remoteAddress)) {
      this.#refuse('too many handshakes in progress');
      socket.destroy();
      return;
    }
    this.#strangers.set(peerOf(remoteAddress, remotePort), socket);
    socket.once('close', () => this.#noStranger(remoteAddress, remotePort));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, keepAliveMs);
    this.#server.emit('connection', socket);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const gone = [...this.#strangers.values()].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve)),
    );
    for (const socket of this.#strangers.values()) socket.destroy();
    await Promise.all(gone);
  }

  /** A stranger gets a key that nobody has: from outside, that is a wrong key (H38). */
  #keyOf(socket: TLSSocket, identity: string): Uint8Array {
    const known = this.#keys.find(identity);
    if (known === undefined) return randomBytes(secretBytes);
    this.#groups.set(socket, known.group);
    return known.key;
  }

  #authenticated(socket: TLSSocket): void {
    const { remoteAddress, remotePort } = socket;
    const group = this.#groups.get(socket);
    if (remoteAddress === undefined || remotePort === undefined || group === undefined) {
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    this.#noStranger(remoteAddress, remotePort);
    const peer = peerOf(remoteAddress, remotePort);
    const connection = new TlsConnection(socket, peer, sessionSecretOf(socket));
    if (this.#accept !== undefined && !this.#closed) {
      this.#accept({ group, connection });
    } else {
      socket.destroy();
    }
  }

  #noStranger(address: string, port: number): void {
    if (this.#strangers.delete(peerOf(address, port))) this.#limiter.leave(address);
  }

  #refuse(why: string): void {
    const line = this.#tally.note(why, performance.now());
    if (line === undefined) return;
    this.#log?.write('warn', 'link: connections were refused before they showed a key', {
      why: line.what,
      count: line.count,
    });
  }
}

function peerOf(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * A TCP proxy between primary and secondary that can cut, stall, refuse, slow down and count: the
 * bad network. The rate holds for each direction, over all connections.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from './daemon.js';

export class LinkProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  refusing = false;
  cuts = 0;
  /** What went through, both ways. */
  bytes = 0;
  bytesPerSecond = Infinity;

  private constructor(port: number, server: Server) {
    this.port = port;
    this.#server = server;
  }

  static async to(targetPort: number): Promise<LinkProxy> {
    const port = await freePort();
    const server = createServer((socket) => proxy.#connected(socket, targetPort));
    const proxy = new LinkProxy(port, server);
    await new Promise<void>((resolve) => {
      server.listen(port, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get connections(): number {
    return this.#sockets.size / 2;
  }

  /** Resets every connection that exists now. */
  cut(): void {
    this.cuts++;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Bytes stop flowing, connections stay: back-pressure, then heartbeat loss. */
  stall(stalled: boolean): void {
    for (const socket of this.#sockets) {
      if (stalled) socket.pause();
      else socket.resume();
    }
  }

  async close(): Promise<void> {
    this.refusing = true;
    this.cut();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #connected(socket: Socket, targetPort: number): void {
    if (this.refusing) {
      socket.resetAndDestroy();
      return;
    }
    const target = connect(targetPort, '127.0.0.1');
    for (const [one, other] of [
      [socket, target],
      [target, socket],
    ] as const) {
      this.#sockets.add(one);
      one.setNoDelay(true);
      this.#pump(one, other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }

  #pump(from: Socket, to: Socket): void {
    let freeAt = 0;
    from.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length;
      const now = performance.now();
      freeAt = Math.max(freeAt, now) + (chunk.length / this.bytesPerSecond) * 1000;
      if (!to.write(chunk)) {
        from.pause();
        to.once('drain', () => from.resume());
      } else if (freeAt - now > 1) {
        from.pause();
        setTimeout(() => from.resume(), freeAt - now);
      }
    });
    from.once('end', () => to.end());
  }
}

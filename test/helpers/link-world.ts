/** Real TLS on the loopback interface, in one thread: a door, a host and the dialer. */
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type LinkDoor, type LinkDoorOptions, openLinkDoor } from '../../src/io/link-door.js';
import { LinkHost, type LinkHostOptions } from '../../src/io/link-host.js';
import { descriptorOf } from '../../src/io/nbd-door.js';
import { tlsDialer } from '../../src/io/tls-link.js';
import type { Log } from '../../src/ports/log.js';
import type { LinkWorld } from '../../src/testing/contracts/link.js';
import { LoopClock } from './loop-clock.js';

export interface RealLinkWorld extends LinkWorld {
  readonly server: LinkHost;
  readonly door: LinkDoor;
  /** Every line that was logged, as JSON. */
  readonly lines: string[];
}

export interface RealLinkOptions extends LinkHostOptions {
  readonly arrivals?: LinkDoorOptions['arrivals'];
}

// A descriptor cannot be copied without native code: the accepted socket, which reads nothing, is
// kept for ever, and its descriptor belongs to the host.
const kept = new Set<Socket>();

export function keepSocket(socket: Socket): number {
  kept.add(socket.removeAllListeners());
  socket.unref();
  return descriptorOf(socket);
}

export async function realLinkWorld(options: RealLinkOptions = {}): Promise<RealLinkWorld> {
  const lines: string[] = [];
  const log: Log = {
    write: (level, message, fields) => {
      lines.push(JSON.stringify({ level, message, ...fields }));
    },
    with: () => log,
  };
  const server = new LinkHost({ log, ...options });
  const { arrivals } = options;
  const door = await openLinkDoor(
    {
      address: '127.0.0.1',
      port: 0,
      dupFd: unused,
      detach: keepSocket,
      clock: new LoopClock(),
      log,
      ...(arrivals !== undefined && { arrivals }),
    },
    (fd) => server.serve(fd),
  );
  return {
    dialer: tlsDialer,
    server,
    door,
    lines,
    place: { host: '127.0.0.1', port: door.port },
    nowhere: { host: '127.0.0.1', port: 1 },
    until,
    async close() {
      await server.close();
      // The kept sockets count as the door's: it never hears that they are gone.
      void door.close();
    },
  };
}

function unused(): number {
  throw new Error('detach is used instead');
}

export async function until(done: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 20_000;
  while (!done()) {
    if (performance.now() > end) throw new Error(`'${what}' did not happen`);
    await nextTurn();
  }
}

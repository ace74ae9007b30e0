/**
 * The front door of the link, on the main thread: one TCP port for all groups. It accepts, reads
 * nothing, and gives the descriptor to a host thread, where TLS ends (link-host.ts). Bounded: how
 * fast connections may arrive, in total and from one address, and how many log lines they cause
 * (Rule 38, I12). It knows nothing of groups and keys, so it cannot tell anybody about them (I13).
 */
import { createServer, type Server, type Socket } from 'node:net';
import { ArrivalLimiter, type ArrivalLimits } from '../core/arrival-limiter.js';
import { TdmfError } from '../core/errors.js';
import { RefusalTally } from '../core/refusal-tally.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import { codeOf } from './link-errors.js';
import { detachByDup } from './nbd-door.js';

export interface LinkDoorOptions {
  /** Where to listen; `::` or `0.0.0.0` for every address. */
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  /** Duplicates a descriptor; the duplicate is handed over, the original is closed. */
  readonly dupFd: (fd: number) => number;
  readonly clock: Clock;
  readonly log: Log;
  readonly arrivals?: { readonly all: ArrivalLimits; readonly perAddress: ArrivalLimits };
  /** Takes the descriptor out of a socket; only tests have another than `detachByDup(dupFd)`. */
  readonly detach?: (socket: Socket) => number;
}

export interface LinkDoor {
  readonly port: number;
  /** Stops listening; connections handed over go on. */
  close(): Promise<void>;
}

/** A thousand groups may come back at once; a flood may not. */
export const arrivalLimits = {
  all: { burst: 2_048, perSecond: 512 },
  perAddress: { burst: 1_024, perSecond: 128 },
} as const;

const refusalLineMs = 10_000;

/**
 * Listens, and calls `onConnection` with the descriptor of each connection, which belongs to the
 * callee from then on.
 * @throws TDMF_PORT_BUSY when the port is in use, TDMF_PORT_DENIED when it may not be opened.
 */
export async function openLinkDoor(
  options: LinkDoorOptions,
  onConnection: (fd: number, peerAddress: string) => void,
): Promise<LinkDoor> {
  const { clock, log, dupFd, arrivals = arrivalLimits } = options;
  const detach = options.detach ?? detachByDup(dupFd);
  const limiter = new ArrivalLimiter(arrivals.all, arrivals.perAddress);
  const tally = new RefusalTally(refusalLineMs);

  const refuse = (socket: Socket, why: string): void => {
    socket.destroy();
    const line = tally.note(why, clock.now());
    if (line === undefined) return;
    const fields = { why: line.what, count: line.count };
    log.write('warn', 'link: connections were refused at the door', fields);
  };
  const server = createServer({ allowHalfOpen: false, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined);
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) {
      socket.destroy();
    } else if (!limiter.admit(remoteAddress, clock.now())) {
      refuse(socket, 'too many connections a second');
    } else {
      let fd: number;
      try {
        fd = detach(socket);
      } catch (error) {
        refuse(socket, `no descriptor (${codeOf(error)})`);
        return;
      }
      onConnection(fd, remoteAddress);
    }
  });
  await listen(server, options);
  server.on('error', (error) =>
    log.write('error', 'link: the listening socket failed', { error: codeOf(error) }),
  );
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : options.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}

async function listen(server: Server, { address, port }: LinkDoorOptions): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: address, port, backlog: 511 }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    const errno = codeOf(error);
    if (errno === 'EADDRINUSE') throw new TdmfError('TDMF_PORT_BUSY', { port }, { cause: error });
    throw new TdmfError('TDMF_PORT_DENIED', { address, port, errno }, { cause: error });
  }
}

/**
 * The product's door and sessions in front of a device that is an array, on a socket in a
 * directory of its own: what real NBD clients are pointed at.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NbdSession } from '../../src/actors/nbd-session.js';
import type { SessionLimits } from '../../src/actors/nbd-session-limits.js';
import type { ExportInfo } from '../../src/core/nbd/exports.js';
import { type NbdConnection, type NbdDoorLimits, openNbdDoor } from '../../src/io/nbd-door.js';
import type { Log } from '../../src/ports/log.js';
import { Arenas } from '../../src/testing/arenas.js';
import { MemoryDriver } from '../../src/testing/memory-driver.js';
import { LoopClock } from './loop-clock.js';
import { catalogue, exportInfo } from './nbd-bytes.js';
import { NetStreams } from './net-byte-stream.js';

export interface NbdTestServer {
  readonly directory: string;
  readonly socketPath: string;
  readonly driver: MemoryDriver;
  /** Sessions of clients that are connected. */
  readonly sessions: ReadonlySet<NbdSession>;
  /** How connections ended, oldest first. */
  readonly ends: string[];
  readonly messages: string[];
  uri(name?: string): string;
  close(): Promise<void>;
}

export interface NbdTestServerOptions {
  readonly info?: Partial<ExportInfo>;
  readonly others?: readonly ExportInfo[];
  readonly door?: Partial<NbdDoorLimits>;
  readonly session?: Partial<SessionLimits>;
  readonly payloadBytes?: number;
  /** Listen on this descriptor (socket activation). */
  readonly fd?: number;
}

export async function startNbdServer(options: NbdTestServerOptions = {}): Promise<NbdTestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'tdmf-nbd-'));
  const socketPath = join(directory, 'nbd.sock');
  const info = exportInfo({ sizeBytes: 64 * 2 ** 20, ...options.info });
  const clock = new LoopClock();
  const arenas = new Arenas();
  const streams = new NetStreams(arenas);
  const { sizeBytes } = info;
  const driver = new MemoryDriver(clock, arenas, {
    sizeBytes,
    ...(options.payloadBytes !== undefined && { payloadBytes: options.payloadBytes }),
  });
  const sessions = new Set<NbdSession>();
  const ends: string[] = [];
  const messages: string[] = [];
  const log: Log = {
    write: (_level, message, fields) => messages.push(`${message} ${JSON.stringify(fields)}`),
    with: () => log,
  };

  const serve = (connection: NbdConnection): void => {
    const session = new NbdSession(streams.adoptStream(connection.fd), driver, clock, {
      rules: {
        ...info,
        structuredReplies: connection.structuredReplies,
        allocationContext: connection.metaContexts.length > 0,
      },
      leftover: connection.leftover,
      memory: arenas,
      ...(options.session !== undefined && { limits: options.session }),
      ended: (why) => {
        sessions.delete(session);
        ends.push(why);
      },
      fail: (error) => {
        throw error;
      },
    });
    sessions.add(session);
    session.start();
  };

  const door = await openNbdDoor(
    {
      socketPath,
      exports: catalogue(info, ...(options.others ?? [])),
      detach: streams.detach,
      clock,
      log,
      ...(options.fd !== undefined && { fd: options.fd }),
      ...(options.door !== undefined && { limits: options.door }),
    },
    serve,
  );
  return {
    directory,
    socketPath,
    driver,
    sessions,
    ends,
    messages,
    uri: (name = info.name) => `nbd+unix:///${name}?socket=${socketPath}`,
    async close() {
      await Promise.all([...sessions].map((session) => session.close()));
      await door.close();
      await rm(directory, { recursive: true });
    },
  };
}

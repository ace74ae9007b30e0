/** One session between a client in the test's hands and a driver of an array, on a hand-turned clock. */
import { NbdSession } from '../../src/actors/nbd-session.js';
import type { SessionLimits } from '../../src/actors/nbd-session-limits.js';
import type { TransmissionRules } from '../../src/core/nbd/requests.js';
import { Arenas } from '../../src/testing/arenas.js';
import { MemoryDriver, type MemoryDriverOptions } from '../../src/testing/memory-driver.js';
import { SimStream, type SimStreamOptions } from '../../src/testing/stream.js';
import { parseReplies, type Reply, type RequestFields, request } from './nbd-bytes.js';
import { TurnClock } from './turn-clock.js';

export interface BenchOptions {
  readonly rules?: Partial<TransmissionRules>;
  readonly limits?: Partial<SessionLimits>;
  readonly driver?: Partial<MemoryDriverOptions>;
  readonly stream?: SimStreamOptions;
  readonly leftover?: Uint8Array;
}

export interface Bench {
  readonly clock: TurnClock;
  readonly arenas: Arenas;
  readonly stream: SimStream;
  readonly driver: MemoryDriver;
  readonly session: NbdSession;
  /** Why the connection ended; empty while it lives. */
  readonly ends: string[];
  /** Sends requests and lets everything happen that can. */
  ask(...requests: readonly RequestFields[]): Promise<void>;
  /** The replies since the last call. */
  replies(): Reply[];
}

export function startBench(options: BenchOptions = {}): Bench {
  const clock = new TurnClock();
  const arenas = new Arenas();
  const stream = new SimStream(clock, arenas, options.stream);
  const driver = new MemoryDriver(clock, arenas, {
    sizeBytes: 2 ** 20,
    payloadBytes: 2 ** 20,
    chunkBytes: 4096,
    ...options.driver,
  });
  const rules: TransmissionRules = {
    sizeBytes: driver.disk.length,
    readOnly: false,
    canTrim: true,
    blockMin: 1,
    blockMax: 2 ** 25,
    structuredReplies: true,
    allocationContext: true,
    ...options.rules,
  };
  const ends: string[] = [];
  const session = new NbdSession(stream, driver, clock, {
    rules,
    leftover: options.leftover ?? new Uint8Array(0),
    memory: arenas,
    limits: { receiveBytes: 16384, readBytes: 65536, pooledReadBytesMax: 32768, ...options.limits },
    ended: (why) => ends.push(why),
    fail: (error) => {
      throw error;
    },
  });
  session.start();
  /** Lengths of the reads asked for: a simple reply does not say its own. */
  const readLengths = new Map<bigint, number>();
  return {
    clock,
    arenas,
    stream,
    driver,
    session,
    ends,
    async ask(...requests) {
      for (const fields of requests) {
        if (fields.command === 0) readLengths.set(fields.cookie ?? 0n, fields.length ?? 0);
      }
      stream.clientWrites(Buffer.concat(requests.map(request)));
      await clock.run();
    },
    replies: () => parseReplies(stream.takeReplies(), readLengths),
  };
}

/** Bytes that say where they belong. */
export function pattern(length: number, seed = 1): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 7 + seed * 13) % 251));
}

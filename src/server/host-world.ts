/**
 * The real world of one host thread: its own I/O core, clock, randomness, log and network. Loaded by
 * name in the thread (runtime may not import io), once per start of the host.
 */
import { atomicFiles } from '../io/atomic-files.js';
import { jsonLog } from '../io/json-log.js';
import { LinkHost } from '../io/link-host.js';
import { openIo } from '../io/open-io.js';
import { SystemClock } from '../io/system-clock.js';
import { systemRandom } from '../io/system-random.js';
import { tlsDialer } from '../io/tls-link.js';
import type { World } from '../runtime/control.js';

export interface HostWorldData {
  readonly io: 'uring' | 'threads';
}

export function createWorld(data: unknown): World {
  const { io: choice } = data as HostWorldData;
  const io = openIo(choice);
  const log = jsonLog(process.stderr);
  const links = new LinkHost({ log });
  return {
    ports: { devices: io, streams: io, files: atomicFiles, dialer: tlsDialer, links },
    clock: new SystemClock(),
    log,
    random: systemRandom,
    async close() {
      await links.close();
      await io.close();
    },
  };
}

/** What becomes of a client whose group goes away between its handshake and the hand-over. */
import { once } from 'node:events';
import { connect } from 'node:net';
import test from 'ava';
import { home } from '../../../src/config/home.js';
import { SystemClock } from '../../../src/io/system-clock.js';
import type { Log } from '../../../src/ports/log.js';
import type { ActorSystem } from '../../../src/runtime/pool.js';
import type { MirrorExports } from '../../../src/server/mirror-exports.js';
import { openNbd } from '../../../src/server/nbd.js';
import type { PrimaryGroups } from '../../../src/server/primary-groups.js';
import { infoData, OPT, option, u32 } from '../../helpers/nbd-bytes.js';
import { makeScratch } from '../../helpers/scratch.js';

test('a client whose driver is not there is closed, and nobody else is hurt (I11)', async (t) => {
  const scratch = await makeScratch();
  t.teardown(() => scratch.remove());
  const group = { config: { devices: [{ name: 'd0' }], note: '' }, sizes: [1 << 20] };
  const groups = { all: () => [[0, group]], started: () => group } as unknown as PrimaryGroups;
  const mirrors = { list: () => [], find: () => undefined } as unknown as MirrorExports;
  const system = { address: () => ({ tell: () => false }) } as unknown as ActorSystem;
  const where = { ...home(scratch.path('home')), nbdSocket: scratch.path('nbd.sock') };
  const log: Log = { write: () => undefined, with: () => log };
  const close = await openNbd(where, groups, mirrors, system, new SystemClock(), log);
  t.teardown(close);
  for (let client = 0; client < 3; client++) {
    const socket = connect(where.nbdSocket);
    socket.resume();
    socket.write(Buffer.concat([u32(3), option(OPT.GO, infoData('g0/d0'))]));
    await once(socket, 'close');
  }
  t.pass('the process lives, and every connection has ended');
});

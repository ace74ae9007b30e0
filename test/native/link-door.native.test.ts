/** The hand-over as it is in production: accepted on one thread, TLS and the session on another. */
import { readdirSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { openLinkDoor } from '../../src/io/link-door.js';
import { native } from '../../src/io/native.js';
import { tlsDialer } from '../../src/io/tls-link.js';
import type { Log } from '../../src/ports/log.js';
import { keyOf, LinkEnd } from '../../src/testing/contracts/link.js';
import { until } from '../helpers/link-world.js';
import { LoopClock } from '../helpers/loop-clock.js';

const silent: Log = { write: () => undefined, with: () => silent };
const dupFd = (fd: number): number => native.dupFd(fd);
const openDescriptors = (): number => readdirSync('/proc/self/fd').length;

test('a connection accepted on one thread is served on another, and no descriptor stays open', async (t) => {
  const host = new Worker(new URL('./fixtures/link-echo.js', import.meta.url));
  t.teardown(() => host.terminate());
  const clock = new LoopClock();
  const door = await openLinkDoor(
    { address: '127.0.0.1', port: 0, dupFd, clock, log: silent },
    (fd) => host.postMessage(fd, []),
  );
  const target = { host: '127.0.0.1', port: door.port, key: keyOf(1), tcpWindowBytes: 0 };
  const session = async (): Promise<void> => {
    const near = new LinkEnd(await tlsDialer.dial(target, new AbortController().signal));
    const bytes = Uint8Array.from({ length: 500_000 }, (_, index) => index % 251);
    near.connection.send(bytes);
    await until(() => near.bytes === bytes.length, 'the echo is whole');
    t.true(Buffer.from(near.content()).equals(bytes));
    near.connection.close({ code: 'TDMF_LINK_CLOSED', message: 'enough' });
    await until(() => near.closed.length === 1, 'it is over');
  };
  await session();
  await until(() => true, 'a turn');
  const before = openDescriptors();
  for (let round = 0; round < 10; round += 1) await session();
  await until(() => openDescriptors() <= before, 'all descriptors are closed');
  await door.close();
  t.pass();
});

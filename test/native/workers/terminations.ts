/**
 * A process of its own, so that every descriptor in it is known: starts workers, terminates them at a
 * bad moment, and exits 0 when what is open afterwards is what was open before. Arguments: adapter,
 * role of the workers, directory, rounds.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { native } from '../../../src/io/native.js';
import { openIo } from '../../../src/io/open-io.js';
import { streamPair } from '../../helpers/stream-pair.js';

const [kind, role, directory, rounds] = process.argv.slice(2) as [
  'uring' | 'threads',
  'hang' | 'open',
  string,
  string,
];
const path = join(directory, 'file');

// The first round makes what Node itself keeps open from then on.
await round(0);
const before = await descriptors();
for (let index = 1; index <= Number(rounds); index++) await round(index);
deepEqual(await descriptors(), before);

async function round(seed: number): Promise<void> {
  const [near, far] = await streamPair(join(directory, `s${seed}`));
  native.adoptFd(near);
  native.adoptFd(far);
  const socket = native.dupFd(near);
  const shared = new SharedArrayBuffer(65536);
  const workerData = { kind, role, path, seed, socket, shared };
  const worker = new Worker(new URL('./io-worker.js', import.meta.url), { workerData });
  const [message] = (await once(worker, 'message')) as [string];
  equal(message, role === 'hang' ? 'in flight' : 'opening');
  await worker.terminate();
  if (role === 'open') native.adoptFd(socket);
  await Promise.all([near, far].map((fd) => native.closeFd(fd)));
  if (role === 'open') await native.closeFd(socket);
  // The fence has fallen with the worker: the next incarnation gets the device at once.
  const io = openIo(kind);
  await (await io.open({ path, access: 'readwrite', createBytes: 1 << 20 })).close();
  await io.close();
  // The ring's descriptor is closed when libuv has let go of its poll.
  await new Promise((resolve) => setImmediate(resolve));
}

/** What every descriptor of this process stands for, without the numbers that differ. */
async function descriptors(): Promise<string[]> {
  const names = await readdir('/proc/self/fd');
  const targets = await Promise.all(
    names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')),
  );
  // Unreadable: the descriptor with which the directory itself was read.
  return targets
    .filter((to) => to !== '')
    .map((to) => to.replace(/\[\d+\]/, ''))
    .sort();
}

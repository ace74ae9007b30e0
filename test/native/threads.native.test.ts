/**
 * The addon in several threads, and threads that end at a bad moment (H22): nothing hangs, nothing
 * crashes, no descriptor and no lock is left behind.
 */
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { native } from '../../src/io/native.js';
import { openIo } from '../../src/io/open-io.js';
import { makeScratch } from '../helpers/scratch.js';
import { streamPair } from '../helpers/stream-pair.js';

const start = (workerData: Record<string, unknown>): Worker =>
  new Worker(new URL('./workers/io-worker.js', import.meta.url), { workerData });

/** What this process has open below `directory`, and its io_urings. */
async function descriptors(directory: string): Promise<string[]> {
  const names = await readdir('/proc/self/fd');
  const targets = await Promise.all(
    names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => 'gone')),
  );
  return targets.filter((to) => to.startsWith(directory) || to.includes('io_uring')).sort();
}

for (const kind of ['uring', 'threads'] as const) {
  test.serial(`${kind}: four workers load the addon and use it at the same time`, async (t) => {
    const scratch = await makeScratch();
    const answers = await Promise.all(
      [1, 2, 3, 4].map(async (seed) => {
        const worker = start({ kind, role: 'work', path: scratch.path(`file${seed}`), seed });
        const [[answer], [code]] = await Promise.all([
          once(worker, 'message'),
          once(worker, 'exit'),
        ]);
        return [answer, code] as const;
      }),
    );
    t.deepEqual(
      answers,
      Array.from({ length: 4 }, () => ['equal', 0]),
    );
    await scratch.remove();
  });

  test.serial(
    `H22: ${kind}: a worker terminated with 64 operations in flight, 20 times, leaves nothing behind`,
    async (t) => {
      const scratch = await makeScratch();
      const path = scratch.path('file');
      const before = await descriptors(scratch.path(''));
      const io = openIo(kind);
      for (let round = 0; round < 20; round++) {
        const [near, far] = await streamPair(scratch.path(`s${round}`));
        native.adoptFd(far);
        const shared = new SharedArrayBuffer(65536);
        const worker = start({ kind, role: 'hang', path, seed: round, socket: near, shared });
        const [message] = (await once(worker, 'message')) as [string];
        assert.equal(message, 'in flight');
        await worker.terminate();
        await native.closeFd(far);
        // The fence has fallen with the worker: the next incarnation gets the device at once.
        const device = await io.open({ path, access: 'readwrite' });
        await device.close();
      }
      await io.close();
      await new Promise((resolve) => setImmediate(resolve));
      t.deepEqual(await descriptors(scratch.path('')), before);
      await scratch.remove();
    },
  );

  test.serial(
    `${kind}: a sink that throws is an uncaught exception and stops no other`,
    async (t) => {
      const scratch = await makeScratch();
      const worker = new Worker(new URL('./workers/throwing-sink.js', import.meta.url), {
        workerData: { kind, path: scratch.path('file') },
      });
      const [message] = (await once(worker, 'message')) as [unknown];
      t.deepEqual(message, { completed: 8, uncaught: ['a bug in a sink'] });
      await worker.terminate();
      await scratch.remove();
    },
  );

  test.serial(
    `${kind}: a worker terminated while it opens a device leaves nothing behind`,
    async (t) => {
      const scratch = await makeScratch();
      const before = await descriptors(scratch.path(''));
      for (let round = 0; round < 10; round++) {
        const worker = start({ kind, role: 'open', path: scratch.path('file'), seed: 1 });
        await once(worker, 'message');
        await worker.terminate();
      }
      t.deepEqual(await descriptors(scratch.path('')), before);
      await scratch.remove();
    },
  );
}

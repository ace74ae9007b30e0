/**
 * The addon in several threads, and threads that end at a bad moment (H22): nothing hangs, nothing
 * crashes, no descriptor and no lock is left behind.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { makeScratch } from '../helpers/scratch.js';

const run = promisify(execFile);
const terminations = fileURLToPath(new URL('./workers/terminations.js', import.meta.url));

for (const kind of ['uring', 'threads'] as const) {
  test.serial(`${kind}: four workers load the addon and use it at the same time`, async (t) => {
    const scratch = await makeScratch();
    const answers = await Promise.all(
      [1, 2, 3, 4].map(async (seed) => {
        const worker = new Worker(new URL('./workers/io-worker.js', import.meta.url), {
          workerData: { kind, role: 'work', path: scratch.path(`file${seed}`), seed },
        });
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

  for (const [role, rounds, title] of [
    ['hang', '20', 'with 64 operations in flight, 20 times,'],
    ['open', '10', 'while it opens a device'],
  ] as const) {
    test.serial(`H22: ${kind}: a worker terminated ${title} leaves nothing behind`, async (t) => {
      const scratch = await makeScratch();
      await t.notThrowsAsync(
        run(process.execPath, [terminations, kind, role, scratch.path(''), rounds]),
      );
      await scratch.remove();
    });
  }
}

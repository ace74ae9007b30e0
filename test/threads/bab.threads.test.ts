/** The BAB between real threads: every byte arrives, nobody sleeps over an entry, shares hold. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { GroupControlView } from '../../src/core/bab/control.js';
import { newBabEntry } from '../../src/core/bab/descriptors.js';
import { BabPool } from '../../src/core/bab/pool.js';
import { BabReader } from '../../src/core/bab/reader.js';
import { babChunkBytes } from '../../src/core/constants.js';
import type { BabWorkerData } from './fixtures/bab-worker.js';

function worker(data: BabWorkerData): Worker {
  return new Worker(new URL('./fixtures/bab-worker.js', import.meta.url), { workerData: data });
}

test('every byte that one thread publishes is what another reads, in order, also through sleep', async (t) => {
  const rounds = 20_000;
  const pool = BabPool.create({ bytes: 16 * babChunkBytes });
  pool.promiseShare(0, 8 * babChunkBytes);
  const control = GroupControlView.create(1);
  const { header, memories } = pool;
  const reader = new BabReader(pool, control);
  const thread = worker({ role: 'writer', header, memories, control, slot: 0, rounds, share: 8 });
  const ended = once(thread, 'exit');
  let woken: (() => void) | undefined;
  thread.on('message', () => woken?.());
  const entry = newBabEntry();
  let sleeps = 0;
  for (let next = 1; next <= rounds; ) {
    const seen = reader.published;
    while (reader.durable !== seen) {
      reader.read(reader.durable, entry);
      const length = 1 + ((next * 7919) % 9000);
      const right = entry.sequence === next && entry.dep === next - 1 && entry.length === length;
      if (!right) t.fail(`entry ${next} is ${JSON.stringify(entry)}`);
      const payload = reader.payload(entry);
      const wrong = payload.findIndex((byte) => byte !== next % 251);
      if (wrong >= 0) t.fail(`entry ${next}: byte ${wrong} is wrong`);
      next++;
      reader.setDurable(reader.durable + 1);
    }
    if (next > rounds) break;
    const wake = new Promise<void>((resolve) => {
      woken = resolve;
    });
    if (reader.sleep(seen)) {
      sleeps++;
      await wake;
    }
  }
  await ended;
  t.is(pool.usedBytes, 0);
  t.true(sleeps > 0, 'the reader was faster at times, so the wake-up was tried');
});

test('Rule 42a: groups on four threads never lack their shares, and no chunk has two owners', async (t) => {
  const share = 8;
  const pool = BabPool.create({ bytes: 64 * babChunkBytes, memories: 2 });
  for (let slot = 1; slot <= 4; slot++) t.true(pool.promiseShare(slot, share * babChunkBytes));
  const { header, memories } = pool;
  const control = GroupControlView.create(1);
  const results = await Promise.all(
    [1, 2, 3, 4].map(async (slot) => {
      const thread = worker({
        role: 'group',
        header,
        memories,
        control,
        slot,
        rounds: 100_000,
        share,
      });
      const [[result]] = (await Promise.all([once(thread, 'message'), once(thread, 'exit')])) as [
        [{ refusals: number }],
        unknown,
      ];
      return result.refusals;
    }),
  );
  t.deepEqual(results, [0, 0, 0, 0]);
  t.is(pool.usedBytes, 0);
  t.is(pool.lentUsedBytes, 0);
});

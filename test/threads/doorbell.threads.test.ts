import { Worker } from 'node:worker_threads';
import test from 'ava';
import { Bell, BellKeeper, bellMemory } from '../../src/runtime/doorbell.js';

const rounds = 60_000;

/**
 * Two threads hand a ball to and fro: each waits for the other's number in a shared word, written
 * only before its bell rings. One lost wake-up stops the game for good, or costs an insurance.
 */
export interface PingInput {
  readonly bells: SharedArrayBuffer;
  readonly balls: SharedArrayBuffer;
  readonly rounds: number;
}

async function play(t: { is(a: unknown, b: unknown): unknown }, sleepers: number): Promise<void> {
  const bells = bellMemory(1 + sleepers);
  const balls = new SharedArrayBuffer(64 * (1 + sleepers));
  const workers = Array.from(
    { length: sleepers },
    (_, i) =>
      new Worker(new URL('./fixtures/ping.js', import.meta.url), {
        workerData: { bells, balls, rounds, place: 1 + i },
      }),
  );
  const exits = workers.map(
    (worker) =>
      new Promise<number>((resolve, reject) => {
        worker.once('exit', resolve);
        worker.once('error', reject);
      }),
  );
  const words = new Int32Array(balls);
  const partners = workers.map((_, i) => new Bell(bells, 1 + i));
  const sent = workers.map(() => 0);
  await new Promise<void>((resolve) => {
    const serve = (): void => {
      do {
        keeper.look();
        let open = 0;
        for (let i = 0; i < sleepers; i++) {
          const answered = Atomics.load(words, (1 + i) * 16);
          if (answered < rounds) open++;
          if (answered !== sent[i] || answered === rounds) continue;
          sent[i] = answered + 1;
          Atomics.store(words, (1 + i) * 16 + 1, answered + 1);
          partners[i]!.ring();
          // Random work, so that the partner's ring meets every moment of look, serve and sleep.
          for (let spin = (answered * 7919) % 97; spin > 0; spin--) Atomics.load(words, 0);
        }
        if (open === 0) {
          keeper.close();
          resolve();
          return;
        }
      } while (!keeper.sleep());
    };
    const keeper = new BellKeeper(bells, 0, serve);
    serve();
  });
  for (const exit of exits) t.is(await exit, 0);
  for (let place = 0; place <= sleepers; place++) t.is(new Bell(bells, place).insured, 0);
}

test('no wake-up is missed in many hand-overs between two threads, and insurance never pays', async (t) => {
  await play(t, 1);
});

test('no wake-up is missed when several threads ring one bell', async (t) => {
  await play(t, 3);
});

test('a keeper that is rung while it is awake does not fall asleep', (t) => {
  const bells = bellMemory(1);
  const keeper = new BellKeeper(bells, 0, () => t.fail('nobody slept, so nobody is woken'));
  keeper.look();
  new Bell(bells, 0).ring();
  t.false(keeper.sleep());
  keeper.look();
  t.true(keeper.sleep());
  keeper.close();
});

test('a sleeping keeper is woken once by many rings', async (t) => {
  const bells = bellMemory(1);
  let wakes = 0;
  await new Promise<void>((resolve) => {
    const keeper = new BellKeeper(bells, 0, () => {
      wakes++;
      keeper.close();
      resolve();
    });
    keeper.look();
    t.true(keeper.sleep());
    const bell = new Bell(bells, 0);
    for (let i = 0; i < 10; i++) bell.ring();
  });
  t.is(wakes, 1);
});

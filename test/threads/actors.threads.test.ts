import test, { type ExecutionContext } from 'ava';
import { isTdmfError } from '../../src/core/errors.js';
import type { ActorSystem } from '../../src/runtime/pool.js';
import type { EchoMessage } from './fixtures/actors.js';
import { place, startSystem } from './fixtures/system.js';

type Placement = readonly [number | 'main', number | 'main'];

/** Every body runs with both actors on main, on one host, and on two threads. */
const placements: readonly Placement[] = [
  ['main', 'main'],
  [0, 0],
  ['main', 0],
  [0, 1],
];

const events: unknown[] = [];
let shared: ActorSystem;

test.before(async () => {
  shared = await startSystem({ onEvent: (type, payload) => events.push([type, payload]) });
});
test.after.always(() => shared.stop());

function everywhere(
  title: string,
  body: (t: ExecutionContext, system: ActorSystem, places: Placement) => Promise<void>,
): void {
  for (const places of placements) {
    test.serial(`${title} (actors on ${places.join(' and ')})`, async (t) => {
      await body(t, shared, places);
      for (const { id } of shared.list()) await shared.stopActor(id);
    });
  }
}

everywhere(
  'told messages arrive, each before a question asked later',
  async (t, system, [a, b]) => {
    await place(system, a, 'a');
    await place(system, b, 'b');
    const address = system.address<EchoMessage>('a');
    for (let i = 1; i <= 100; i++) t.true(address.tell({ type: 'add', value: i }));
    t.is(await address.ask(['sum']), 5050);
    t.true(address.tell({ type: 'forward', to: 'b', value: 3 }));
    t.is(await address.ask(['askOther', 'b']), 3);
  },
);

everywhere('an error keeps its code, details and cause on its way', async (t, system, [a]) => {
  await place(system, a, 'a');
  const ways = [system.address('a').ask(['fail']), system.ask('a', ['fail'])];
  for (const way of ways) {
    const error: unknown = await t.throwsAsync(way);
    t.true(isTdmfError(error));
    t.like(error, {
      code: 'TDMF_DEVICE_FAILED',
      details: { path: '/dev/sda', errno: 'EIO' },
      cause: { message: 'write failed', code: 'EIO' },
    });
  }
});

everywhere('a question to an actor that ends first is refused', async (t, system, [a, b]) => {
  await place(system, a, 'a');
  await place(system, b, 'b');
  const first = system.address('a').ask(['wait']);
  await system.address('a').ask(['sum']);
  const failing = t.throwsAsync(first, { code: 'TDMF_ACTOR_GONE' });
  system.address<EchoMessage>('a').tell({ type: 'throw', what: 'now' });
  await failing;
  await system.stopSet('a');
  t.false(system.address('a').tell({ type: 'add', value: 1 }));
  await t.throwsAsync(system.address('a').ask(['sum']), { code: 'TDMF_ACTOR_GONE' });
  await t.throwsAsync(system.address('b').ask(['askOther', 'a']), { code: 'TDMF_ACTOR_GONE' });
  t.false(await system.address('b').ask(['tellOther', 'a']));
});

everywhere('stopping waits for what the actor still has to do (H22)', async (t, system, [a]) => {
  const shared = new SharedArrayBuffer(64);
  await place(system, a, 'a', { shared });
  await system.stopActor('a');
  t.deepEqual([...new Int32Array(shared, 0, 2)], [1, 1]);
  t.deepEqual(system.list(), []);
});

everywhere('a start that fails rejects, and the name is free again', async (t, system, [a]) => {
  await t.throwsAsync(place(system, a, 'a', { failStart: true }), { code: 'TDMF_DEVICE_BUSY' });
  await place(system, a, 'a');
  t.is(await system.address('a').ask(['sum']), 0);
});

everywhere('an actor reaches the ports of its place', async (t, system, [a]) => {
  await place(system, a, 'a');
  t.is(await system.address('a').ask(['ports']), 'the ports of this host');
});

everywhere(
  'two actors that flood each other both finish, in order (H47)',
  async (t, system, [a, b]) => {
    const count = 30_000;
    await place(system, a, 'a', { partner: 'b', count }, 'flood');
    await place(system, b, 'b', { partner: 'a', count }, 'flood');
    system.address('a').tell('go');
    system.address('b').tell('go');
    for (const id of ['a', 'b']) {
      const result = await system.address(id).ask<{ received: number; refused: number }>('done');
      t.is(result.received, count);
      // Across threads a fast reader may never refuse; in one thread the bound must be met.
      if (a === b) t.true(result.refused > 0);
    }
  },
);

everywhere(
  'an event reaches the listener before the answer that followed it',
  async (t, system, [a]) => {
    events.length = 0;
    await place(system, a, 'a');
    const address = system.address<EchoMessage>('a');
    address.tell({ type: 'publish', value: 4 });
    await address.ask(['sum']);
    t.deepEqual(events, [['test.event', { id: 'a', value: 4 }]]);
  },
);

test.serial('hosts are threads of their own, and main is another', async (t) => {
  const system = await startSystem();
  for (const host of [0, 1, 'main'] as const) await place(system, host, `on ${host}`);
  const threads = await Promise.all(
    [0, 1, 'main'].map((host) => system.address(`on ${host}`).ask(['thread'])),
  );
  t.is(new Set(threads).size, 3);
  await system.stop();
});

test.serial('questions beyond the limit are refused, not queued without bound (I12)', async (t) => {
  const system = await startSystem({ hosts: 1 });
  await place(system, 0, 'a');
  const asks = Array.from({ length: 1100 }, () => system.address('a').ask(['wait']));
  const settled = Promise.allSettled(asks);
  await system.stopActor('a');
  const codes = (await settled).map((r) =>
    r.status === 'rejected' && isTdmfError(r.reason) ? r.reason.code : 'answered',
  );
  t.is(codes.filter((code) => code === 'TDMF_ACTOR_BUSY').length, 1100 - 1024);
  await system.stop();
});

test.serial('shared memory crosses in options and in questions by clone', async (t) => {
  const system = await startSystem({ hosts: 1 });
  const shared = new SharedArrayBuffer(64);
  await place(system, 0, 'a', { shared });
  system.address<EchoMessage>('a').tell({ type: 'add', value: 5 });
  await system.address('a').ask(['sum']);
  t.is(new Int32Array(shared)[2], 5);
  t.true((await system.ask('a', ['echo', shared])) instanceof SharedArrayBuffer);
  await system.stop();
});

test.serial('a message too large for a ring is refused where it is sent', async (t) => {
  const system = await startSystem({ hosts: 1 });
  await place(system, 0, 'a');
  const large = { type: 'add', value: 'x'.repeat(100_000) };
  t.throws(() => system.address('a').tell(large), { message: /quarter of a ring/ });
  await t.throwsAsync(system.address('a').ask(large), { message: /quarter of a ring/ });
  // An answer too large becomes an error, so that the asker hears something.
  await t.throwsAsync(system.address('a').ask(['grow']), { message: /quarter of a ring/ });
  await system.stop();
});

test.serial('a clean stop ends every actor and closes every world', async (t) => {
  const closed = new SharedArrayBuffer(64);
  const shared = new SharedArrayBuffer(64);
  const system = await startSystem({
    world: { url: new URL('./fixtures/world.js', import.meta.url).href, data: { closed } },
  });
  await place(system, 0, 'a', { shared });
  await place(system, 1, 'b', { shared });
  await place(system, 'main', 'c', { shared });
  await system.stop();
  t.is(new Int32Array(closed)[0], 2);
  t.deepEqual([...new Int32Array(shared, 0, 2)], [3, 3]);
  await t.throwsAsync(place(system, 0, 'd'), { code: 'TDMF_DAEMON_STOPPING' });
});

test.serial('a world that cannot be made rejects the system, with the reason', async (t) => {
  const url = new URL('./fixtures/no-such-world.js', import.meta.url).href;
  const error = await t.throwsAsync(startSystem({ world: { url, data: {} } }), {
    code: 'TDMF_HOST_CRASHED',
  });
  t.regex(String(error?.cause), /no-such-world/);
});

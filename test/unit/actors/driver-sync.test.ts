/** Sync and near-sync mode in the driver: who is answered when (I2, I3, Rules 19, 39, 40, 41). */
import test from 'ava';
import { mapBlockBytes } from '../../../src/core/constants.js';
import { reached } from '../../../src/core/engine/sync-depth.js';
import { entryFlags } from '../../../src/core/wire/messages.js';
import { Prng } from '../../../src/testing/prng.js';
import { type BenchClient, DriverBench, filled, otherEra } from '../../helpers/driver-bench.js';

const EIO = 5;

async function inSync(depth: number, timeoutMs = 30_000, options = {}): Promise<DriverBench> {
  const bench = await DriverBench.start(options);
  bench.tell({ type: 'driver.sync', depth, timeoutMs });
  await bench.normal();
  return bench;
}

const answered = (bench: DriverBench, client: BenchClient, cookie: bigint) =>
  bench.world.until(() => client.answered(cookie), 5_000, 'an answer');

test('I2, Rule 19: a sync write is answered when it is durable on both sides, whichever is last', async (t) => {
  const bench = await inSync(1);
  const client = bench.client();
  const first = client.write(0, filled(4096, 1));
  await bench.world.run(100);
  t.is(bench.disks[0]!.durable[0], 1, 'flushed here');
  t.false(client.answered(first), 'and not durable there');
  bench.acknowledge(1);
  await answered(bench, client, first);

  bench.disks[0]!.latencyMsMax = 500;
  const second = client.write(8192, filled(4096, 2));
  await bench.world.until(() => bench.reader.pending === 1, 5_000, 'published');
  bench.acknowledge(1);
  await bench.world.until(() => client.answered(second), 5_000, 'the local flush');
  t.is(bench.disks[0]!.durable[8192], 2, 'the flush was waited for');
});

test('Rule 19: one flush covers every write that was complete when it began, a forced write none', async (t) => {
  const bench = await inSync(1);
  const client = bench.client();
  let flushes = 0;
  bench.disks[0]!.fault = (operation) => {
    if (operation === 'flush') flushes++;
    return 0;
  };
  const forced = client.write(1 << 20, filled(512, 9), true);
  await bench.world.run(50);
  t.is(flushes, 0);
  bench.acknowledge(1);
  await answered(bench, client, forced);
  const cookies = Array.from({ length: 40 }, (_, index) =>
    client.write(index * 8192, filled(4096, index)),
  );
  await bench.world.run(50);
  t.true(flushes >= 1 && flushes < 20, `${flushes} flushes for 40 writes`);
  bench.acknowledge(40);
  for (const cookie of cookies) t.is((await client.reply(cookie)).error, 0);
});

test('Rule 41: near-sync answers at once until DEPTH writes lack durability; a split write is one', async (t) => {
  const bench = await inSync(3);
  const client = bench.client();
  const large = client.write(0, filled(600_000, 1));
  await client.reply(large);
  t.true(bench.reader.pending > 2, 'one write, several entries');
  await client.reply(client.trim(1 << 20, 4096));
  const third = client.write(1 << 21, filled(512, 2));
  await bench.world.run(100);
  t.false(client.answered(third));
  // Part of the first write is not the write.
  bench.acknowledge(1);
  await bench.world.run(100);
  t.false(client.answered(third));
  bench.acknowledge(bench.reader.pending - 2);
  await answered(bench, client, third);
});

test('Rule 41: writes of all devices of the group count together', async (t) => {
  const bench = await inSync(2, 30_000, { devices: 2 });
  const [a, b] = [bench.client('d0'), bench.client('d1')];
  await a.reply(a.write(0, filled(512, 1)));
  const second = b.write(0, filled(512, 2));
  await bench.world.run(100);
  t.false(b.answered(second));
  bench.acknowledge(1);
  await answered(bench, b, second);
});

test('Rule 40: waiting writes do not keep reads and flushes of their connection from being served', async (t) => {
  const bench = await inSync(1);
  const client = bench.client();
  // Far more than a connection may have under way (requestsMax).
  const writes = Array.from({ length: 700 }, (_, index) =>
    client.write((index % 900) * 4096, filled(512, index % 255)),
  );
  const read = client.read(1 << 21, 512);
  const flush = client.flush();
  await client.reply(read);
  await client.reply(flush);
  t.false(writes.some((cookie) => client.answered(cookie)));
  await bench.world.until(() => bench.reader.pending === 700, 10_000, 'all are published');
  bench.acknowledge(700);
  for (const cookie of writes) t.is((await client.reply(cookie)).error, 0);
});

test('Rule 40: one timeout lets everybody go, nobody waits again until the secondary has caught up', async (t) => {
  const bench = await inSync(1, 1000);
  const client = bench.client();
  const cookies = [client.write(0, filled(512, 1)), client.write(4096, filled(512, 2))];
  await bench.world.run(900);
  t.false(cookies.some((cookie) => client.answered(cookie)));
  t.false(bench.control.syncDegraded);
  for (const cookie of cookies) t.is((await client.reply(cookie)).error, 0, 'success (MD 7)');
  t.true(bench.control.syncDegraded);
  t.like(await bench.fact('driver.syncDegraded'), { degraded: true, waited: 2 });
  // A serial writer would otherwise stand still for a timeout each time.
  const before = bench.world.now;
  for (let count = 0; count < 20; count++) {
    await client.reply(client.write(8192 * count, filled(512, 3)));
  }
  t.true(bench.world.now - before < 500);
  bench.facts.length = 0;
  bench.acknowledge(21);
  await bench.world.run(600);
  t.is(bench.told('driver.syncDegraded'), 0, 'one write is still missing');
  bench.acknowledge(1);
  t.like(await bench.fact('driver.syncDegraded'), { degraded: false });
  t.false(bench.control.syncDegraded);
  const again = client.write(0, filled(512, 4));
  await bench.world.run(200);
  t.false(client.answered(again));
  bench.acknowledge(1);
  await answered(bench, client, again);
});

test('Rule 40: under load, a secondary that keeps pace ends the degradation', async (t) => {
  const bench = await inSync(1, 2000);
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  t.true(bench.control.syncDegraded);
  bench.facts.length = 0;
  // Always five entries behind: never is everything durable.
  const restored = () => bench.told('driver.syncDegraded') > 0;
  for (let count = 0; count < 2000 && !restored(); count++) {
    const cookie = client.write((count % 1000) * 4096, filled(512, 1));
    await bench.world.until(() => restored() || client.answered(cookie), 5_000, 'an answer');
    bench.acknowledge(Math.max(0, bench.reader.pending - 5));
  }
  t.like(await bench.fact('driver.syncDegraded'), { degraded: false });
});

test('Rule 40: a secondary that falls behind for longer than the timeout stays degraded', async (t) => {
  const bench = await inSync(1, 1000);
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  for (let count = 0; count < 60; count++) {
    await client.reply(client.write(count * 4096, filled(512, 1)));
    await client.reply(client.write(count * 8192, filled(512, 1)));
    await bench.world.run(100);
    bench.acknowledge(1);
  }
  t.true(bench.control.syncDegraded);
});

test('leaving NORMAL answers everybody at once, and outside it nobody waits', async (t) => {
  const bench = await inSync(1);
  const client = bench.client();
  const waiting = client.write(0, filled(512, 1));
  await bench.world.run(100);
  t.false(client.answered(waiting));
  await bench.duties(false, true, 7);
  await answered(bench, client, waiting);
  // TRACKING, PASSTHRU, and phase b of a refresh.
  await client.reply(client.write(4096, filled(512, 2)));
  await bench.duties(false, false, 8);
  await client.reply(client.write(4096, filled(512, 3)));
  await bench.duties(false, true, 9);
  bench.tell({ type: 'driver.era', era: otherEra, sequence: 1, lease: 1000 });
  await bench.duties(true, true, 10);
  await client.reply(client.write(4096, filled(512, 4)));
  t.true(bench.reader.pending > 0);
  // The commit makes it NORMAL: from here on it waits, also for what phase b left.
  bench.tell({ type: 'driver.commit', token: 11, graceToken: 10 });
  t.like(await bench.fact('driver.committed', 11), { cleared: true });
  const again = client.write(8192, filled(512, 5));
  await bench.world.run(100);
  t.false(client.answered(again));
  bench.acknowledgeAll();
  bench.tell({ type: 'driver.acked' });
  await answered(bench, client, again);
});

test('T2: an overflow answers the writers who wait', async (t) => {
  const bench = await inSync(1, 30_000, { babBytes: 16 * 65536, shareBytes: 4 * 65536 });
  const client = bench.client();
  const cookies: bigint[] = [];
  for (let count = 0; count < 40; count++) {
    cookies.push(client.write(count * mapBlockBytes, filled(mapBlockBytes, count)));
  }
  for (const cookie of cookies) t.is((await client.reply(cookie)).error, 0);
  await bench.fact('driver.overflowed');
  t.true(bench.world.now < 1000, 'nobody waited for the timeout');
});

test('H21: what waits for a local flush that fails is answered EIO, and the group tracks', async (t) => {
  const bench = await inSync(1);
  const client = bench.client();
  bench.disks[0]!.fault = (operation) => (operation === 'flush' ? EIO : 0);
  const cookie = client.write(0, filled(512, 1));
  t.is((await client.reply(cookie)).error, EIO);
  await bench.fact('driver.overflowed');
  t.true(bench.maps[0]!.persisted.has(40));
});

test('a write that fails is answered at once', async (t) => {
  const bench = await inSync(1);
  const client = bench.client();
  bench.disks[0]!.fault = (operation) => (operation === 'write' ? EIO : 0);
  t.is((await client.reply(client.write(0, filled(512, 1)))).error, EIO);
  t.is(bench.reader.pending, 1, 'what the disk has is published (H20)');
});

test('the setting takes effect at once: off answers everybody, on begins with the next write', async (t) => {
  const bench = await inSync(1);
  const client = bench.client();
  const waiting = client.write(0, filled(512, 1));
  await bench.world.run(100);
  t.false(client.answered(waiting));
  bench.tell({ type: 'driver.sync', depth: 0, timeoutMs: 30_000 });
  await answered(bench, client, waiting);
  await client.reply(client.write(4096, filled(512, 2)));
  bench.tell({ type: 'driver.sync', depth: 2, timeoutMs: 500 });
  // Two entries are under way already.
  const third = client.write(8192, filled(512, 3));
  await bench.world.run(100);
  t.false(client.answered(third));
  bench.tell({ type: 'driver.sync', depth: 2, timeoutMs: 200 });
  await bench.world.run(150);
  t.true(client.answered(third), 'a shorter timeout holds for those who wait already');
});

test('Rule 39: the control block tells the PMD how far writers wait, and it is woken for it', async (t) => {
  const bench = await inSync(2);
  const client = bench.client();
  bench.control.setAsleep(true);
  await client.reply(client.write(0, filled(512, 1)));
  t.is(bench.control.awaitedDurable, undefined);
  bench.control.setAsleep(true);
  bench.pmdMessages.length = 0;
  client.write(4096, filled(512, 2));
  client.write(8192, filled(512, 3));
  await bench.world.run(50);
  t.is(bench.control.awaitedDurable, 2);
  t.true(bench.pmdMessages.some(({ type }) => type === 'pmd.wake'));
  bench.acknowledge(2);
  await bench.world.run(50);
  t.is(bench.control.awaitedDurable, undefined);
});

test('a driver that stops answers no waiting write as if it were safe, and gives everything back', async (t) => {
  const bench = await inSync(1);
  const client = bench.client();
  const cookie = client.write(0, filled(512, 1));
  await bench.world.run(100);
  await bench.world.settled(bench.driver!.stop());
  t.false(client.answered(cookie));
  t.is(bench.disks[0]!.holders, 0);
});

test('Rule 40: a client that is gone takes its waiting writes with it', async (t) => {
  const bench = await inSync(1, 1000);
  const [client, other] = [bench.client(), bench.client()];
  client.write(0, filled(512, 1));
  const cookie = other.write(4096, filled(512, 2));
  await bench.world.run(100);
  client.stream.clientEnds(0);
  await bench.world.run(100);
  bench.acknowledge(2);
  await answered(bench, other, cookie);
  await bench.world.run(100);
  t.true(client.stream.closed);
});

test('H23: a new driver is degraded as the old one was, and waits for nobody of before', async (t) => {
  const bench = await inSync(1, 200);
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  t.true(bench.control.syncDegraded);
  client.write(4096, filled(512, 1));
  await bench.crash();
  await bench.restart();
  bench.tell({ type: 'driver.sync', depth: 1, timeoutMs: 200 });
  t.true(bench.control.syncDegraded);
  t.is(bench.control.awaitedDurable, undefined);
  bench.acknowledge(100);
  await bench.fact('driver.syncDegraded');
  await bench.world.until(() => !bench.control.syncDegraded, 1000, 'caught up');
});

test('I2: a driver after a crash is in sync mode before the group has spoken to it', async (t) => {
  const bench = await inSync(1);
  await bench.crash();
  await bench.restart();
  const client = bench.client();
  const cookie = client.write(0, filled(512, 1));
  await bench.world.run(200);
  t.false(client.answered(cookie));
  bench.acknowledge(10);
  await answered(bench, client, cookie);
});

interface Write {
  readonly client: BenchClient;
  readonly cookie: bigint;
  readonly device: number;
  readonly offset: number;
  readonly length: number;
  readonly value: number;
  /** Number in the order of the group, and entries behind it; −1 while not published. */
  order: number;
  end: number;
  answered: boolean;
}

/** I2 and I3 at the moment of each answer, over schedules of chance. */
test('I2, I3, Rules 19, 41: whatever completes and is acknowledged when, no answer comes early', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new Prng(seed);
    const depth = [1, 1, 2, 3, 5, 9][random.below(6)]!;
    const bench = await inSync(depth, 1e9, {
      ...{ seed, devices: 2, deviceBytes: 16 * 2 ** 20 },
      // Without an overflow, which would answer everybody.
      ...{ babBytes: 32 * 2 ** 20, shareBytes: 16 * 2 ** 20 },
    });
    const clients = [bench.client('d0'), bench.client('d0'), bench.client('d1')];
    const writes: Write[] = [];
    const order: Write[] = [];
    let seen = 0;
    const look = () => {
      for (; seen < bench.reader.published; seen++) {
        const entry = bench.entryAt(seen);
        if ((entry.flags & entryFlags.continues) !== 0) continue;
        const write = writes.find(
          ({ device, offset, length }) =>
            device === entry.device && entry.offset >= offset && entry.offset < offset + length,
        )!;
        write.order = order.length;
        write.end = seen + 1;
        order.push(write);
      }
      for (const write of writes) {
        if (write.answered || !write.client.answered(write.cookie)) continue;
        write.answered = true;
        const { durable } = bench.reader;
        const before = order.slice(0, write.order + 1);
        const lacking = before.filter(({ end }) => !reached(durable, end)).length;
        t.true(write.order >= 0 && lacking < depth, `seed ${seed}: I3, ${lacking} of ${depth}`);
        const disk = bench.disks[write.device]!.durable;
        t.is(disk[write.offset], write.value, `seed ${seed}: I2, durable here`);
        t.is(disk[write.offset + write.length - 1], write.value, `seed ${seed}: I2, all of it`);
      }
    };
    bench.world.afterStep = look;
    for (let count = 0; count < 42; count++) {
      const who = random.below(clients.length);
      const client = clients[who]!;
      const length = random.below(6) === 0 ? 300_000 : 512 * (1 + random.below(8));
      const value = 1 + (count % 250);
      // Ranges of their own, so that every byte says which write it is.
      const offset = count * 393_216 + (length > 100_000 ? 0 : 512 * random.below(100));
      if (offset + length > 16 * 2 ** 20) continue;
      const device = who === 2 ? 1 : 0;
      const fua = random.below(5) === 0;
      const cookie = client.write(offset, filled(length, value), fua);
      const rest = { order: -1, end: 0, answered: false };
      writes.push({ client, cookie, device, offset, length, value, ...rest });
      for (let step = random.below(8); step > 0; step--) await bench.world.step();
      if (random.below(3) === 0) bench.acknowledge(random.below(6));
    }
    while (writes.some((write) => !write.answered)) {
      bench.acknowledge(1 + random.below(4));
      await bench.world.run(2);
    }
    t.is(bench.control.awaitedDurable, undefined);
    t.is(bench.told('driver.overflowed'), 0);
  }
});

/** What a driver makes of the writes that its predecessor had in flight (H22, H23), and its own end. */
import test from 'ava';
import { mapBlockBytes } from '../../../src/core/constants.js';
import { DriverBench, filled, sameBytes } from '../../helpers/driver-bench.js';

const EIO = 5;

test('H23: after a crash the BAB is what the disk holds, in the same era, whatever had landed', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const bench = await DriverBench.start({ seed });
    await bench.normal();
    const start = bench.disks[0]!.live.slice();
    const { random } = bench.world;
    for (let life = 0; life < 3; life++) {
      const clients = [bench.client(), bench.client()];
      for (let count = 0; count < 30; count++) {
        const client = clients[random.below(2)]!;
        const length = (1 + random.below(20)) * 512;
        const offset = random.below(100) * 512;
        if (random.chance(1, 6)) client.zero(offset, length);
        else client.write(offset, filled(length, 1 + random.below(255)));
        if (random.chance(1, 2)) await bench.world.step();
      }
      for (let steps = random.below(60); steps > 0; steps--) await bench.world.step();
      await bench.crash();
      const before = bench.entries();
      await bench.restart();
      const entries = bench.entries();
      for (const [index, entry] of before.entries()) {
        t.like(entries[index], { sequence: entry.sequence, offset: entry.offset });
        if (entry.payload !== undefined) t.true(sameBytes(entries[index]?.payload, entry.payload));
      }
      t.deepEqual(
        entries.map(({ sequence }) => sequence),
        entries.map((_, index) => index + 1),
      );
      t.true(entries.every(({ dep, sequence, generation }) => dep < sequence && generation === 1));
      t.true(sameBytes(bench.mirrorAfter(entries, start), bench.disks[0]!.live), `seed ${seed}`);
      t.like(bench.control.snapshot(), { append: true, latched: false });
    }
    const client = bench.client();
    await client.reply(client.write(0, filled(512, 1)));
    t.is(bench.entries().at(-1)?.sequence, bench.entries().length);
    bench.acknowledgeAll();
    await bench.world.run(1000);
    t.is(bench.pool.usedBytes, 0, 'nothing of the dead drivers is left in the pool');
  }
});

test('H23: a range that cannot be read back is marked, and the group tracks', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  client.write(2 * mapBlockBytes, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'it is under way');
  await bench.crash();
  bench.disks[0]!.fault = () => EIO;
  await bench.restart();
  t.is(bench.entries().length, 0);
  t.true(bench.maps[0]!.persisted.has(2));
  t.is(bench.told('driver.overflowed'), 1);
  t.like(bench.control.snapshot(), { append: false, mark: true, latched: true });
});

test('H23: a mark-only write in flight is marked again, for a refresh that has read the old data', async (t) => {
  const bench = await DriverBench.start();
  await bench.duties(false, true, 1);
  const client = bench.client();
  client.write(2 * mapBlockBytes, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'it is under way');
  t.is(bench.maps[0]!.todo.takeRun(0, 100), 1);
  await bench.crash();
  await bench.restart();
  t.true(bench.maps[0]!.todo.has(2));
});

test('an overflow that nobody heard of is told by the successor', async (t) => {
  const bench = await DriverBench.start({ babBytes: 8 * 65536, shareBytes: 4 * 65536 });
  await bench.normal();
  bench.groupListens = false;
  const client = bench.client();
  for (let count = 0; count < 9; count++) {
    await client.reply(client.write(count * 65536, filled(65536, 1)));
  }
  t.is(bench.told('driver.overflowed'), 0);
  await bench.crash();
  bench.groupListens = true;
  await bench.restart();
  t.like(await bench.fact('driver.overflowed'), { sequence: bench.control.stamped });
});

test('a stopped driver has answered or dropped everything, flushed, and left the disk', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  await client.reply(client.write(0, filled(4096, 1)));
  client.write(8192, filled(4096, 2));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'one is under way');
  await bench.world.settled(bench.driver!.stop());
  t.is(bench.disks[0]!.holders, 0);
  t.is(bench.disks[0]!.unflushed.size, 0);
  t.is(bench.entries().length, 2);
  t.true(client.stream.closed);
  t.deepEqual(bench.failures, []);
});

test('H46: a driver that fails leaves its writes in flight to its successor', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  client.write(0, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'one is under way');
  // A message that breaks the contract is a bug of the group; it must not cost the write.
  bench.tell({ type: 'driver.era', era: 'x', sequence: 1, lease: 1 });
  t.is(bench.failures.length, 1);
  await bench.world.settled(bench.driver!.stop());
  t.is(bench.entries().length, 0);
  t.is(bench.disks[0]!.holders, 0);
  await bench.restart();
  t.true(sameBytes(bench.entries()[0]?.payload, filled(4096, 1)));
});

test('I7: a second driver is refused while the first holds the device', async (t) => {
  const bench = await DriverBench.start();
  await t.throwsAsync(bench.restart(), { message: /in use/ });
});

/** The driver's part of clear BAB, checkpoint and backfresh (H11, Rule 15b, Rule 30). */
import test from 'ava';
import { mapBlockBytes } from '../../../src/core/constants.js';
import { entryFlags } from '../../../src/core/wire/messages.js';
import { DriverBench, filled } from '../../helpers/driver-bench.js';

test('H11: clear BAB turns every entry into dirt before it says so, and appends no more', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  bench.acknowledgeAll();
  await client.reply(client.write(3 * mapBlockBytes, filled(512, 2)));
  const cookie = client.write(7 * mapBlockBytes, filled(512, 3));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'one is under way');
  bench.tell({ type: 'driver.clearBab', token: 5 });
  await bench.fact('driver.cleared', 5);
  const { persisted } = bench.maps[0]!;
  t.deepEqual(
    [0, 3, 7].map((block) => persisted.has(block)),
    [false, true, true],
  );
  await client.reply(cookie);
  t.is(bench.entries().length, 1, 'the write in flight has become a mark');
  t.like(bench.control.snapshot(), { append: false, mark: true, latched: false });
  t.is(bench.told('driver.overflowed'), 0);
});

test('clear BAB in PASSTHRU marks nothing and gives no duty', async (t) => {
  const bench = await DriverBench.start();
  bench.tell({ type: 'driver.clearBab', token: 5 });
  await bench.fact('driver.cleared', 5);
  t.is(bench.maps[0]!.persisted.count, 0);
  t.like(bench.control.snapshot(), { append: false, mark: false });
});

test('Rule 15b: a checkpoint marker is an entry of its own behind everything stamped', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  bench.tell({ type: 'driver.marker', token: 6 });
  t.like(await bench.fact('driver.markerStamped', 6), { sequence: 2 });
  await client.reply(client.write(0, filled(512, 2)));
  t.deepEqual(
    bench.entries().map(({ sequence, dep, flags, length }) => [sequence, dep, flags, length]),
    [
      [1, 0, 0, 512],
      [2, 1, entryFlags.checkpoint, 0],
      [3, 2, 0, 512],
    ],
  );
  bench.acknowledgeAll();
});

test('H37: without the append duty there is no marker', async (t) => {
  const bench = await DriverBench.start();
  await bench.duties(false, true, 2);
  bench.tell({ type: 'driver.marker', token: 6 });
  t.like(await bench.fact('driver.markerStamped', 6), { sequence: 0 });
  t.deepEqual(bench.entries(), []);
});

test('Rule 30: the door shuts only when nobody is inside, and keeps clients out until it opens', async (t) => {
  const bench = await DriverBench.start();
  const inside = bench.client();
  bench.tell({ type: 'driver.door', open: false, token: 1 });
  t.like(await bench.fact('driver.door', 1), { open: true });
  t.is((await inside.reply(inside.write(0, filled(512, 1)))).error, 0, 'nothing has changed');
  inside.stream.clientEnds();
  await bench.world.run(50);
  bench.tell({ type: 'driver.door', open: false, token: 2 });
  t.like(await bench.fact('driver.door', 2), { open: false });
  const late = bench.client();
  const cookie = late.write(0, filled(512, 9));
  await bench.world.run(50);
  t.false(late.answered(cookie));
  t.is(bench.disks[0]!.live[0], 1);
  bench.tell({ type: 'driver.door', open: true, token: 3 });
  const again = bench.client();
  t.is((await again.reply(again.write(0, filled(512, 4)))).error, 0);
});

test('Rule 30: after a restart clients that came before the group spoke are sent away', async (t) => {
  const bench = await DriverBench.start({ groupSilent: true });
  const early = bench.client();
  const cookie = early.write(0, filled(512, 9));
  bench.tell({ type: 'driver.door', open: false, token: 1 });
  t.like(await bench.fact('driver.door', 1), { open: false });
  await bench.world.run(50);
  t.false(early.answered(cookie));
  t.is(bench.disks[0]!.live[0], 0);
});

test('H18: what was written in PASSTHRU is on the platter before a full refresh reads it', async (t) => {
  const bench = await DriverBench.start();
  const client = bench.client();
  await bench.duties(false, false, 1);
  await client.reply(client.write(0, filled(512, 1)));
  const [disk] = bench.disks;
  t.not(disk!.durable[0], 1);
  await bench.duties(false, true, 2);
  bench.tell({ type: 'driver.markAll', compare: false, token: 3 });
  await bench.fact('driver.markedAll', 3);
  t.is(disk!.durable[0], 1);
});

test('I21: the end of a backfresh clears the maps, behind a shut door only', async (t) => {
  const bench = await DriverBench.start();
  bench.tell({ type: 'driver.markAll', compare: true, token: 1 });
  bench.tell({ type: 'driver.door', open: false, token: 2 });
  await bench.fact('driver.door', 2);
  bench.tell({ type: 'driver.equal', token: 3 });
  t.like(await bench.fact('driver.committed', 3), { cleared: true });
  const { persisted, compare } = bench.maps[0]!;
  t.deepEqual([persisted.count, compare.count], [0, 0]);
  bench.tell({ type: 'driver.door', open: true, token: 4 });
  bench.tell({ type: 'driver.equal', token: 5 });
  t.is(bench.failures.length, 1);
});

/** The path of a write through the driver: order, duties, overflow, failures (H1–H6, H20, H32, H42). */
import test from 'ava';
import { mapBlockBytes, zeroStepBytes } from '../../../src/core/constants.js';
import { entryFlags } from '../../../src/core/wire/messages.js';
import { DriverBench, era, filled, otherEra, sameBytes } from '../../helpers/driver-bench.js';

const EIO = 5;

test('a write in NORMAL is on the disk, in the BAB and answered', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  const reply = await client.reply(client.write(8192, filled(4096, 7)));
  t.is(reply.error, 0);
  const [entry] = bench.entries();
  t.like(entry, { sequence: 1, dep: 0, device: 0, offset: 8192, length: 4096, flags: 0 });
  t.true(sameBytes(entry?.payload, filled(4096, 7)));
  t.true(sameBytes(bench.disks[0]!.live.slice(8192, 12288), filled(4096, 7)));
  t.is(bench.maps[0]!.persisted.count, 0);
  t.like(bench.control.snapshot(), { entries: 1, bytes: 4096, append: true, mark: false });
  t.like(bench.control.snapshot().devices[0], { writes: 1, sectorsWritten: 8, babEntries: 1 });
});

test('T1, I5: a client that is here before the group has spoken waits; its writes are not lost to the mirror', async (t) => {
  const bench = await DriverBench.start({ groupSilent: true });
  const client = bench.client();
  const early = client.write(4096, filled(512, 7));
  await bench.world.run(50);
  t.false(client.answered(early));
  await bench.normal();
  t.is((await client.reply(early)).error, 0);
  t.deepEqual(
    bench.entries().map(({ sequence, offset }) => [sequence, offset]),
    [[1, 4096]],
  );
  // Also the successor of a driver that died before the group spoke knows nothing.
  const silent = await DriverBench.start({ groupSilent: true });
  await silent.crash();
  await silent.restart();
  const other = silent.client();
  const write = other.write(0, filled(512, 8));
  await silent.world.run(50);
  t.false(other.answered(write));
  await silent.world.settled(silent.driver!.stop());
  t.is(silent.disks[0]!.holders, 0);
});

test('H1, I9: overlapping writes reach the disk and the BAB in one order, whatever completes first', async (t) => {
  for (let seed = 1; seed <= 30; seed++) {
    const bench = await DriverBench.start({ seed });
    await bench.normal();
    const clients = [bench.client(), bench.client(), bench.client()];
    const { random } = bench.world;
    const cookies: [number, bigint][] = [];
    for (let count = 0; count < 60; count++) {
      const who = random.below(clients.length);
      const offset = random.below(16) * 512;
      const length = (1 + random.below(12)) * 512;
      const client = clients[who]!;
      const kind = random.below(8);
      if (kind === 0) cookies.push([who, client.trim(offset, length)]);
      else cookies.push([who, client.write(offset, filled(length, 1 + (count % 255)))]);
      if (random.chance(1, 3)) await bench.world.step();
    }
    for (const [who, cookie] of cookies) t.is((await clients[who]!.reply(cookie)).error, 0);
    const mirror = bench.mirrorAfter(bench.entries(), new Uint8Array(bench.disks[0]!.sizeBytes));
    t.true(sameBytes(mirror, bench.disks[0]!.live), `seed ${seed}`);
  }
});

test('I1: a write depends on every write that was answered before it arrived', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  await client.reply(client.write(4096, filled(512, 2)));
  const third = client.write(8192, filled(512, 3));
  const fourth = client.write(12288, filled(512, 4));
  await client.reply(third);
  await client.reply(fourth);
  t.deepEqual(
    bench.entries().map(({ dep }) => dep),
    [0, 1, 2, 2],
  );
});

test('H2: a bit that a refresh clears while the write is under way is set again by its completion', async (t) => {
  const bench = await DriverBench.start();
  await bench.duties(false, true, 1);
  const client = bench.client();
  const cookie = client.write(3 * mapBlockBytes, filled(4096, 9));
  await bench.world.until(() => bench.maps[0]!.todo.has(3), 1000, 'the first mark');
  t.is(bench.disks[0]!.inFlight, 1);
  t.is(bench.maps[0]!.todo.takeRun(0, 100), 1);
  await client.reply(cookie);
  t.true(bench.maps[0]!.todo.has(3));
  t.true(bench.maps[0]!.persisted.has(3));
  t.is(bench.entries().length, 0);
});

test('H3, R2: grace passes only when the writes that started without the duty are done', async (t) => {
  const bench = await DriverBench.start();
  const client = bench.client();
  const cookie = client.write(0, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'the write is under way');
  bench.tell({ type: 'driver.duties', append: false, mark: true, token: 5 });
  t.is(bench.told('driver.graced'), 0);
  t.false(client.answered(cookie));
  // A write that starts now has the duty, and does not delay the grace.
  bench.disks[0]!.latencyMsMax = 1000;
  client.write(2 * mapBlockBytes, filled(4096, 2));
  await bench.world.until(() => bench.told('driver.graced') === 1, 1000, 'grace');
  t.true(sameBytes(bench.disks[0]!.live.slice(0, 4096), filled(4096, 1)));
  await bench.world.until(() => bench.maps[0]!.todo.has(2), 1000, 'the mark of the second');
  t.false(bench.maps[0]!.todo.has(0), 'it had no mark duty: grace is what makes it visible');
});

test('R4: writes that started as mark-only are done before the grace of phase b', async (t) => {
  const bench = await DriverBench.start();
  await bench.duties(false, true, 1);
  const client = bench.client();
  client.write(0, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'the write is under way');
  bench.tell({ type: 'driver.era', era, sequence: 41, lease: 1000 });
  bench.tell({ type: 'driver.duties', append: true, mark: true, token: 2 });
  t.is(bench.facts.filter((fact) => fact.type === 'driver.graced').length, 1);
  const fact = await bench.fact('driver.graced', 2);
  t.like(fact, { sequence: 40 });
  t.is(bench.disks[0]!.inFlight, 0);
  await client.reply(client.write(mapBlockBytes, filled(512, 2)));
  t.like(bench.entries()[0], { sequence: 41 });
  t.true(bench.maps[0]!.persisted.has(1), 'phase b marks and appends (H5)');
});

test('R6: the mark is reported when every write then in flight has completed', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  for (let count = 0; count < 5; count++) client.write(count * 8192, filled(4096, count));
  await bench.world.until(() => bench.disks[0]!.inFlight === 5, 1000, 'five are under way');
  const stamped = bench.control.stamped;
  bench.tell({ type: 'driver.mark', token: 9 });
  t.is(bench.told('driver.marked'), 0);
  const fact = await bench.fact('driver.marked', 9);
  t.is(stamped, 0);
  t.like(fact, { sequence: 5 });
});

test('R8, H6: a commit clears the maps only if append was never interrupted since the grace', async (t) => {
  const bench = await DriverBench.start();
  const client = bench.client();
  bench.tell({ type: 'driver.markAll', compare: false, token: 1 });
  bench.tell({ type: 'driver.era', era, sequence: 1, lease: 1000 });
  await bench.duties(true, true, 2);
  await client.reply(client.write(0, filled(512, 1)));
  bench.tell({ type: 'driver.commit', token: 3, graceToken: 99 });
  t.like(await bench.fact('driver.committed', 3), { cleared: false });
  t.is(bench.maps[0]!.persisted.count, bench.maps[0]!.blockCount);
  // A write in flight at the commit becomes an entry and leaves no dirt behind.
  const cookie = client.write(8192, filled(512, 2));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'one is under way');
  bench.tell({ type: 'driver.commit', token: 4, graceToken: 2 });
  t.like(await bench.fact('driver.committed', 4), { cleared: true });
  await client.reply(cookie);
  t.is(bench.maps[0]!.persisted.count, 0);
  t.is(bench.entries().length, 2);
  t.like(bench.control.snapshot(), { append: true, mark: false });
});

test('H6: an overflow between grace and commit keeps the whole map', async (t) => {
  const bench = await DriverBench.start({ babBytes: 8 * 65536, shareBytes: 4 * 65536 });
  const client = bench.client();
  bench.tell({ type: 'driver.markAll', compare: false, token: 1 });
  bench.tell({ type: 'driver.era', era, sequence: 1, lease: 1000 });
  await bench.duties(true, true, 2);
  for (let count = 0; count < 10; count++) {
    await client.reply(client.write(count * 65536, filled(65536, count + 1)));
  }
  t.is(bench.told('driver.overflowed'), 1);
  bench.tell({ type: 'driver.commit', token: 3, graceToken: 2 });
  t.like(await bench.fact('driver.committed', 3), { cleared: false });
  t.is(bench.maps[0]!.persisted.count, bench.maps[0]!.blockCount);
});

test('T2, I5, I15: at every instant each change is in the BAB or marked, however the BAB overflows', async (t) => {
  for (let seed = 1; seed <= 25; seed++) {
    const bench = await DriverBench.start({ seed, babBytes: 8 * 65536, shareBytes: 4 * 65536 });
    await bench.normal();
    const { random } = bench.world;
    const clients = [bench.client(), bench.client()];
    const start = bench.disks[0]!.live.slice();
    bench.world.afterStep = () => {
      if (bench.disks[0]!.inFlight > 0) return;
      const mirror = bench.mirrorAfter(bench.entries(), start);
      for (let block = 0; block < bench.maps[0]!.blockCount; block++) {
        if (bench.maps[0]!.persisted.has(block)) continue;
        const range = [block * mapBlockBytes, (block + 1) * mapBlockBytes] as const;
        const local = bench.disks[0]!.live.subarray(...range);
        if (!sameBytes(mirror.subarray(...range), local)) t.fail(`seed ${seed} block ${block}`);
      }
    };
    const cookies: [number, bigint][] = [];
    for (let count = 0; count < 80; count++) {
      const who = random.below(2);
      const length = (1 + random.below(64)) * 512;
      const offset = random.below((4 * 2 ** 20 - length) / 512) * 512;
      cookies.push([who, clients[who]!.write(offset, filled(length, 1 + count))]);
      if (random.chance(1, 2)) await bench.world.step();
    }
    for (const [who, cookie] of cookies) t.is((await clients[who]!.reply(cookie)).error, 0);
    t.is(bench.told('driver.overflowed'), 1, `seed ${seed}`);
    t.like(await bench.fact('driver.overflowed'), { sequence: bench.control.stamped });
    t.like(bench.control.snapshot(), { append: false, mark: true, latched: true });
    const sequences = bench.entries().map(({ sequence }) => sequence);
    t.deepEqual(
      sequences,
      Array.from(sequences.keys(), (index) => index + 1),
    );
    t.deepEqual(bench.failures, []);
  }
});

test('I17, T2: a write that waited for a range and overflows leaves the one before it published', async (t) => {
  const bench = await DriverBench.start({ babBytes: 8 * 65536, shareBytes: 4 * 65536 });
  await bench.normal();
  const client = bench.client();
  const first = client.write(0, filled(4096, 1));
  const second = client.write(0, filled(16 * 65536, 2));
  await client.reply(first);
  await client.reply(second);
  t.is(bench.told('driver.overflowed'), 1);
  t.is(bench.entries().length, 1);
  // Nothing is promised any more, so the next era can begin.
  bench.acknowledgeAll();
  bench.tell({ type: 'driver.era', era: otherEra, sequence: 1, lease: 1000 });
  await bench.duties(true, true, 7);
  await client.reply(client.write(0, filled(4096, 3)));
  t.like(bench.entries()[0], { sequence: 1 });
  t.deepEqual(bench.failures, []);
});

test('T2: an overflow marks the writes in flight at once, and none of them is published', async (t) => {
  const bench = await DriverBench.start({ babBytes: 8 * 65536, shareBytes: 4 * 65536 });
  await bench.normal();
  const client = bench.client();
  bench.disks[0]!.latencyMsMax = 10_000;
  for (let count = 0; count < 3; count++) client.write(count * mapBlockBytes, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 3, 100, 'three are under way');
  client.write(8 * mapBlockBytes, filled(16 * 65536, 2));
  await bench.world.until(() => bench.told('driver.overflowed') === 1, 100, 'overflow');
  t.is(bench.disks[0]!.inFlight, 4);
  t.deepEqual(
    [0, 1, 2, 3, 8, 23, 24].map((block) => bench.maps[0]!.persisted.has(block)),
    [true, true, true, false, true, true, false],
  );
  await bench.world.until(() => bench.disks[0]!.inFlight === 0, 60_000, 'they are done');
  t.is(bench.control.stamped, 0);
});

test('R8: a grace of before an interruption is none for the commit after it', async (t) => {
  const bench = await DriverBench.start();
  bench.tell({ type: 'driver.markAll', compare: false, token: 1 });
  bench.tell({ type: 'driver.era', era, sequence: 1, lease: 1000 });
  await bench.duties(true, true, 2);
  await bench.duties(false, true, 3);
  bench.tell({ type: 'driver.era', era: otherEra, sequence: 1, lease: 1000 });
  await bench.duties(true, true, 4);
  bench.tell({ type: 'driver.commit', token: 5, graceToken: 2 });
  t.like(await bench.fact('driver.committed', 5), { cleared: false });
  t.is(bench.maps[0]!.persisted.count, bench.maps[0]!.blockCount);
  bench.tell({ type: 'driver.commit', token: 6, graceToken: 4 });
  t.like(await bench.fact('driver.committed', 6), { cleared: true });
});

test('R9: append taken back by the group turns writes in flight into marks', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  const cookie = client.write(mapBlockBytes, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 100, 'it is under way');
  bench.tell({ type: 'driver.duties', append: false, mark: false, token: 3 });
  t.true(bench.maps[0]!.persisted.has(1));
  t.is((await client.reply(cookie)).error, 0);
  t.is(bench.entries().length, 0);
  await bench.world.run(1000);
  t.is(bench.pool.usedBytes, 0);
});

test('T2: free space does not bring append back; a new era does', async (t) => {
  const bench = await DriverBench.start({ babBytes: 8 * 65536, shareBytes: 4 * 65536 });
  await bench.normal();
  const client = bench.client();
  for (let count = 0; count < 9; count++) {
    await client.reply(client.write(count * 65536, filled(65536, 1)));
  }
  bench.acknowledgeAll();
  await client.reply(client.write(0, filled(512, 2)));
  t.is(bench.entries().length, 0);
  // Decided before the group knew of the overflow: refused, and told again.
  await bench.duties(true, true, 7);
  t.is(bench.told('driver.overflowed'), 2);
  t.like(bench.control.snapshot(), { append: false, mark: true });
  bench.tell({ type: 'driver.era', era: otherEra, sequence: 1, lease: 1000 });
  await bench.duties(true, true, 8);
  await client.reply(client.write(0, filled(512, 3)));
  t.like(bench.entries()[0], { sequence: 1, generation: 2 });
  t.false(bench.control.latched);
});

test('I17: a lease that is used up ends the era; no sequence is given twice', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal(6);
  const client = bench.client();
  const cookies = [];
  for (let count = 0; count < 10; count++) cookies.push(client.write(count * 8192, filled(512, 1)));
  for (const cookie of cookies) t.is((await client.reply(cookie)).error, 0);
  t.is(bench.told('driver.overflowed'), 1);
  t.true(bench.entries().length <= 6);
  t.true(bench.told('driver.leaseLow') <= 1);
});

test('Rule 8c: the group is told at half of the lease, and a longer lease goes on without a break', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal(10);
  const client = bench.client();
  for (let count = 0; count < 5; count++) await client.reply(client.write(0, filled(512, 1)));
  t.is(bench.told('driver.leaseLow'), 0);
  await client.reply(client.write(0, filled(512, 1)));
  t.is(bench.told('driver.leaseLow'), 1);
  bench.tell({ type: 'driver.lease', lease: 30 });
  for (let count = 0; count < 20; count++) await client.reply(client.write(0, filled(512, 1)));
  t.is(bench.entries().length, 26);
  t.is(bench.told('driver.leaseLow'), 2);
  t.is(bench.told('driver.overflowed'), 0);
});

test('Rule 8c: in a new era with a lease of the same length the group is told again', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal(10);
  const client = bench.client();
  for (let count = 0; count < 6; count++) await client.reply(client.write(0, filled(512, 1)));
  t.is(bench.told('driver.leaseLow'), 1);
  await bench.duties(false, true, 2);
  bench.tell({ type: 'driver.era', era: otherEra, sequence: 1, lease: 10 });
  await bench.duties(true, true, 3);
  for (let count = 0; count < 6; count++) await client.reply(client.write(0, filled(512, 1)));
  t.is(bench.told('driver.leaseLow'), 2);
});

test('H20: a failed write is read back, and what the disk holds is published', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  await client.reply(client.write(4096, filled(4096, 1)));
  bench.disks[0]!.fault = (operation) => {
    if (operation !== 'write') return 0;
    // Three of eight sectors were written before it failed.
    bench.disks[0]!.land(4096, filled(1536, 2), 1536);
    return EIO;
  };
  const reply = await client.reply(client.write(4096, filled(4096, 2)));
  t.is(reply.error, EIO);
  const entries = bench.entries();
  t.is(entries.length, 2);
  const mirror = bench.mirrorAfter(entries, new Uint8Array(bench.disks[0]!.sizeBytes));
  t.true(sameBytes(mirror, bench.disks[0]!.live));
  t.true(sameBytes(mirror.slice(4096, 5632), filled(1536, 2)));
  t.is(bench.told('driver.ioFailed'), 1);
});

test('H20: when the read fails too, the blocks are marked and the group tracks', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  bench.disks[0]!.fault = () => EIO;
  const reply = await client.reply(client.write(mapBlockBytes, filled(4096, 2)));
  t.is(reply.error, EIO);
  t.is(bench.entries().length, 0);
  t.true(bench.maps[0]!.persisted.has(1));
  t.is(bench.told('driver.overflowed'), 1);
  bench.disks[0]!.fault = undefined;
  t.is((await client.reply(client.write(0, filled(512, 2)))).error, 0);
});

test('H20: a failed zeroing is marked', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  bench.disks[0]!.fault = (operation) => (operation === 'zero' ? EIO : 0);
  t.is((await client.reply(client.trim(mapBlockBytes, 4096))).error, EIO);
  t.true(bench.maps[0]!.persisted.has(1));
  t.is(bench.told('driver.overflowed'), 1);
});

test('H32: a trim is an entry of zeroes that may unmap; a long one goes in steps', async (t) => {
  const bench = await DriverBench.start({ deviceBytes: 3 * zeroStepBytes });
  await bench.normal();
  const client = bench.client();
  await client.reply(client.write(0, filled(4096, 5)));
  const length = 2 * zeroStepBytes + 1024;
  t.is((await client.reply(client.trim(512, length))).error, 0);
  const steps = bench.entries().slice(1);
  t.deepEqual(
    steps.map((entry) => [entry.offset, entry.length]),
    [
      [512, zeroStepBytes],
      [512 + zeroStepBytes, zeroStepBytes],
      [512 + 2 * zeroStepBytes, 1024],
    ],
  );
  t.true(steps.every(({ flags }) => flags === (entryFlags.zero | entryFlags.mayUnmap)));
  t.true(sameBytes(bench.disks[0]!.live.slice(0, 1024), filled(1024, 0).fill(5, 0, 512)));
});

test('H42c: with the BAB at 100 % a write is received and executed; the group tracks', async (t) => {
  const bench = await DriverBench.start({ babBytes: 8 * 65536, shareBytes: 4 * 65536 });
  t.true(bench.pool.promiseShare(1, 0));
  // Another group has borrowed all there is to lend.
  while (bench.pool.take(1) >= 0);
  await bench.normal();
  const client = bench.client();
  const big = filled(1024 * 1024, 3);
  t.is((await client.reply(client.write(0, big))).error, 0);
  t.true(sameBytes(bench.disks[0]!.live.slice(0, big.length), big));
  t.is(bench.told('driver.overflowed'), 1);
  t.true(bench.maps[0]!.persisted.has(0) && bench.maps[0]!.persisted.has(15));
});

test('H42c: a payload that landed in private memory is copied when there is room by then', async (t) => {
  const bench = await DriverBench.start();
  const client = bench.client();
  const slow = bench.client();
  // Received while append is off, so in private memory; it starts behind an overlapping write.
  bench.disks[0]!.latencyMsMax = 100;
  slow.write(0, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'the first is under way');
  const cookie = client.write(0, filled(8192, 2));
  await bench.world.run(0.01);
  bench.tell({ type: 'driver.era', era, sequence: 1, lease: 100 });
  bench.tell({ type: 'driver.duties', append: true, mark: true, token: 1 });
  await client.reply(cookie);
  const [entry] = bench.entries();
  t.true(sameBytes(entry?.payload, filled(8192, 2)));
  t.is(bench.told('driver.overflowed'), 0);
});

test('H42c: a copy that could not become an entry after all goes back', async (t) => {
  const bench = await DriverBench.start();
  const client = bench.client();
  bench.disks[0]!.latencyMsMax = 100;
  bench.client().write(0, filled(4096, 1));
  await bench.world.until(() => bench.disks[0]!.inFlight === 1, 1000, 'the first is under way');
  const cookie = client.write(0, filled(8192, 2));
  await bench.world.run(0.01);
  bench.tell({ type: 'driver.era', era, sequence: 1, lease: 0 });
  bench.tell({ type: 'driver.duties', append: true, mark: true, token: 1 });
  t.is((await client.reply(cookie)).error, 0);
  t.is(bench.told('driver.overflowed'), 1);
  await bench.world.run(1000);
  t.is(bench.pool.usedBytes, 0);
});

test('more writes than slots wait their turn and all are executed', async (t) => {
  const bench = await DriverBench.start({ babBytes: 256 * 65536, shareBytes: 64 * 65536 });
  await bench.normal();
  const clients = Array.from({ length: 6 }, () => bench.client());
  const cookies = clients.map((client, who) =>
    Array.from({ length: 250 }, (_, count) =>
      client.write((who * 250 + count) * 512, filled(512, 1)),
    ),
  );
  for (const [who, mine] of cookies.entries()) {
    for (const cookie of mine) t.is((await clients[who]!.reply(cookie)).error, 0);
  }
  t.is(bench.entries().length, 1500);
  t.deepEqual(bench.failures, []);
});

test('H16: unaligned writes and zeroes on a direct device keep what lies beside them', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const bench = await DriverBench.start({ seed, logicalBlockBytes: 4096, direct: true });
    await bench.normal();
    const client = bench.client();
    const { random } = bench.world;
    const expected = new Uint8Array(bench.disks[0]!.sizeBytes);
    for (let round = 0; round < 8; round++) {
      const cookies: bigint[] = [];
      for (let count = 0; count < 8; count++) {
        // Neighbours in one block, without overlap: only the lock on blocks keeps both.
        const offset = (round * 8 + count) * 1000 + random.below(200);
        const length = 1 + random.below(700);
        const value = 1 + random.below(255);
        expected.fill(value, offset, offset + length);
        cookies.push(client.write(offset, filled(length, value)));
      }
      const at = 500_000 + round * 20_000 + random.below(3000);
      const big = 1 + random.below(15_000);
      expected.fill(0, at, at + big);
      cookies.push(client.zero(at, big));
      for (const cookie of cookies) t.is((await client.reply(cookie)).error, 0);
    }
    t.true(sameBytes(bench.disks[0]!.live, expected));
    const mirror = bench.mirrorAfter(bench.entries(), new Uint8Array(expected.length));
    t.true(sameBytes(mirror, expected));
    const reply = await client.reply(client.read(333, 70_000));
    t.true(sameBytes(reply.data, expected.slice(333, 70_333)));
  }
});

test('the PMD is woken once, and only when it sleeps', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  t.is(bench.pmdMessages.length, 0);
  t.true(bench.reader.sleep(bench.reader.published));
  const cookies = [client.write(0, filled(512, 1)), client.write(4096, filled(512, 1))];
  for (const cookie of cookies) await client.reply(cookie);
  t.deepEqual(bench.pmdMessages, [{ type: 'pmd.wake' }]);
});

test('Rule 47: a full mailbox delays facts and loses none', async (t) => {
  const bench = await DriverBench.start();
  await bench.duties(false, true, 9);
  bench.facts.length = 0;
  bench.groupListens = false;
  bench.tell({ type: 'driver.duties', append: false, mark: true, token: 1 });
  bench.tell({ type: 'driver.mark', token: 2 });
  await bench.world.run(50);
  t.deepEqual(bench.facts, []);
  bench.groupListens = true;
  await bench.fact('driver.marked', 2);
  t.deepEqual(
    bench.facts.map(({ type }) => type),
    ['driver.graced', 'driver.marked'],
  );
});

test('I4: memory goes back to the pool when the secondary has it durably, all of it when idle', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  for (let count = 0; count < 20; count++) {
    await client.reply(client.write(count * 65536, filled(65536, 1)));
  }
  t.true(bench.pool.usedBytes >= 20 * 65536);
  bench.acknowledgeAll();
  await bench.world.run(1000);
  t.is(bench.pool.usedBytes, 0);
});

test('I10: flush is answered when the device is flushed, and FUA writes are durable', async (t) => {
  const bench = await DriverBench.start();
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  t.is(bench.disks[0]!.durable[0], 0);
  t.is((await client.reply(client.flush())).error, 0);
  t.is(bench.disks[0]!.durable[0], 1);
  await client.reply(client.write(4096, filled(512, 2), true));
  t.is(bench.disks[0]!.durable[4096], 2);
  bench.tell({ type: 'driver.flush', token: 4 });
  t.like(await bench.fact('driver.flushed', 4), { errorCode: undefined });
});

for (const how of ['a flush of the client', 'a forced write', 'a flush of the group'] as const) {
  test(`H21: ${how} that fails ends the era and marks everything`, async (t) => {
    const bench = await DriverBench.start();
    await bench.normal();
    const client = bench.client();
    await client.reply(client.write(0, filled(512, 1)));
    const forced = how === 'a forced write';
    bench.disks[0]!.fault = (operation) => (operation === (forced ? 'write' : 'flush') ? EIO : 0);
    if (how === 'a flush of the group') {
      bench.tell({ type: 'driver.flush', token: 4 });
      t.like(await bench.fact('driver.flushed', 4), { errorCode: 'TDMF_DEVICE_FAILED' });
    } else {
      const cookie = forced ? client.write(8192, filled(512, 2), true) : client.flush();
      t.is((await client.reply(cookie)).error, EIO);
    }
    t.is(bench.told('driver.overflowed'), 1);
    t.is(bench.maps[0]!.persisted.count, bench.maps[0]!.blockCount);
    t.is(bench.maps[0]!.todo.count, bench.maps[0]!.blockCount);
    // What was stamped before is drained and ends the era in order (T2); nothing joins it.
    t.is(bench.entries().length, 1);
    bench.disks[0]!.fault = undefined;
    await client.reply(client.write(16384, filled(512, 3)));
    t.is(bench.entries().length, 1);
  });
}

test('H21: the last flush of a stop that fails leaves its word in the control block', async (t) => {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  bench.disks[0]!.fault = (operation) => (operation === 'flush' ? EIO : 0);
  await bench.world.settled(bench.driver!.stop());
  t.true(bench.control.latched);
});

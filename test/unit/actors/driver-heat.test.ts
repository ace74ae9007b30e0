/** A write starts only where its region is durably hot (H18, Rules 18, 28b, 28c, 49). */
import test from 'ava';
import { heatLimitMs, mapBlockBytes } from '../../../src/core/constants.js';
import { DriverBench, filled } from '../../helpers/driver-bench.js';

const regionMin = 256 * 1024;
const EIO = 5;

async function started(options: Parameters<typeof DriverBench.start>[0] = {}) {
  const bench = await DriverBench.start({ regionMin, ...options });
  await bench.normal();
  return bench;
}

test('H18: nothing of a write reaches the disk before its region is durably hot, reads and others go on', async (t) => {
  const bench = await started();
  const client = bench.client();
  await client.reply(client.write(0, filled(4096, 1)));
  bench.pstore.silent = true;
  const cold = client.write(5 * regionMin, filled(4096, 2));
  await bench.world.run(50);
  t.false(client.answered(cold));
  t.is(bench.disks[0]!.live[5 * regionMin], 0);
  t.is((await client.reply(client.write(4096, filled(4096, 3)))).error, 0, 'a hot region');
  t.is((await client.reply(client.read(5 * regionMin, 4096))).error, 0);
  t.is((await client.reply(client.flush())).error, 0);
  t.is(bench.entries().length, 2);
});

test('writes to one cold region ask once, and what waits for an answer asks together', async (t) => {
  const bench = await started();
  const client = bench.client();
  const writes = [0, 1, 2, 3].map((n) => client.write(n * 4096, filled(4096, 1)));
  for (const cookie of writes) await client.reply(cookie);
  t.is(bench.pstore.asked.length, 1);
  const far = [4, 6, 8, 10].map((n) => client.write(n * regionMin, filled(4096, 1)));
  for (const cookie of far) await client.reply(cookie);
  t.true(bench.pstore.asked.length <= 3);
  t.true(bench.pstore.images[0]!.isHot(10));
});

test('a warm working set asks nothing', async (t) => {
  const bench = await started();
  const client = bench.client();
  for (let turn = 0; turn < 3; turn++) {
    for (let region = 0; region < 6; region++) {
      await client.reply(client.write(region * regionMin, filled(512, turn)));
    }
    if (turn === 0) bench.pstore.asked.length = 0;
  }
  t.is(bench.pstore.asked.length, 0);
});

test('PASSTHRU asks nothing; the first write behind it is hot before it is marked', async (t) => {
  const bench = await DriverBench.start({ regionMin });
  const client = bench.client();
  await client.reply(client.write(0, filled(4096, 1)));
  t.is(bench.pstore.asked.length, 0);
  await bench.duties(false, true, 5);
  await client.reply(client.write(0, filled(4096, 1)));
  t.true(bench.pstore.images[0]!.isHot(0));
});

test('H18: what was written in PASSTHRU is on the disk before grace lets a refresh read it', async (t) => {
  const bench = await DriverBench.start({ regionMin });
  const client = bench.client();
  await client.reply(client.write(0, filled(4096, 1)));
  t.true(bench.disks[0]!.unflushed.size > 0);
  await bench.duties(false, true, 5);
  t.is(bench.disks[0]!.unflushed.size, 0);
});

test('Rule 28b: a write whose region cannot be made hot is not executed; hot ones go on', async (t) => {
  const bench = await started();
  const client = bench.client();
  await client.reply(client.write(0, filled(4096, 1)));
  bench.pstore.broken = true;
  t.is((await client.reply(client.write(5 * regionMin, filled(4096, 2)))).error, EIO);
  t.is(bench.disks[0]!.live[5 * regionMin], 0);
  t.is((await client.reply(client.write(0, filled(4096, 3)))).error, 0);
  t.like(await bench.fact('driver.heatFailed'), { code: 'TDMF_PSTORE_FAILED' });
  bench.pstore.broken = false;
  t.is((await client.reply(client.write(5 * regionMin, filled(4096, 2)))).error, 0);
  t.is(bench.entries().length, 3);
  t.deepEqual(bench.failures, []);
});

test('Rule 28c: a pstore that hangs is one that failed, until it answers', async (t) => {
  const bench = await started();
  const client = bench.client();
  await client.reply(client.write(0, filled(4096, 1)));
  bench.pstore.silent = true;
  const cookie = client.write(5 * regionMin, filled(4096, 2));
  await bench.world.run(heatLimitMs + 100);
  t.is((await client.reply(cookie)).error, EIO);
  t.like(await bench.fact('driver.heatFailed'), { code: 'TDMF_TIMED_OUT' });
  t.is((await client.reply(client.write(9 * regionMin, filled(4096, 2)))).error, EIO, 'at once');
  t.is((await client.reply(client.write(0, filled(4096, 3)))).error, 0);
});

test('Rule 18: what is in the BAB stays hot; what is durable over there cools behind a flush', async (t) => {
  const bench = await started({ hotTarget: 4, deviceBytes: 64 * regionMin });
  const client = bench.client();
  const image = () => bench.pstore.images[0]!;
  for (let region = 0; region < 40; region += 2) {
    await client.reply(client.write(region * regionMin, filled(512, 1)));
  }
  t.is(image().hotCount, 20, 'all pinned: the set grows (Rule 49)');
  bench.acknowledgeAll();
  await bench.world.run(600);
  bench.disks[0]!.unflushed.clear();
  let flushes = 0;
  bench.disks[0]!.fault = (operation) => {
    if (operation === 'flush') flushes++;
    return 0;
  };
  for (let region = 41; region < 60; region += 2) {
    await client.reply(client.write(region * regionMin, filled(512, 1)));
    bench.acknowledgeAll();
    await bench.world.run(600);
  }
  t.true(flushes > 0);
  t.true(image().hotCount < 12, `${image().hotCount}`);
  t.false(image().isHot(0), 'the longest unused go first');
  t.true(image().isHot(59));
  t.is(image().dirty.filter((byte) => byte !== 0).length, 0);
  const released = bench.pstore.asked.map((one) => one.released?.sequence ?? 0);
  t.deepEqual(
    released,
    released.toSorted((a, b) => a - b),
  );
  t.is(released.at(-1), 29, 'Rule 26: it goes with every change');
});

test('Rule 18: map bits go with the region that cools; a commit empties the map of the pstore', async (t) => {
  const bench = await started({ hotTarget: 4, deviceBytes: 64 * regionMin });
  await bench.duties(false, true, 5);
  const client = bench.client();
  for (let region = 0; region < 40; region += 2) {
    await client.reply(client.write(region * regionMin + mapBlockBytes, filled(512, 1)));
    await bench.world.run(50);
  }
  const image = bench.pstore.images[0]!;
  const per = regionMin / mapBlockBytes;
  for (let region = 0; region < 40; region += 2) {
    t.true(image.isHot(region) || image.isDirty(region * per + 1), `region ${region}`);
    t.false(image.isDirty(region * per));
  }
  t.true(image.hotCount < 12);
  bench.tell({ type: 'driver.era', era: 'a'.repeat(32), sequence: 1, lease: 1000 });
  await bench.duties(true, true, 6);
  bench.tell({ type: 'driver.commit', token: 7, graceToken: 6 });
  await bench.fact('driver.committed', 7);
  await bench.world.until(() => image.dirty.every((byte) => byte === 0), 1000, 'the empty map');
});

test('Rule 18: a crash at any instant finds hot or dirty whatever was written and is not durable', async (t) => {
  for (let seed = 1; seed <= 25; seed++) {
    const bench = await started({ seed, hotTarget: 3, deviceBytes: 16 * regionMin });
    const { random } = bench.world;
    const disk = bench.disks[0]!;
    const image = () => bench.pstore.images[0]!;
    const per = regionMin / mapBlockBytes;
    // Landed, and not flushed since.
    disk.landed = (first, count) => {
      const region = Math.floor((first * 512) / regionMin);
      const last = Math.floor(((first + count) * 512 - 1) / regionMin);
      for (let one = region; one <= last; one++) {
        if (!image().isHot(one)) t.fail(`seed ${seed}: a write landed in cold region ${one}`);
      }
    };
    bench.world.afterStep = () => {
      for (const sector of disk.unflushed) {
        const region = Math.floor((sector * 512) / regionMin);
        if (!image().isHot(region)) t.fail(`seed ${seed}: region ${region} is cold and unflushed`);
      }
      for (let index = 0; index < bench.reader.pending; index++) {
        const entry = bench.entries()[index]!;
        if (!image().isHot(Math.floor(entry.offset / regionMin))) t.fail('an entry is cold');
      }
      const { persisted } = bench.maps[0]!;
      for (let block = persisted.nextSet(0); block >= 0; block = persisted.nextSet(block + 1)) {
        const region = Math.floor(block / per);
        if (!image().isHot(region) && !image().isDirty(block))
          t.fail(`block ${block} is forgotten`);
        if (block + 1 >= persisted.bits) break;
      }
    };
    let client = bench.client();
    for (let count = 0; count < 60; count++) {
      const offset = random.below(16 * (regionMin / 4096)) * 4096;
      if (random.chance(1, 8))
        client.zero(offset, Math.min(2 * regionMin, disk.sizeBytes - offset));
      else client.write(offset, filled(4096, count));
      if (random.chance(1, 4)) bench.acknowledgeAll();
      if (random.chance(1, 30)) bench.pstore.broken = !bench.pstore.broken;
      if (random.chance(1, 20)) await bench.duties(false, true, 100 + count);
      if (random.chance(1, 25)) {
        bench.world.afterStep = undefined;
        await bench.crash();
        await bench.restart();
        client = bench.client();
      }
      await bench.world.run(random.below(30));
    }
    bench.world.afterStep = undefined;
    t.deepEqual(bench.failures, [], `seed ${seed}`);
  }
});

test('H21: after a failed flush nothing of the device cools, in the next driver neither, until the next boot', async (t) => {
  const bench = await started({ hotTarget: 2, deviceBytes: 64 * regionMin });
  const client = bench.client();
  await client.reply(client.write(0, filled(512, 1)));
  let left = 1;
  bench.disks[0]!.fault = (operation) => (operation === 'flush' && left-- > 0 ? EIO : 0);
  t.is((await client.reply(client.flush())).error, EIO);
  await bench.world.run(20);
  const image = () => bench.pstore.images[0]!;
  t.not(image().kept, 0);
  await bench.crash();
  await bench.restart();
  const again = bench.client();
  for (let region = 2; region < 40; region += 2) {
    await again.reply(again.write(region * regionMin, filled(512, 1)));
    await bench.world.run(50);
  }
  t.is(image().hotCount, 20);
  await t.throwsAsync(
    bench.world.settled(bench.driver!.ask!({ kind: 'driver.flush', last: true })),
    { code: 'TDMF_DEVICE_FAILED' },
    'no stop is clean',
  );
  bench.node.boots++;
  await bench.crash();
  await bench.restart();
  const later = bench.client();
  for (let region = 1; region < 9; region += 2) {
    await later.reply(later.write(region * regionMin, filled(512, 1)));
    await bench.world.run(50);
  }
  t.is(image().kept, 0);
  t.true(image().hotCount < 10);
});

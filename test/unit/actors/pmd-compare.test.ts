/** Smart and checksum refreshes as the PMD carries them out, against a scripted secondary. */
import test from 'ava';
import { mapBlockBytes } from '../../../src/core/constants.js';
import type { Hashes } from '../../../src/core/wire/messages.js';
import { type BenchOptions, eraOf, PmdBench } from '../../helpers/pmd-bench.js';

const block = mapBlockBytes;

/** In NORMAL, and the mirror is equal. */
async function online(options: BenchOptions = {}): Promise<PmdBench> {
  const bench = await new PmdBench(options).start();
  await bench.launch();
  await bench.hears('link.connected');
  return bench;
}

/** TRACKING, with what the BAB held on the mirror. */
async function tracking(options: BenchOptions = {}): Promise<PmdBench> {
  const bench = await online(options);
  bench.track();
  await bench.hears('pmd.drained');
  return bench;
}

async function committed(bench: PmdBench, times = 1): Promise<void> {
  await bench.hears('refresh.committed', times);
  await bench.until(() => bench.control.pending === 0, 'drained');
}

function sentBlocks(bench: PmdBench): number {
  return bench.secondary.blocks.reduce((sum, { length }) => sum + length / block, 0);
}

test('a smart refresh sends what was written, and the mirror stays coherent until the commit (4.2)', async (t) => {
  const bench = await tracking({ blocks: [40, 4] });
  bench.write(0, 3 * block, 512, 9);
  bench.write(0, 17 * block, 2 * block, 8);
  bench.write(1, 0, 512, 7);
  let torn = false;
  const before = bench.secondary.mirrors.map((mirror) => mirror.slice());
  bench.refresh('r1', 'smart', false);
  await bench.until(() => {
    const same = bench.secondary.mirrors.every((mirror, i) =>
      mirror.every((v, at) => v === before[i]![at]),
    );
    if (bench.secondary.state !== 'coherent') torn = true;
    return !same;
  }, 'the commit');
  await committed(bench);
  t.false(torn);
  t.true(bench.same);
  t.is(sentBlocks(bench), 4);
  t.is(bench.secondary.last('hashes'), undefined);
  const progress = bench.told('refresh.progressed');
  t.is(progress[0]!.totalBytes, 4 * block, 'relative to the dirt');
  bench.write(0, 0, 512, 1);
  await bench.until(() => bench.control.pending === 0, 'streamed');
  t.true(bench.same);
});

test('nothing differs: a smart refresh of nothing is a hand-over to the new era', async (t) => {
  const bench = await tracking();
  bench.refresh('r1', 'smart', false);
  await committed(bench);
  t.is(sentBlocks(bench), 0);
  t.deepEqual(bench.told('refresh.committed')[0]!.position, { era: eraOf(2), sequence: 0 });
});

test('a checksum refresh of equal images sends hashes only, and counts all of it as done (Rule 17)', async (t) => {
  const bench = await tracking({ blocks: [100, 7] });
  bench.refresh('r1', 'checksum');
  await committed(bench);
  t.is(sentBlocks(bench), 0);
  const hashes = bench.secondary.messages.filter((one): one is Hashes => one.kind === 'hashes');
  t.is(
    hashes.reduce((sum, one) => sum + one.hashes.length / 16, 0),
    107,
  );
  t.true(hashes.every((one) => one.hashes.length <= 256));
  t.deepEqual(
    hashes.map(({ batch }) => batch),
    hashes.map((_, index) => index + 1),
  );
});

test('a checksum refresh sends exactly what differs', async (t) => {
  const bench = await tracking({ blocks: [100, 7] });
  const { mirrors } = bench.secondary;
  for (const at of [0, 5, 6, 7, 31, 64, 99])
    mirrors[0]!.fill(0xdd, at * block + 100, at * block + 600);
  mirrors[1]![7 * block - 1] = 0;
  bench.refresh('r1', 'checksum');
  await committed(bench);
  t.true(bench.same);
  t.is(sentBlocks(bench), 8);
});

test('zero blocks that differ travel as records without data; equal ones do not travel', async (t) => {
  const bench = await tracking({ blocks: [64] });
  const mirror = bench.secondary.mirrors[0]!;
  bench.disks[0]!.live.fill(0, 8 * block, 40 * block);
  mirror.fill(0, 8 * block, 24 * block);
  bench.refresh('r1', 'checksum');
  await committed(bench);
  t.true(bench.same);
  t.is(sentBlocks(bench), 16);
  t.true(bench.secondary.blocks.every(({ data }) => data === undefined));
});

test('unproven blocks are compared and written ones sent, in one smart refresh (Rule 36)', async (t) => {
  const bench = await tracking({ blocks: [64] });
  bench.maps[0]!.markCompare(16 * block, 16 * block);
  bench.write(0, 2 * block, 512, 77);
  bench.write(0, 20 * block, 512, 78);
  bench.refresh('r1', 'smart', false);
  await committed(bench);
  t.true(bench.same);
  t.is(sentBlocks(bench), 2);
  t.is(bench.secondary.last('hashes')?.offset, 16 * block);
});

test('at most hashBatchesMax batches are under way, whatever the secondary does (I12)', async (t) => {
  const bench = await tracking({ blocks: [600] });
  bench.secondary.compares = false;
  bench.refresh('r1', 'checksum');
  await bench.world.run(500);
  const asked = () =>
    bench.secondary.messages.filter((one): one is Hashes => one.kind === 'hashes');
  t.is(asked().length, 16);
  bench.secondary.compares = true;
  for (const one of asked().toReversed()) bench.secondary.current!.compare(one);
  await committed(bench);
  t.true(bench.same);
});

test('a killed checksum refresh: the next one compares what was unproven (H17)', async (t) => {
  const bench = await tracking({ blocks: [64] });
  bench.refresh('r1', 'checksum');
  await bench.hears('refresh.progressed');
  await bench.until(() => bench.secondary.last('hashes') !== undefined, 'hashes');
  bench.tell({ type: 'pmd.abort', refreshId: 'r1', again: false });
  bench.secondary.mirrors[0]!.fill(0x55, 3 * block, 4 * block);
  const before = bench.secondary.messages.length;
  bench.refresh('r2', 'smart');
  await committed(bench);
  t.true(bench.same);
  const hashes = bench.secondary.messages.slice(before).filter((one) => one.kind === 'hashes');
  t.is(
    hashes.reduce((sum, one) => sum + (one as Hashes).hashes.length / 16, 0),
    64,
  );
  t.is(sentBlocks(bench), 1);
});

test('an answer to a refresh that was killed meanwhile decides nothing of the next one', async (t) => {
  const bench = await tracking({ blocks: [64] });
  const { secondary } = bench;
  secondary.mirrors[0]!.fill(0x55, 0, 64 * block);
  secondary.compares = false;
  bench.refresh('r1', 'checksum');
  await bench.until(() => secondary.last('hashes') !== undefined, 'hashes');
  const first = secondary.messages.find((one): one is Hashes => one.kind === 'hashes')!;
  bench.tell({ type: 'pmd.abort', refreshId: 'r1', again: false });
  bench.refresh('r2', 'checksum');
  await bench.world.run(50);
  secondary.compares = true;
  // "Nothing differs", said of the old question.
  secondary.current!.say({ kind: 'differs', batch: first.batch, bits: new Uint8Array(2) });
  const begun = secondary.messages.findLastIndex(({ kind }) => kind === 'refreshBegin');
  for (const one of secondary.messages.slice(begun)) {
    if (one.kind === 'hashes') secondary.current!.compare(one);
  }
  await committed(bench);
  t.true(bench.same);
});

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  for (const kind of ['smart', 'checksum'] as const) {
    test(`cuts and restarts at any moment of a ${kind} refresh under writes end equal (R3, R9, R10, H17), seed ${seed}`, async (t) => {
      const bench = await tracking({ seed, blocks: [80, 10] });
      const { world, secondary } = bench;
      for (let i = 0; i < 20; i += 1) bench.write(0, 512 * world.random.below(10_000), 4096, i);
      if (kind === 'checksum')
        for (let i = 0; i < 5; i += 1) secondary.mirrors[0]!.fill(0xcc, i * 70_000, i * 70_000 + 9);
      else bench.maps[0]!.markCompare(block * world.random.below(40), 30 * block);
      bench.refresh('r1', kind, kind === 'checksum');
      for (let round = 0; round < 10; round += 1) {
        await world.run(world.random.below(300));
        if (bench.mark || bench.append)
          bench.write(world.random.below(2), 512 * world.random.below(1000), 4096, round + 30);
        // After a restart `.i` is gone; a mirror whose refresh is committed is what it is.
        if (world.random.chance(1, 4)) secondary.bootId = `boot-${round + 2}`;
        secondary.current?.cut(world.random.below(200_000));
      }
      await committed(bench);
      await bench.until(() => !bench.mark && bench.control.pending === 0, 'normal');
      t.true(bench.same);
      t.deepEqual(bench.failures, []);
      await bench.stop();
    });
  }
}

test('what the secondary kept is not sent again (R10)', async (t) => {
  const bench = await tracking({ blocks: [64] });
  bench.leads = false;
  for (let at = 0; at < 64; at += 1) bench.write(0, at * block, 512, at + 1);
  bench.refresh('r1', 'smart', false);
  await bench.hears('refresh.converged');
  t.is(sentBlocks(bench), 64);
  await bench.world.run(50);
  bench.secondary.current!.cut();
  await bench.hears('refresh.converged', 2);
  t.is(sentBlocks(bench), 64);
  bench.secondary.bootId = 'boot-2';
  bench.secondary.current!.cut();
  await bench.hears('refresh.converged', 3);
  t.is(sentBlocks(bench), 128);
});

test('the changes of the other side are done too, when that was ordered (Rule 10b, row 9a)', async (t) => {
  const bench = await tracking({ blocks: [64] });
  const { secondary } = bench;
  secondary.mirrors[0]!.fill(0x77, 5 * block, 6 * block);
  secondary.mirrors[0]!.fill(0x77, 12 * block, 14 * block);
  secondary.base = secondary.position;
  secondary.position = { era: eraOf(0xf), sequence: 3 };
  secondary.durable = secondary.position;
  secondary.history = [eraOf(1)];
  secondary.own = { changes: 'known', bytes: 3 * block, since: 1 };
  const bits = Uint8Array.of(0b0010_0000, 0b0011_0000);
  secondary.dirt = [{ kind: 'dirt', device: 0, firstBlock: 0, bits }];
  bench.write(0, 40 * block, 512, 1);
  secondary.current!.cut();
  await bench.hears('link.refused');
  t.is(bench.told('link.refused')[0]!.code, 'TDMF_LINEAGE_SPLIT');
  t.regex(
    bench.told('link.refused')[0]!.message,
    /: 64 KiB here, on the mirror 192 KiB since 1970-01-01 00:00:00 UTC$/,
  );
  t.like(bench.told('lineage.diverged')[0], {
    code: 'TDMF_LINEAGE_SPLIT',
    ...{ hereBytes: block, thereBytes: 3 * block, since: 1 },
  });
  bench.refresh('r1', 'smart');
  await committed(bench);
  t.true(bench.same);
  t.is(sentBlocks(bench), 4);
  t.true(secondary.last('refreshBegin')?.union);
});

test('dirt behind the end of a device ends the session', async (t) => {
  const bench = await tracking({ blocks: [8] });
  const { secondary } = bench;
  secondary.own = { changes: 'known', bytes: 1, since: 1 };
  secondary.dirt = [{ kind: 'dirt', device: 0, firstBlock: 1, bits: Uint8Array.of(0x80) }];
  secondary.current!.cut();
  await bench.hears('link.connected', 2);
  bench.refresh('r1', 'smart');
  await bench.hears('link.lost', 2);
  t.is(bench.told('link.lost')[1]!.code, 'TDMF_LINK_PROTOCOL');
  t.is(sentBlocks(bench), 0);
});

test('a refresh of the map is not carried out on a mirror that lost more (row 6)', async (t) => {
  const bench = await online({ blocks: [16] });
  for (let i = 0; i < 10; i += 1) bench.write(0, i * block, 512, 99);
  await bench.until(() => bench.control.pending === 0, 'drained');
  bench.track();
  bench.secondary.position = { era: eraOf(1), sequence: 4 };
  bench.secondary.durable = bench.secondary.position;
  bench.secondary.current!.cut();
  bench.refresh('r1', 'smart', false);
  await bench.hears('link.connected', 2);
  await bench.world.run(200);
  t.is(bench.secondary.last('refreshBegin'), undefined);
  t.is(bench.told('link.decided').at(-1)?.action, 'checksum');
  bench.refresh('r2', 'checksum', false);
  await committed(bench);
  t.true(bench.same);
});

test('entries that a refresh drops are in the map, even if nobody put them there (H11)', async (t) => {
  const bench = await online({ blocks: [16] });
  bench.secondary.acks = false;
  bench.write(0, 3 * block, 512, 55);
  await bench.world.run(10);
  bench.track();
  bench.secondary.acks = true;
  bench.secondary.mirrors[0]!.fill(1, 3 * block, 4 * block);
  const refreshId = 'r1';
  bench.lineage = { ...bench.lineage, refreshId, refreshKind: 'smart', order: 'smart' };
  bench.tell({ type: 'pmd.lineage', lineage: bench.lineage });
  bench.tell({ type: 'pmd.refresh', refreshId, kind: 'smart', union: false });
  await committed(bench);
  t.true(bench.same);
});

test('an equal mirror is handed over to the present era, and the stream goes on (row 7e, Rule 8b)', async (t) => {
  const bench = new PmdBench();
  const { secondary } = bench;
  bench.lineage = { ...bench.lineage, base: { era: eraOf(9), sequence: 5 } };
  secondary.position = { era: eraOf(9), sequence: 5 };
  secondary.durable = secondary.position;
  await bench.start();
  await bench.launch();
  bench.write(0, 0, 512, 3);
  await bench.hears('pmd.eraTaken');
  await bench.until(() => bench.control.pending === 0, 'streamed');
  t.true(bench.same);
  t.like(secondary.last('era'), {
    from: { era: eraOf(9), sequence: 5 },
    era: eraOf(1),
    s0: 1,
    adopt: false,
  });
  t.deepEqual(bench.told('pmd.eraTaken'), [{ type: 'pmd.eraTaken', era: eraOf(1) }]);
});

test('in TRACKING an equal mirror is not handed over: the group begins a refresh', async (t) => {
  const bench = new PmdBench();
  bench.append = false;
  bench.mark = true;
  bench.lineage = { ...bench.lineage, appending: false, base: { era: eraOf(9), sequence: 5 } };
  bench.secondary.position = { era: eraOf(9), sequence: 5 };
  bench.secondary.durable = bench.secondary.position;
  await bench.start();
  await bench.launch();
  await bench.hears('link.decided');
  t.like(bench.told('link.decided')[0], { row: '7e', action: 'era', drain: false });
  await bench.world.run(50);
  t.is(bench.secondary.last('era'), undefined);
  bench.write(0, 0, 512, 3);
  bench.refresh('r1', 'smart', false);
  await committed(bench);
  t.true(bench.same);
});

test('override: a mirror that was never refreshed is taken as it is, UNVERIFIED (row 11)', async (t) => {
  const bench = new PmdBench();
  const { secondary } = bench;
  secondary.state = 'never';
  secondary.position = undefined;
  secondary.durable = undefined;
  await bench.start();
  await bench.launch();
  await bench.hears('link.decided');
  bench.lineage = { ...bench.lineage, order: 'normal' };
  bench.tell({ type: 'pmd.lineage', lineage: bench.lineage });
  await bench.hears('pmd.eraTaken');
  t.true(secondary.last('era')?.adopt);
  bench.lineage = { ...bench.lineage, order: undefined };
  bench.tell({ type: 'pmd.lineage', lineage: bench.lineage });
  bench.write(0, 0, 512, 3);
  await bench.until(() => bench.control.pending === 0, 'streamed');
  secondary.current!.cut();
  await bench.hears('link.connected', 2);
  t.is(bench.told('link.decided').at(-1)?.action, 'resume', 'UNVERIFIED, and in step');
});

test('TRACKING: the rest of the BAB is drained in a session, then the refresh follows in it (row 5d, R1)', async (t) => {
  const bench = new PmdBench({ blocks: [16] });
  await bench.start();
  for (let i = 0; i < 10; i += 1) bench.write(0, i * block, 512, 60 + i);
  bench.track();
  bench.write(0, 12 * block, 512, 99);
  await bench.launch();
  await bench.hears('pmd.drained');
  t.like(bench.told('link.decided')[0], { row: '5d', action: 'smart', drain: true });
  t.is(bench.secondary.entries.length, 10);
  t.is(bench.control.pending, 0);
  bench.refresh('r1', 'smart', false);
  await committed(bench);
  t.true(bench.same);
  t.is(bench.secondary.dials, 1);
  t.is(sentBlocks(bench), 1);
});

test('after the blocks of both sides were done, the mirror counts as ours in the same session (MD 27)', async (t) => {
  const bench = await tracking({ blocks: [64] });
  const { secondary } = bench;
  secondary.own = { changes: 'known', bytes: 1, since: 1 };
  secondary.dirt = [{ kind: 'dirt', device: 0, firstBlock: 0, bits: Uint8Array.of(4) }];
  secondary.mirrors[0]!.fill(5, 2 * block, 2 * block + 9);
  secondary.current!.cut();
  await bench.hears('link.connected', 2);
  t.is(bench.told('link.decided').at(-1)?.row, '5d');
  bench.refresh('r1', 'smart');
  await committed(bench);
  t.true(bench.same);
  t.true(secondary.last('refreshBegin')?.union);
  bench.track();
  bench.write(0, 0, 512, 44);
  bench.refresh('r2', 'smart', false);
  await committed(bench, 2);
  t.true(bench.same);
  t.false(secondary.last('refreshBegin')?.union);
});

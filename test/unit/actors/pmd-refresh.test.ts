/** A full refresh as the PMD carries it out, against a scripted secondary. */
import test from 'ava';
import { mapBlockBytes } from '../../../src/core/constants.js';
import { entryFlags } from '../../../src/core/wire/messages.js';
import { eraOf, PmdBench } from '../../helpers/pmd-bench.js';

const block = mapBlockBytes;

/** A bench whose mirror was never refreshed. */
async function fresh(options: ConstructorParameters<typeof PmdBench>[0] = {}): Promise<PmdBench> {
  const bench = new PmdBench(options);
  const { secondary } = bench;
  secondary.state = 'never';
  secondary.position = undefined;
  secondary.durable = undefined;
  secondary.mirrors = [];
  await bench.start();
  await bench.launch();
  return bench;
}

async function normal(bench: PmdBench, times = 1): Promise<void> {
  await bench.hears('refresh.committed', times);
  await bench.until(() => bench.control.pending === 0, 'drained');
}

test('a full refresh makes the mirror equal, and the stream goes on in the new era (R1–R8)', async (t) => {
  const bench = await fresh();
  await bench.hears('link.connected');
  bench.refresh('r1');
  await normal(bench);
  t.true(bench.same);
  t.deepEqual(bench.told('refresh.committed'), [
    { type: 'refresh.committed', refreshId: 'r1', position: { era: eraOf(2), sequence: 0 } },
  ]);
  bench.write(0, 512, 512, 99);
  await bench.until(() => bench.control.pending === 0, 'streamed');
  t.true(bench.same);
  t.is(bench.secondary.last('resume'), undefined);
  t.true(bench.told('refresh.progressed').length > 0);
  const order = ['refresh.converged', 'refresh.frozenRead', 'refresh.committed'];
  t.deepEqual(
    bench.heard.map(({ type }) => type as string).filter((type) => order.includes(type)),
    order,
  );
});

test('the refresh waits for the link, and begins when it is there', async (t) => {
  const bench = new PmdBench();
  bench.secondary.dialError = 'TDMF_LINK_REFUSED';
  await bench.start();
  await bench.launch();
  await bench.hears('link.lost');
  bench.refresh('r1');
  await bench.world.run(3000);
  bench.secondary.dialError = undefined;
  await normal(bench);
  t.true(bench.same);
});

test('no block is sent before the mirror is durably incoherent (Rule 12.2), nor an old entry (12.3)', async (t) => {
  const bench = await new PmdBench().start();
  for (let i = 0; i < 10; i += 1) bench.write(0, 512 * i, 512, 100 + i);
  bench.refresh('r1');
  await bench.launch();
  await normal(bench);
  t.true(bench.same);
  t.is(bench.secondary.entries.length, 0);
});

test('Rule 35: no hole is believed; what is read as zeroes travels without data, joined over neighbours', async (t) => {
  const bench = new PmdBench({ blocks: [64] });
  bench.disks[0]!.live.fill(0);
  bench.disks[0]!.live.fill(7, 10 * block, 11 * block);
  bench.secondary.state = 'never';
  bench.secondary.position = undefined;
  await bench.start();
  await bench.launch();
  bench.refresh('r1');
  await normal(bench);
  t.true(bench.same);
  const data = bench.secondary.blocks.filter((piece) => piece.data !== undefined);
  t.deepEqual(
    data.map(({ offset, length }) => [offset, length]),
    [[10 * block, block]],
  );
  const zeroes = bench.secondary.blocks.filter((piece) => piece.data === undefined);
  t.true(zeroes.length <= 4, `${zeroes.length} records of zeroes`);
  t.true(zeroes.every(({ flags }) => flags === (entryFlags.zero | entryFlags.mayUnmap)));
});

test('zero blocks between data of one read are closed up, and land where they belong', async (t) => {
  const bench = new PmdBench({ blocks: [8] });
  const { live } = bench.disks[0]!;
  for (let i = 0; i < live.length; i += 1) live[i] = (i * 31 + (i >> 9)) & 255;
  for (const zero of [1, 4, 7]) live.fill(0, zero * block, (zero + 1) * block);
  bench.secondary.state = 'never';
  bench.secondary.position = undefined;
  await bench.start();
  await bench.launch();
  bench.refresh('r1');
  await normal(bench);
  t.true(bench.same);
});

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`writes that race with reads are all on the mirror at the end (H2, H4, H6), seed ${seed}`, async (t) => {
    const bench = await fresh({ seed, blocks: [24, 10] });
    const { world } = bench;
    await bench.hears('link.connected');
    bench.refresh('r1');
    let writing = true;
    const open: (() => void)[] = [];
    // The local write lands some time after the first mark, and is marked again when it has (T1).
    const writeSlowly = () => {
      if (!writing) return;
      const device = world.random.below(2);
      const offset = 512 * world.random.below(bench.disks[device]!.sizeBytes / 512 - 8);
      const append = bench.startWrite(device, offset, 4096);
      const fill = world.random.below(256);
      const finish = () => {
        bench.disks[device]!.live.fill(fill, offset, offset + 4096);
        bench.endWrite(device, offset, 4096, append);
      };
      // A write that began without append must end before append counts (grace), so it is quick.
      if (bench.append) world.soon(1, 'write', finish);
      else if (world.random.chance(1, 2)) finish();
      else open.push(finish);
      while (open.length > 3 || (open.length > 0 && world.random.chance(1, 2))) open.shift()!();
      world.soon(2, 'next write', writeSlowly);
    };
    bench.leads = false;
    writeSlowly();
    await bench.hears('refresh.converged');
    for (const finish of open.splice(0)) finish();
    bench.append = true;
    const { era, s0 } = bench.beginEra();
    bench.tell({ type: 'pmd.phaseB', refreshId: 'r1', era, s0 });
    await bench.hears('refresh.frozenRead');
    await world.run(2);
    bench.tell({ type: 'pmd.mark', refreshId: 'r1', mark: bench.control.stamped });
    await bench.hears('refresh.committed');
    bench.mark = false;
    await world.run(20);
    writing = false;
    await world.run(5);
    await bench.until(() => bench.control.pending === 0, 'drained');
    t.true(bench.same);
    t.deepEqual(bench.failures, []);
  });
}

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`cuts at any moment of a refresh do not keep it from ending equal (R3, R9, R10), seed ${seed}`, async (t) => {
    const bench = await fresh({ seed, blocks: [40, 10] });
    const { world, secondary } = bench;
    bench.refresh('r1');
    for (let round = 0; round < 10; round += 1) {
      await world.run(world.random.below(400));
      bench.write(0, 512 * world.random.below(1000), 4096, round);
      secondary.current?.cut(world.random.below(400_000));
    }
    await normal(bench);
    t.true(bench.same);
    t.deepEqual(bench.failures, []);
    await bench.stop();
  });
}

test('another boot of the secondary begins from the start: all ones (R10)', async (t) => {
  const bench = await fresh({ blocks: [64] });
  bench.leads = false;
  bench.refresh('r1');
  await bench.hears('refresh.converged');
  const once = bench.secondary.blocks.length;
  bench.secondary.bootId = 'boot-2';
  bench.secondary.mirrors[0]!.fill(0xdd);
  bench.secondary.current!.cut();
  await bench.until(() => bench.secondary.blocks.length >= 2 * once, 'all blocks again');
  await bench.hears('refresh.converged', 2);
  t.true(bench.same);
});

test('under the same boot only what was not acknowledged is sent again (R3)', async (t) => {
  const bench = await fresh({ blocks: [64] });
  bench.leads = false;
  bench.refresh('r1');
  await bench.hears('refresh.converged');
  const once = bench.secondary.blocks.length;
  await bench.world.run(100);
  bench.secondary.current!.cut();
  await bench.hears('refresh.converged', 2);
  t.is(bench.secondary.blocks.length, once);
});

test('an abort of phase b sends the frozen rest again, and drops the entries of the attempt (R9, H5)', async (t) => {
  const bench = await fresh({ blocks: [16] });
  bench.leads = false;
  bench.refresh('r1');
  await bench.hears('refresh.converged');
  bench.write(0, 3 * block, 4096, 50);
  const { era, s0 } = bench.beginEra();
  bench.append = true;
  bench.tell({ type: 'pmd.phaseB', refreshId: 'r1', era, s0 });
  bench.write(0, 5 * block, 4096, 51);
  await bench.hears('refresh.frozenRead');
  await bench.until(() => bench.secondary.entries.length === 1, 'the entry is in .c');
  bench.append = false;
  bench.tell({ type: 'pmd.abort', refreshId: 'r1', again: true });
  await bench.until(() => bench.secondary.last('abortB') !== undefined, 'aborted');
  await bench.until(() => bench.control.pending === 0, 'dropped');
  bench.leads = true;
  await normal(bench);
  t.true(bench.same);
});

test('what is said about an attempt that was given up counts for no later one (R9, H26)', async (t) => {
  const bench = await fresh({ blocks: [16] });
  const { secondary } = bench;
  bench.leads = false;
  secondary.acks = false;
  bench.refresh('r1');
  await bench.until(() => secondary.blocks.length > 0, 'phase a');
  secondary.current!.acknowledge();
  await bench.hears('refresh.converged');
  const attempt = async (): Promise<void> => {
    const { era, s0 } = bench.beginEra();
    bench.append = true;
    bench.tell({ type: 'pmd.phaseB', refreshId: 'r1', era, s0 });
    bench.write(0, 5 * block, 4096, 51);
    bench.write(0, 6 * block, 4096, 52);
    await bench.world.run(10);
  };
  await attempt();
  await bench.until(() => secondary.entries.length === 2, 'the entries are in .c');
  const stale = { ...secondary.current!.ack, applied: 2, durable: 2 };
  secondary.current!.stalled = true;
  bench.append = false;
  bench.tell({ type: 'pmd.abort', refreshId: 'r1', again: true });
  await bench.world.run(2000);
  await attempt();
  // The abort is still on its way: the secondary speaks of the first attempt. (Every era of the
  // product counts from 1; the bench goes on counting, so the numbers are those of the second.)
  secondary.current!.sendAck({ ...stale, received: 4, applied: 4, durable: 4 });
  await bench.world.run(10);
  t.is(bench.control.cursor('durable'), 2, 'nothing of the second attempt is released');
  t.is(bench.told('link.lost').length, 0);
  secondary.acks = true;
  secondary.current!.resume();
  bench.append = false;
  bench.tell({ type: 'pmd.abort', refreshId: 'r1', again: true });
  bench.leads = true;
  await normal(bench);
  t.true(bench.same);
});

test('the mark counts the records of phase b, and goes out behind them (R6)', async (t) => {
  const bench = await fresh({ blocks: [16] });
  bench.leads = false;
  bench.refresh('r1');
  await bench.hears('refresh.converged');
  bench.write(0, 3 * block, 4096, 50);
  bench.write(0, 9 * block, 4096, 50);
  await bench.world.run(1);
  const { era, s0 } = bench.beginEra();
  bench.append = true;
  bench.tell({ type: 'pmd.phaseB', refreshId: 'r1', era, s0 });
  await bench.hears('refresh.frozenRead');
  const before = bench.secondary.blocks.length;
  bench.tell({ type: 'pmd.mark', refreshId: 'r1', mark: bench.control.stamped });
  await bench.hears('refresh.committed');
  t.is(bench.secondary.last('mark')?.blocks, 2);
  t.true(bench.secondary.blocks.length - before <= 2);
  t.true(bench.same);
});

test('a commit whose word was lost is found in the next handshake (R10)', async (t) => {
  const bench = await fresh({ blocks: [16] });
  bench.refresh('r1');
  await bench.until(() => bench.secondary.last('mark') !== undefined, 'the mark arrived');
  t.is(bench.told('refresh.committed').length, 0);
  bench.secondary.current!.cut();
  await bench.hears('refresh.committed');
  t.is(bench.told('refresh.phaseBLost').length, 0);
  bench.write(0, 512, 512, 3);
  await bench.until(() => bench.control.pending === 0, 'streamed');
  t.true(bench.same);
  t.is(bench.secondary.last('resume')?.era, eraOf(2));
});

test('a link lost after the commit, before the group has recorded it: the stream goes on (R8, I14)', async (t) => {
  const bench = await fresh({ blocks: [16] });
  bench.leads = false;
  bench.refresh('r1');
  await bench.hears('refresh.converged');
  const { era, s0 } = bench.beginEra();
  bench.append = true;
  bench.lineage = { ...bench.lineage, appending: true };
  bench.tell({ type: 'pmd.lineage', lineage: bench.lineage });
  bench.tell({ type: 'pmd.phaseB', refreshId: 'r1', era, s0 });
  await bench.hears('refresh.frozenRead');
  bench.tell({ type: 'pmd.mark', refreshId: 'r1', mark: bench.control.stamped });
  await bench.hears('refresh.committed');
  const connections = bench.told('link.connected').length;
  bench.secondary.current!.cut();
  await bench.hears('link.connected', connections + 1);
  bench.write(0, 512, 512, 3);
  await bench.until(() => bench.control.pending === 0, 'streamed');
  t.is(bench.secondary.last('resume')?.era, era);
  // Another refresh is another matter.
  bench.refresh('r2');
  await bench.hears('refresh.converged', 2);
});

test('a link lost after the mark, and no commit: phase b is lost, and the refresh goes on (R9)', async (t) => {
  const bench = await fresh({ blocks: [16] });
  bench.leads = false;
  bench.refresh('r1');
  await bench.hears('refresh.converged');
  const { era, s0 } = bench.beginEra();
  bench.append = true;
  bench.tell({ type: 'pmd.phaseB', refreshId: 'r1', era, s0 });
  await bench.hears('refresh.frozenRead');
  // A mark above what was stamped: the secondary waits for an entry that does not come.
  bench.tell({ type: 'pmd.mark', refreshId: 'r1', mark: s0 });
  await bench.until(() => bench.secondary.last('mark') !== undefined, 'the mark arrived');
  bench.secondary.current!.cut();
  await bench.world.run(1);
  t.is(bench.told('refresh.phaseBLost').length, 0, 'nobody knows yet');
  bench.leads = true;
  await bench.hears('refresh.phaseBLost');
  await normal(bench);
  t.true(bench.same);
});

test('killrefresh ends it: what was not acknowledged is in todo, and nothing more is sent', async (t) => {
  const bench = await fresh({ blocks: [64] });
  bench.secondary.windowBytes = 1024 * 1024;
  bench.secondary.acks = false;
  bench.refresh('r1');
  await bench.until(() => bench.secondary.blocks.length > 2, 'blocks');
  bench.tell({ type: 'pmd.abort', refreshId: 'r1', again: false });
  await bench.until(() => bench.secondary.last('refreshEnd') !== undefined, 'ended');
  await bench.world.run(100);
  t.is(bench.maps[0]!.todo.count, 64);
  const sent = bench.secondary.blocks.length;
  bench.secondary.current!.acknowledge();
  await bench.world.run(1000);
  t.is(bench.secondary.blocks.length, sent);
  t.is(bench.told('link.lost').length, 0);
});

test('phase b without a session is lost at once, so that the group takes append back', async (t) => {
  const bench = await fresh({ blocks: [16] });
  bench.leads = false;
  bench.refresh('r1');
  await bench.hears('refresh.converged');
  bench.secondary.dialError = 'TDMF_LINK_REFUSED';
  bench.secondary.current!.cut();
  await bench.hears('link.lost');
  const { era, s0 } = bench.beginEra();
  bench.tell({ type: 'pmd.phaseB', refreshId: 'r1', era, s0 });
  await bench.hears('refresh.phaseBLost');
  bench.tell({ type: 'pmd.mark', refreshId: 'r1', mark: 0 });
  await bench.hears('refresh.phaseBLost', 2);
  t.pass();
});

test('a device that cannot be read fails the refresh with its code, and the blocks stay in todo', async (t) => {
  const bench = await fresh({ blocks: [16] });
  bench.disks[0]!.fault = (operation) => (operation === 'read' ? 5 : 0);
  bench.refresh('r1');
  await bench.hears('refresh.failed');
  t.is(bench.told('refresh.failed')[0]!.code, 'TDMF_DEVICE_FAILED');
  t.is(bench.maps[0]!.todo.count, 16);
});

test('writes faster than the link: it says that it does not converge, and ends when they stop (Rule 43a)', async (t) => {
  const bench = await fresh({ blocks: [64], chunks: 24 });
  bench.secondary.latencyMs = 20;
  bench.refresh('r1');
  let writing = true;
  const write = () => {
    if (!writing || !bench.mark) return;
    for (let i = 0; i < 64; i += 1) bench.maps[0]!.mark(i * block, 4096);
    for (let i = 0; i < 100; i += 1) bench.control.countWritten(0, 1024 * 1024);
    bench.world.after(30, 'write', write);
  };
  write();
  await bench.hears('refresh.notConverging');
  t.is(bench.told('refresh.converged').length, 0);
  const told = bench.told('refresh.notConverging')[0]!;
  t.true(told.writeBytesPerSecond > told.linkBytesPerSecond);
  writing = false;
  await normal(bench);
  t.true(bench.same);
});

test('during phase b entries have precedence, and half of the window is theirs (R5)', async (t) => {
  const bench = await fresh({ blocks: [200] });
  bench.leads = false;
  bench.secondary.windowBytes = 2 * 1024 * 1024;
  bench.refresh('r1');
  await bench.hears('refresh.converged');
  for (let i = 0; i < 200; i += 1) bench.write(0, i * block, 512, 77);
  bench.secondary.acks = false;
  const { era, s0 } = bench.beginEra();
  bench.append = true;
  bench.tell({ type: 'pmd.phaseB', refreshId: 'r1', era, s0 });
  await bench.world.run(100);
  const session = bench.secondary.current!;
  t.true(session.payloadBytes - session.ack.freedBytes <= 2 * 1024 * 1024);
  bench.write(0, 0, 4096, 78);
  await bench.until(() => bench.secondary.entries.length === 1, 'the entry went through');
  t.pass();
});

test('a second refresh replaces the first, from the start', async (t) => {
  const bench = await fresh({ blocks: [32] });
  bench.refresh('r1');
  await bench.until(() => bench.secondary.blocks.length > 1, 'begun');
  bench.tell({ type: 'pmd.abort', refreshId: 'r1', again: false });
  bench.refresh('r2');
  await normal(bench);
  t.is(bench.told('refresh.committed')[0]!.refreshId, 'r2');
  t.true(bench.same);
});

test('stopping during a refresh waits for its reads and closes the devices (H22)', async (t) => {
  const bench = await fresh({ blocks: [64] });
  bench.disks[0]!.latencyMsMax = 50;
  bench.refresh('r1');
  await bench.until(() => bench.disks[0]!.inFlight > 3, 'reads under way');
  await bench.stop();
  t.is(bench.disks[0]!.inFlight, 0);
  t.is(bench.disks[0]!.holders, 1);
  t.deepEqual(bench.failures, []);
});

test('REFRESHRATE holds a refresh back, and lets go at once when it is set to 0', async (t) => {
  const bench = await fresh({
    blocks: [64],
    tunables: { refreshRateKb: 512 },
  });
  await bench.hears('link.connected');
  bench.refresh('r1');
  await bench.world.run(4000);
  const sent = bench.secondary.blocks.length;
  t.true(sent >= 8 && sent <= 40, `${sent} blocks of 64 at eight a second`);
  bench.tell({
    type: 'pmd.tunables',
    chunkSizeKb: 256,
    chunkDelayMs: 0,
    compression: false,
    refreshRateKb: 0,
  });
  await bench.world.run(500);
  await normal(bench);
  t.true(bench.same);
});

/** The primary's half of a backfresh, against a scripted secondary (Rule 30, MD 17–19). */
import test from 'ava';
import { mapBlockBytes } from '../../../src/core/constants.js';
import type { Hashes } from '../../../src/core/wire/messages.js';
import { type BenchOptions, eraOf, PmdBench } from '../../helpers/pmd-bench.js';

const block = mapBlockBytes;
const reco = eraOf(0xf);

/** Through reco, with these blocks of device 0 written there. */
async function away(blocks: readonly number[], options: BenchOptions = {}): Promise<PmdBench> {
  const bench = new PmdBench({ blocks: [100, 7], ...options });
  const { secondary } = bench;
  secondary.base = { era: eraOf(1), sequence: 0 };
  secondary.position = { era: reco, sequence: 0 };
  secondary.durable = secondary.position;
  secondary.history = [eraOf(1)];
  secondary.own = { changes: 'known', bytes: blocks.length * block, since: 1 };
  const bits = new Uint8Array(16);
  for (const at of blocks) {
    secondary.mirrors[0]!.fill(at + 100, at * block + 7, at * block + 700);
    bits[at >> 3]! |= 1 << (at & 7);
  }
  secondary.dirt = [{ kind: 'dirt', device: 0, firstBlock: 0, bits }];
  await bench.start();
  return bench;
}

function asked(bench: PmdBench): number {
  const hashes = bench.secondary.messages.filter((one): one is Hashes => one.kind === 'hashes');
  return hashes.reduce((sum, one) => sum + one.hashes.length / 16, 0);
}

async function home(bench: PmdBench): Promise<void> {
  await bench.hears('backfresh.finished');
  const { position } = bench.told('backfresh.finished')[0]!;
  bench.handOver('b1', position);
  await bench.hears('pmd.eraTaken');
  bench.normal();
  await bench.hears('link.decided', bench.told('link.decided').length + 1);
}

test('what either side changed is compared, and what differs comes home (MD 17, Rule 10b)', async (t) => {
  const bench = await away([3, 4, 5, 40]);
  bench.maps[0]!.mark(80 * block, 512);
  bench.disks[0]!.live.fill(9, 80 * block, 80 * block + 512);
  const mirrors = bench.secondary.mirrors.map((mirror) => mirror.slice());
  bench.backfresh('b1');
  await bench.launch();
  await bench.hears('backfresh.finished');
  t.true(bench.same);
  t.true(
    mirrors.every((mirror, at) => Buffer.compare(mirror, bench.secondary.mirrors[at]!) === 0),
    'the source is only read',
  );
  t.is(asked(bench), 5);
  t.is(bench.secondary.last('hello')?.purpose, 'backfresh');
  t.true(bench.secondary.last('backfreshBegin')?.union);
  t.deepEqual(bench.told('backfresh.finished')[0]!.position, { era: reco, sequence: 0 });
});

test('at its end the mirror goes on in the era of the primary, and is streamed to (Rule 8b)', async (t) => {
  const bench = await away([3, 9]);
  bench.backfresh('b1');
  await bench.launch();
  await home(bench);
  t.like(bench.secondary.last('era'), { from: { era: reco, sequence: 0 }, adopt: false });
  t.is(bench.secondary.last('hello')?.purpose, 'mirror');
  t.like(bench.told('link.decided').at(-1), { action: 'resume' });
  bench.write(0, 0, 512, 77);
  await bench.until(() => bench.control.pending === 0, 'streamed');
  t.true(bench.same);
  t.deepEqual(bench.failures, []);
});

test('all is compared when one side cannot prove what it changed', async (t) => {
  const bench = await away([3, 50]);
  bench.lineage = { ...bench.lineage, map: 'broken' };
  bench.disks[1]!.live.fill(3, 100, 200);
  bench.backfresh('b1');
  await bench.launch();
  await bench.hears('backfresh.finished');
  t.true(bench.same);
  t.is(asked(bench), 107);
  t.false(bench.secondary.last('backfreshBegin')?.union);
});

test('a session to mirror is given up for one that brings the data home', async (t) => {
  const bench = await new PmdBench().start();
  await bench.launch();
  await bench.hears('link.connected');
  bench.write(0, 0, 512, 1);
  await bench.until(() => bench.control.pending === 0, 'streamed');
  bench.secondary.mirrors[0]!.fill(0x31, 0, 100);
  bench.maps[0]!.mark(0, 1);
  bench.backfresh('b1');
  await bench.hears('backfresh.finished');
  t.true(bench.same);
  t.is(bench.told('link.lost').length, 0, 'nobody lost a link');
});

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`cuts at any moment do not keep it from ending equal, seed ${seed}`, async (t) => {
    const blocks = Array.from({ length: 30 }, (_, index) => (index * 7) % 100);
    const bench = await away(blocks, { seed });
    const { world, secondary } = bench;
    bench.backfresh('b1', seed % 2 === 0);
    await bench.launch();
    for (let round = 0; round < 8; round += 1) {
      await world.run(world.random.below(150));
      secondary.current?.cut(world.random.below(5000));
    }
    await home(bench);
    t.true(bench.same);
    bench.write(0, 0, 512, 77);
    await bench.until(() => bench.control.pending === 0, 'streamed');
    t.true(bench.same);
    t.deepEqual(bench.failures, []);
    await bench.stop();
  });
}

test('a cursor counts only for a mirror that is what it was: written to meanwhile, all begins anew', async (t) => {
  const bench = await away([3, 90]);
  bench.secondary.compares = true;
  bench.backfresh('b1');
  await bench.launch();
  await bench.until(() => asked(bench) >= 2, 'asked');
  bench.secondary.mirrors[0]!.fill(0x99, 3 * block, 3 * block + 5);
  bench.secondary.own = { changes: 'known', bytes: 99, since: 1 };
  bench.secondary.current!.cut();
  await bench.hears('backfresh.finished');
  t.true(bench.same);
});

test('killed, nothing is in flight any more when the group hears of it, and how much was written (MD 18)', async (t) => {
  const bench = await away([3, 4, 5, 40]);
  bench.backfresh('b1');
  await bench.launch();
  await bench.until(() => asked(bench) >= 3, 'asked');
  await bench.world.run(3);
  bench.tell({ type: 'pmd.backfreshEnd', refreshId: 'b1', handOver: undefined });
  await bench.hears('backfresh.ended');
  const live = bench.disks[0]!.live.slice();
  await bench.world.run(3000);
  t.is(Buffer.compare(bench.disks[0]!.live, live), 0);
  t.true(bench.told('backfresh.ended')[0]!.writtenBytes <= 4 * block);
});

test('killed before it could begin: nothing was written', async (t) => {
  const bench = await away([3]);
  bench.secondary.refusal = 'TDMF_RMD_OFF';
  bench.backfresh('b1');
  await bench.launch();
  await bench.hears('link.refused');
  bench.tell({ type: 'pmd.backfreshEnd', refreshId: 'b1', handOver: undefined });
  await bench.hears('backfresh.ended');
  t.is(bench.told('backfresh.ended')[0]!.writtenBytes, 0);
});

test('the hand-over survives a cut: taken is taken, and is not taken twice', async (t) => {
  const bench = await away([3]);
  bench.backfresh('b1');
  await bench.launch();
  await bench.hears('backfresh.finished');
  const { position } = bench.told('backfresh.finished')[0]!;
  bench.handOver('b1', position);
  await bench.until(() => bench.secondary.last('era') !== undefined, 'offered');
  bench.secondary.current!.cut();
  await bench.hears('pmd.eraTaken');
  bench.normal();
  bench.write(0, 0, 512, 77);
  await bench.until(() => bench.control.pending === 0, 'streamed');
  t.true(bench.same);
});

test('a disk that fails ends it, and says so', async (t) => {
  const bench = await away([3, 4]);
  bench.backfresh('b1');
  bench.disks[0]!.fault = (operation) => (operation === 'write' ? 5 : 0);
  await bench.launch();
  await bench.hears('backfresh.failed');
  t.is(bench.told('backfresh.failed')[0]!.code, 'TDMF_DEVICE_FAILED');
  t.is(bench.told('backfresh.finished').length, 0);
});

for (const what of ['unasked', 'twice', 'half'] as const) {
  test(`blocks that nobody asked for end the session: ${what}`, async (t) => {
    const bench = await away([3]);
    const { secondary } = bench;
    secondary.compares = false;
    bench.backfresh('b1');
    await bench.launch();
    await bench.until(() => asked(bench) >= 1, 'asked');
    const session = secondary.current!;
    const hashes = secondary.last('hashes')!;
    const data = secondary.mirrors[0]!.slice(3 * block, 4 * block);
    if (what === 'twice')
      session.say({ kind: 'differs', batch: hashes.batch, bits: Uint8Array.of(1) });
    if (what === 'half') session.sendBlock(0, 3 * block, data.subarray(0, 512));
    else session.sendBlock(0, what === 'unasked' ? 20 * block : 3 * block, data);
    if (what === 'twice') session.sendBlock(0, 3 * block, data);
    await bench.hears('link.lost');
    t.is(bench.told('link.lost')[0]!.code, 'TDMF_LINK_PROTOCOL');
  });
}

test('a mirror sends blocks only in a backfresh', async (t) => {
  const bench = await new PmdBench().start();
  await bench.launch();
  await bench.hears('link.connected');
  bench.secondary.current!.sendBlock(0, 0, new Uint8Array(block));
  await bench.hears('link.lost');
  t.is(bench.told('link.lost')[0]!.code, 'TDMF_LINK_PROTOCOL');
  t.true(bench.disks[0]!.live.every((byte) => byte === 1));
});

test('what a checkpoint does over there, and what is wished for there, reaches the group (Rule 15b)', async (t) => {
  const bench = await new PmdBench().start();
  await bench.launch();
  await bench.hears('link.connected');
  const session = bench.secondary.current!;
  session.say({ kind: 'checkpointWanted', on: true });
  session.say({ kind: 'checkpointState', state: 'on', sequence: 7, code: undefined, details: {} });
  await bench.hears('checkpoint.changed');
  t.like(bench.told('checkpoint.wanted')[0], { on: true });
  t.like(bench.told('checkpoint.changed')[0], { state: 'on', sequence: 7 });
  bench.tell({ type: 'pmd.checkpointOff' });
  bench.tell({ type: 'pmd.checkpointRefused', on: true, details: {}, code: 'TDMF_MODE_REFUSED' });
  await bench.until(() => bench.secondary.last('checkpointRefused') !== undefined, 'said');
  t.not(bench.secondary.last('checkpointOff'), undefined);
});

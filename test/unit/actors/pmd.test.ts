/** The PMD against a scripted secondary: connect, stream, resume, refuse, fall silent. */
import test from 'ava';
import type { ChunkTunables } from '../../../src/actors/pmd-options.js';
import { heartbeatMs, linkDeadMs, reconnectMaxMs } from '../../../src/core/constants.js';
import type { TdmfErrorCode } from '../../../src/core/errors.js';
import { features } from '../../../src/core/wire/messages.js';
import { eraOf, PmdBench } from '../../helpers/pmd-bench.js';

async function online(options: ConstructorParameters<typeof PmdBench>[0] = {}): Promise<PmdBench> {
  const bench = await new PmdBench(options).start();
  await bench.launch();
  await bench.hears('link.connected');
  return bench;
}

const drained = (bench: PmdBench) =>
  bench.until(() => bench.control.pending === 0, 'everything is durable');

test('writes reach the mirror in order, and the BAB may release them', async (t) => {
  const bench = await online();
  t.deepEqual(
    bench.heard.map(({ type }) => type),
    ['link.connecting', 'link.connected', 'link.decided'],
  );
  for (let i = 0; i < 50; i += 1) bench.write(i % 2, 512 * i, 1024, i);
  await drained(bench);
  for (let i = 0; i < 300; i += 1) bench.write(0, 512 * (i % 100), 512, i);
  await drained(bench);
  t.true(bench.same);
  t.deepEqual(
    bench.secondary.entries.map(({ sequence }) => sequence),
    Array.from({ length: 350 }, (_, index) => index + 1),
  );
  t.is(bench.control.sentMax, 350);
});

test('a large write travels as entries of at most 256 KiB, whatever CHUNKSIZE says', async (t) => {
  const bench = await online({ tunables: { chunkSizeKb: 4 } });
  bench.write(0, 0, 512 * 1024, 9);
  bench.write(0, 4096, 512, 8);
  await drained(bench);
  t.true(bench.same);
});

test('it sleeps when there is nothing to send, and a publication wakes it', async (t) => {
  const bench = await online();
  await bench.world.run(50);
  t.true(bench.control.takeSleeper());
  bench.control.setAsleep(true);
  bench.write(0, 0, 512, 5);
  await drained(bench);
  t.true(bench.same);
});

test('hello carries who it is and where it stands (H34, Rule 7b)', async (t) => {
  const bench = await online();
  t.like(bench.secondary.last('hello'), {
    nodeId: 'primary',
    launch: 'launch-1',
    era: eraOf(1),
    s0: 1,
    stamped: 0,
    released: 0,
    sentMax: 0,
    devices: [
      { name: 'd0', sizeBytes: 8 * 65536, blockBytes: 512 },
      { name: 'd1', sizeBytes: 4 * 65536, blockBytes: 512 },
    ],
  });
});

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`after cuts at arbitrary bytes exactly what follows is sent again (Rule 8b), seed ${seed}`, async (t) => {
    const bench = await online({ seed });
    const { world, secondary } = bench;
    for (let round = 0; round < 12; round += 1) {
      for (let i = 0; i < 30; i += 1) bench.write(i % 2, 512 * world.random.below(100), 700, i);
      await world.run(world.random.below(20) / 10);
      secondary.current?.cut(world.random.below(5000));
      await world.run(world.random.below(300));
    }
    await drained(bench);
    t.true(bench.same);
    t.deepEqual(
      secondary.entries.map(({ sequence }) => sequence),
      Array.from({ length: 360 }, (_, index) => index + 1),
      'no entry twice, none left out',
    );
    t.true(bench.told('link.lost').length > 3);
    await bench.stop();
  });
}

test('the link that is cut again and again is tried again after growing pauses (I14)', async (t) => {
  const bench = new PmdBench();
  bench.secondary.dialError = 'TDMF_LINK_REFUSED';
  await bench.start();
  await bench.launch();
  await bench.hears('link.lost');
  await bench.world.run(60_000);
  t.true(bench.secondary.dials >= 12 && bench.secondary.dials < 40, `${bench.secondary.dials}`);
  t.is(bench.told('link.lost').length, 1, 'told once while nothing changes');
  bench.secondary.dialError = undefined;
  await bench.hears('link.connected', 1, reconnectMaxMs + 1000);
  t.is(bench.told('link.connecting').length, 1);
});

test('another trouble than before is told', async (t) => {
  const bench = new PmdBench();
  bench.secondary.dialError = 'TDMF_LINK_REFUSED';
  await bench.start();
  await bench.launch();
  await bench.hears('link.lost');
  bench.secondary.dialError = 'TDMF_LINK_KEY';
  await bench.hears('link.lost', 2);
  t.is(bench.told('link.lost')[1]!.code, 'TDMF_LINK_KEY');
});

test('a barred launch stays away until it is launched anew (Rule 50)', async (t) => {
  const bench = new PmdBench();
  bench.secondary.refusal = 'TDMF_RMD_BARRED';
  await bench.start();
  await bench.launch();
  await bench.hears('link.refused');
  t.like(bench.told('link.refused')[0], { code: 'TDMF_RMD_BARRED', retryInMs: 0 });
  await bench.world.run(60_000);
  t.is(bench.secondary.dials, 1);
  bench.secondary.refusal = undefined;
  bench.tell({ type: 'pmd.launch', nonce: 'launch-2' });
  await bench.hears('link.connected');
  t.is(bench.secondary.last('hello')?.launch, 'launch-2');
});

test('killrmd during a session is a bar as well: bye, and no retry', async (t) => {
  const bench = await online();
  bench.secondary.current!.say({ kind: 'bye', code: 'TDMF_RMD_BARRED', details: {} });
  await bench.hears('link.refused');
  await bench.world.run(60_000);
  t.is(bench.secondary.dials, 1);
});

const refusals: TdmfErrorCode[] = [
  'TDMF_RMD_SIZE',
  'TDMF_RMD_OFF',
  'TDMF_RMD_OWNED',
  'TDMF_RMD_DEVICES',
  'TDMF_RMD_NO_GROUP',
  'TDMF_LINK_VERSION',
];
for (const code of refusals) {
  test(`a refusal with ${code} reaches the group once, and is tried again slowly`, async (t) => {
    const bench = new PmdBench();
    bench.secondary.refusal = code;
    await bench.start();
    await bench.launch();
    await bench.hears('link.refused');
    t.like(bench.told('link.refused')[0], { code, retryInMs: reconnectMaxMs });
    await bench.world.run(4 * reconnectMaxMs + 1000);
    t.is(bench.secondary.dials, 5);
    t.is(bench.told('link.refused').length, 1);
    bench.secondary.refusal = undefined;
    await bench.hears('link.connected');
  });
}

test('a mirror of an unrelated history is never written to (I8, I19)', async (t) => {
  const bench = new PmdBench();
  bench.secondary.position = { era: eraOf(99), sequence: 3 };
  bench.secondary.durable = bench.secondary.position;
  await bench.start();
  bench.write(0, 0, 512, 1);
  await bench.launch();
  await bench.hears('link.refused');
  t.is(bench.told('link.refused')[0]!.code, 'TDMF_LINEAGE_UNRELATED');
  await bench.world.run(20_000);
  t.is(bench.secondary.entries.length, 0);
  t.is(bench.secondary.last('resume'), undefined);
});

test('a mirror that was never refreshed is connected, and waits for the operator (row 1)', async (t) => {
  const bench = new PmdBench();
  bench.secondary.state = 'never';
  bench.secondary.position = undefined;
  bench.secondary.durable = undefined;
  await bench.start();
  bench.write(0, 0, 512, 1);
  await bench.launch();
  await bench.hears('link.connected');
  t.is(bench.told('link.connected')[0]!.mirrorState, 'unknown');
  await bench.world.run(30_000);
  t.is(bench.secondary.entries.length, 0);
  t.is(bench.secondary.dials, 1);
  t.true(bench.secondary.heartbeats > 10);
});

test('nothing is streamed to a mirror that lost what was released: all is to be compared (Rule 26)', async (t) => {
  const bench = await online();
  for (let i = 0; i < 10; i += 1) bench.write(0, 0, 512, i);
  await drained(bench);
  bench.writer.reclaim();
  bench.secondary.position = { era: eraOf(1), sequence: 4 };
  bench.secondary.durable = bench.secondary.position;
  bench.secondary.current!.cut();
  await bench.hears('link.decided', 2);
  const code = 'TDMF_LINEAGE_MIRROR_BEHIND';
  t.like(bench.told('link.decided')[1], { row: '6', action: 'checksum', drain: false, code });
  bench.write(0, 0, 512, 1);
  await bench.world.run(100);
  t.is(bench.secondary.entries.length, 10);
});

test('under the same boot the stream goes on at applied, and only durable entries are released (H7, I4)', async (t) => {
  const bench = await online();
  const { secondary } = bench;
  secondary.acks = false;
  for (let i = 0; i < 10; i += 1) bench.write(0, 512 * i, 512, i);
  await bench.until(() => secondary.entries.length === 10, 'all sent');
  secondary.current!.cut();
  await bench.until(() => secondary.last('resume')?.from !== 1, 'resumed');
  t.is(secondary.last('resume')?.from, 11);
  t.is(bench.control.pending, 10);
  Object.assign(secondary.current!.ack, { durable: 6 });
  secondary.current!.sendAck();
  await bench.until(() => bench.control.pending === 4, 'six are durable');
  t.is(secondary.entries.length, 10);
});

test('a silent peer is given up after linkDeadMs, whatever TCP says (H51)', async (t) => {
  const bench = await online();
  const before = bench.world.now;
  bench.secondary.mute = true;
  await bench.hears('link.lost');
  t.is(bench.told('link.lost')[0]!.code, 'TDMF_LINK_TIMEOUT');
  t.true(bench.world.now - before <= linkDeadMs + 2 * heartbeatMs);
  bench.secondary.mute = false;
  await bench.hears('link.connected', 2);
});

test('heartbeats go out while data is stuck (H51)', async (t) => {
  const bench = await online();
  bench.secondary.windowBytes = 0;
  await bench.world.run(3 * heartbeatMs + 100);
  t.true(bench.secondary.heartbeats >= 2);
});

test('never more than the window is under way (I12)', async (t) => {
  const bench = new PmdBench({ blocks: [64], chunks: 256 });
  const { secondary } = bench;
  secondary.windowBytes = 1024 * 1024;
  secondary.acks = false;
  await bench.start();
  await bench.launch();
  await bench.hears('link.connected');
  for (let i = 0; i < 60; i += 1) bench.write(0, i * 65536, 65536, i);
  await bench.world.run(500);
  const session = secondary.current!;
  t.true(session.payloadBytes > 900_000 && session.payloadBytes <= 1024 * 1024);
  const first = session.payloadBytes;
  session.acknowledge();
  await bench.until(() => session.payloadBytes > first, 'credit came back');
  secondary.acks = true;
  session.acknowledge();
  await drained(bench);
  t.true(session.underWayMax <= 1024 * 1024);
  t.true(bench.same);
});

const breaches: [string, (bench: PmdBench) => void][] = [
  [
    'acknowledges what was never sent',
    (b) => Object.assign(b.secondary.current!.ack, { received: 99 }),
  ],
  [
    'frees what was never sent',
    (b) => Object.assign(b.secondary.current!.ack, { freedBytes: 1e9 }),
  ],
  [
    'goes back',
    (b) => Object.assign(b.secondary.current!.ack, { received: 1, applied: 1, durable: 1 }),
  ],
];
for (const [what, change] of breaches) {
  test(`an ack that ${what} ends the session, and releases nothing`, async (t) => {
    const bench = await online();
    for (let i = 0; i < 3; i += 1) bench.write(0, 512 * i, 512, i);
    await drained(bench);
    bench.secondary.acks = false;
    bench.write(0, 4096, 512, 3);
    await bench.until(() => bench.secondary.entries.length === 4, 'sent');
    change(bench);
    bench.secondary.current!.sendAck();
    await bench.hears('link.lost');
    t.is(bench.told('link.lost')[0]!.code, 'TDMF_LINK_PROTOCOL');
    t.is(bench.control.pending, 1);
    bench.secondary.acks = true;
    bench.write(0, 8192, 512, 4);
    await drained(bench);
    t.true(bench.same);
  });
}

test('nothing is sent after pmd.kill, and a new launch goes on', async (t) => {
  const bench = await online();
  bench.write(0, 0, 512, 1);
  await drained(bench);
  bench.tell({ type: 'pmd.kill' });
  await bench.hears('pmd.stopped');
  bench.write(0, 512, 512, 2);
  bench.tell({ type: 'pmd.wake' });
  await bench.world.run(30_000);
  t.is(bench.secondary.entries.length, 1);
  t.is(bench.secondary.dials, 1);
  t.is(bench.told('link.lost').length, 0);
  bench.tell({ type: 'pmd.launch', nonce: 'launch-2' });
  await drained(bench);
  t.true(bench.same);
});

test('a kill while dialling leaves no session behind', async (t) => {
  const bench = new PmdBench();
  bench.secondary.latencyMs = 100;
  await bench.start();
  await bench.launch();
  await bench.hears('link.connecting');
  bench.tell({ type: 'pmd.kill' });
  await bench.world.run(5000);
  t.is(bench.told('link.connected').length, 0);
  t.falsy(bench.secondary.current?.open);
});

test('entries that were dropped are never sent (Rule 12.3)', async (t) => {
  const bench = await new PmdBench().start();
  for (let i = 0; i < 20; i += 1) bench.write(0, 512 * i, 512, 200 + i);
  bench.append = false;
  bench.tell({ type: 'pmd.drop', token: 3 });
  await bench.hears('pmd.dropped');
  t.is(bench.told('pmd.dropped')[0]!.token, 3);
  t.is(bench.control.pending, 0);
  await bench.launch();
  await bench.world.run(5000);
  t.is(bench.secondary.entries.length, 0);
});

test('after an overflow the old era drains to its end and nothing behind it follows (T2)', async (t) => {
  const bench = await online();
  bench.secondary.current!.stalled = true;
  for (let i = 0; i < 5; i += 1) bench.write(0, 512 * i, 512, i);
  bench.append = false;
  bench.mark = true;
  bench.beginEra();
  bench.append = true;
  bench.write(0, 8192, 512, 77);
  bench.secondary.current!.resume();
  await bench.world.run(1000);
  t.deepEqual(
    bench.secondary.entries.map(({ sequence }) => sequence),
    [1, 2, 3, 4, 5],
  );
});

test('a flush is wished for behind the entries it is about (Rule 39)', async (t) => {
  const bench = await online();
  for (let i = 0; i < 5; i += 1) bench.write(0, 512 * i, 512, i);
  bench.tell({ type: 'pmd.flush' });
  await bench.until(() => bench.secondary.last('flushWanted') !== undefined, 'flushWanted');
  t.is(bench.secondary.last('flushWanted')?.sequence, 5);
  t.is(bench.secondary.entries.length, 5);
});

test('an entry that is refused twice is told to the group (H48)', async (t) => {
  const bench = await online();
  const refuse = () =>
    bench.secondary.current!.say({
      kind: 'bye',
      code: 'TDMF_LINK_PROTOCOL',
      details: { sequence: 1 },
    });
  refuse();
  await bench.hears('link.connected', 2);
  await bench.until(() => bench.secondary.current!.phase === 'stream', 'resumed');
  t.is(bench.told('pmd.poisoned').length, 0);
  refuse();
  await bench.hears('pmd.poisoned');
  t.like(bench.told('pmd.poisoned')[0], { era: eraOf(1), sequence: 1 });
});

test('CHUNKDELAY pauses after every chunk', async (t) => {
  const bench = await online({ tunables: { chunkSizeKb: 1, chunkDelayMs: 100 } });
  for (let i = 0; i < 5; i += 1) bench.write(0, 1024 * i, 1024, i);
  await bench.world.run(250);
  t.true(bench.secondary.entries.length >= 2 && bench.secondary.entries.length <= 3);
  bench.tell({
    type: 'pmd.tunables',
    chunkSizeKb: 256,
    chunkDelayMs: 0,
    compression: false,
    refreshRateKb: 0,
  });
  await drained(bench);
  t.true(bench.same);
});

test('a stopped PMD has closed its connection and its devices (H22)', async (t) => {
  const bench = await online();
  bench.write(0, 0, 512, 1);
  await bench.stop();
  t.false(bench.secondary.current!.open);
  t.is(bench.disks[0]!.holders, 1, "only the driver's own handle is left");
});

test('devices of another driver replace the ones of before, which are closed first (H22)', async (t) => {
  const bench = await online();
  bench.tell({ type: 'pmd.devices', devices: [] });
  await bench.hears('pmd.devicesClosed');
  t.is(bench.disks[0]!.holders, 1);
  bench.tell({ type: 'pmd.devices', devices: bench.share() });
  await bench.hears('pmd.devicesClosed', 2);
  t.is(bench.disks[0]!.holders, 2);
});

test('Rule 39: for writers who wait the secondary is asked to flush, at once and once', async (t) => {
  const bench = await online();
  await bench.world.run(50);
  bench.secondary.acks = false;
  const before = bench.world.now;
  // As the driver does: the wish is in the control block before the sleeper is woken.
  bench.control.awaitDurable(2, 2);
  bench.write(0, 0, 512, 1);
  bench.write(0, 4096, 512, 2);
  const wishes = () => bench.secondary.messages.filter(({ kind }) => kind === 'flushWanted');
  await bench.until(() => wishes().length > 0, 'the wish');
  t.true(bench.world.now - before < 1, 'nothing is gathered when somebody waits');
  t.is(bench.secondary.entries.length, 2, 'the wish comes behind the entries it is about');
  t.deepEqual(wishes(), [{ kind: 'flushWanted', sequence: 2 }]);
  await bench.world.run(20);
  t.is(wishes().length, 1);
  // A wish about what was sent long ago.
  bench.control.awaitNothing();
  bench.write(0, 8192, 512, 3);
  await bench.until(() => bench.secondary.entries.length === 3, 'sent');
  await bench.world.run(20);
  bench.control.awaitDurable(3, 3);
  if (bench.control.takeSleeper()) bench.tell({ type: 'pmd.wake' });
  await bench.until(() => wishes().length === 2, 'the second wish');
  t.is(bench.secondary.last('flushWanted')?.sequence, 3);
});

test('I2: the driver is told when durable has come to the first writer who waits, once', async (t) => {
  const bench = await online();
  bench.control.awaitDurable(2, 3);
  bench.write(0, 0, 512, 1);
  await drained(bench);
  await bench.world.run(20);
  t.deepEqual(bench.driverHeard, [], 'one is not two');
  bench.write(0, 4096, 512, 2);
  bench.write(0, 8192, 512, 3);
  await drained(bench);
  await bench.world.run(20);
  t.deepEqual(bench.driverHeard, [{ type: 'driver.acked' }]);
  bench.write(0, 8192, 512, 4);
  await drained(bench);
  await bench.world.run(20);
  t.is(bench.driverHeard.length, 1, 'the bell was not hung up again');
});

const tuned = (changes: Partial<ChunkTunables>) => ({
  type: 'pmd.tunables' as const,
  chunkSizeKb: 256,
  chunkDelayMs: 0,
  compression: false,
  refreshRateKb: 0,
  ...changes,
});

test('COMPRESSION: with it less goes over the link, and the mirror is the same (MD 36)', async (t) => {
  const bench = new PmdBench({ tunables: { compression: true } });
  bench.secondary.features = features.lz4;
  await bench.start();
  await bench.launch();
  await bench.hears('link.connected');
  t.is(bench.secondary.last('hello')?.features, features.lz4);
  for (let i = 0; i < 20; i += 1) bench.write(0, 16_384 * i, 16_384, i);
  await drained(bench);
  t.true(bench.same);
  const { dataBytesSent, linkBytesSent } = bench.control.snapshot();
  t.is(dataBytesSent, 20 * 16_384);
  t.true(linkBytesSent < dataBytesSent / 4, `${linkBytesSent} bytes`);
  t.is(linkBytesSent, bench.secondary.current!.linkBytes);
  // At once, both ways.
  bench.tell(tuned({ compression: false }));
  for (let i = 0; i < 20; i += 1) bench.write(1, 8192 * i, 8192, i);
  await drained(bench);
  t.true(bench.same);
  t.true(bench.control.snapshot().linkBytesSent - linkBytesSent > 20 * 8192);
});

test('COMPRESSION: a secondary that does not know it gets plain frames', async (t) => {
  const bench = await online({ tunables: { compression: true } });
  for (let i = 0; i < 20; i += 1) bench.write(0, 16_384 * i, 16_384, i);
  await drained(bench);
  t.true(bench.same);
  t.true(bench.control.snapshot().linkBytesSent > 20 * 16_384);
});

test('CHUNKDELAY: a long pause ends when it is set anew', async (t) => {
  const bench = await online({ tunables: { chunkSizeKb: 1, chunkDelayMs: 60_000 } });
  for (let i = 0; i < 3; i += 1) bench.write(0, 1024 * i, 1024, i);
  await bench.until(() => bench.secondary.entries.length === 1, 'the first chunk');
  bench.tell(tuned({ chunkSizeKb: 1 }));
  await bench.until(() => bench.secondary.entries.length === 3, 'the others');
  t.true(bench.world.now < 30_000);
});

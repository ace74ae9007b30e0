/** What ends a session of the RMD, and what it keeps up while it lives. */
import test from 'ava';
import { linkDeadMs } from '../../../src/core/constants.js';
import { entryFlags } from '../../../src/core/wire/messages.js';
import { helloOf } from '../../helpers/fake-primary.js';
import { coherent, era } from '../../helpers/refreshed.js';
import { Secondary, type Session } from '../../helpers/secondary.js';

async function streaming(seed = 1): Promise<{ secondary: Secondary; session: Session }> {
  const secondary = new Secondary(seed);
  await coherent(secondary);
  const session = await secondary.welcomed();
  session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  return { secondary, session };
}

async function bye(secondary: Secondary, session: Session): Promise<string> {
  const { code } = await secondary.heard(session.primary, 'bye');
  await secondary.stop(session);
  return code;
}

test('a gap in the sequence ends the session, and nothing of that frame is applied (H8)', async (t) => {
  const { secondary, session } = await streaming();
  session.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  session.primary.entries([{ sequence: 3, offset: 512, length: 512 }]);
  t.is(await bye(secondary, session), 'TDMF_LINK_PROTOCOL');
  t.is(secondary.mirror()[512], 0);
  t.is(secondary.record?.durable, 1);
});

test('a repetition within the session is a breach', async (t) => {
  const { secondary, session } = await streaming();
  session.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  session.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  t.is(await bye(secondary, session), 'TDMF_LINK_PROTOCOL');
});

test('an entry beyond the agreed size is refused, though the mirror is larger (I20, decision 32)', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  const devices = [{ name: 'd0', sizeBytes: 32 * 1024, blockBytes: 512 }];
  const session = await secondary.welcomed({ devices });
  session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  session.primary.entries([{ sequence: 1, offset: 32 * 1024 - 256, length: 512, fill: 1 }]);
  t.is(await bye(secondary, session), 'TDMF_LINK_PROTOCOL');
  t.true(secondary.mirror().every((byte) => byte === 0));
});

test('a resume that does not fit the record ends the session (Rule 8b)', async (t) => {
  for (const change of [{ era: 'b'.repeat(32) }, { from: 2 }, { from: 0 }]) {
    const secondary = new Secondary();
    await coherent(secondary);
    const session = await secondary.welcomed();
    session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0, ...change });
    t.is(await bye(secondary, session), 'TDMF_LINK_PROTOCOL');
  }
});

test('nothing but a hello may come first, and nothing else before welcome', async (t) => {
  const secondary = new Secondary();
  const first = await secondary.session();
  first.primary.say({ kind: 'flushWanted', sequence: 1 });
  t.is(await bye(secondary, first), 'TDMF_LINK_PROTOCOL');
  const second = await secondary.session();
  second.primary.say(helloOf());
  second.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  t.is(await bye(secondary, second), 'TDMF_LINK_PROTOCOL');
});

test('blocks and entries outside their phases are breaches', async (t) => {
  const { secondary, session } = await streaming();
  session.primary.blocks([{ sequence: 1, offset: 0, length: 512 }]);
  t.is(await bye(secondary, session), 'TDMF_LINK_PROTOCOL');
  const idle = await secondary.welcomed();
  idle.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  t.is(await bye(secondary, idle), 'TDMF_LINK_PROTOCOL');
});

test('an error of the mirror ends the session, and nothing beyond is acknowledged', async (t) => {
  const { secondary, session } = await streaming();
  const { primary } = session;
  primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.until(() => primary.ack.durable === 1, 10_000, 'durable');
  secondary.node.disk('/m0').fault = (operation, offset) =>
    operation === 'write' && offset === 1024 ? 5 : 0;
  primary.entries([
    { sequence: 2, offset: 1024, length: 512 },
    { sequence: 3, offset: 4096, length: 512 },
  ]);
  t.is(await bye(secondary, session), 'TDMF_RMD_FAILED');
  t.is(primary.ack.applied, 1);
  t.is(primary.ack.durable, 1);
  secondary.node.disk('/m0').fault = undefined;
  const next = await secondary.welcomed();
  t.deepEqual(next.welcome.position, { era, sequence: 1 });
  t.is(next.welcome.state, 'coherent');
});

test('a mirror without space ends the session like any error', async (t) => {
  const { secondary, session } = await streaming();
  secondary.node.disk('/m0').fault = (operation) => (operation === 'write' ? 28 : 0);
  session.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  t.is(await bye(secondary, session), 'TDMF_RMD_FAILED');
});

test('after a failed flush nothing since the last good one counts, and the boot is another (H21)', async (t) => {
  const { secondary, session } = await streaming();
  const { primary } = session;
  primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.until(() => primary.ack.durable === 1, 10_000, 'durable');
  const disk = secondary.node.disk('/m0');
  disk.fault = (operation) => (operation === 'flush' ? 5 : 0);
  primary.entries([{ sequence: 2, offset: 0, length: 512 }]);
  t.is(await bye(secondary, session), 'TDMF_RMD_FAILED');
  t.is(primary.ack.durable, 1);
  disk.fault = undefined;
  const next = await secondary.welcomed({ sentMax: 2 });
  t.deepEqual(next.welcome.position, { era, sequence: 1 });
  t.is(next.welcome.state, 'incoherent');
  t.is(next.welcome.refreshId, undefined);
  const before = session as unknown as { welcome: { bootId: string } };
  t.not(next.welcome.bootId, before.welcome.bootId);
  next.primary.say({ kind: 'resume', era, from: 2, sentMax: 2 });
  next.primary.entries([{ sequence: 2, offset: 0, length: 512 }]);
  const changed = await secondary.heard(next.primary, 'stateChanged');
  t.is(changed.state, 'coherent');
  t.is(secondary.record?.state, 'coherent');
  await secondary.world.until(() => next.primary.ack.durable === 2, 10_000, 'durable');
});

test('both sides beat, also before welcome; a silent primary is dead after 10 s (H51)', async (t) => {
  const secondary = new Secondary();
  secondary.admit = () => new Promise((resolve) => secondary.world.after(9_000, 'main', resolve));
  const session = await secondary.welcomed();
  t.true(session.primary.heartbeats >= 4);
  for (let beat = 0; beat < 8; beat += 1) {
    await secondary.world.run(2000);
    session.primary.beat();
  }
  t.is(session.primary.link.closed, undefined);
  await secondary.world.run(linkDeadMs + 4000);
  t.is(session.primary.message('bye')?.code, 'TDMF_LINK_TIMEOUT');
});

test('a primary that exceeds its credit is cut off (H55, I12)', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  const session = await secondary.welcomed({}, { windowBytes: 8192 });
  t.is(session.welcome.windowBytes, 8192);
  secondary.node.disk('/m0').latencyMsMax = 1_000_000;
  session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  for (let sequence = 1; sequence <= 4; sequence += 1) {
    session.primary.entries([{ sequence, offset: 0, length: 4096 }]);
  }
  const { code } = await secondary.heard(session.primary, 'bye');
  t.is(code, 'TDMF_LINK_PROTOCOL');
});

test('all credit comes back', async (t) => {
  const { secondary, session } = await streaming();
  const { primary } = session;
  for (let sequence = 1; sequence <= 40; sequence += 1) {
    const zero = sequence % 3 === 0;
    const flags = zero ? entryFlags.zero | entryFlags.mayUnmap : 0;
    primary.entries([{ sequence, offset: (sequence % 8) * 512, length: 512, flags }]);
  }
  await secondary.world.until(() => primary.ack.durable === 40, 10_000, 'durable');
  t.is(primary.ack.freedBytes, primary.sentBytes);
  t.is(secondary.mirror()[512], 0, 'the last one there is a zero');
  t.is(secondary.mirror()[0], 40);
});

test('more small frames than there is memory pause the link, and all of them arrive', async (t) => {
  const { secondary, session } = await streaming();
  const { primary } = session;
  const disk = secondary.node.disk('/m0');
  disk.latencyMsMax = 200;
  const total = 12_000;
  for (let sequence = 1; sequence <= total; sequence += 1) {
    primary.entries([
      { sequence, dep: 0, offset: (sequence % 100) * 512, length: 512, fill: sequence % 251 },
    ]);
  }
  await secondary.world.until(() => primary.link.peer.pauses > 0, 60_000, 'a pause');
  disk.latencyMsMax = 0.01;
  await secondary.world.until(() => primary.ack.durable === total, 600_000, 'durable');
  t.is(primary.ack.freedBytes, primary.sentBytes);
  t.is(secondary.mirror()[0], total % 251);
  t.is(session.context.failures.length, 0);
});

test('a stop waits for the last I/O, and then the locks are free (Rule 22, I16)', async (t) => {
  const { secondary, session } = await streaming();
  const disk = secondary.node.disk('/m0');
  disk.latencyMsMax = 500;
  session.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.until(() => disk.inFlight > 0, 10_000, 'a write');
  const stopped = session.rmd.stop();
  t.is(disk.holders, 1);
  await secondary.world.settled(stopped);
  t.is(disk.inFlight, 0);
  t.is(disk.holders, 0);
});

test('a flush that the primary waits for does not wait for the clock (Rule 39)', async (t) => {
  const { secondary, session } = await streaming();
  const { primary } = session;
  await secondary.world.run(100);
  const from = secondary.world.now;
  primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  primary.say({ kind: 'flushWanted', sequence: 1 });
  await secondary.world.until(() => primary.ack.durable === 1, 10_000, 'durable');
  t.true(secondary.world.now - from < 20, 'earlier than idleness would have it');
});

test('a direct mirror takes ragged writes and zeroes; the bytes beside them stay (H16)', async (t) => {
  const secondary = new Secondary(3);
  await coherent(secondary);
  secondary.node.disks.delete('/m0');
  const disk = secondary.node.addDisk('/m0', 64 * 1024, { logicalBlockBytes: 4096 });
  disk.live.fill(9);
  const devices = [{ name: 'd0', mirror: '/m0', cache: 'direct' as const }];
  const { primary } = await secondary.welcomed({}, { devices });
  primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  const expected = new Uint8Array(64 * 1024).fill(9);
  const entries = [
    { offset: 0, length: 512 },
    { offset: 512, length: 512 },
    { offset: 4096, length: 8192 },
    { offset: 100, length: 5000 },
    { offset: 20_000, length: 30_000, flags: entryFlags.zero },
    { offset: 20_480, length: 100, flags: entryFlags.zero },
    { offset: 40_960, length: 4096, flags: entryFlags.zero | entryFlags.mayUnmap },
    { offset: 65_000, length: 536 },
  ].map((entry, index) => ({ ...entry, sequence: index + 1 }));
  for (const { offset, length, sequence, ...rest } of entries) {
    expected.fill('flags' in rest ? 0 : sequence, offset, offset + length);
  }
  primary.entries(entries);
  await secondary.world.until(() => primary.ack.durable === 8, 10_000, 'durable');
  t.deepEqual(disk.live, expected);
});

test('whoever asks while an attempt is being forgotten gets an answer, and the session lives (R9)', async (t) => {
  const secondary = new Secondary();
  const { primary, rmd } = await secondary.welcomed();
  const refreshId = 'r';
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.blocks([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.until(() => primary.ack.blocks === 1, 1_000, 'the block is in .i');
  primary.say({ kind: 'abortB', refreshId });
  primary.blocks([{ sequence: 2, offset: 512, length: 512 }]);
  const asked: Promise<unknown>[] = [];
  await secondary.world.until(
    () => {
      asked.push(rmd.ask!({ kind: 'rmd.status' }));
      return primary.ack.blocks === 2 || primary.link.closed !== undefined;
    },
    10_000,
    'phase a again',
  );
  await t.notThrowsAsync(Promise.all(asked));
  t.is(primary.link.closed, undefined);
});

test('the primary hears that the mirror is incoherent when a refresh overwrites it (I18)', async (t) => {
  const { secondary, session } = await streaming();
  session.primary.say({ kind: 'refreshBegin', refreshId: 'r', refresh: 'full', union: false });
  await secondary.heard(session.primary, 'refreshReady');
  t.is(session.primary.message('stateChanged')?.state, 'incoherent');
});

test('a refresh may begin at any moment of a flush', async (t) => {
  for (let wait = 0; wait < 60; wait += 1) {
    const { secondary, session } = await streaming(wait + 1);
    session.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
    await secondary.world.run(wait / 2);
    session.primary.say({ kind: 'refreshBegin', refreshId: 'r', refresh: 'full', union: false });
    await t.notThrowsAsync(
      secondary.heard(session.primary, 'refreshReady'),
      `after ${wait / 2} ms`,
    );
  }
});

test('without memory for a session the mirrors are free again (Rule 22)', async (t) => {
  const secondary = new Secondary();
  secondary.process.allocate = () => {
    throw new Error('no memory');
  };
  const session = await secondary.session();
  session.primary.say(helloOf());
  t.is((await secondary.heard(session.primary, 'refused')).code, 'TDMF_RMD_FAILED');
  await secondary.stop(session);
  t.is(secondary.node.disk('/m0').holders, 0);
});

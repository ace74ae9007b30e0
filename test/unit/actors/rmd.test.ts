/** The secondary end of a session, against a scripted primary, over simulated disks. */
import test from 'ava';
import type { RmdStatus } from '../../../src/actors/rmd.js';
import { readStanding } from '../../../src/actors/rmd-record.js';
import { entryFlags } from '../../../src/core/wire/messages.js';
import { type FakePrimary, helloOf } from '../../helpers/fake-primary.js';
import { coherent, era } from '../../helpers/refreshed.js';
import { Secondary, type Session } from '../../helpers/secondary.js';

const refreshId = 'refresh-1';
const block = 4096;

/** A full refresh of the 64 KiB device with `fill`, committed at (era, mark). */
async function refreshed(
  secondary: Secondary,
  session: Session,
  options: { readonly fill?: number; readonly mark?: number } = {},
): Promise<void> {
  const { fill = 9, mark = 0 } = options;
  const { primary } = session;
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  for (let index = 0; index < 16; index += 1) {
    primary.blocks([{ sequence: index + 1, offset: index * block, length: block, fill }]);
  }
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  for (let sequence = 1; sequence <= mark; sequence += 1) {
    primary.entries([{ sequence, dep: sequence - 1, offset: 0, length: 512 }]);
  }
  primary.say({ kind: 'mark', refreshId, mark, blocks: 0 });
  await secondary.heard(primary, 'committed');
  await secondary.world.until(
    () => secondary.record?.state === 'coherent',
    10_000,
    'the journal is applied',
  );
}

const durable = (secondary: Secondary, primary: FakePrimary, sequence: number) =>
  secondary.world.until(() => primary.ack.durable >= sequence, 10_000, `durable ${sequence}`);

test('a mirror that was never refreshed says so, and has no position', async (t) => {
  const secondary = new Secondary();
  const { welcome } = await secondary.welcomed();
  t.is(welcome.state, 'never');
  t.is(welcome.position, undefined);
});

test('a full refresh ends coherent at (era, mark), and entries follow on the mirror', async (t) => {
  const secondary = new Secondary();
  const session = await secondary.welcomed();
  await refreshed(secondary, session, { mark: 3 });
  t.is(secondary.record?.durable, 3);
  t.is(secondary.record?.era, era);
  t.deepEqual(secondary.record?.base, { era, sequence: 3 });
  const { primary } = session;
  primary.entries([{ sequence: 4, dep: 3, offset: 1024, length: 512, fill: 77 }]);
  await durable(secondary, primary, 4);
  await secondary.world.until(() => secondary.record?.chain === undefined, 10_000, 'retired');
  t.is(secondary.mirror()[0], 3);
  t.is(secondary.mirror()[600], 9);
  t.is(secondary.mirror()[1024], 77);
  t.is(primary.malformed, undefined);
  await secondary.stop(session);
  t.true(secondary.record?.clean);
  t.is(secondary.record?.durable, 4);
  t.deepEqual([...secondary.node.disks.keys()], ['/m0'], 'the journal files are gone');
  t.is(secondary.node.disk('/m0').holders, 0);
});

test('after a clean end a session resumes behind what was applied (Rule 7a)', async (t) => {
  const secondary = new Secondary();
  const first = await secondary.welcomed();
  await refreshed(secondary, first);
  first.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await durable(secondary, first.primary, 1);
  await secondary.stop(first);
  const second = await secondary.welcomed();
  t.is(second.welcome.state, 'coherent');
  t.deepEqual(second.welcome.position, { era, sequence: 1 });
  second.primary.say({ kind: 'resume', era, from: 2, sentMax: 0 });
  second.primary.entries([{ sequence: 2, dep: 1, offset: 512, length: 512 }]);
  await durable(secondary, second.primary, 2);
  t.is(secondary.mirror()[512], 2);
  await secondary.stop(second);
});

test('overlapping writes at depth land in order, whatever the disk does (H1, I9)', async (t) => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const size = 8192;
    const secondary = new Secondary(seed, [size, size]);
    await coherent(secondary);
    const devices = [0, 1].map((n) => ({ name: `d${n}`, sizeBytes: size, blockBytes: 512 }));
    const { primary } = await secondary.welcomed({ devices });
    primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
    const { random } = secondary.world;
    const expected = [new Uint8Array(size), new Uint8Array(size)];
    const total = 120;
    for (let sequence = 1; sequence <= total; ) {
      const frame = [];
      for (let n = random.between(1, 8); n > 0 && sequence <= total; n -= 1, sequence += 1) {
        const offset = random.below(12) * 512;
        const length = 512 * random.between(1, 4);
        const device = random.below(2);
        const zero = random.chance(1, 5);
        const dep = Math.max(0, sequence - random.between(1, 16));
        const flags = zero ? entryFlags.zero : 0;
        frame.push({ sequence, dep, device, offset, length, flags });
        expected[device]!.fill(zero ? 0 : sequence, offset, offset + length);
      }
      primary.entries(frame);
    }
    await durable(secondary, primary, total);
    t.deepEqual(secondary.mirror(0), expected[0], `seed ${seed}`);
    t.deepEqual(secondary.mirror(1), expected[1], `seed ${seed}`);
  }
});

test('a block that is sent again in phase a lands last (H12, Rule 12.4)', async (t) => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const secondary = new Secondary(seed);
    const { primary } = await secondary.welcomed();
    primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
    await secondary.heard(primary, 'refreshReady');
    for (let sequence = 1; sequence <= 20; sequence += 1) {
      primary.blocks([{ sequence, offset: (sequence % 3) * block, length: 2 * block }]);
    }
    await secondary.world.until(() => primary.ack.blocks === 20, 10_000, 'all blocks');
    t.is(secondary.mirror()[2 * block], 20, `seed ${seed}`);
    t.is(secondary.mirror()[block], 19, `seed ${seed}`);
    t.is(primary.ack.received, 0, 'positions mean nothing in phase a');
  }
});

test('the mirror is incoherent, durably, before its first block is overwritten (Rule 12.2)', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  const { primary } = await secondary.welcomed();
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  t.is(secondary.record?.state, 'incoherent');
  t.is(secondary.record?.refreshId, refreshId);
  await secondary.restart('powerCut');
  const { welcome } = await secondary.welcomed();
  t.is(welcome.state, 'incoherent');
  t.is(welcome.refreshId, refreshId);
});

test('an aborted phase b leaves nothing, and the refresh goes on and commits (R9)', async (t) => {
  const secondary = new Secondary();
  const session = await secondary.welcomed();
  const { primary } = session;
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.blocks([{ sequence: 1, offset: 0, length: block, fill: 1 }]);
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.blocks([{ sequence: 2, offset: 0, length: block, fill: 2 }]);
  primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 3 }]);
  primary.say({ kind: 'abortB', refreshId });
  primary.blocks([{ sequence: 3, offset: block, length: block, fill: 4 }]);
  await secondary.world.until(() => primary.ack.blocks === 3, 10_000, 'phase a again');
  t.is(secondary.mirror()[0], 1, 'nothing of the attempt is on the mirror');
  t.deepEqual(secondary.journal, ['j007001.i'], 'its blocks are kept');
  t.is(secondary.mirror()[block], 0, 'and those that follow go beside them');
  const next = 'b'.repeat(32);
  primary.say({ kind: 'phaseB', refreshId, era: next, s0: 10 });
  primary.blocks([{ sequence: 4, offset: 0, length: 512, fill: 5 }]);
  primary.entries([{ sequence: 10, dep: 9, offset: 512, length: 512, fill: 6 }]);
  primary.say({ kind: 'mark', refreshId, mark: 10, blocks: 1 });
  const committed = await secondary.heard(primary, 'committed');
  t.deepEqual(committed, { kind: 'committed', refreshId, era: next, mark: 10 });
  await secondary.world.until(() => secondary.record?.chain === undefined, 10_000, 'retired');
  t.deepEqual(
    [0, 512, 1024, block].map((at) => secondary.mirror()[at]),
    [5, 6, 2, 4],
  );
  t.is(primary.ack.freedBytes, primary.sentBytes);
});

test('`.i` comes before `.c`, whatever came first over the link (H4, Rule 4)', async (t) => {
  const secondary = new Secondary();
  const { primary } = await secondary.welcomed();
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 2 }]);
  primary.blocks([{ sequence: 1, offset: 0, length: 1024, fill: 1 }]);
  primary.say({ kind: 'mark', refreshId, mark: 1, blocks: 1 });
  await secondary.heard(primary, 'committed');
  await secondary.world.until(() => secondary.record?.state === 'coherent', 10_000, 'applied');
  t.deepEqual(
    [0, 512].map((at) => secondary.mirror()[at]),
    [2, 1],
  );
});

test('what was durable behind the mark stays acknowledged through the commit (I17)', async (t) => {
  const secondary = new Secondary();
  const { primary } = await secondary.welcomed();
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  for (let sequence = 1; sequence <= 5; sequence += 1) {
    primary.entries([{ sequence, dep: sequence - 1, offset: 0, length: 512 }]);
  }
  await durable(secondary, primary, 5);
  const before = primary.acks.length;
  primary.say({ kind: 'mark', refreshId, mark: 2, blocks: 0 });
  await secondary.heard(primary, 'committed');
  primary.entries([{ sequence: 6, dep: 5, offset: 0, length: 512 }]);
  await durable(secondary, primary, 6);
  for (const ack of primary.acks.slice(before)) {
    t.true(ack.durable >= 5 && ack.applied >= 5 && ack.received >= 5, JSON.stringify(ack));
  }
});

test('R7: the commit waits for every entry up to the mark, and for every block', async (t) => {
  const secondary = new Secondary();
  const { primary } = await secondary.welcomed();
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.say({ kind: 'mark', refreshId, mark: 2, blocks: 1 });
  primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  primary.blocks([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.run(1000);
  t.is(primary.message('committed'), undefined);
  primary.entries([{ sequence: 2, offset: 0, length: 512 }]);
  await secondary.heard(primary, 'committed');
  t.pass();
});

test('a killed refresh leaves the mirror incoherent and the session open (4.3)', async (t) => {
  const secondary = new Secondary();
  const { primary } = await secondary.welcomed();
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  primary.say({ kind: 'refreshEnd', refreshId });
  await secondary.world.run(1000);
  t.is(primary.link.closed, undefined);
  t.is(secondary.record?.state, 'incoherent');
  t.deepEqual(secondary.journal, ['j007001.i'], 'set aside');
  primary.say({ kind: 'refreshBegin', refreshId: 'refresh-2', refresh: 'full', union: false });
  await secondary.world.until(
    () => primary.message('refreshReady')?.refreshId === 'refresh-2',
    10_000,
    'the next refresh',
  );
});

test('a journal without space ends the session with its code, and nothing is committed (H44)', async (t) => {
  const secondary = new Secondary();
  const session = await secondary.welcomed();
  const { primary } = session;
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  await secondary.world.until(() => secondary.node.disks.size === 3, 10_000, 'the files');
  await secondary.world.run(50);
  for (const [path, disk] of secondary.node.disks) {
    if (path.endsWith('.c')) disk.fault = (operation) => (operation === 'write' ? 28 : 0);
  }
  primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  primary.say({ kind: 'mark', refreshId, mark: 1, blocks: 0 });
  t.is((await secondary.heard(primary, 'bye')).code, 'TDMF_JOURNAL_FULL');
  await secondary.stop(session);
  t.is(primary.message('committed'), undefined);
  t.is(secondary.record?.state, 'incoherent');
  t.deepEqual(secondary.journal, ['j007001.i']);
});

test('a committed journal that cannot be applied is kept, and applied by a later session (H24)', async (t) => {
  const secondary = new Secondary();
  const session = await secondary.welcomed();
  const { primary } = session;
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.blocks([{ sequence: 1, offset: 0, length: 512, fill: 7 }]);
  const disk = secondary.node.disk('/m0');
  disk.fault = (operation) => (operation === 'write' ? 28 : 0);
  primary.say({ kind: 'mark', refreshId, mark: 0, blocks: 1 });
  t.is((await secondary.heard(primary, 'bye')).code, 'TDMF_RMD_FAILED');
  await secondary.stop(session);
  t.is(secondary.record?.state, 'recoverable');
  const refused = await secondary.session();
  refused.primary.say(helloOf());
  t.is((await secondary.heard(refused.primary, 'refused')).code, 'TDMF_RMD_FAILED');
  await secondary.stop(refused);
  t.is(secondary.record?.state, 'recoverable');
  disk.fault = undefined;
  const { welcome } = await secondary.welcomed();
  t.is(welcome.state, 'coherent');
  t.deepEqual(welcome.position, { era, sequence: 0 });
  t.is(disk.live[0], 7);
});

test('a damaged committed journal is never cut: the mirror is incoherent, and says so (H25)', async (t) => {
  for (const damage of ['flip', 'missing'] as const) {
    const secondary = new Secondary();
    const session = await secondary.welcomed();
    const { primary } = session;
    primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
    await secondary.heard(primary, 'refreshReady');
    primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
    primary.blocks([{ sequence: 1, offset: 0, length: 512, fill: 7 }]);
    secondary.node.disk('/m0').fault = (operation) => (operation === 'write' ? 5 : 0);
    primary.say({ kind: 'mark', refreshId, mark: 0, blocks: 1 });
    await secondary.heard(primary, 'bye');
    await secondary.stop(session);
    secondary.node.disk('/m0').fault = undefined;
    const path = [...secondary.node.disks.keys()].find((name) => name.endsWith('.i'))!;
    if (damage === 'flip') secondary.node.disk(path).live[700]! ^= 1;
    else secondary.node.disks.delete(path);
    const { welcome, context } = await secondary.welcomed();
    t.is(welcome.state, 'incoherent', damage);
    t.is(welcome.position, undefined);
    t.true(welcome.history.includes(era));
    t.true(context.events.some(({ type }) => type === 'journal.damaged'));
    t.true(
      secondary.mirror().every((byte) => byte === 0),
      'nothing of it was applied',
    );
  }
});

test('a Rule 7b window outlives a second crash, and closes when all that was sent is durable', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  const first = await secondary.welcomed();
  first.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  first.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await durable(secondary, first.primary, 1);
  await secondary.restart('powerCut');
  const second = await secondary.welcomed({ sentMax: 5 });
  t.is(second.welcome.state, 'incoherent');
  second.primary.say({ kind: 'resume', era, from: 2, sentMax: 5 });
  second.primary.entries([{ sequence: 2, offset: 0, length: 512 }]);
  await durable(secondary, second.primary, 2);
  await secondary.restart('kill');
  const third = await secondary.welcomed({ sentMax: 5 });
  t.is(third.welcome.state, 'incoherent');
  t.deepEqual(third.welcome.position, { era, sequence: 2 });
  third.primary.say({ kind: 'resume', era, from: 3, sentMax: 0 });
  for (let sequence = 3; sequence <= 5; sequence += 1) {
    third.primary.entries([{ sequence, offset: 0, length: 512 }]);
  }
  const changed = await secondary.heard(third.primary, 'stateChanged');
  t.is(changed.state, 'coherent');
  await durable(secondary, third.primary, 5);
});

test('after a power cut the mirror is shown as what it is, before and in the next session (I18, H27)', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  const first = await secondary.welcomed();
  first.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  first.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.until(() => first.primary.ack.applied === 1, 1_000, 'applied');
  const shown = async () => {
    const { files, digest } = secondary.process;
    const standing = readStanding(files, digest, '/journal', 7);
    await secondary.world.settled(standing);
    return (await standing).state;
  };
  t.is(await shown(), 'coherent');
  await secondary.restart('kill');
  t.is(await shown(), 'coherent', 'a killed process leaves a prefix');
  const again = await secondary.welcomed();
  again.primary.say({ kind: 'resume', era, from: 2, sentMax: 0 });
  again.primary.entries([{ sequence: 2, offset: 512, length: 512 }]);
  await secondary.world.until(() => again.primary.ack.applied === 2, 1_000, 'applied');
  await secondary.restart('powerCut');
  t.is(secondary.record?.state, 'coherent');
  t.is(await shown(), 'incoherent');
  const { rmd, welcome } = await secondary.welcomed();
  t.is(welcome.state, 'incoherent');
  const status = (await rmd.ask!({ kind: 'rmd.status' })) as RmdStatus;
  t.is(status.mirrorState, 'incoherent');
});

test('an abort that crosses the commit ends the session, and the handshake shows which it was', async (t) => {
  const secondary = new Secondary();
  const session = await secondary.welcomed();
  const { primary } = session;
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.say({ kind: 'mark', refreshId, mark: 0, blocks: 0 });
  primary.say({ kind: 'abortB', refreshId });
  t.is((await secondary.heard(primary, 'bye')).code, 'TDMF_RMD_FAILED');
  await secondary.stop(session);
  const { welcome } = await secondary.welcomed();
  const committed = welcome.position?.era === era;
  t.is(welcome.state, committed ? 'coherent' : 'incoherent');
  t.is(welcome.refreshId, committed ? undefined : refreshId);
});

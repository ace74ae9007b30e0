/** Smart and checksum refreshes on the mirror side: the image, what it keeps, what it compares. */
import test from 'ava';
import { mapBlockBytes } from '../../../src/core/constants.js';
import { entryFlags } from '../../../src/core/wire/messages.js';
import { coherent, era } from '../../helpers/refreshed.js';
import { Secondary, type Session } from '../../helpers/secondary.js';

const refreshId = 'refresh-1';
const next = 'b'.repeat(32);
const blocks = 4;
const size = blocks * mapBlockBytes;
const devices = [{ name: 'd0', sizeBytes: size, blockBytes: 512 }];

type Kind = 'smart' | 'checksum' | 'full';

async function begun(
  secondary: Secondary,
  refresh: Kind = 'smart',
  id = refreshId,
): Promise<Session & { readonly kept: boolean }> {
  const session = await secondary.welcomed({ devices, refreshId: id, refreshKind: refresh });
  session.primary.say({ kind: 'refreshBegin', refreshId: id, refresh, union: false });
  const { kept } = await secondary.heard(session.primary, 'refreshReady');
  return { ...session, kept };
}

async function fresh(seed = 1): Promise<Secondary> {
  const secondary = new Secondary(seed, [size]);
  await coherent(secondary);
  return secondary;
}

const block = (index: number, fill: number, sequence: number) => ({
  sequence,
  offset: index * mapBlockBytes,
  length: mapBlockBytes,
  fill,
});

async function commit(
  secondary: Secondary,
  { primary }: Session,
  sent: number,
  mark = 0,
): Promise<void> {
  primary.say({ kind: 'mark', refreshId, mark, blocks: sent });
  await secondary.heard(primary, 'committed');
  await secondary.world.until(
    () => secondary.record?.chain === undefined && secondary.journal.length === 0,
    10_000,
    'applied',
  );
}

const acked = (secondary: Secondary, { primary }: Session, count: number) =>
  secondary.world.until(() => primary.ack.blocks === count, 10_000, `${count} blocks`);

test('until the commit the mirror is untouched and coherent, then it has all of it (R3, Rule 24)', async (t) => {
  const secondary = await fresh();
  const session = await begun(secondary);
  const { primary } = session;
  t.false(session.kept);
  primary.blocks([block(1, 1, 1)]);
  primary.blocks([block(2, 2, 2), block(1, 3, 3)]);
  await acked(secondary, session, 3);
  t.true(secondary.mirror().every((byte) => byte === 0));
  t.is(secondary.record?.state, 'coherent');
  t.deepEqual(secondary.record?.image, { refreshId, segment: 1 });
  primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
  primary.blocks([block(0, 4, 4)]);
  primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 9 }]);
  await commit(secondary, session, 1, 1);
  const at = (index: number) => secondary.mirror()[index * mapBlockBytes];
  t.deepEqual([at(0), at(1), at(2), at(3)], [9, 3, 2, 0]);
  t.is(secondary.mirror()[512], 4);
  t.is(secondary.record?.era, next);
  t.deepEqual(secondary.record?.base, { era: next, sequence: 1 });
  t.is(secondary.record?.state, 'coherent');
  t.deepEqual(secondary.journal, []);
  t.is(primary.ack.freedBytes, primary.sentBytes);
});

test('a power cut at any time of a smart refresh leaves the mirror what it was (4.2)', async (t) => {
  const secondary = await fresh();
  const first = await secondary.welcomed({ devices });
  first.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  first.primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 7 }]);
  first.primary.say({ kind: 'refreshBegin', refreshId, refresh: 'smart', union: false });
  await secondary.heard(first.primary, 'refreshReady');
  first.primary.blocks([block(0, 1, 1)]);
  await acked(secondary, first, 1);
  await secondary.restart('powerCut');
  const { welcome } = await secondary.welcomed({ devices });
  t.is(welcome.state, 'coherent');
  t.deepEqual(welcome.position, { era, sequence: 1 });
  t.is(secondary.mirror()[0], 7);
  t.is(secondary.mirror()[512], 0);
});

for (const how of ['cut', 'kill', 'powerCut'] as const) {
  const kept = how !== 'powerCut';
  test(`what was acknowledged is ${kept ? '' : 'not '}kept over a ${how} (R10)`, async (t) => {
    const secondary = await fresh();
    const session = await begun(secondary);
    session.primary.blocks([block(1, 1, 1)]);
    session.primary.blocks([block(2, 2, 2)]);
    await acked(secondary, session, 2);
    if (how === 'cut') await secondary.stop(session);
    else await secondary.restart(how);
    const again = await begun(secondary);
    t.is(again.kept, kept);
    t.is(again.primary.ack.blocks, 0, 'numbers begin anew');
    again.primary.blocks([block(3, 3, 1)]);
    again.primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
    await commit(secondary, again, 0);
    const at = (index: number) => secondary.mirror()[index * mapBlockBytes];
    t.deepEqual([at(0), at(1), at(2), at(3)], kept ? [0, 1, 2, 3] : [0, 0, 0, 3]);
  });
}

test('a slot that was torn when the process died is not believed (R10)', async (t) => {
  const secondary = await fresh();
  const session = await begun(secondary);
  session.primary.blocks([block(1, 1, 1)]);
  await acked(secondary, session, 1);
  await secondary.restart('kill');
  const image = secondary.node.disk('/journal/j007001.i');
  image.live[image.live.length - 2 * mapBlockBytes - 5]! ^= 1;
  t.false((await begun(secondary)).kept);
});

test('entries that came in between, or another refresh, end what was kept', async (t) => {
  const secondary = await fresh();
  const session = await begun(secondary);
  session.primary.blocks([block(1, 1, 1)]);
  await acked(secondary, session, 1);
  await secondary.stop(session);
  const other = await begun(secondary, 'smart', 'refresh-2');
  t.false(other.kept);
  await secondary.stop(other);
  t.deepEqual(secondary.journal.length, 1, 'one image at a time');
  const stream = await secondary.welcomed({ devices });
  stream.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  stream.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.until(() => stream.primary.ack.durable === 1, 10_000, 'durable');
  t.is(secondary.record?.image, undefined);
});

test('an abort forgets the entries and keeps the blocks (R9)', async (t) => {
  const secondary = await fresh();
  const session = await begun(secondary);
  const { primary } = session;
  primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
  primary.blocks([block(1, 1, 1)]);
  primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 5 }]);
  primary.say({ kind: 'abortB', refreshId });
  await secondary.world.until(
    () => primary.messages.filter(({ kind }) => kind === 'refreshReady').length === 2,
    10_000,
    'ready again',
  );
  t.deepEqual(secondary.journal, ['j007001.i']);
  const later = 'c'.repeat(32);
  primary.say({ kind: 'phaseB', refreshId, era: later, s0: 1 });
  await commit(secondary, session, 0);
  t.is(secondary.mirror()[mapBlockBytes], 1);
  t.is(secondary.mirror()[0], 0);
  t.is(secondary.record?.era, later);
});

test('after an abort the blocks of a full refresh go to the image as well: never old over new', async (t) => {
  const secondary = await fresh();
  const session = await begun(secondary, 'full');
  const { primary } = session;
  primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
  primary.blocks([block(1, 1, 1)]);
  primary.say({ kind: 'abortB', refreshId });
  primary.blocks([block(1, 2, 2)]);
  await acked(secondary, session, 2);
  t.is(secondary.mirror()[mapBlockBytes], 0);
  primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
  await commit(secondary, session, 0);
  t.is(secondary.mirror()[mapBlockBytes], 2);
});

test('what a full refresh brought is kept under the same boot only', async (t) => {
  for (const how of ['kill', 'powerCut'] as const) {
    const secondary = await fresh();
    const session = await begun(secondary, 'full');
    session.primary.blocks([block(1, 1, 1)]);
    await acked(secondary, session, 1);
    await secondary.restart(how);
    const again = await begun(secondary, 'full');
    t.is(again.kept, how === 'kill', how);
  }
});

test('however often a block comes, the image is no longer than the mirror (H44, Rule 44)', async (t) => {
  const secondary = await fresh();
  const session = await begun(secondary);
  for (let sequence = 1; sequence <= 40; sequence += 1) {
    session.primary.blocks([block(sequence % 2, sequence, sequence)]);
  }
  await acked(secondary, session, 40);
  t.true(secondary.node.disk('/journal/j007001.i').sizeBytes <= size + 32 * 1024);
  session.primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
  await commit(secondary, session, 0);
  t.deepEqual([secondary.mirror()[0], secondary.mirror()[mapBlockBytes]], [40, 39]);
});

test('pieces of a block, zeroes and holes between them land as they are (H20)', async (t) => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const secondary = await fresh(seed);
    secondary.mirror().fill(200);
    const session = await begun(secondary);
    const { random } = secondary.world;
    const expected = new Uint8Array(size).fill(200);
    const total = 60;
    for (let sequence = 1; sequence <= total; sequence += 1) {
      const offset = random.below(size / 512) * 512;
      const length = Math.min(size - offset, 512 * random.between(1, 200));
      const zero = random.chance(1, 3);
      const flags = zero ? entryFlags.zero : 0;
      session.primary.blocks([{ sequence, offset, length, fill: sequence, flags }]);
      expected.fill(zero ? 0 : sequence, offset, offset + length);
    }
    await acked(secondary, session, total);
    if (seed % 2 === 0) {
      await secondary.stop(session);
      const again = await begun(secondary);
      t.true(again.kept);
      again.primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
      await commit(secondary, again, 0);
    } else {
      session.primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
      await commit(secondary, session, 0);
    }
    t.deepEqual(secondary.mirror(), expected, `seed ${seed}`);
  }
});

test('blocks are compared with the image over the mirror (H17, Rule 17)', async (t) => {
  const secondary = await fresh();
  secondary.mirror().fill(5);
  const session = await begun(secondary, 'checksum');
  const { primary } = session;
  const of = (fill: number) => new Uint8Array(mapBlockBytes).fill(fill);
  primary.compare(1, 0, [of(5), of(6), of(5), of(5)]);
  await secondary.heard(primary, 'differs');
  t.is(primary.differs(1), 0b0010);
  primary.blocks([block(1, 6, 1), { ...block(2, 0, 2), flags: entryFlags.zero }]);
  primary.compare(2, 0, [of(5), of(6), of(0), of(4)]);
  await secondary.world.until(() => primary.differs(2) !== undefined, 10_000, 'the answer');
  t.is(primary.differs(2), 0b1000, 'what came before the hashes is in the view');
  primary.compare(3, 2 * mapBlockBytes, [of(0)]);
  await secondary.world.until(() => primary.differs(3) !== undefined, 10_000, 'the answer');
  t.is(primary.differs(3), 0);
  t.is(primary.link.closed, undefined);
});

test('hashes outside the device, or out of place, are a breach', async (t) => {
  const hashes = new Uint8Array(32);
  for (const wrong of [
    { offset: 3 * mapBlockBytes, hashes },
    { offset: 512, hashes },
    { device: 1, offset: 0, hashes },
    { offset: 0, hashes: new Uint8Array(15) },
    { offset: 0, hashes: new Uint8Array(16 * 5) },
  ]) {
    const secondary = await fresh();
    const { primary } = await begun(secondary, 'checksum');
    primary.say({ kind: 'hashes', batch: 1, device: 0, ...wrong });
    t.is((await secondary.heard(primary, 'bye')).code, 'TDMF_LINK_PROTOCOL');
  }
});

test('a journal without space ends the refresh with its code; what is there is kept (H44)', async (t) => {
  const secondary = await fresh();
  const session = await begun(secondary);
  session.primary.blocks([block(0, 1, 1)]);
  await acked(secondary, session, 1);
  const image = secondary.node.disk('/journal/j007001.i');
  image.fault = (operation) => (operation === 'write' ? 28 : 0);
  session.primary.blocks([block(1, 2, 2)]);
  t.is((await secondary.heard(session.primary, 'bye')).code, 'TDMF_JOURNAL_FULL');
  await secondary.stop(session);
  image.fault = undefined;
  t.is(secondary.record?.state, 'coherent');
  t.true((await begun(secondary)).kept);
});

test('a killed refresh leaves the mirror and the session as they were (4.3)', async (t) => {
  const secondary = await fresh();
  const session = await begun(secondary);
  const { primary } = session;
  primary.blocks([block(0, 1, 1)]);
  primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
  primary.say({ kind: 'refreshEnd', refreshId });
  primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 3 }]);
  await secondary.world.until(() => primary.ack.durable === 1, 10_000, 'durable');
  t.is(secondary.mirror()[0], 3);
  t.is(secondary.mirror()[512], 0);
});

test('another mirror may be filled by a comparison of all, not by a smart refresh (H33)', async (t) => {
  for (const [refreshKind, code] of [
    ['smart', 'TDMF_RMD_OTHER_MIRROR'],
    ['checksum', undefined],
  ] as const) {
    const secondary = await fresh();
    const first = await secondary.welcomed({ devices });
    first.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
    await secondary.world.until(
      () => (secondary.record?.mirrors.length ?? 0) > 0,
      10_000,
      'claimed',
    );
    await secondary.stop(first);
    secondary.node.disks.delete('/m0');
    secondary.node.addDisk('/m0', size);
    const session = await secondary.session();
    const { helloOf } = await import('../../helpers/fake-primary.js');
    session.primary.say(helloOf({ devices, refreshId, refreshKind }));
    if (code === undefined) {
      t.is((await secondary.heard(session.primary, 'welcome')).state, 'unknown');
    } else t.is((await secondary.heard(session.primary, 'refused')).code, code);
  }
});

/** Eras handed over, and the mirror as a source: what a session does besides streams and refreshes. */
import test from 'ava';
import { mapBlockBytes } from '../../../src/core/constants.js';
import { coherent, era } from '../../helpers/refreshed.js';
import { Secondary } from '../../helpers/secondary.js';

const next = 'b'.repeat(32);
const size = 20 * mapBlockBytes;
const devices = [{ name: 'd0', sizeBytes: size, blockBytes: 512 }];

async function fresh(seed = 1): Promise<Secondary> {
  const secondary = new Secondary(seed, [size]);
  await coherent(secondary);
  return secondary;
}

test('an era is taken where the mirror stands, durably, before it is said (Rule 8b)', async (t) => {
  for (const how of ['kill', 'powerCut'] as const) {
    const secondary = await fresh();
    const session = await secondary.welcomed({ devices });
    const { primary } = session;
    primary.say({ kind: 'era', from: { era, sequence: 0 }, era: next, s0: 1, adopt: false });
    const taken = await secondary.heard(primary, 'eraTaken');
    t.is(taken.era, next);
    t.is(secondary.record?.era, next);
    t.deepEqual(secondary.record?.base, { era: next, sequence: 0 });
    t.deepEqual(secondary.record?.history, [era]);
    t.is(secondary.record?.state, 'coherent');
    primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
    await secondary.world.until(() => primary.ack.durable === 1, 10_000, 'durable');
    await secondary.restart(how);
    const { welcome } = await secondary.welcomed({ devices });
    t.deepEqual(welcome.position, { era: next, sequence: 1 });
    t.is(secondary.mirror()[0], 1);
  }
});

test('an era may be followed by the resume that says the same', async (t) => {
  const secondary = await fresh();
  const { primary } = await secondary.welcomed({ devices });
  primary.say({ kind: 'era', from: { era, sequence: 0 }, era: next, s0: 1, adopt: false });
  primary.say({ kind: 'resume', era: next, from: 1, sentMax: 0 });
  primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.until(() => primary.ack.durable === 1, 10_000, 'durable');
  t.is(primary.link.closed, undefined);
});

test('an era from anywhere else is refused (Rule 8b)', async (t) => {
  for (const from of [{ era, sequence: 1 }, { era: next, sequence: 0 }, undefined]) {
    const secondary = await fresh();
    const { primary } = await secondary.welcomed({ devices });
    primary.say({ kind: 'era', from, era: 'c'.repeat(32), s0: 1, adopt: false });
    t.is((await secondary.heard(primary, 'bye')).code, 'TDMF_LINK_PROTOCOL');
    t.is(secondary.record?.era, era);
  }
});

test('an operator may have the mirror taken as it is: then it is unknown (row 11)', async (t) => {
  const secondary = new Secondary(1, [size]);
  const { primary, welcome } = await secondary.welcomed({ devices });
  t.is(welcome.state, 'never');
  primary.say({ kind: 'era', from: undefined, era: next, s0: 5, adopt: true });
  await secondary.heard(primary, 'eraTaken');
  t.is(secondary.record?.state, 'unknown');
  t.is(primary.message('stateChanged')?.state, 'unknown');
  primary.entries([{ sequence: 5, dep: 4, offset: 0, length: 512 }]);
  await secondary.world.until(() => primary.ack.durable === 5, 10_000, 'durable');
  t.is(secondary.mirror()[0], 5);
});

test('a mirror that is taken as it is, and is proven equal, stays what it was (row 11)', async (t) => {
  const secondary = await fresh();
  const { primary } = await secondary.welcomed({ devices });
  primary.say({ kind: 'era', from: { era, sequence: 0 }, era: next, s0: 1, adopt: true });
  await secondary.heard(primary, 'eraTaken');
  t.is(secondary.record?.state, 'coherent');
});

test('in a backfresh the differing blocks go home, and the mirror is not written (Rule 30)', async (t) => {
  const secondary = await fresh();
  const mirror = secondary.mirror();
  for (let block = 0; block < 20; block += 1) {
    mirror.fill(block + 1, block * mapBlockBytes, (block + 1) * mapBlockBytes);
  }
  const before = mirror.slice();
  const session = await secondary.welcomed({
    devices,
    purpose: 'backfresh',
    refreshId: 'back',
    refreshKind: 'back',
  });
  const { primary } = session;
  primary.say({ kind: 'backfreshBegin', refreshId: 'back', union: false });
  t.false((await secondary.heard(primary, 'refreshReady')).kept);
  const of = (fill: number) => new Uint8Array(mapBlockBytes).fill(fill);
  const local = Array.from({ length: 20 }, (_, block) => of(block % 3 === 0 ? 200 : block + 1));
  primary.compare(1, 0, local.slice(0, 16));
  primary.compare(2, 16 * mapBlockBytes, local.slice(16));
  const answered = () => primary.differs(1) !== undefined && primary.differs(2) !== undefined;
  await secondary.world.until(answered, 10_000, 'answers');
  t.is(primary.differs(1), 0b1001_0010_0100_1001);
  t.is(primary.differs(2), 0b0100);
  const wrong = [0, 3, 6, 9, 12, 15, 18];
  await secondary.world.until(() => primary.home.length === wrong.length, 10_000, 'blocks');
  t.deepEqual(
    primary.home.map(({ entry }) => entry.sequence),
    wrong.map((_, index) => index + 1),
  );
  const home = primary.home.toSorted((a, b) => a.entry.offset - b.entry.offset);
  for (const [index, { entry, data }] of home.entries()) {
    t.is(entry.offset, wrong[index]! * mapBlockBytes);
    t.deepEqual(data, of(wrong[index]! + 1));
  }
  t.deepEqual(secondary.mirror(), before);
  t.is(primary.malformed, undefined);
  // The end: the primary's own era, and the stream follows in the same session.
  primary.say({ kind: 'era', from: { era, sequence: 0 }, era: next, s0: 1, adopt: false });
  await secondary.heard(primary, 'eraTaken');
  primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 9 }]);
  await secondary.world.until(() => primary.ack.durable === 1, 10_000, 'durable');
  await secondary.stop(session);
  t.is(secondary.record?.era, next);
});

test('while the mirror is a source nothing may be written to it', async (t) => {
  const secondary = await fresh();
  const { primary } = await secondary.welcomed({ devices, purpose: 'backfresh' });
  primary.say({ kind: 'backfreshBegin', refreshId: 'back', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  t.is((await secondary.heard(primary, 'bye')).code, 'TDMF_LINK_PROTOCOL');
  t.is(secondary.mirror()[0], 0);
});

test('long runs that differ leave in frames that fit, whatever the link takes', async (t) => {
  const secondary = await fresh(4);
  secondary.mirror().fill(3);
  const { primary } = await secondary.welcomed({ devices, purpose: 'backfresh' });
  primary.say({ kind: 'backfreshBegin', refreshId: 'back', union: false });
  await secondary.heard(primary, 'refreshReady');
  const zeroes = new Uint8Array(mapBlockBytes);
  primary.compare(
    1,
    0,
    Array.from({ length: 16 }, () => zeroes),
  );
  primary.compare(
    2,
    16 * mapBlockBytes,
    Array.from({ length: 4 }, () => zeroes),
  );
  const bytes = () => primary.home.reduce((sum, { data }) => sum + data.length, 0);
  await secondary.world.until(() => bytes() === size, 10_000, 'all of it');
  t.true(primary.home.every(({ data }) => data.length <= 256 * 1024));
});

test('a later session of a backfresh hears whether the mirror is what it was', async (t) => {
  const secondary = await fresh();
  const begin = async (refreshId: string) => {
    const session = await secondary.welcomed({ devices, purpose: 'backfresh' });
    session.primary.say({ kind: 'backfreshBegin', refreshId, union: false });
    const { kept } = await secondary.heard(session.primary, 'refreshReady');
    await secondary.stop(session);
    return kept;
  };
  t.false(await begin('back'));
  t.true(await begin('back'));
  await secondary.restart('kill');
  t.true(await begin('back'));
  secondary.node.disk('/m0').land(0, Uint8Array.of(1), 1);
  t.false(await begin('back'));
  t.true(await begin('back'));
  t.false(await begin('another'));
});

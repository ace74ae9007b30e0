/** BACKFRESH as the group carries it out: the door, the record, the cursor, the end (Rule 30). */
import test from 'ava';
import { trackingPauseFirstMs } from '../../../src/core/constants.js';
import { GroupWorld } from '../../helpers/group-world.js';

const position = { era: 'c'.repeat(32), sequence: 40 };
const devices = [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 0 }];

async function normal(): Promise<GroupWorld> {
  const group = await GroupWorld.start();
  await group.toNormal();
  group.forget();
  return group;
}

async function running(): Promise<GroupWorld> {
  const group = await normal();
  await group.operator('launchbackfresh');
  return group;
}

const steps = (group: GroupWorld) =>
  group.log.filter((line) => /^(?:driver|pmd\.(?!flush)|save)/.test(line));
const refreshIdOf = (group: GroupWorld) => group.last('pmd.backfresh').refreshId;
const progress = (group: GroupWorld, offset: number) =>
  group.fact({
    type: 'backfresh.progressed',
    refreshId: refreshIdOf(group),
    doneBytes: offset,
    totalBytes: 1 << 20,
    cursor: { device: 0, offset },
  });

test('a whole backfresh, in order: door, BAB to the map, record, copy, maps, record, era, NORMAL, door (Rule 30)', async (t) => {
  const group = await normal();
  const answer = await group.operator('launchbackfresh');
  t.like(answer, { mode: 'BACKFRESH' });
  t.deepEqual(steps(group), [
    'driver.door',
    'driver.duties mark',
    'driver.clearBab',
    'pmd.drop',
    'save backfresh',
    'pmd.backfresh',
  ]);
  t.like(group.record, {
    mode: 'backfresh',
    localState: 'incoherent',
    refresh: { kind: 'back', ordered: true },
    backfresh: { cursor: { device: 0, offset: 0 }, compareAll: false },
  });
  t.like(group.last('pmd.lineage').lineage, { refreshKind: 'back', order: 'back' });
  t.like((await group.status()).refresh, { kind: 'back' });
  group.forget();
  await progress(group, 65536);
  t.deepEqual(group.record?.backfresh?.cursor, { device: 0, offset: 65536 });

  group.forget();
  await group.fact({ type: 'backfresh.finished', refreshId: refreshIdOf(group), position });
  t.deepEqual(steps(group), [
    'driver.equal',
    'save backfresh',
    'pmd.backfreshEnd',
    'driver.era',
    'driver.duties append',
    'save normal',
    'driver.door',
  ]);
  const { handOver } = group.last('pmd.backfreshEnd');
  t.deepEqual(handOver, { from: position, era: group.record!.era, s0: 1 });
  t.like(group.record, {
    mode: 'normal',
    // Not where the mirror was: there it may have changed without moving.
    base: { era: handOver!.era, sequence: 0 },
    chain: [],
    map: 'continuous',
    mapAll: false,
    localState: 'ok',
    backfresh: undefined,
    refresh: undefined,
    unverified: false,
  });
  t.true(group.last('driver.door').open);
  t.like(await group.status(), { mode: 'NORMAL', refresh: null });
});

test('a backfresh is refused while a client is connected, and nothing has changed (H30)', async (t) => {
  const group = await normal();
  group.clientsSeen = 2;
  await t.throwsAsync(group.operator('launchbackfresh'), { code: 'TDMF_GROUP_BUSY' });
  t.deepEqual(steps(group), []);
  // One that comes between the question and the door.
  group.clientsSeen = 0;
  group.clients = 1;
  await t.throwsAsync(group.operator('launchbackfresh'), { code: 'TDMF_GROUP_BUSY' });
  t.deepEqual(steps(group), ['driver.door']);
  t.like(await group.status(), { mode: 'NORMAL', situation: 'normal' });
  t.is(group.record?.mode, 'normal');
});

test('what the map lacks makes the backfresh compare everything (MD 17)', async (t) => {
  const group = await GroupWorld.start();
  await group.operator('launchbackfresh');
  t.true(group.last('pmd.backfresh').compareAll);
});

test('killpmd and a lost link change nothing, and a restart goes on at the cursor behind a shut door (MD 19)', async (t) => {
  const group = await running();
  await progress(group, 131072);
  await group.operator('killpmd');
  t.like(await group.status(), { mode: 'BACKFRESH', connection: 'ACCUMULATE' });
  await group.operator('launchpmd');
  t.like(await group.status(), { mode: 'BACKFRESH', connection: 'CONNECTED' });

  const again = await GroupWorld.start({ record: group.record! });
  t.deepEqual(
    steps(again).filter((line) => line.startsWith('driver')),
    ['driver.door', 'driver.duties mark'],
  );
  t.like(again.last('pmd.backfresh'), {
    refreshId: refreshIdOf(group),
    cursor: { device: 0, offset: 131072 },
  });
  t.true(again.log.indexOf('pmd.backfresh') > again.log.indexOf('driver.door'));
  t.like(await again.status(), { mode: 'BACKFRESH', refresh: { kind: 'back' } });
});

test('killbackfresh with nothing written: the mode before, and NORMAL by the lineage table (MD 18, H30e)', async (t) => {
  const group = await running();
  group.forget();
  const answer = await group.operator('killbackfresh');
  t.like(answer, { mode: 'TRACKING' });
  t.like(group.last('pmd.refresh'), { kind: 'smart' }, 'from there it goes on by itself');
  t.true(group.last('driver.door').open);
  t.like(group.record, { localState: 'ok', backfresh: undefined });

  const passthru = await GroupWorld.start();
  await passthru.operator('launchbackfresh');
  t.like(await passthru.operator('killbackfresh'), { mode: 'PASSTHRU' });
  t.like(await passthru.status(), { situation: 'passthru.untracked' });
  t.true(passthru.last('driver.door').open);
});

test('killbackfresh half way: closed to clients, no source, until backfresh or override (MD 18)', async (t) => {
  const group = await running();
  group.writtenBytes = 65536;
  t.like(await group.operator('killbackfresh'), { mode: 'PASSTHRU' });
  t.like(group.record, { mode: 'passthru', localState: 'incoherent', backfresh: undefined });
  const status = await group.status();
  t.is(status.situation, 'passthru.incoherent');
  t.is(status.reasons[0]?.code, 'TDMF_LOCAL_INCOHERENT');
  t.false(group.last('driver.door').open);
  for (const kind of ['full', 'smart', 'checksum']) {
    await t.throwsAsync(group.operator('launchrefresh', { kind }), {
      code: 'TDMF_LOCAL_INCOHERENT',
    });
  }
  await group.operator('killpmd');
  await t.throwsAsync(group.operator('override', { state: 'tracking' }), {
    code: 'TDMF_LOCAL_INCOHERENT',
  });

  const again = await GroupWorld.start({ record: { ...group.record!, clean: true } });
  t.like(await again.status(), { situation: 'passthru.incoherent' }, 'also after a restart');
  t.false(again.last('driver.door').open);

  await group.operator('override', { state: 'passthru' });
  t.like(group.record, { localState: 'ok', map: 'broken', mapAll: true, unverified: true });
  t.true(group.last('driver.door').open);
  t.like(await group.status(), { situation: 'passthru.untracked' });
});

test('a backfresh of a process that is gone may have written: it is not taken for untouched', async (t) => {
  const group = await running();
  const again = await GroupWorld.start({ record: group.record! });
  await again.operator('killbackfresh');
  t.like(await again.status(), { situation: 'passthru.incoherent' });
});

test('a killed backfresh can be begun again', async (t) => {
  const group = await running();
  group.writtenBytes = 1;
  await group.operator('killbackfresh');
  const before = refreshIdOf(group);
  await group.operator('launchbackfresh');
  t.not(refreshIdOf(group), before);
  t.like(await group.status(), { mode: 'BACKFRESH' });
  group.writtenBytes = 0;
  await group.operator('killbackfresh');
  t.like(await group.status(), { situation: 'passthru.incoherent' }, 'what it was');
});

test('a backfresh that fails goes on after a pause, where its cursor is', async (t) => {
  const group = await running();
  await progress(group, 65536);
  const refreshId = refreshIdOf(group);
  const code = 'TDMF_DEVICE_FAILED';
  await group.fact({ type: 'backfresh.failed', refreshId, code, message: '' });
  t.like(
    group.events.find(({ type }) => type === 'backfresh.failed'),
    { refreshId, code },
  );
  group.forget();
  await group.world.run(trackingPauseFirstMs);
  t.like(group.last('pmd.backfresh'), { refreshId, cursor: { device: 0, offset: 65536 } });
});

test('the link is lost when the mirror was to take the era: equal, in TRACKING, open (row 7e)', async (t) => {
  const group = await running();
  group.silent.add('pmd.backfreshEnd');
  await group.fact({ type: 'backfresh.finished', refreshId: refreshIdOf(group), position });
  t.like(await group.status(), { situation: 'backfresh.handing' });
  const crashed = await GroupWorld.start({ record: group.record! });
  t.like(await crashed.status(), { mode: 'TRACKING' }, 'a crash finds it equal as well');
  await group.cut();
  t.like(await group.status(), { mode: 'TRACKING' });
  t.true(group.last('driver.door').open);
  t.deepEqual(group.record?.base, position);
  group.mirror = position;
  await group.reconnect();
  await group.converge();
  t.like(await group.status(), { mode: 'NORMAL' });
});

test('a backfresh that was stopped cleanly goes on', async (t) => {
  const group = await running();
  await group.until(group.actors.stop('g0/driver'));
  await group.ask({ kind: 'prepareStop', drainMs: 0, devices });
  const again = await GroupWorld.start({ record: group.record! });
  t.like(await again.status(), { mode: 'BACKFRESH' });
});

/** `override`: what each mode becomes, what happens to the dirt, and what the next connection finds. */
import test from 'ava';
import { GroupWorld } from '../../helpers/group-world.js';

async function stopped(options: { readonly entries?: number } = {}): Promise<GroupWorld> {
  const group = await GroupWorld.start();
  await group.toNormal();
  await group.operator('killpmd');
  group.control.setCursor('published', options.entries ?? 0);
  group.forget();
  return group;
}

const steps = (group: GroupWorld) =>
  group.log.filter((line) => /^(?:driver|pmd\.(?!flush)|save)/.test(line));
const to = (group: GroupWorld, state: string) => group.operator('override', { state });

test('override is refused while the PMD runs, and says what to type (MD 24)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  for (const args of [{ state: 'passthru' }, { state: 'tracking' }, { clear: 'BAB' }]) {
    await t.throwsAsync(group.operator('override', args), { code: 'TDMF_OVERRIDE_PMD' });
  }
});

test('clear BAB: every entry becomes dirt before the PMD forgets it, and the group tracks (H11, Rule 11)', async (t) => {
  const group = await stopped({ entries: 3 });
  t.like(await group.operator('override', { clear: 'BAB' }), { mode: 'TRACKING' });
  const log = steps(group);
  t.true(log.indexOf('driver.duties mark') < log.indexOf('driver.clearBab'));
  t.true(log.indexOf('driver.clearBab') < log.indexOf('pmd.drop'));
  t.like(group.record, { mode: 'tracking', mapAll: false });
  group.control.setCursor('durable', 3);
  await group.operator('launchpmd');
  t.like(group.last('pmd.refresh'), { kind: 'smart' });
});

test('override state passthru keeps the map, so that the way back is a smart refresh (Rule 10c, MD 13)', async (t) => {
  const group = await stopped();
  t.like(await to(group, 'passthru'), { mode: 'PASSTHRU' });
  t.like(group.record, { mode: 'passthru', map: 'continuous', mapAll: false });
  t.like(await group.status(), { situation: 'passthru.tracked' });
  t.like(group.last('driver.duties'), { append: false, mark: true });
  await group.operator('launchpmd');
  t.like(await group.status(), { mode: 'PASSTHRU' }, 'nothing is automatic there');
  await group.operator('launchrefresh');
  t.like(group.last('pmd.refresh'), { kind: 'smart' });
  await group.converge();
  t.like(await group.status(), { mode: 'NORMAL' });
});

test('override state tracking out of a first PASSTHRU compares everything later', async (t) => {
  const group = await GroupWorld.start();
  t.like(await to(group, 'tracking'), { mode: 'TRACKING' });
  t.like(group.record, { mode: 'tracking', map: 'unproven', mapAll: true });
  t.true(group.last('driver.markAll').compare);
});

test('override state tracking in NORMAL leaves the BAB to be drained', async (t) => {
  const group = await stopped({ entries: 3 });
  await to(group, 'tracking');
  t.false(steps(group).includes('driver.clearBab'));
  t.like(await group.status(), { mode: 'TRACKING' });
  await group.operator('launchpmd');
  t.like(await group.status(), { situation: 'tracking.draining' });
});

test('override state normal: era, duty, grace, record, and only then the mode (H3, Rule 8a, row 11)', async (t) => {
  const group = await GroupWorld.start();
  group.forget();
  t.like(await to(group, 'normal'), { mode: 'NORMAL' });
  const order = [
    'driver.duties mark',
    'driver.markAll',
    'driver.clearBab',
    'pmd.drop',
    'driver.era',
    'driver.duties append',
    'save normal',
  ];
  t.deepEqual(
    steps(group).filter((line) => order.includes(line)),
    order,
  );
  t.like(group.record, { mode: 'normal', adopting: true, unverified: true, mapAll: true });
  const status = await group.status();
  t.like(status, { mode: 'NORMAL', connection: 'ACCUMULATE', unverified: true });
  t.is(status.reasons.at(-1)?.code, 'TDMF_UNVERIFIED');
});

test('NORMAL by override takes a mirror that is not proven equal, on the operator’s word (row 11, MD 39)', async (t) => {
  const group = await GroupWorld.start();
  await to(group, 'normal');
  t.is(group.last('pmd.lineage').lineage.order, 'normal');
  await group.operator('launchpmd');
  t.like(await group.status(), { mode: 'NORMAL', unverified: true });
  t.like(group.record, { adopting: false, unverified: true });
  t.like(
    group.events.find(({ type }) => type === 'mirror.adopted'),
    { verified: false },
  );
  t.is(group.last('pmd.lineage').lineage.order, 'normal', 'only that word lets it follow');
  // Once it follows it is a mirror like any other: one that was set back is compared, not adopted.
  await group.cut();
  group.decision = { row: '6', action: 'checksum' };
  await group.reconnect();
  t.like(group.last('pmd.refresh'), { kind: 'checksum' });
});

test('NORMAL by override over an equal mirror is verified, and nothing is copied (row 7e, MD 39)', async (t) => {
  const group = await stopped();
  await to(group, 'passthru');
  await to(group, 'normal');
  group.decision = { row: '7e', action: 'era' };
  await group.operator('launchpmd');
  t.like(group.record, { mode: 'normal', adopting: false, unverified: false });
  t.like(
    group.events.find(({ type }) => type === 'mirror.adopted'),
    { verified: true },
  );
});

test('a mirror that is proven newer is never overwritten by an override (I19)', async (t) => {
  const group = await stopped();
  await to(group, 'passthru');
  await to(group, 'normal');
  await group.operator('launchpmd');
  group.forget();
  const code = 'TDMF_LINEAGE_NEWER';
  await group.fact({ type: 'link.refused', code, message: 'newer', retryInMs: 5000 });
  const status = await group.status();
  t.like(status, { mode: 'NORMAL', connection: 'NOT_CONNECTED' });
  t.is(status.reasons[0]?.code, code);
});

test('override state refresh is a smart refresh that waits for launchpmd', async (t) => {
  const group = await stopped();
  t.like(await to(group, 'refresh'), { mode: 'REFRESH', connection: 'ACCUMULATE' });
  t.like(await group.status(), { situation: 'refresh.preparing.awaiting' });
  await group.operator('launchpmd');
  t.like(group.last('pmd.refresh'), { kind: 'smart' });
  t.like(group.record?.refresh, { ordered: true });

  const first = await GroupWorld.start();
  await to(first, 'refresh');
  t.like(first.record?.refresh, { kind: 'checksum' }, 'a map that knows nothing is not trusted');
});

test('override state backfresh is a backfresh that waits for launchpmd', async (t) => {
  const group = await stopped();
  group.clientsSeen = 1;
  await t.throwsAsync(to(group, 'backfresh'), { code: 'TDMF_GROUP_BUSY' });
  group.clientsSeen = 0;
  t.like(await to(group, 'backfresh'), { mode: 'BACKFRESH', connection: 'ACCUMULATE' });
  await t.throwsAsync(to(group, 'normal'), { code: 'TDMF_BACKFRESH_RUNNING' });
});

for (const state of ['passthru', 'tracking', 'normal']) {
  test(`override state ${state} ends a refresh whose PMD was killed, and keeps its map (4.3)`, async (t) => {
    const group = await GroupWorld.start();
    await group.toPhaseA();
    await group.operator('killpmd');
    group.forget();
    t.like(await to(group, state), { mode: state.toUpperCase() });
    t.like(group.record, { refresh: undefined, mapAll: true });
    t.false(group.last('pmd.abort').again);
    t.true(group.events.some(({ type }) => type === 'refresh.killed'));
  });
}

test('override state passthru ends a backfresh once no local write is in flight (I16)', async (t) => {
  const group = await stopped();
  await to(group, 'backfresh');
  group.silent.add('pmd.backfreshEnd');
  const { asked } = await group.begin('override', { state: 'passthru' });
  t.false(group.last('driver.door').open);
  const { refreshId } = group.last('pmd.backfreshEnd');
  await group.fact({ type: 'backfresh.ended', refreshId, writtenBytes: 1 });
  t.like(await group.until(asked), { mode: 'PASSTHRU' });
  t.true(group.last('driver.door').open);
  t.like(group.record, { localState: 'ok', map: 'broken', unverified: true });
});

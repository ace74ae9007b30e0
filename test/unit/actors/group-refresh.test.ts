/** Smart and checksum refreshes, TRACKING by itself and by command, and what the lineage table says. */
import test from 'ava';
import { trackingPauseFirstMs } from '../../../src/core/constants.js';
import { GroupWorld } from '../../helpers/group-world.js';

const checksum = { kind: 'checksum' };

async function normal(): Promise<GroupWorld> {
  const group = await GroupWorld.start();
  await group.toNormal();
  group.forget();
  return group;
}

/** Overflowed, and the link was cut before anything was drained. */
async function trackingAlone(): Promise<GroupWorld> {
  const group = await normal();
  group.control.setCursor('published', 3);
  await group.cut();
  await group.fact({ type: 'driver.overflowed', sequence: 8 });
  group.forget();
  return group;
}

const steps = (group: GroupWorld) =>
  group.log.filter((line) => /^(?:driver|pmd\.(?!flush|launch)|save)/.test(line));

test('TRACKING ends by itself when the link is back and the BAB is drained: a smart refresh (R1, MD 12)', async (t) => {
  const group = await trackingAlone();
  t.like(await group.status(), { situation: 'tracking.waiting' });
  await group.reconnect();
  t.like(await group.status(), { situation: 'tracking.draining' });
  group.control.setCursor('durable', 3);
  await group.world.run(100);
  t.deepEqual(steps(group), [
    'save refresh',
    'driver.duties mark',
    'driver.clearBab',
    'pmd.drop',
    'pmd.refresh',
  ]);
  t.like(group.last('pmd.refresh'), { kind: 'smart', union: false });
  t.like(group.record?.refresh, { kind: 'smart', ordered: false });
  t.false(group.record?.mapAll, 'the map has exactly what was marked');
  t.is(group.last('pmd.lineage').lineage.order, undefined, 'nobody ordered it (I19)');
  t.like((await group.status()).refresh, { kind: 'smart' });
  await group.converge();
  t.like(await group.status(), { mode: 'NORMAL', refresh: null });
  t.like(
    group.events.find(({ type }) => type === 'refresh.started'),
    { refresh: 'smart' },
  );
});

test('Rule 53: a refresh of its own waits for its turn and gives it back; an operator’s does not wait', async (t) => {
  const group = await trackingAlone();
  group.control.setCursor('durable', 3);
  group.crowded = true;
  await group.reconnect();
  await group.world.run(1000);
  t.like(await group.status(), { mode: 'TRACKING', situation: 'tracking.queueing' });
  t.is(group.turnsGiven, 0);
  group.turns.grantAll();
  await group.quiet();
  t.like(await group.status(), { situation: 'refresh.phaseA' });
  t.is(group.turnsGiven, 0);
  await group.converge();
  t.like(await group.status(), { mode: 'NORMAL' });
  t.is(group.turnsGiven, 1);

  const other = await trackingAlone();
  other.control.setCursor('durable', 3);
  other.crowded = true;
  await other.reconnect();
  await other.operator('launchrefresh');
  t.like(await other.status(), { situation: 'refresh.phaseA' });

  const lost = await trackingAlone();
  lost.control.setCursor('durable', 3);
  lost.crowded = true;
  await lost.reconnect();
  await lost.cut();
  t.like(await lost.status(), { situation: 'tracking.waiting' });
  t.is(lost.turnsGiven, 1, 'it does not stand in the way of others');
  lost.turns.grantAll();
  await lost.quiet();
  t.like(await lost.status(), { situation: 'tracking.waiting' });
});

test('a session that is cut while TRACKING drains starts nothing', async (t) => {
  const group = await trackingAlone();
  await group.reconnect();
  await group.cut();
  group.control.setCursor('durable', 3);
  await group.world.run(1000);
  t.like(await group.status(), { mode: 'TRACKING', situation: 'tracking.waiting' });
});

test('a mirror that is equal needs a smart refresh of what the map has, perhaps nothing (row 7e)', async (t) => {
  const group = await trackingAlone();
  group.decision = { row: '7e', action: 'era' };
  await group.reconnect();
  t.like(group.last('pmd.refresh'), { kind: 'smart' });
});

test('a mirror that was set back gets a checksum refresh, whole map first and durable (row 6, Rule 17)', async (t) => {
  const group = await trackingAlone();
  group.decision = { row: '6', action: 'checksum', code: 'TDMF_LINEAGE_MIRROR_BEHIND' };
  await group.reconnect();
  t.deepEqual(steps(group), [
    'save refresh',
    'driver.duties mark',
    'driver.markAll',
    'pmd.drop',
    'pmd.refresh',
  ]);
  t.true(group.last('driver.markAll').compare);
  t.like(group.last('pmd.refresh'), { kind: 'checksum' });
  t.like(group.record, { mapAll: true, refresh: { kind: 'checksum', ordered: false } });
  t.like(
    group.events.find(({ type }) => type === 'lineage.decided'),
    { row: '6', code: 'TDMF_LINEAGE_MIRROR_BEHIND' },
  );
  await group.converge();
  t.like(group.record, { mode: 'normal', mapAll: false });
});

test('NORMAL that cannot go on where the mirror is tracks what is in the BAB and refreshes (row 7)', async (t) => {
  const group = await normal();
  await group.cut();
  group.decision = { row: '7', action: 'smart' };
  group.forget();
  await group.reconnect();
  t.deepEqual(
    steps(group).filter((line) => !line.startsWith('save')),
    ['driver.duties mark', 'driver.duties mark', 'driver.clearBab', 'pmd.drop', 'pmd.refresh'],
  );
  t.like(group.last('pmd.refresh'), { kind: 'smart' });
});

test('where the table waits nothing is automatic, and the status says what to type (I19)', async (t) => {
  const group = await trackingAlone();
  group.decision = { row: '7p', action: 'wait', code: 'TDMF_LINEAGE_UNTRACKED', ownBytes: 4096 };
  await group.reconnect();
  await group.world.run(10_000);
  const status = await group.status();
  t.like(status, { mode: 'TRACKING', connection: 'CONNECTED' });
  const [reason] = status.reasons;
  t.is(reason?.code, 'TDMF_LINEAGE_UNTRACKED');
  t.true(reason?.message.includes('4096 bytes'));
  const told = group.events.find(({ type }) => type === 'lineage.decided');
  t.regex(String(told?.['remedy']), /launchrefresh/);
  // The operator's word goes further, and compares.
  await group.operator('launchrefresh');
  t.like(group.last('pmd.refresh'), { kind: 'checksum' });
  t.like(
    group.events.find(({ type }) => type === 'refresh.upgraded'),
    { from: 'smart', to: 'checksum' },
  );
  t.is(group.last('pmd.lineage').lineage.order, 'checksum');
});

test('launchrefresh out of PASSTHRU is upgraded to a checksum refresh with a notice (MD 13)', async (t) => {
  const group = await GroupWorld.start();
  group.forget();
  await group.operator('launchrefresh');
  t.like(
    group.events.find(({ type }) => type === 'refresh.upgraded'),
    { from: 'smart', to: 'checksum', why: 'changes were not tracked in PASSTHRU' },
  );
  t.like(group.last('pmd.refresh'), { kind: 'checksum' });
  t.like(group.record, { map: 'unproven', mapAll: true });
  await group.converge();
  t.like(group.record, { mode: 'normal', map: 'continuous', mapAll: false });
});

test('launchrefresh -c in NORMAL drains first, then compares everything (H17, R1)', async (t) => {
  const group = await normal();
  group.control.setCursor('published', 2);
  await group.operator('launchrefresh', checksum);
  t.like(await group.status(), { situation: 'refresh.preparing.draining' });
  group.control.setCursor('durable', 2);
  await group.world.run(100);
  t.like(group.last('pmd.refresh'), { kind: 'checksum' });
  t.true(group.last('driver.markAll').compare);
  t.is(group.last('pmd.lineage').lineage.order, 'checksum');
});

test('split: the secondary adds its own dirt when an operator ordered the refresh (row 9, Rule 10b)', async (t) => {
  const group = await trackingAlone();
  const code = 'TDMF_LINEAGE_SPLIT';
  const divergence = { code, hereBytes: 512, thereBytes: null, since: 5 };
  await group.fact({ type: 'lineage.diverged', row: '9', ...divergence });
  await group.fact({
    type: 'link.refused',
    code,
    message: 'split',
    retryInMs: 5000,
  });
  t.is((await group.status()).reasons[0]?.code, 'TDMF_LINEAGE_SPLIT');
  t.deepEqual((await group.status()).divergence, divergence);
  await group.operator('launchrefresh');
  t.like(await group.status(), { situation: 'refresh.preparing.awaiting' });
  t.is(group.last('pmd.lineage').lineage.order, 'smart', 'the next handshake may say so');
  group.decision = { row: '9a', action: 'smart', drain: false, ownBytes: 8192, ownSince: 5 };
  await group.reconnect();
  t.like(group.last('pmd.refresh'), { kind: 'smart', union: true });
  t.is((await group.status()).divergence, null, 'decided');
});

test('killrefresh leaves the map as it is, and the next refresh begins with a word or a session (4.3)', async (t) => {
  const group = await trackingAlone();
  group.control.setCursor('durable', 3);
  await group.reconnect();
  t.like(await group.status(), { situation: 'refresh.phaseA' });
  group.forget();
  await group.operator('killrefresh');
  t.deepEqual(steps(group).toSorted(), ['driver.duties mark', 'pmd.abort', 'save tracking']);
  t.like(group.record, { mapAll: false, refresh: undefined });
  await group.world.run(600_000);
  t.like(await group.status(), { mode: 'TRACKING', situation: 'tracking.held' });
  await group.cut();
  await group.reconnect();
  t.like(await group.status(), { situation: 'refresh.phaseA' });
});

test('a killed checksum refresh leaves everything unproven (H17)', async (t) => {
  const group = await normal();
  await group.operator('launchrefresh', checksum);
  group.forget();
  await group.operator('killrefresh');
  t.true(group.last('driver.markAll').compare);
  t.like(group.record, { mode: 'tracking', mapAll: true });
});

test('REFRESHTIMEOUT: a refresh that overflows ends in TRACKING and goes on by itself, later each time (MD 12)', async (t) => {
  const group = await trackingAlone();
  group.control.setCursor('durable', 3);
  group.silent.add('pmd.phaseB');
  await group.reconnect();
  const pauses: unknown[] = [];
  const ids = new Set<string>();
  for (let failure = 1; failure <= 3; failure += 1) {
    ids.add(group.refreshId);
    await group.converge();
    await group.fact({ type: 'driver.overflowed', sequence: 3 });
    t.like(await group.status(), { mode: 'REFRESH', situation: 'refresh.backoff' });
    await group.world.run(1000);
    t.like(await group.status(), { mode: 'TRACKING', situation: 'tracking.pausing' });
    const told = group.events.findLast(({ type }) => type === 'refresh.retrying');
    t.like(told, { cause: 'refresh.timedOut', failures: failure });
    pauses.push(told?.['retryInMs']);
    await group.world.run(told?.['retryInMs'] as number);
    t.like(await group.status(), { situation: 'refresh.phaseA' });
  }
  t.deepEqual(
    pauses,
    [1, 2, 4].map((factor) => factor * trackingPauseFirstMs),
  );
  t.is(ids.size, 1, 'it is the same refresh all the time');
  group.silent.clear();
  await group.converge();
  t.like(await group.status(), { mode: 'NORMAL' });
});

test('REFRESHTIMEOUT -1: it is tried for ever', async (t) => {
  const group = await normal();
  await group.ask({ kind: 'set', tunables: { REFRESHTIMEOUT: -1 } });
  group.silent.add('pmd.phaseB');
  await group.operator('launchrefresh');
  await group.converge();
  await group.fact({ type: 'driver.overflowed', sequence: 3 });
  await group.world.run(600_000);
  t.like(await group.status(), { mode: 'REFRESH', situation: 'refresh.phaseA' });
});

test('a refresh that overflowed once and converges in time is not cut off', async (t) => {
  const group = await normal();
  await group.ask({ kind: 'set', tunables: { REFRESHTIMEOUT: 60 } });
  group.silent.add('pmd.phaseB');
  await group.operator('launchrefresh');
  await group.converge();
  await group.fact({ type: 'driver.overflowed', sequence: 3 });
  group.silent.clear();
  await group.world.run(2_000);
  await group.converge();
  t.like(await group.status(), { mode: 'NORMAL' });
  await group.world.run(120_000);
  t.like(await group.status(), { mode: 'NORMAL' }, 'the limit of before is forgotten');
});

test('a full refresh that the limit ended goes on as the same full refresh, which is why its mirror may stay unfinished (row 3)', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  const { refreshId } = group;
  await group.fact({ type: 'refresh.failed', refreshId, code: 'TDMF_DEVICE_FAILED', message: '' });
  t.like(group.record, {
    mode: 'tracking',
    refresh: { id: refreshId, kind: 'full' },
    mapAll: true,
  });
  const [reason] = (await group.status()).reasons;
  t.is(reason?.code, 'TDMF_DEVICE_FAILED');
  await group.world.run(trackingPauseFirstMs);
  t.is(group.refreshId, refreshId);
  t.like(group.last('pmd.refresh'), { kind: 'full' });
});

test('killrefresh also ends the pause before the next try', async (t) => {
  const group = await normal();
  await group.operator('launchrefresh');
  const { refreshId } = group;
  await group.fact({ type: 'refresh.failed', refreshId, code: 'TDMF_DEVICE_FAILED', message: '' });
  await group.operator('killrefresh');
  t.is(group.record?.refresh, undefined);
  await group.world.run(600_000);
  t.like(await group.status(), { situation: 'tracking.held' });
});

test('a smart refresh whose mirror was set back meanwhile begins anew and compares (row 6)', async (t) => {
  const group = await normal();
  await group.operator('launchrefresh');
  const { refreshId } = group;
  await group.cut();
  group.decision = { row: '6', action: 'checksum' };
  group.forget();
  await group.reconnect();
  t.false(group.last('pmd.abort').again);
  t.not(group.refreshId, refreshId);
  t.like(group.last('pmd.refresh'), { kind: 'checksum' });
  t.like(
    group.events.find(({ type }) => type === 'refresh.upgraded'),
    { from: 'smart', to: 'checksum' },
  );
});

test('a refresh whose mirror is refused meanwhile ends, so that what the reason says can be typed', async (t) => {
  const group = await normal();
  await group.operator('launchrefresh');
  await group.cut();
  const code = 'TDMF_LINEAGE_UNRELATED';
  await group.fact({ type: 'link.refused', code, message: 'unrelated', retryInMs: 5000 });
  const status = await group.status();
  t.like(status, { mode: 'TRACKING', situation: 'tracking.held' });
  t.is(status.reasons[0]?.code, code);
  t.like(
    group.events.find(({ type }) => type === 'refresh.failed'),
    { code },
  );
  await group.operator('launchrefresh', { kind: 'full' });
  t.like(group.last('pmd.refresh'), { kind: 'full' });
});

test('an order that the secondary refuses can be replaced by the one that its reason names', async (t) => {
  const group = await trackingAlone();
  const code = 'TDMF_LINEAGE_NEWER';
  await group.fact({ type: 'link.refused', code, message: 'newer', retryInMs: 5000 });
  await group.operator('launchrefresh');
  t.like(await group.status(), { situation: 'refresh.preparing.awaiting' });
  await group.operator('launchrefresh', checksum);
  t.is(group.last('pmd.lineage').lineage.order, 'checksum');
});

for (const kind of ['smart', 'checksum'] as const) {
  test(`a ${kind} refresh that was stopped cleanly goes on as one of its kind (R10)`, async (t) => {
    const group = await normal();
    await group.operator('launchrefresh', { kind });
    await group.until(group.actors.stop('g0/driver'));
    await group.ask({
      kind: 'prepareStop',
      drainMs: 0,
      devices: [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 0 }],
    });
    t.like(group.record, { mode: 'refresh', clean: true, refresh: { kind, ordered: true } });
    const again = await GroupWorld.start({ record: group.record!, mirror: group.mirror });
    t.like(again.last('pmd.refresh'), { kind });
    await again.converge();
    t.like(await again.status(), { mode: 'NORMAL' });
  });
}

test('what the record knows of an era that ended: its bounds, once the driver has said them (Rule 26)', async (t) => {
  const group = await normal();
  const { era } = group.last('driver.era');
  group.control.duties = 1;
  group.control.setCursor('published', 7);
  group.control.stamped = 8;
  await group.cut();
  group.control.duties = 2;
  await group.fact({ type: 'driver.overflowed', sequence: 8 });
  t.deepEqual(
    group.record?.past.find((one) => one.era === era),
    { era, released: 5, stamped: 8 },
  );
  group.control.setCursor('durable', 7);
  await group.reconnect();
  await group.world.run(100);
  t.deepEqual(
    group.record?.past.find((one) => one.era === era),
    { era, released: 8, stamped: 8 },
  );
  t.deepEqual(group.last('pmd.lineage').lineage.past, group.record?.past);
});

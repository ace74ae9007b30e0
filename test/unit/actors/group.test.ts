/** The group actor: what it tells whom, in which order, and what a crash would find at each point. */
import test from 'ava';
import type { StopOutcome } from '../../../src/actors/group.js';
import { GroupControlView } from '../../../src/core/bab/control.js';
import {
  commitLimitMs,
  refreshBackoffFirstMs,
  sequenceLeaseStep,
  switchLimitMs,
} from '../../../src/core/constants.js';
import { GroupWorld } from '../../helpers/group-world.js';

const full = { kind: 'full' };

test('a first start is PASSTHRU with a broken map, durable before the driver hears of it', async (t) => {
  const group = await GroupWorld.start();
  t.deepEqual(group.log, ['save passthru', 'driver.duties ']);
  t.like(group.record, { mode: 'passthru', map: 'broken', clean: false });
  const status = await group.status();
  t.like(status, { mode: 'PASSTHRU', connection: 'ACCUMULATE', mirrorState: 'unknown' });
});

test('a whole full refresh, in order: record, duty, map, drop, phase a, era, phase b, mark, commit (R1–R8)', async (t) => {
  const group = await GroupWorld.start();
  group.forget();
  const answer = await group.operator('launchrefresh', full);
  t.deepEqual(answer, { mode: 'REFRESH', connection: 'NOT_CONNECTED' });
  // The PMD's launch is recorded as well (MD 34); whichever is first, the refresh is durable then.
  const steps = group.log.filter((line) => !/pmd.launch|link|mirror/.test(line));
  t.deepEqual(
    steps.filter((line, index) => steps.indexOf(line) === index),
    [
      'save refresh',
      'event mode.changed REFRESH',
      'driver.duties mark',
      'driver.markAll',
      'pmd.drop',
      'event refresh.started',
      'pmd.refresh',
    ],
  );
  t.like(group.record, { mode: 'refresh', mapAll: true, pmdLaunched: true });
  t.is(group.record?.refresh?.id, group.refreshId);
  t.like(await group.status(), {
    mode: 'REFRESH',
    connection: 'CONNECTED',
    situation: 'refresh.phaseA',
  });

  group.forget();
  await group.converge();
  t.deepEqual(group.log, [
    'save refresh',
    'driver.era',
    'driver.duties append+mark',
    'pmd.phaseB',
    'driver.mark',
    'pmd.mark',
    'driver.commit',
    'save normal',
    'event mode.changed NORMAL',
    'event refresh.finished',
  ]);
  const { era } = group.last('pmd.phaseB');
  t.is(group.last('driver.era').era, era);
  t.is(group.last('pmd.mark').mark, 5);
  t.is(group.last('driver.commit').graceToken, group.last('driver.duties').token);
  t.like(group.record, {
    mode: 'normal',
    era,
    mapAll: false,
    map: 'continuous',
    refresh: undefined,
  });
  t.deepEqual(group.record?.base, { era, sequence: 5 });
  t.like(await group.status(), { mode: 'NORMAL', position: { era, sequence: 5 } });
  t.deepEqual(group.failures, []);
});

test('every event carries group, time and a number of its own', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  const numbers = group.events.map(({ sequence }) => sequence);
  t.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
  );
  for (const { group: number, at } of group.events) {
    t.is(number, 0);
    t.true((at as number) > 0);
  }
});

test('the handshake hears of a new era only when it is durable (Rule 8a)', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  group.pstoreBroken = true;
  await group.converge();
  t.is(group.last('pmd.lineage').lineage.era, group.record!.era);
  t.false(
    group.messages.some(({ type }) => type === 'driver.era'),
    'no entry without it',
  );
  t.like(await group.status(), { situation: 'refresh.backoff' });
  t.true((await group.status()).reasons.some(({ code }) => code === 'TDMF_PSTORE_FAILED'));
});

test('a refresh that cannot be recorded does not begin, and the operator hears why', async (t) => {
  const group = await GroupWorld.start();
  group.pstoreBroken = true;
  group.forget();
  await t.throwsAsync(group.operator('launchrefresh', full), { code: 'TDMF_PSTORE_FAILED' });
  await group.quiet();
  t.deepEqual(
    group.log.filter((line) => line.startsWith('driver') || line.startsWith('pmd')),
    [],
  );
  t.like(await group.status(), { mode: 'PASSTHRU', refresh: null });
  t.is(group.record?.mode, 'passthru');
  group.pstoreBroken = false;
  await group.world.run(1_000);
  t.is(group.record?.mode, 'passthru', 'the save that is tried again is of what is true now');
});

test('an overflow in NORMAL tracks, in a new era, until what is in the BAB is drained (T2, R1)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  const { era } = group.last('driver.era');
  group.control.setCursor('published', 9);
  group.forget();
  await group.fact({ type: 'driver.overflowed', sequence: 9 });
  // Two actors and the pstore: each hears its own in order.
  t.deepEqual([...group.log].toSorted(), [
    'driver.duties mark',
    'event bab.overflowed',
    'event mode.changed TRACKING',
    'pmd.flush',
    'save tracking',
  ]);
  t.like(group.events[0], { position: { era, sequence: 9 } });
  t.like(group.events[1], { from: 'NORMAL', to: 'TRACKING', cause: 'bab.overflowed' });
  t.not(group.record?.era, era);
  t.deepEqual(group.record?.base, { era, sequence: 5 });
  t.false(group.record?.mapAll, 'the map has exactly what was marked');
  t.is(group.last('pmd.lineage').lineage.era, era, 'what is in the BAB is still drained');
  t.false(group.last('pmd.lineage').lineage.appending);
  await group.world.run(600_000);
  t.like(await group.status(), { mode: 'TRACKING', situation: 'tracking.draining' });
  group.control.setCursor('durable', 9);
  await group.world.run(100);
  t.like(await group.status(), { mode: 'REFRESH', situation: 'refresh.phaseA' });
  t.like(group.last('pmd.refresh'), { kind: 'smart', union: false });
  await group.converge();
  t.like(await group.status(), { mode: 'NORMAL' });
});

test('TRACKING is shown at once, NORMAL only when it is durable (I18, I6)', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  group.silent.add('pmd.mark');
  await group.converge();
  group.pstoreBroken = true;
  const { era } = group.last('pmd.phaseB');
  const committed = { era, sequence: 5 };
  await group.fact({ type: 'refresh.committed', refreshId: group.refreshId, position: committed });
  t.like(await group.status(), { mode: 'REFRESH', situation: 'refresh.committing.recording' });
  group.pstoreBroken = false;
  await group.world.run(1_000);
  t.like(await group.status(), { mode: 'NORMAL' });
  group.pstoreBroken = true;
  await group.fact({ type: 'driver.overflowed', sequence: 9 });
  t.like(await group.status(), { mode: 'TRACKING' });
  t.is(group.record?.mode, 'normal');
});

test('a lost link in NORMAL changes the connection, not the mode (I15)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  group.forget();
  const code = 'TDMF_LINK_LOST';
  await group.fact({ type: 'link.lost', code, message: 'cut', retryInMs: 100 });
  t.deepEqual(group.log, ['event link.failed', 'event link.changed NOT_CONNECTED']);
  t.like(await group.status(), { mode: 'NORMAL', connection: 'NOT_CONNECTED', problem: { code } });
  await group.world.run(5_000);
  const { mirrorStateAgeSeconds } = await group.status();
  t.true(mirrorStateAgeSeconds! >= 5 && mirrorStateAgeSeconds! < 6);
  await group.fact({
    type: 'link.connected',
    peer: 'b:575',
    mirrorState: 'coherent',
    checkpoint: 'off',
  });
  t.like(await group.status(), {
    connection: 'CONNECTED',
    problem: null,
    mirrorState: 'coherent',
    mirrorStateAgeSeconds: null,
  });
});

test('a refusal for good is ACCUMULATE with the reason, and launchpmd is a new launch (Rule 50)', async (t) => {
  const group = await GroupWorld.start();
  await group.operator('launchpmd');
  const { nonce } = group.last('pmd.launch');
  const code = 'TDMF_RMD_BARRED';
  await group.fact({ type: 'link.refused', code, message: 'killed', retryInMs: 0 });
  t.like(await group.status(), { connection: 'ACCUMULATE', problem: { code }, pmdLaunched: true });
  await group.operator('launchpmd');
  t.not(group.last('pmd.launch').nonce, nonce);
  t.like(await group.status(), { connection: 'CONNECTED', problem: null });
});

test('Rule 50: after a crash it is still the same launch, so that killrmd stays in force', async (t) => {
  const group = await GroupWorld.start();
  await group.operator('launchpmd');
  const { nonce } = group.last('pmd.launch');
  const again = await GroupWorld.start({ record: group.record! });
  t.is(again.last('pmd.launch').nonce, nonce);
  await again.operator('killpmd');
  await again.operator('launchpmd');
  t.not(again.last('pmd.launch').nonce, nonce);
});

test('PASSTHRU stays PASSTHRU when the PMD connects', async (t) => {
  const group = await GroupWorld.start();
  const answer = await group.operator('launchpmd');
  t.like(answer, { mode: 'PASSTHRU' });
  t.like(await group.status(), { mode: 'PASSTHRU', connection: 'CONNECTED' });
  t.true(group.record?.pmdLaunched);
  await group.operator('killpmd');
  t.like(await group.status(), { connection: 'ACCUMULATE', problem: null });
  t.false(group.record?.pmdLaunched);
});

const abandoned = ['driver.duties mark', 'event refresh.aborted', 'pmd.abort', 'save refresh'];

for (const [what, silent, run] of [
  [
    'an overflow in phase b',
    'pmd.phaseB',
    (group: GroupWorld) => group.fact({ type: 'driver.overflowed', sequence: 3 }),
  ],
  [
    'an overflow after the mark',
    'pmd.mark',
    (group: GroupWorld) => group.fact({ type: 'driver.overflowed', sequence: 9 }),
  ],
  [
    'a lost link in phase b',
    'pmd.phaseB',
    (group: GroupWorld) =>
      group.fact({ type: 'link.lost', code: 'TDMF_LINK_LOST', message: 'cut', retryInMs: 100 }),
  ],
  [
    'what the PMD calls lost',
    'pmd.mark',
    (group: GroupWorld) => group.fact({ type: 'refresh.phaseBLost', refreshId: group.refreshId }),
  ],
  ['a PMD that is killed', 'pmd.mark', (group: GroupWorld) => group.operator('killpmd')],
  [
    'a grace that does not come',
    'driver.duties',
    (group: GroupWorld) => group.world.run(switchLimitMs),
  ],
  [
    'a mark that does not come',
    'driver.mark',
    (group: GroupWorld) => group.world.run(switchLimitMs),
  ],
  [
    'a commit that does not come',
    'pmd.mark',
    (group: GroupWorld) => group.world.run(commitLimitMs),
  ],
] as const) {
  test(`${what} puts the refresh back into phase a, with append off first (R9, Rule 3)`, async (t) => {
    const group = await GroupWorld.start();
    await group.ask({ kind: 'set', tunables: { REFRESHTIMEOUT: -1 } });
    await group.toPhaseA();
    group.silent.add(silent);
    await group.converge();
    const { era } = group.last('driver.era');
    group.forget();
    await run(group);
    const log = group.log.filter((line) => /^(?:driver|pmd.abort|save|event refresh)/.test(line));
    const steps = new Set(log.filter((line) => abandoned.includes(line)));
    t.deepEqual([...steps].toSorted(), abandoned);
    t.true(group.last('pmd.abort').again);
    t.not(group.record?.era, era, 'a new era (Rule 8a)');
    t.like(group.record, { mode: 'refresh', mapAll: true });
    t.like(await group.status(), { mode: 'REFRESH', situation: 'refresh.backoff' });
    group.silent.clear();
    await group.world.run(refreshBackoffFirstMs);
    t.like(await group.status(), { situation: 'refresh.phaseA' });
    await group.converge();
    t.like(await group.status(), { mode: 'NORMAL' });
  });
}

test('the pause grows with every abandoned attempt (Rule 43b)', async (t) => {
  const group = await GroupWorld.start();
  await group.ask({ kind: 'set', tunables: { REFRESHTIMEOUT: -1 } });
  await group.toPhaseA();
  group.silent.add('pmd.phaseB');
  const pauses: unknown[] = [];
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await group.converge();
    await group.fact({ type: 'driver.overflowed', sequence: 1 });
    const aborted = group.events.findLast(({ type }) => type === 'refresh.aborted');
    t.is(aborted?.['attempt'], attempt);
    pauses.push(aborted?.['retryInMs']);
    await group.world.run(aborted?.['retryInMs'] as number);
  }
  t.deepEqual(pauses, [1_000, 2_000, 4_000]);
});

test('a commit of an abandoned attempt changes nothing (H6)', async (t) => {
  const group = await GroupWorld.start();
  await group.ask({ kind: 'set', tunables: { REFRESHTIMEOUT: -1 } });
  await group.toPhaseA();
  group.silent.add('pmd.mark');
  await group.converge();
  const { refreshId } = group;
  const late = { era: group.last('pmd.phaseB').era, sequence: 5 };
  await group.fact({ type: 'driver.overflowed', sequence: 6 });
  await group.world.run(refreshBackoffFirstMs);
  await group.converge();
  t.like(await group.status(), { situation: 'refresh.committing.awaiting' });
  await group.fact({ type: 'refresh.committed', refreshId, position: late });
  t.like(await group.status(), { situation: 'refresh.committing.awaiting' });
  t.is(group.record?.base, undefined);
});

test('the last read of an abandoned attempt does not take the mark of the next one (R6)', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  group.silent.add('pmd.phaseB');
  await group.converge();
  const { refreshId } = group;
  const { era } = group.last('pmd.phaseB');
  await group.fact({ type: 'refresh.phaseBLost', refreshId });
  await group.world.run(refreshBackoffFirstMs);
  await group.converge();
  t.not(group.last('pmd.phaseB').era, era);
  group.forget();
  await group.fact({ type: 'refresh.frozenRead', refreshId, era });
  t.deepEqual(group.log, []);
  await group.fact({ type: 'refresh.frozenRead', refreshId, era: group.last('pmd.phaseB').era });
  t.true(group.log.includes('driver.mark'));
});

test('a commit that crosses an overflow keeps the map, and the base stands (R8, H6)', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  group.silent.add('driver.commit');
  await group.converge();
  const { era } = group.last('pmd.phaseB');
  await group.fact({ type: 'driver.overflowed', sequence: 7 });
  const { token } = group.last('driver.commit');
  await group.fact({ type: 'driver.committed', token, cleared: false });
  const told = group.events.filter(({ type }) => type === 'mode.changed').at(-2);
  t.like(told, { to: 'TRACKING', cause: 'bab.overflowed' });
  t.like(group.record, { mode: 'refresh', mapAll: true, map: 'continuous' });
  t.deepEqual(group.record?.base, { era, sequence: 5 });
  t.not(group.record?.era, era);
});

test('an overflow while NORMAL is being recorded ends in TRACKING, and NORMAL was never shown', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  group.silent.add('driver.commit');
  await group.converge();
  group.forget();
  group.control.setCursor('published', 7);
  const { token } = group.last('driver.commit');
  const { actors } = group;
  actors.address('g0/group').tell({ type: 'driver.committed', token, cleared: true });
  actors.address('g0/group').tell({ type: 'driver.overflowed', sequence: 7 });
  await group.quiet();
  const modes = group.events.flatMap(({ type, to }) => (type === 'mode.changed' ? [to] : []));
  t.deepEqual(modes, ['TRACKING']);
  t.like(group.record, { mode: 'tracking', mapAll: false });
});

for (const [leaf, silent] of [
  ['refresh.preparing.gracing', 'driver.duties'],
  ['refresh.preparing.marking', 'driver.markAll'],
  ['refresh.preparing.dropping', 'pmd.drop'],
  ['refresh.phaseA', undefined],
  ['refresh.phaseB.sending', 'pmd.phaseB'],
  ['refresh.phaseB.marking', 'driver.mark'],
  ['refresh.committing.awaiting', 'pmd.mark'],
  ['refresh.committing.clearing', 'driver.commit'],
] as const) {
  test(`killrefresh in ${leaf} tracks, keeps the dirt and refuses a second kill (4.3)`, async (t) => {
    const group = await GroupWorld.start();
    if (silent !== undefined) group.silent.add(silent);
    await group.toPhaseA();
    if (!/preparing|phaseA/.test(leaf)) await group.converge();
    t.is((await group.status()).situation, leaf);
    group.forget();
    const answer = await group.operator('killrefresh');
    t.like(answer, { mode: 'TRACKING' });
    t.deepEqual(
      group.log.filter((line) => /^(?:driver|pmd|save)/.test(line)),
      ['driver.duties mark', 'driver.markAll', 'pmd.abort', 'save tracking'].toSorted(
        (a, b) => group.log.indexOf(a) - group.log.indexOf(b),
      ),
    );
    t.false(group.last('pmd.abort').again);
    t.like(group.record, { mode: 'tracking', mapAll: true, refresh: undefined });
    await t.throwsAsync(group.operator('killrefresh'), { code: 'TDMF_REFRESH_NOT_RUNNING' });
    await group.world.run(commitLimitMs);
    t.like(await group.status(), { mode: 'TRACKING', refresh: null }, 'no timer brings it back');
  });
}

test('killrefresh while the refresh is being recorded tracks, and the PMD never hears of it', async (t) => {
  const group = await GroupWorld.start();
  group.pstoreBroken = true;
  const { actors } = group;
  const ask = (verb: string, args = {}) =>
    actors.address('g0/group').ask({ kind: 'operator', verb, args });
  const launched = ask('launchrefresh', full);
  group.pstoreBroken = false;
  const killed = ask('killrefresh');
  await group.until(Promise.all([launched, killed]));
  await group.quiet();
  t.like(await group.status(), { mode: 'TRACKING' });
  t.is(group.record?.mode, 'tracking');
  t.false(group.messages.some(({ type }) => type === 'pmd.refresh' || type === 'pmd.abort'));
});

test('a preparation that takes too long is undone, with an event, and nothing is lost (Rule 3)', async (t) => {
  const group = await GroupWorld.start();
  group.silent.add('driver.duties');
  await group.toPhaseA();
  await group.world.run(switchLimitMs);
  t.like(await group.status(), { mode: 'TRACKING', refresh: null });
  t.like(
    group.events.find(({ type }) => type === 'refresh.failed'),
    { code: 'TDMF_TIMED_OUT' },
  );
  t.like(group.record, { mode: 'tracking', mapAll: true });
});

test('a late answer to an older question is not taken for the answer', async (t) => {
  const group = await GroupWorld.start();
  group.silent.add('driver.duties');
  await group.toPhaseA();
  const { token } = group.last('driver.duties');
  await group.fact({ type: 'driver.graced', token: token - 1, sequence: 0 });
  t.is((await group.status()).situation, 'refresh.preparing.gracing');
  await group.fact({ type: 'driver.graced', token, sequence: 0 });
  t.is((await group.status()).situation, 'refresh.phaseA');
});

test('facts of another refresh are not heard', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  await group.fact({ type: 'refresh.converged', refreshId: '00'.repeat(16) });
  t.is((await group.status()).situation, 'refresh.phaseA');
});

test('a failed refresh tracks and says why', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  const { refreshId } = group;
  const code = 'TDMF_JOURNAL_FULL';
  await group.fact({ type: 'refresh.failed', refreshId, code, message: 'full' });
  t.like(await group.status(), { mode: 'TRACKING' });
  t.like(
    group.events.find(({ type }) => type === 'refresh.failed'),
    { refreshId, code },
  );
});

test('the lease is durable before the driver may use it (Rule 8c)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  const before = group.record?.lease ?? 0;
  group.pstoreBroken = true;
  await group.fact({ type: 'driver.leaseLow', sequence: before - 10 });
  t.false(group.messages.some(({ type }) => type === 'driver.lease'));
  group.pstoreBroken = false;
  await group.world.run(5_000);
  t.is(group.last('driver.lease').lease, before - 10 + sequenceLeaseStep);
  t.is(group.record?.lease, before - 10 + sequenceLeaseStep);
  t.is(group.last('pmd.lineage').lineage.lease, before - 10 + sequenceLeaseStep);
});

const devices = [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 0 }];

/** Stops the driver first, as main does, then the group. */
async function stopped(group: GroupWorld, drainMs = 1_000): Promise<StopOutcome> {
  await group.until(group.actors.stop('g0/driver'));
  const outcome = await group.ask<StopOutcome>({ kind: 'prepareStop', drainMs, devices });
  await group.until(group.actors.stop('g0/group'));
  return outcome;
}

test('a clean stop in NORMAL comes back in NORMAL, in the same era, after its last write (Rule 31)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  group.control.stamped = 42;
  group.forget();
  t.deepEqual(await stopped(group), { mode: 'normal', drained: true, clean: true });
  t.deepEqual(group.log, ['save normal clean']);
  t.like(group.record, { mode: 'normal', clean: true, sequence: 42, released: 42 });

  const again = await GroupWorld.start({ record: group.record! });
  t.deepEqual(again.log.slice(0, 1), ['save normal'], 'not clean any more, before anything else');
  t.like(again.last('driver.era'), { era: group.record!.era, sequence: 43 });
  t.like(again.last('driver.duties'), { append: true, mark: false });
  t.true(again.log.indexOf('driver.era') < again.log.indexOf('driver.duties append'));
  t.like(await again.status(), { mode: 'NORMAL', connection: 'CONNECTED' });
  t.is(again.record?.era, group.record?.era);
});

test('a BAB that does not drain in time is tracked instead, and that is what comes back (Rule 31)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  group.control.setCursor('published', 3);
  group.forget();
  t.deepEqual(await stopped(group), { mode: 'tracking', drained: false, clean: true });
  t.is(group.record?.mode, 'tracking');
  t.false(group.record?.mapAll, 'what the BAB held is in the map');
  const saves = group.log.filter((line) => line.startsWith('save'));
  t.is(saves.at(-1), 'save tracking clean', 'the clean flag is the last word');

  const again = await GroupWorld.start({ record: group.record! });
  t.like(again.last('driver.duties'), { append: false, mark: true });
  t.false(again.log.includes('driver.markAll'));
  t.like(await again.status(), { mode: 'TRACKING' });
});

test('a stop while the commit is being recorded tracks what is not drained, as in NORMAL (Rule 31)', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  group.silent.add('driver.commit');
  await group.converge();
  group.control.setCursor('published', 3);
  group.pstoreBroken = true;
  const { token } = group.last('driver.commit');
  await group.fact({ type: 'driver.committed', token, cleared: true });
  t.is((await group.status()).situation, 'refresh.committing.recording');
  await group.until(group.actors.stop('g0/driver'));
  const outcome = group.actors
    .address('g0/group')
    .ask<StopOutcome>({ kind: 'prepareStop', drainMs: 100, devices });
  group.pstoreBroken = false;
  t.like(await group.until(outcome), { mode: 'tracking', drained: false, clean: true });
  t.like(group.record, { mode: 'tracking', mapAll: false, clean: true });
});

test('an overflow that only the control block tells of is no clean NORMAL (T2, H21)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  group.control.latched = true;
  t.deepEqual(await stopped(group), { mode: 'tracking', drained: true, clean: true });
  t.like(group.record, { mode: 'tracking', mapAll: false });
});

test('a stop waits while the BAB drains', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  group.control.setCursor('published', 3);
  group.world.after(500, 'acks', () => group.control.setCursor('durable', 3));
  t.deepEqual(await stopped(group), { mode: 'normal', drained: true, clean: true });
});

test('a stop while the driver lives is not clean: another write may come (H31)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  const outcome = await group.ask({ kind: 'prepareStop', drainMs: 0, devices: [] });
  t.deepEqual(outcome, { mode: 'normal', drained: true, clean: false });
  t.like(group.record, { clean: false });
});

test('a group that stops answers status, and refuses the rest', async (t) => {
  const group = await GroupWorld.start();
  await group.ask({ kind: 'prepareStop', drainMs: 0, devices: [] });
  await t.throwsAsync(group.operator('launchpmd'), { code: 'TDMF_GROUP_STOPPED' });
  t.like(await group.status(), { mode: 'PASSTHRU' });
});

test('a refresh that was stopped cleanly begins anew by itself (R10)', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  const { refreshId } = group;
  await stopped(group);
  t.like(group.record, { mode: 'refresh', clean: true });
  const again = await GroupWorld.start({ record: group.record! });
  t.not(again.refreshId, refreshId);
  t.true(again.log.indexOf('driver.markAll') < again.log.indexOf('pmd.refresh'));
  await again.converge();
  t.like(await again.status(), { mode: 'NORMAL' });
});

test('a crash in NORMAL is TRACKING in a new era, and its map is continuous (H18)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  const again = await GroupWorld.start({ record: group.record! });
  t.like(
    again.events.find(({ type }) => type === 'group.uncleanStart'),
    { was: 'NORMAL', code: 'TDMF_UNCLEAN_START' },
  );
  const status = await again.status();
  t.like(status, { mode: 'TRACKING', unverified: false, connection: 'CONNECTED' });
  t.is(status.map, 'continuous');
  t.is(status.reasons[0]?.code, 'TDMF_UNCLEAN_START');
  t.not(again.record?.era, group.record?.era);
  await again.toNormal();
  const healed = await again.status();
  t.like(healed, { mode: 'NORMAL', unverified: false });
  t.deepEqual(healed.reasons, []);
});

test('actors that are restarted go on in the mode and the era that the memory holds (H23)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  const { era } = group.last('driver.era');
  const control = GroupControlView.create(1);
  new GroupControlView(control).beginEra(era, 1, 1000);
  const again = await GroupWorld.start({ record: group.record!, restarted: true, control });
  t.like(await again.status(), { mode: 'NORMAL', era, unverified: false });
  t.false(
    again.messages.some(({ type }) => type === 'driver.era'),
    'the driver has it',
  );
  t.like(again.last('driver.duties'), { append: true, mark: false });
  t.is(again.last('pmd.lineage').lineage.era, era);
});

test('actors that are restarted in TRACKING drain what the BAB still has', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  const { era } = group.last('driver.era');
  group.control.setCursor('published', 3);
  await group.fact({ type: 'driver.overflowed', sequence: 3 });
  const control = GroupControlView.create(1);
  const view = new GroupControlView(control);
  view.beginEra(era, 1, 1000);
  view.setCursor('published', 3);
  const again = await GroupWorld.start({ record: group.record!, restarted: true, control });
  t.like(await again.status(), { mode: 'TRACKING' });
  t.is(again.last('pmd.lineage').lineage.era, era);
  t.not(again.record?.era, era);
});

test('requests that a mode refuses are refused with the reason, and change nothing', async (t) => {
  const group = await GroupWorld.start();
  const refused = (verb: string, args: Readonly<Record<string, unknown>>, code: string) =>
    t.throwsAsync(group.operator(verb, args), { code });
  await refused('checkpoint', { on: true }, 'TDMF_MODE_REFUSED');
  await refused('checkpoint', { on: false }, 'TDMF_CHECKPOINT_OFF');
  await refused('reco', {}, 'TDMF_MODE_REFUSED');
  await refused('start', {}, 'TDMF_GROUP_STARTED');
  await refused('killpmd', {}, 'TDMF_PMD_NOT_RUNNING');
  await refused('killrefresh', {}, 'TDMF_REFRESH_NOT_RUNNING');
  await refused('killbackfresh', {}, 'TDMF_BACKFRESH_NOT_RUNNING');
  await refused('fly', {}, 'TDMF_USAGE');
  await refused('override', { state: 'asleep' }, 'TDMF_USAGE');
  t.deepEqual(group.log, ['save passthru', 'driver.duties ']);
  await group.toPhaseA();
  await refused('launchrefresh', full, 'TDMF_REFRESH_RUNNING');
  await refused('launchpmd', {}, 'TDMF_PMD_RUNNING');
});

test('progress becomes a rate and a time that is left', async (t) => {
  const group = await GroupWorld.start();
  await group.toPhaseA();
  const { refreshId } = group;
  const total = 1000 * 1024;
  for (let second = 1; second <= 4; second += 1) {
    await group.world.run(980);
    const doneBytes = second * 100 * 1024;
    await group.fact({ type: 'refresh.progressed', refreshId, doneBytes, totalBytes: total });
  }
  const { refresh } = await group.status();
  t.like(refresh, { kind: 'full', refreshId, doneBytes: 400 * 1024, totalBytes: total });
  t.true(Math.abs(refresh!.rate / (100 * 1024) - 1) < 0.1);
  t.true(Math.abs(refresh!.etaSeconds! - 6) <= 1);
});

test('an entry that is refused twice goes to the map with all later ones (H48)', async (t) => {
  const group = await GroupWorld.start();
  await group.toNormal();
  const { era } = group.last('driver.era');
  group.forget();
  await group.fact({ type: 'pmd.poisoned', era, sequence: 4 });
  t.true(group.log.indexOf('pmd.drop') > group.log.indexOf('driver.clearBab'));
  t.true(group.log.includes('driver.clearBab'), 'they are in the map before they are forgotten');
  t.like(group.events[0], { type: 'bab.poisoned', position: { era, sequence: 4 } });
});

test('tunables are answered when they are durable', async (t) => {
  const group = await GroupWorld.start();
  t.deepEqual(await group.ask({ kind: 'set', tunables: { CHUNKSIZE: 512 } }), { CHUNKSIZE: 512 });
  t.deepEqual(group.record?.tunables, { CHUNKSIZE: 512 });
});

test('I6: a tunable is durable before it is in force, and the record has the word at the next start', async (t) => {
  const group = await GroupWorld.start();
  const last = <Type extends string>(type: Type) =>
    group.messages.findLast((message) => message.type === type);
  t.deepEqual(last('driver.sync'), { type: 'driver.sync', depth: 0, timeoutMs: 30_000 });
  group.messages.length = 0;
  group.pstoreBroken = true;
  const asked = { kind: 'set', tunables: { SYNCHMODE: 'on', SYNCMODEDEPTH: 5, CHUNKDELAY: 7 } };
  await t.throwsAsync(group.ask(asked), { code: 'TDMF_PSTORE_FAILED' });
  t.is(last('driver.sync'), undefined);
  group.pstoreBroken = false;
  await group.ask(asked);
  await group.quiet();
  t.deepEqual(last('driver.sync'), { type: 'driver.sync', depth: 5, timeoutMs: 30_000 });
  t.like(last('pmd.tunables'), { chunkSizeKb: 256, chunkDelayMs: 7, compression: false });
  const degraded = false;
  const sync = { mode: 'near-sync', depth: 5, timeoutSeconds: 30, degraded };
  t.deepEqual((await group.status()).sync, { ...sync, mode: 'near-sync' });

  const next = await GroupWorld.start({ record: group.record! });
  const types = next.messages.map(({ type }) => type);
  t.true(types.indexOf('driver.sync') < types.indexOf('driver.duties'));
  t.like(
    next.messages.find(({ type }) => type === 'driver.sync'),
    { depth: 5 },
  );
});

test('a bad tunable is refused by name, with what would be good, and changes nothing', async (t) => {
  const group = await GroupWorld.start();
  const bad: readonly (readonly [string, unknown, RegExp])[] = [
    ['SYNCMODEDEPTH', 0, /SYNCMODEDEPTH=0: must be a whole number from 1 to 65536/],
    ['SYNCMODE', 'maybe', /SYNCMODE=maybe: must be Y or N/],
    ['syncmode', 'Y', /no tunable syncmode; names are case-sensitive: SYNCMODE/],
    ['SPEED', 1, /the tunables are CHUNKSIZE/],
  ];
  for (const [name, value, message] of bad) {
    const tunables = { CHUNKSIZE: 512, [name]: value };
    await t.throwsAsync(group.ask({ kind: 'set', tunables }), {
      code: 'TDMF_TUNABLE_INVALID',
      message,
    });
  }
  t.deepEqual(group.record?.tunables, { CHUNKSIZE: 256 });
});

test('Rule 40: the operator hears once that writers do not wait, and once that they do again', async (t) => {
  const group = await GroupWorld.start();
  await group.ask({ kind: 'set', tunables: { SYNCMODE: true } });
  for (const degraded of [true, true, false, false]) {
    await group.fact({ type: 'driver.syncDegraded', degraded, waited: 3 });
  }
  const told = group.events.filter(({ type }) => type.startsWith('sync.'));
  t.deepEqual(
    told.map(({ type }) => type),
    ['sync.timedOut', 'sync.restored'],
  );
  t.like(told[0], { waited: 3, group: 0 });
});

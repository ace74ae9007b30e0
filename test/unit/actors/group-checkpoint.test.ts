/** The checkpoint of a group: hooks, the marker, what the secondary says, and what cancels it. */
import test from 'ava';
import { GroupWorld } from '../../helpers/group-world.js';

async function normal(): Promise<GroupWorld> {
  const group = await GroupWorld.start();
  await group.toNormal();
  group.forget();
  return group;
}

const on = { on: true };
const off = { on: false };

async function effective(): Promise<GroupWorld> {
  const group = await normal();
  await group.operator('checkpoint', on);
  group.checkpoint('on');
  await group.quiet();
  return group;
}

test('a checkpoint, in order: hook, record, marker; it is on when the secondary says so (Rule 15b)', async (t) => {
  const group = await normal();
  const answer = await group.operator('checkpoint', on);
  t.like(answer, { mode: 'NORMAL', checkpoint: 'pending' });
  t.deepEqual(group.log, ['hook pre_on primary', 'save normal', 'driver.marker']);
  t.is(group.record?.checkpoint, 'pending');
  t.like(await group.status(), { checkpoint: 'pending', checkpointSituation: 'pending' });
  group.forget();
  group.checkpoint('on');
  await group.quiet();
  t.true(group.log.includes('hook post_on primary'));
  t.like(await group.status(), { checkpoint: 'on', checkpointSituation: 'on' });
  t.like(
    group.events.find(({ type }) => type === 'checkpoint.changed'),
    { on: true },
  );
  group.forget();
  t.like(await group.operator('checkpoint', off), { checkpoint: 'off' });
  t.true(group.log.includes('pmd.checkpointOff'));
  t.is(group.record?.checkpoint, 'off');
});

test('a hook that fails is a refusal, and there is no marker (MD 29)', async (t) => {
  const group = await normal();
  group.failingHooks.add('pre_on');
  const error = await t.throwsAsync(group.operator('checkpoint', on), { code: 'TDMF_HOOK_FAILED' });
  t.true(error.message.includes('cp_pre_on_000'));
  t.false(group.log.includes('driver.marker'));
  t.like(await group.status(), { checkpointSituation: 'off' });
  group.failingHooks.clear();
  await group.operator('checkpoint', on);
  t.true(group.log.includes('driver.marker'));
});

test('a hook that fails afterwards is an event; the checkpoint is on', async (t) => {
  const group = await normal();
  group.failingHooks.add('post_on');
  await group.operator('checkpoint', on);
  group.checkpoint('on');
  await group.quiet();
  t.like(await group.status(), { checkpoint: 'on' });
  t.like(
    group.events.find(({ type }) => type === 'checkpoint.failed'),
    { code: 'TDMF_HOOK_FAILED' },
  );
});

test('checkpoint -on in TRACKING waits for NORMAL and says so (MD 45)', async (t) => {
  const group = await normal();
  group.control.setCursor('published', 3);
  await group.fact({ type: 'driver.overflowed', sequence: 8 });
  t.like(await group.operator('checkpoint', on), { mode: 'TRACKING', checkpoint: 'queued' });
  group.control.setCursor('durable', 3);
  await group.world.run(100);
  t.false(group.log.includes('driver.marker'));
  await group.converge();
  t.true(group.log.includes('driver.marker'));
});

test('checkpoint is refused where nothing leads to NORMAL, and twice', async (t) => {
  const group = await GroupWorld.start();
  await t.throwsAsync(group.operator('checkpoint', on), { code: 'TDMF_MODE_REFUSED' });
  await t.throwsAsync(group.operator('checkpoint', off), { code: 'TDMF_CHECKPOINT_OFF' });
  await group.toNormal();
  await group.operator('checkpoint', on);
  await t.throwsAsync(group.operator('checkpoint', on), { code: 'TDMF_CHECKPOINT_ON' });
  await t.throwsAsync(group.operator('checkpoint', off), { code: 'TDMF_CHECKPOINT_BUSY' });
});

test('under a checkpoint nothing may overwrite the mirror (Rule 15d)', async (t) => {
  const group = await effective();
  for (const kind of ['full', 'checksum']) {
    await t.throwsAsync(group.operator('launchrefresh', { kind }), { code: 'TDMF_CHECKPOINT_ON' });
  }
  await t.throwsAsync(group.operator('launchbackfresh'), { code: 'TDMF_CHECKPOINT_ON' });
  await group.operator('launchrefresh');
  t.like(group.last('pmd.refresh'), { kind: 'smart' }, 'what was tracked is journaled');
});

test('an overflow behind the marker does not cancel it; -off waits for NORMAL (H37)', async (t) => {
  const group = await normal();
  await group.operator('checkpoint', on);
  group.control.setCursor('published', 3);
  await group.fact({ type: 'driver.overflowed', sequence: 8 });
  group.checkpoint('on');
  await group.quiet();
  t.like(await group.status(), { mode: 'TRACKING', checkpoint: 'on' });
  t.like(await group.operator('checkpoint', off), { checkpoint: 'closing' });
  t.false(group.log.includes('pmd.checkpointOff'));
  group.control.setCursor('durable', 3);
  await group.world.run(100);
  await group.converge();
  t.true(group.log.includes('pmd.checkpointOff'));
  t.like(await group.status(), { mode: 'NORMAL', checkpoint: 'off' });
});

test('a marker that is given up with the BAB cancels the checkpoint (MD 28)', async (t) => {
  const group = await normal();
  await group.operator('checkpoint', on);
  group.control.setCursor('published', 3);
  await group.operator('killpmd');
  await group.operator('override', { clear: 'BAB' });
  t.like(await group.status(), { checkpointSituation: 'off' });
  t.is(group.record?.checkpoint, 'off');
  t.like(
    group.events.find(({ type }) => type === 'checkpoint.failed'),
    { code: 'TDMF_CHECKPOINT_LOST' },
  );
});

test('a pending checkpoint does not survive a crash, an effective one does (MD 28)', async (t) => {
  const group = await normal();
  await group.operator('checkpoint', on);
  const again = await GroupWorld.start({ record: group.record! });
  t.is(again.record?.checkpoint, 'off');
  t.like(
    again.events.find(({ type }) => type === 'checkpoint.failed'),
    { code: 'TDMF_CHECKPOINT_LOST' },
  );
  const before = await effective();
  const record = { ...before.record!, clean: true };
  const after = await GroupWorld.start({ record, checkpointed: true });
  t.like(await after.status(), { checkpoint: 'on' });
});

test('the secondary knows best: a checkpoint that it says is on is on', async (t) => {
  const group = await normal();
  group.checkpoint('on');
  await group.quiet();
  t.like(await group.status(), { checkpoint: 'on' });
  group.checkpoint('off');
  await group.quiet();
  t.like(await group.status(), { checkpoint: 'off' });
});

test('a mirror that others hold open keeps the checkpoint on, and the operator hears why (Rule 15a)', async (t) => {
  const group = await effective();
  group.silent.add('pmd.checkpointOff');
  const { asked } = await group.begin('checkpoint', off);
  group.checkpoint('failed', 'TDMF_DEVICE_BUSY');
  await t.throwsAsync(group.until(asked), { code: 'TDMF_DEVICE_BUSY' });
  t.like(await group.status(), { checkpoint: 'on' });
});

test('the operator of the secondary asks, under the same rules', async (t) => {
  const group = await normal();
  await group.fact({ type: 'checkpoint.wanted', on: false });
  t.like(group.last('pmd.checkpointRefused'), { on: false, code: 'TDMF_CHECKPOINT_OFF' });
  await group.fact({ type: 'checkpoint.wanted', on: true });
  t.like(await group.status(), { checkpointSituation: 'pending' });
  group.failingHooks.add('pre_on');
  const other = await normal();
  other.failingHooks.add('pre_on');
  await other.fact({ type: 'checkpoint.wanted', on: true });
  t.like(other.last('pmd.checkpointRefused'), { on: true, code: 'TDMF_HOOK_FAILED' });
});

test('a marker that has no room is an overflow, and is asked for again in NORMAL', async (t) => {
  const group = await normal();
  group.marker = 0;
  group.silent.add('driver.marker');
  const { asked } = await group.begin('checkpoint', on);
  const { token } = group.last('driver.marker');
  group.control.setCursor('published', 3);
  await group.fact({ type: 'driver.overflowed', sequence: 8 });
  await group.fact({ type: 'driver.markerStamped', token, sequence: 0 });
  t.like(await group.until(asked), { checkpoint: 'ready' });
  group.silent.clear();
  group.marker = 6;
  group.control.setCursor('durable', 3);
  await group.world.run(100);
  await group.converge();
  t.like(await group.status(), { checkpointSituation: 'pending' });
});

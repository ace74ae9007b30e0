/** reco hands a mirror out, and takes it back: what it promises, refuses and remembers (Rules 9a, 29). */
import test from 'ava';
import type { RecoEnd, RecoOutcome } from '../../../src/actors/reco.js';
import { helloOf } from '../../helpers/fake-primary.js';
import { recoOf, recoverable } from '../../helpers/recoverable.js';
import { coherent, era } from '../../helpers/refreshed.js';
import { Secondary } from '../../helpers/secondary.js';

const flag = '/home/s007.off';
const run = { kind: 'reco.run', force: false } as const;

async function refusal(secondary: Secondary): Promise<string | undefined> {
  const session = await secondary.session();
  session.primary.say(helloOf({}));
  const { code } = await secondary.heard(session.primary, 'refused');
  await secondary.stop(session);
  return code;
}

test('Rule 29: the journal is applied, a new era begins there, and no RMD is admitted', async (t) => {
  const secondary = await recoverable();
  const outcome = await recoOf(secondary).ask<RecoOutcome>(run);
  t.like(outcome, { already: false, state: 'coherent', forced: false, base: { era, sequence: 1 } });
  t.not(outcome.era, era);
  t.deepEqual([secondary.mirror()[0], secondary.mirror()[512]], [8, 7]);
  t.is(secondary.node.disk('/m0').unflushed.size, 0, 'durable before it is let go');
  t.is(secondary.node.disk('/m0').holders, 0);
  t.true(secondary.node.files.files.has(flag));
  t.is(await refusal(secondary), 'TDMF_RMD_OFF');
});

test('reco of a mirror that is handed out changes nothing, and restores a lost flag', async (t) => {
  const secondary = await recoverable();
  const first = await recoOf(secondary).ask<RecoOutcome>(run);
  secondary.node.files.files.delete(flag);
  t.is(await refusal(secondary), 'TDMF_RMD_OFF', 'the record is enough');
  secondary.mirror()[0] = 99;
  const second = await recoOf(secondary).ask<RecoOutcome>(run);
  t.deepEqual(second, { ...first, already: true });
  t.is(secondary.mirror()[0], 99);
  t.true(secondary.node.files.files.has(flag));
});

test('H9: after reco -d the primary is told a new era, its base, and that nothing was changed', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  const { era: own } = await recoOf(secondary).ask<RecoOutcome>(run);
  const end = await recoOf(secondary).ask<RecoEnd>({ kind: 'reco.end' });
  t.like(end, { wasInReco: true, changes: 'none', bytes: 0 });
  t.false(secondary.node.files.files.has(flag));
  const { welcome } = await secondary.welcomed();
  t.deepEqual(welcome.base, { era, sequence: 0 });
  t.deepEqual([welcome.position?.era, welcome.position?.sequence], [own, 0]);
  t.deepEqual(welcome.history, [era]);
  t.is(welcome.state, 'coherent');
});

test('Rule 15c: a mirror that was written around our export has changes nobody knows', async (t) => {
  const secondary = await recoverable();
  await recoOf(secondary).ask(run);
  secondary.node.disk('/m0').landings += 1;
  const seen = await recoOf(secondary).ask<RecoEnd>({ kind: 'reco.look' });
  t.like(seen, { wasInReco: true, changes: 'unknown' });
  t.true(seen.since > 0);
  await recoOf(secondary).ask({ kind: 'reco.end' });
  t.is(secondary.record?.own, 'unknown');
  t.is(secondary.record?.reco, 'none');
});

test('reco -d without reco does nothing; a flag without a record is removed too', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  const before = secondary.record;
  t.like(await recoOf(secondary).ask<RecoEnd>({ kind: 'reco.end' }), { wasInReco: false });
  t.deepEqual(secondary.record, before);
  secondary.node.files.files.set(flag, new Uint8Array());
  t.like(await recoOf(secondary).ask<RecoEnd>({ kind: 'reco.end' }), { wasInReco: true });
  t.false(secondary.node.files.files.has(flag));
});

test('a mirror of which nobody knows that it is coherent needs --force, and is labelled', async (t) => {
  const secondary = new Secondary();
  const asking = recoOf(secondary).ask<RecoOutcome>(run);
  const error = await t.throwsAsync(asking, { code: 'TDMF_RECO_STATE' });
  t.regex(error?.message ?? '', /never: it was never refreshed/);
  t.is(secondary.record, undefined, 'nothing was changed');
  t.false(secondary.node.files.files.has(flag));
  const forced = await recoOf(secondary).ask<RecoOutcome>({ ...run, force: true });
  t.like(forced, { state: 'unknown', forced: true, base: undefined });
  t.is(secondary.record?.state, 'unknown');
});

test('H29: an unfinished full refresh is no mirror to hand out', async (t) => {
  const secondary = new Secondary();
  const session = await secondary.welcomed();
  session.primary.say({ kind: 'refreshBegin', refreshId: 'r', refresh: 'full', union: false });
  await secondary.heard(session.primary, 'refreshReady');
  await secondary.stop(session);
  await t.throwsAsync(recoOf(secondary).ask(run), { code: 'TDMF_RECO_STATE' });
  t.is(secondary.record?.reco, 'none');
});

test('an uncommitted journal is set aside, and goes with reco -d', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  secondary.node.addDisk('/journal/j007001.i', 512);
  secondary.node.addDisk('/journal/j008001.i', 512);
  const files = secondary.node.disks;
  await recoOf(secondary).ask(run);
  t.false(files.has('/journal/j007001.i'));
  t.true(files.has('/journal/j007001.i.aside'));
  t.true(files.has('/journal/j008001.i'), 'the one of another group stays');
  await recoOf(secondary).ask({ kind: 'reco.end' });
  t.false(files.has('/journal/j007001.i.aside'));
});

test('Rule 22: a mirror that somebody holds is not handed out, and the RMD may come back', async (t) => {
  const secondary = await recoverable();
  const held = await secondary.process.open({ path: '/m0', access: 'readwrite' });
  await t.throwsAsync(recoOf(secondary).ask(run), { code: 'TDMF_RMD_MIRROR' });
  t.is(secondary.record?.reco, 'none');
  t.false(secondary.node.files.files.has(flag));
  await secondary.world.settled(held.close());
  await secondary.welcomed();
});

/** What the operator is asked before data is lost (I19), and when. */
import test from 'ava';
import { lossOf, mustBeMeant, refuseUnless } from '../../../src/server/confirm.js';
import { primaryOf } from '../../helpers/infos.js';

const clean = primaryOf();
const dirty = primaryOf({
  devices: clean.devices.map((device) => ({ ...device, dirtyBytes: 12.5 * 2 ** 20 })),
});

test('what loses nothing is not asked about', (t) => {
  t.is(lossOf('launchbackfresh', {}, clean), undefined);
  t.is(lossOf('override', { state: 'normal' }, clean), undefined);
  t.is(lossOf('override', { state: 'tracking' }, dirty), undefined);
  t.is(lossOf('override', { clear: 'BAB' }, dirty), undefined, 'the map keeps it (H11)');
  t.is(lossOf('killpmd', {}, dirty), undefined);
});

test('NORMAL over known differences needs --yes (H11)', (t) => {
  const args = { state: 'normal' };
  const error = t.throws(() => mustBeMeant('override', args, dirty), { code: 'TDMF_CONFIRM' });
  t.regex(error?.message ?? '', /^12\.5 MiB are known to differ/);
  t.notThrows(() => mustBeMeant('override', { ...args, yes: true }, dirty));
});

test("the manual's batch files run as they are; at a terminal somebody is asked", (t) => {
  t.notThrows(() => mustBeMeant('launchbackfresh', {}, dirty));
  t.throws(() => mustBeMeant('launchbackfresh', { terminal: true }, dirty), {
    code: 'TDMF_CONFIRM',
  });
  t.notThrows(() => refuseUnless({ loss: 'x', must: true }, true, false));
  t.throws(() => refuseUnless({ loss: 'x', must: true }, false, false), { message: 'x' });
});

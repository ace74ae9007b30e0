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

test('I19: a refresh that overwrites changes of the mirror needs --yes, whatever its kind', (t) => {
  const confirm = { code: 'TDMF_CONFIRM' };
  const code = 'TDMF_LINEAGE_SPLIT';
  const since = '2026-11-22T15:58:02.000Z';
  const apart = (thereBytes: number | null) =>
    primaryOf({ divergence: { code, hereBytes: 0, thereBytes, since } });
  for (const kind of ['smart', 'checksum', 'full']) {
    const error = t.throws(() => mustBeMeant('launchrefresh', { kind }, apart(65_536)), confirm);
    t.is(
      error?.message,
      '64 KiB was changed on the mirror since 2026-11-22 15:58:02 UTC; the refresh overwrites it',
    );
  }
  t.throws(() => mustBeMeant('launchrefresh', {}, apart(null)), {
    message: /nobody knows how much/,
  });
  t.notThrows(() => mustBeMeant('launchrefresh', { yes: true }, apart(null)));
  t.notThrows(() => mustBeMeant('launchrefresh', {}, apart(0)), 'a drill');
  const checkpointed = primaryOf({
    divergence: { code: 'TDMF_LINEAGE_UNVERIFIED', hereBytes: 0, thereBytes: 9, since },
  });
  t.notThrows(() => mustBeMeant('launchrefresh', { kind: 'checksum' }, checkpointed));
  t.throws(() => mustBeMeant('launchrefresh', { terminal: true }, checkpointed), confirm);
  t.notThrows(() => mustBeMeant('launchrefresh', {}, primaryOf()));
});

/** Error lines and exit codes (design 2.3): `tdmfctl: group N: <what> (<why>). <what to do>`. */
import test from 'ava';
import { endOf, errorLine, exitCodeOf, type GroupResult } from '../../../src/cli/outcome.js';
import { TdmfError, type TdmfErrorCode, toPlainError } from '../../../src/core/errors.js';

const codes: readonly (readonly [TdmfErrorCode, number])[] = [
  ['TDMF_USAGE', 2],
  ['TDMF_GROUP_UNKNOWN', 2],
  ['TDMF_CONFIG_INVALID', 2],
  ['TDMF_DAEMON_UNREACHABLE', 3],
  ['TDMF_DAEMON_FORBIDDEN', 3],
  ['TDMF_DAEMON_GONE', 3],
  ['TDMF_DAEMON_STOPPING', 4],
  ['TDMF_MODE_REFUSED', 4],
  ['TDMF_MODE_NOT_YET', 4],
  ['TDMF_GROUP_STARTED', 4],
  ['TDMF_LINEAGE_SPLIT', 4],
  ['TDMF_TIMED_OUT', 124],
  ['TDMF_DEVICE_MISSING', 1],
  ['TDMF_RMD_OFF', 1],
];
for (const [code, exitCode] of codes) {
  test(`${code} ends with ${exitCode}`, (t) => t.is(exitCodeOf(new TdmfError(code)), exitCode));
}

test('an error that is not ours ends with 1', (t) => t.is(exitCodeOf(new Error('x')), 1));

test('the line says group, what, why and what to do', (t) => {
  const error = new TdmfError(
    'TDMF_DAEMON_UNREACHABLE',
    { socket: '/s' },
    { cause: new Error('nobody listens there any more') },
  );
  t.is(
    errorLine(error, 101),
    'tdmfctl: group 101: tdmfd does not answer on /s (nobody listens there any more). ' +
      'Start tdmfd on this home, or name another with --home.',
  );
});

test('the group of the details is named, the errno that the message has is not said twice', (t) => {
  const cause = Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
  const details = { path: '/a', errno: 'ENOENT', group: 7 };
  t.is(
    errorLine(toPlainError(new TdmfError('TDMF_DEVICE_MISSING', details, { cause }))),
    "tdmfctl: group 7: /a does not exist. Check the path in the group's .cfg file.",
  );
});

test('a refusal of the mode says why', (t) => {
  const details = { event: 'sync', mode: 'PASSTHRU', reason: 'nothing is mirrored' };
  t.regex(
    errorLine(new TdmfError('TDMF_MODE_REFUSED', details)),
    /^tdmfctl: sync is not possible in PASSTHRU \(nothing is mirrored\)\. /,
  );
});

test('an error line is one line', (t) => {
  t.is(errorLine(new Error('a\nb\u001b[2J')), 'tdmfctl: a b [2J.');
});

const ok: GroupResult = { group: 0, ok: true };
const bad = (code: TdmfErrorCode): GroupResult => ({
  group: 1,
  ok: false,
  error: toPlainError(new TdmfError(code)),
});
test('several groups: all well 0, some failed 5, all failed the first code', (t) => {
  const write = process.stderr.write.bind(process.stderr);
  process.stderr.write = () => true;
  t.teardown(() => {
    process.stderr.write = write;
  });
  t.is(endOf([]), 0);
  t.is(endOf([ok, ok]), 0);
  t.is(endOf([ok, bad('TDMF_GROUP_STOPPED')]), 5);
  t.is(endOf([bad('TDMF_TIMED_OUT'), bad('TDMF_TIMED_OUT')]), 124);
  t.is(endOf([bad('TDMF_GROUP_STOPPED'), bad('TDMF_DEVICE_MISSING')]), 4);
});

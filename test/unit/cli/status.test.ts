/** `status`: a line a group, troubles below it, never wider than the terminal. */
import test from 'ava';
import { eventText } from '../../../src/cli/commands/events.js';
import { refreshLine, statusText } from '../../../src/cli/commands/status.js';
import { infoOf, primaryOf, secondaryOf } from '../../helpers/infos.js';

const esc = '\u001b';

test('without groups it says how to make one', (t) => {
  t.regex(statusText(infoOf()), /No groups\..*add-group/);
});

test('both roles are told apart, in one table', (t) => {
  const text = statusText(infoOf(primaryOf({ note: 'oracle' }), secondaryOf({ note: 'oracle' })));
  t.is(
    text,
    [
      'GROUP  ROLE       MODE       LINK       BAB   LAG   OUT-OF-SYNC  MIRROR    PEER      NOTE',
      '0      primary    NORMAL     CONNECTED  0% 0  0.0s  0            coherent  kali:575  oracle',
      '0      secondary  MIRRORING  CONNECTED  -     -     -            coherent  pumbaa    oracle',
      '',
    ].join('\n'),
  );
});

test('a stopped group claims no lag and no dirt (I18)', (t) => {
  const text = statusText(infoOf(primaryOf({ started: false, mode: 'PASSTHRU' })));
  t.regex(text, /stopped\s+CONNECTED\s+0% 0\s+-\s+-/);
});

test('a problem says what it is and what to type', (t) => {
  const problem = { code: 'TDMF_RMD_SIZE', message: 'too small', remedy: 'Enlarge it.' };
  const text = statusText(infoOf(primaryOf({ problem })));
  t.regex(text, /\n {7}status: too small\n {7}action: Enlarge it\.\n/);
});

test('colour only when asked for; the codes do not change the columns', (t) => {
  const info = infoOf(primaryOf());
  const plain = statusText(info);
  const coloured = statusText(info, { colour: true });
  t.false(plain.includes(esc));
  t.true(coloured.includes(`${esc}[32m0      primary`));
  t.is(coloured.replaceAll(`${esc}[32m`, '').replaceAll(`${esc}[39m`, ''), plain);
});

test('no line of the table is wider than the terminal, and a note cannot break it', (t) => {
  const info = infoOf(primaryOf({ note: `${'long '.repeat(60)}\n\u001b[2J` }));
  const lines = statusText(info, { width: 80 }).split('\n');
  t.is(lines.length, 3);
  t.true(lines.every((line) => line.length <= 80));
});

test('a refresh shows bar, share, amounts, rate and time to go', (t) => {
  const refresh = {
    kind: 'full',
    doneBytes: 2 ** 30,
    totalBytes: 4 * 2 ** 30,
    bytesPerSecond: 100 * 2 ** 20,
    etaSeconds: 31,
  } as const;
  t.is(refreshLine(refresh), 'full [=====>..............] 25.0% 1.0G/4.0G 100M/s ETA 31s');
  const begun = { ...refresh, doneBytes: 0, totalBytes: 0, bytesPerSecond: 0, etaSeconds: null };
  t.is(refreshLine(begun), 'full [====================] 100.0% 0/0');
});

test('an event is one line: time, number, kind, type, group, fields', (t) => {
  const line = eventText({
    seq: 7,
    ts: '2026-11-22T16:12:03.114Z',
    kind: 'change',
    type: 'link.failed',
    code: 'TDMF_RMD_OFF',
    message: 'handed\nover to applications',
    group: 3,
    at: 1,
    sequence: 2,
    seconds: 0.172_342_88,
  });
  t.is(
    line,
    '2026-11-22T16:12:03.114Z 7 change link.failed group:3 code:TDMF_RMD_OFF ' +
      'message:"handed\\nover to applications" seconds:0.172',
  );
});

test('a mirror in the hands of others: a checkpoint, and what they changed', (t) => {
  const since = '2026-11-22T15:58:02.123Z';
  const known = secondaryOf({ ownChanges: { changes: 'known', bytes: 65_536, since } });
  t.regex(
    statusText(infoOf(known)),
    /\n {7}changed on the mirror: 64\.0K since 2026-11-22 15:58:02 UTC\n/,
  );
  const unknown = secondaryOf({ ownChanges: { changes: 'unknown', bytes: 0, since } });
  t.regex(statusText(infoOf(unknown)), /changed on the mirror: an unknown amount since/);
  const none = secondaryOf({ ownChanges: { changes: 'none', bytes: 0, since } });
  t.notRegex(statusText(infoOf(none)), /changed/);
  t.regex(statusText(infoOf(primaryOf({ checkpoint: true }))), /\n {7}checkpoint: on;/);
});

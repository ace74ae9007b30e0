/** What a terminal shows: columns, amounts, bars, and nothing that moves the cursor. */
import test from 'ava';
import {
  amount,
  columns,
  duration,
  fitted,
  printable,
  progressBar,
} from '../../../src/cli/render.js';

const amounts: readonly (readonly [number, string])[] = [
  [0, '0'],
  [512, '512'],
  [1023, '1023'],
  [1024, '1.0K'],
  [1536, '1.5K'],
  [102_400, '100K'],
  [12.4 * 2 ** 30, '12.4G'],
  [2 ** 53, '8.0P'],
];
for (const [bytes, text] of amounts) {
  test(`${bytes} bytes are ${text}`, (t) => t.is(amount(bytes), text));
}

const durations: readonly (readonly [number, string])[] = [
  [0, '0s'],
  [8.4, '8s'],
  [68, '1m08s'],
  [3599, '59m59s'],
  [10_920, '3h02m'],
];
for (const [seconds, text] of durations) {
  test(`${seconds} seconds are ${text}`, (t) => t.is(duration(seconds), text));
}

test('columns are as wide as their widest cell, without blanks at the end', (t) => {
  t.deepEqual(
    columns([
      ['GROUP', 'MODE', 'NOTE'],
      ['0', 'NORMAL', ''],
      ['101', 'REFRESH', 'x'],
    ]),
    ['GROUP  MODE     NOTE', '0      NORMAL', '101    REFRESH  x'],
  );
  t.deepEqual(columns([]), []);
});

test('a bar is always as wide as asked, whatever the share', (t) => {
  t.is(progressBar(0, 10), '[>.........]');
  t.is(progressBar(0.374, 10), '[===>......]');
  t.is(progressBar(1, 10), '[==========]');
  for (const share of [-1, 0, 0.01, 0.5, 0.99, 1, 7]) {
    t.is(progressBar(share).length, 22, String(share));
  }
});

test('control characters of a note reach no terminal', (t) => {
  t.is(printable('a\u001b[31mb\nc\u2028d\u0007'), 'a [31mb c d ');
});

test('a line that does not fit ends in an ellipsis; without a terminal it is whole', (t) => {
  const line = 'x'.repeat(100);
  t.is(fitted(line, 40), `${'x'.repeat(39)}…`);
  t.is(fitted(line, 100), line);
  t.is(fitted(line, undefined), line);
});

/** Amounts and times as an operator reads them; dates as the platform has them. */
import test from 'ava';
import { bytesInWords, timeInWords } from '../../../src/core/words.js';

test('amounts have three digits at most, and a unit', (t) => {
  t.deepEqual([0, 512, 65_536, 1.5 * 2 ** 20, 123 * 2 ** 30].map(bytesInWords), [
    '0 bytes',
    '512 bytes',
    '64 KiB',
    '1.5 MiB',
    '123 GiB',
  ]);
});

test('every day has its date, leap years and all', (t) => {
  const dayMs = 86_400_000;
  for (let day = 0; day < 60_000; day += 13) {
    const at = day * dayMs + ((day * 7_919_123) % dayMs);
    const expected = `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
    if (timeInWords(at) !== expected) t.is(timeInWords(at), expected);
  }
  t.is(timeInWords(0), '1970-01-01 00:00:00 UTC');
  t.is(timeInWords(Date.UTC(2024, 1, 29, 23, 59, 59, 999)), '2024-02-29 23:59:59 UTC');
});

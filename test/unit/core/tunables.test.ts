/** Names, values and ranges of the manual's tunables (MD 4, 5, 6, 9, 42). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  formatTunable,
  parseTunable,
  parseTunableName,
  parseTunables,
  rangeOf,
  tunableNames,
  tunables,
  tunablesOf,
} from '../../../src/core/tunables.js';

test('the defaults are the ones of the manual', (t) => {
  t.like(tunablesOf({}), {
    CHUNKSIZE: 256,
    CHUNKDELAY: 0,
    COMPRESSION: false,
    REFRESHTIMEOUT: 1,
    SYNCMODE: false,
    SYNCMODEDEPTH: 1,
    SYNCMODETIMEOUT: 30,
    WRITEAHEAD: false,
  });
});

test('names are case-sensitive, and a wrong case is told the right one', (t) => {
  t.deepEqual(parseTunableName('SYNCMODE'), { value: 'SYNCMODE' });
  t.regex(JSON.stringify(parseTunableName('syncmode')), /no tunable syncmode.*SYNCMODE"/);
  t.regex(
    JSON.stringify(parseTunableName('SPEED')),
    /no tunable SPEED; the tunables are CHUNKSIZE/,
  );
  t.true('problem' in parseTunableName('toString'));
});

test('the other spellings of the manual are accepted', (t) => {
  t.deepEqual(parseTunableName('SYNCHMODE'), { value: 'SYNCMODE' });
  t.deepEqual(parseTunableName('SYNCMODETIME-OUT'), { value: 'SYNCMODETIMEOUT' });
  t.deepEqual(parseTunables({ SYNCHMODE: 1, 'SYNCMODETIME-OUT': '5' }), {
    value: { SYNCMODE: true, SYNCMODETIMEOUT: 5 },
  });
});

test('Y, N, 1, 0, on and off switch, and Y or N is printed', (t) => {
  for (const text of ['Y', 'y', '1', 'on', 'yes', true, 1]) {
    t.deepEqual(parseTunable('SYNCMODE', text), { value: true }, String(text));
  }
  for (const text of ['N', 'n', '0', 'off', 'no', false, 0]) {
    t.deepEqual(parseTunable('COMPRESSION', text), { value: false }, String(text));
  }
  t.is(formatTunable(true), 'Y');
  t.is(formatTunable(false), 'N');
  t.is(formatTunable(-1), '-1');
});

test('a bad value is refused by name, with what would be good', (t) => {
  for (const name of tunableNames) {
    const { min, max, unit } = tunables[name];
    for (const bad of [
      '',
      'maybe',
      '1.5',
      '1e3',
      'NaN',
      '0x10',
      String(max + 1),
      String(min - 1),
    ]) {
      const parsed = parseTunable(name, bad);
      t.true('problem' in parsed, `${name}=${bad}`);
      if (!('problem' in parsed)) continue;
      t.true(parsed.problem.startsWith(`${name}=${bad}: must be `), parsed.problem);
      t.true(parsed.problem.endsWith(rangeOf(name)));
    }
    if (unit === 'Y/N') continue;
    t.deepEqual(parseTunable(name, String(min)), { value: min });
    t.deepEqual(parseTunable(name, max), { value: max });
  }
  t.deepEqual(parseTunable('CHUNKSIZE', '512K'), { value: 512 });
  t.true('problem' in parseTunable('SYNCMODEDEPTH', '5K'));
});

test('what a record of another version holds never stops a group: the default is in force', (t) => {
  t.like(tunablesOf({ CHUNKSIZE: 'many', SYNCMODE: 'Y', REFRESHTIMEOUT: -1, FUTURE: 5 }), {
    CHUNKSIZE: 256,
    SYNCMODE: true,
    REFRESHTIMEOUT: -1,
  });
});

test('docs/configuration.md lists every tunable with its unit, default and range', (t) => {
  const text = readFileSync(join(process.cwd(), 'docs/configuration.md'), 'utf8');
  const start = text.indexOf('<!-- table: tunables -->');
  const rows = text
    .slice(start)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
    .slice(0, tunableNames.length);
  t.deepEqual(
    rows,
    tunableNames.map((name) => {
      const { unit, min, max, meaning } = tunables[name];
      const range = unit === 'Y/N' ? 'Y or N' : `${min} to ${max}`;
      return [`\`${name}\``, unit, formatTunable(tunables[name].default), range, meaning];
    }),
  );
});

/** What the words of override mean: the manual's spellings, and nothing else (manual decision 24). */
import test from 'ava';
import { overrideOf } from '../../../src/cli/commands/override.js';
import { isYes } from '../../../src/cli/confirm.js';

const meant: readonly (readonly [string, string[], object])[] = [
  ['state normal', [], { state: 'normal' }],
  ['- state passthru', [], { state: 'passthru' }],
  ['101 state TRACKING', ['101'], { state: 'tracking' }],
  ['state refresh 3-5', ['3-5'], { state: 'refresh' }],
  ['clear BAB', [], { clear: 'BAB' }],
  ['7 clear bab', ['7'], { clear: 'BAB' }],
];
for (const [typed, groups, args] of meant) {
  test(`'override ${typed}' is understood`, (t) => {
    t.deepEqual(overrideOf(typed.split(' '), {}), { groups, args } as never);
  });
}

test('--state and --clear mean the same', (t) => {
  t.deepEqual(overrideOf(['1'], { state: 'Backfresh' }).args, { state: 'backfresh' });
  t.deepEqual(overrideOf(['1'], { clear: 'BAB' }).args, { clear: 'BAB' });
});

for (const typed of [
  '',
  '1',
  'state',
  'state journal',
  'clear',
  'clear all',
  'state normal clear BAB',
]) {
  test(`'override ${typed}' is a usage error`, (t) => {
    const words = typed.split(' ').filter((word) => word !== '');
    t.throws(() => overrideOf(words, {}), { code: 'TDMF_USAGE' });
  });
}

test('only y and yes are yes', (t) => {
  for (const answer of ['y', 'Y', ' yes ', 'YES']) t.true(isYes(answer), answer);
  for (const answer of ['', 'n', 'ye', 'yes!', 'no', 'ja']) t.false(isYes(answer), answer);
});

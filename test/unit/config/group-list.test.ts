/** `-g 1,3-5 -g 7` as numbers. */
import test from 'ava';
import { parseGroupList } from '../../../src/config/group-list.js';

const good: readonly (readonly [string[], number[]])[] = [
  [['0'], [0]],
  [['999'], [999]],
  [['007'], [7]],
  [
    ['1,3-5', '7'],
    [1, 3, 4, 5, 7],
  ],
  [
    ['5', '3', '5'],
    [3, 5],
  ],
  [['2-2'], [2]],
  [[' 1 , 2 '], [1, 2]],
];
for (const [texts, groups] of good) {
  test(`${JSON.stringify(texts)} are ${groups.join(' ')}`, (t) => {
    t.deepEqual(parseGroupList(texts), groups);
  });
}

for (const text of [
  '',
  '-1',
  '5-3',
  '1000',
  '0-1000',
  'a',
  '1,,2',
  '1-',
  '1.5',
  '0x1',
  '1 2',
  '99999',
]) {
  test(`'${text}' is refused`, (t) => {
    t.throws(() => parseGroupList([text]), { code: 'TDMF_USAGE' });
  });
}

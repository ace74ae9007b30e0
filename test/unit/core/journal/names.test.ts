/** Names of journal files (manual-decisions row 25). */
import test from 'ava';
import {
  metaName,
  nextSegment,
  pageName,
  segmentName,
  segmentsOf,
} from '../../../../src/core/journal/names.js';

test('files are named jGGGSSS, and widen behind a dash', (t) => {
  t.is(segmentName(999, 1, 'c'), 'j999001.c');
  t.is(segmentName(7, 999, 'i'), 'j007999.i');
  t.is(segmentName(7, 1000, 'i'), 'j007-001000.i');
  t.is(metaName(7), 'j007.meta');
  t.is(pageName(7), 'j007.page');
});

test('the files of a group are found, of no other group and nothing else', (t) => {
  const names = ['j007001.i', 'j007001.c', 'j007-001000.c', 'j0070001.i', 'j008001.i', 'j007.meta'];
  t.deepEqual(
    segmentsOf(7, [...names, 'j007-000002.i', 'xj007001.i']).map(({ name }) => name),
    ['j007001.c', 'j007001.i', 'j007-001000.c'],
  );
});

test('a number is not used again while a file bears one as high', (t) => {
  t.is(nextSegment(7, []), 1);
  t.is(nextSegment(7, ['j007003.p', 'j007001.c']), 4);
  t.is(nextSegment(7, ['j007999.c']), 1000);
});

/** Which files make a chain, as a table (Rules 15d, 25): every row has its test. */
import test from 'ava';
import {
  type ChainFacts,
  chainTable,
  committedOf,
  judgeChainFile,
} from '../../../../src/core/journal/chain.js';
import type { SegmentHeader } from '../../../../src/core/journal/segment.js';

const whole: ChainFacts = {
  found: 'file',
  itself: true,
  last: false,
  marker: false,
  follows: true,
};

const cases: Record<string, { readonly facts: Partial<ChainFacts>; readonly verdict: string }> = {
  'a file is missing': { facts: { found: 'missing' }, verdict: 'damage' },
  'its header cannot be read': { facts: { found: 'unreadable' }, verdict: 'damage' },
  'empty marker of a checkpoint': {
    facts: { found: 'empty', last: true, marker: true },
    verdict: 'marker',
  },
  empty: { facts: { found: 'empty', last: true }, verdict: 'damage' },
  'another file under its name': { facts: { itself: false }, verdict: 'damage' },
  'it does not lead back to the first file': { facts: { follows: false }, verdict: 'damage' },
  'in its place': { facts: {}, verdict: 'take' },
};

for (const [id, { facts, verdict }] of Object.entries(cases)) {
  test(`Rule 15d: ${id} is ${verdict}`, (t) => {
    t.deepEqual(judgeChainFile({ ...whole, ...facts }), { id, verdict } as never);
  });
}

test('every row of the table has its test, and only a file in its place is taken', (t) => {
  t.deepEqual(
    chainTable.map(({ id }) => id),
    Object.keys(cases),
  );
  for (const found of ['file', 'empty', 'missing', 'unreadable'] as const) {
    for (let bits = 0; bits < 16; bits += 1) {
      const [itself, last, marker, follows] = [1, 2, 4, 8].map((bit) => (bits & bit) > 0) as [
        boolean,
        boolean,
        boolean,
        boolean,
      ];
      const { verdict } = judgeChainFile({ found, itself, last, marker, follows });
      const good = found === 'file' && itself && follows;
      const mark = found === 'empty' && last && marker;
      t.is(verdict, good ? 'take' : mark ? 'marker' : 'damage');
    }
  }
});

test('the next file says up to where the entries of this one count', (t) => {
  const era = 'a'.repeat(32);
  const header: SegmentHeader = {
    group: 7,
    kind: 'c',
    segment: 1,
    refreshId: '',
    era,
    firstSequence: 1,
    previous: 0,
    from: undefined,
  };
  const after = (from: SegmentHeader['from']) => ({ ...header, segment: 2, previous: 1, from });
  t.is(committedOf(header, undefined), -1);
  t.is(committedOf(header, after({ era, sequence: 0 })), 0, 'none of them');
  t.is(committedOf(header, after({ era, sequence: 9 })), 9);
  t.is(committedOf(header, after({ era: 'b'.repeat(32), sequence: 9 })), -1);
});

/** The tables of recovery: every row by its name (Rule 25; Rules 7a, 7b and 27). */
import test from 'ava';
import {
  judgeRecord,
  type RecordFacts,
  recordTable,
  standingOf,
} from '../../../../src/core/journal/recovery.js';
import { emptyRecord, type MirrorRecord } from '../../../../src/core/meta.js';

const facts: RecordFacts = {
  valid: false,
  atEnd: false,
  committed: false,
  needed: false,
  successor: false,
  ordered: true,
};

const rows: Record<string, [Partial<RecordFacts>, string]> = {
  whole: [{ valid: true, committed: true, needed: true }, 'take'],
  'committed bytes missing': [{ atEnd: true, committed: true }, 'damage'],
  'acknowledged entry missing': [{ atEnd: true, needed: true }, 'damage'],
  end: [{ atEnd: true }, 'end'],
  'bad, committed': [{ committed: true }, 'damage'],
  'bad, acknowledged': [{ needed: true }, 'damage'],
  'bad, something valid behind': [{ successor: true }, 'damage'],
  'torn tail': [{}, 'cut'],
};

for (const [id, [change, verdict]] of Object.entries(rows)) {
  test(`H25: ${id} is ${verdict}`, (t) => {
    t.deepEqual(judgeRecord({ ...facts, ...change }), { id, verdict: verdict as never });
  });
}

test('every row of the table has its test, and every combination of facts a verdict', (t) => {
  const lost = judgeRecord({ ...facts, successor: true, ordered: false });
  t.is(lost.id, 'torn tail', 'a power cut loses any subset of what was not flushed');
  t.deepEqual(
    recordTable.map(({ id }) => id),
    Object.keys(rows),
  );
  for (let bits = 0; bits < 64; bits += 1) {
    const [valid, atEnd, committed, needed, successor, ordered] = [1, 2, 4, 8, 16, 32].map(
      (b) => !!(bits & b),
    );
    const some = { valid, atEnd, committed, needed, successor, ordered } as unknown as RecordFacts;
    t.truthy(judgeRecord(some).verdict);
  }
});

const record: MirrorRecord = {
  ...emptyRecord(1),
  state: 'coherent',
  era: 'a'.repeat(32),
  durable: 100,
  clean: false,
};

test('under the same boot the applied position counts (Rule 7a)', (t) => {
  t.deepEqual(standingOf(record, true, 120, 250), {
    state: 'coherent',
    position: 250,
    durable: 120,
    rewound: false,
  });
});

test('under another boot the durable position counts, and the mirror is incoherent (H7, H27)', (t) => {
  t.deepEqual(standingOf(record, false, 120, undefined), {
    state: 'incoherent',
    position: 120,
    durable: 120,
    rewound: true,
  });
});

test('a clean close is as good under any boot', (t) => {
  const clean = { ...record, clean: true };
  for (const sameBoot of [true, false]) {
    t.deepEqual(standingOf(clean, sameBoot, 120, undefined), {
      state: 'coherent',
      position: 120,
      durable: 120,
      rewound: false,
    });
  }
});

test('the same boot without an applied position is a rewind too (H21)', (t) => {
  t.true(standingOf(record, true, undefined, undefined).rewound);
});

test('an unfinished refresh stays what it is, and a mirror without history has no position', (t) => {
  const unfinished = { ...record, state: 'incoherent', refreshId: 'r' } as const;
  t.is(standingOf(unfinished, false, 1, undefined).state, 'incoherent');
  t.is(standingOf(emptyRecord(1), true, 5, 5).position, undefined);
});

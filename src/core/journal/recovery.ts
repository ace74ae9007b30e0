/**
 * What the secondary makes of what it finds after a restart, as two tables. `judgeRecord` is Rule 25:
 * which bad record of a journal is a torn tail and which is damage. `standingOf` is Rules 7a, 7b and
 * 27: where the mirror stands, given its record, the position page and whether this is still the
 * boot under which it was written. Nothing here reads or writes; every row has a test.
 */
import type { MirrorRecord, RecordedState } from '../meta.js';

/** What is known about the place where the next record of a journal file should begin. */
export interface RecordFacts {
  /** Header, checksums and number of the record are right. */
  readonly valid: boolean;
  /** The file ends exactly here. */
  readonly atEnd: boolean;
  /** The commit record says that this byte belongs to the journal. */
  readonly committed: boolean;
  /** The next entry is at or below the recorded durable position: the primary may have released it. */
  readonly needed: boolean;
  /** Somewhere behind it a whole record of the same session begins. */
  readonly successor: boolean;
  /**
   * This is still the boot under which the file was written. Appends go one after another, so that a
   * killed process leaves a beginning; a power cut keeps any subset of what was not flushed, and a
   * whole record behind a bad one proves nothing then.
   */
  readonly ordered: boolean;
}

export type RecordVerdict = 'take' | 'end' | 'cut' | 'damage';

interface Row {
  readonly id: string;
  readonly when: Partial<RecordFacts>;
  readonly verdict: RecordVerdict;
}

/** First match wins; the last row matches everything. */
export const recordTable: readonly Row[] = [
  { id: 'whole', when: { valid: true }, verdict: 'take' },
  { id: 'committed bytes missing', when: { atEnd: true, committed: true }, verdict: 'damage' },
  { id: 'acknowledged entry missing', when: { atEnd: true, needed: true }, verdict: 'damage' },
  { id: 'end', when: { atEnd: true }, verdict: 'end' },
  { id: 'bad, committed', when: { committed: true }, verdict: 'damage' },
  { id: 'bad, acknowledged', when: { needed: true }, verdict: 'damage' },
  {
    id: 'bad, something valid behind',
    when: { successor: true, ordered: true },
    verdict: 'damage',
  },
  { id: 'torn tail', when: {}, verdict: 'cut' },
];

export function judgeRecord(facts: RecordFacts): { id: string; verdict: RecordVerdict } {
  const row = recordTable.find(({ when }) =>
    (Object.keys(when) as (keyof RecordFacts)[]).every((fact) => when[fact] === facts[fact]),
  )!;
  return { id: row.id, verdict: row.verdict };
}

export interface Standing {
  readonly state: RecordedState;
  /** Entries may follow from `position + 1` on; undefined when there is no position. */
  readonly position: number | undefined;
  readonly durable: number | undefined;
  /** The mirror may be ahead of `position`: incoherent until everything sent is back (Rule 7b). */
  readonly rewound: boolean;
}

/**
 * `pageDurable`: of the record's era. `pageApplied`: of the record's era and of *this* boot, else
 * undefined. `sameBoot`: the mirror was last written under this boot, and no flush failed since.
 */
export function standingOf(
  record: MirrorRecord,
  sameBoot: boolean,
  pageDurable: number | undefined,
  pageApplied: number | undefined,
): Standing {
  if (record.state === 'never' || record.era === undefined) {
    return { state: record.state, position: undefined, durable: undefined, rewound: false };
  }
  const durable = Math.max(record.durable, pageDurable ?? 0);
  // Nothing reaches the mirror but what the chain holds durably: replaying it is exact under any boot.
  if (record.chain !== undefined) {
    const replays = record.checkpoint !== 'on' && record.state === 'coherent';
    const state = replays ? 'recoverable' : record.state;
    return { state, position: durable, durable, rewound: false };
  }
  // A clean close flushed everything that was applied, so nothing can be ahead, under any boot.
  const applied = record.clean ? durable : sameBoot ? pageApplied : undefined;
  const rewound = applied === undefined;
  const position = Math.max(durable, applied ?? 0);
  const state = rewound && record.state === 'coherent' ? 'incoherent' : record.state;
  return { state, position, durable, rewound };
}

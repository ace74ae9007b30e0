import test from 'ava';
import fc from 'fast-check';
import { errorTable } from '../../../../src/core/errors.js';
import {
  decideLineage,
  type LineageAction,
  lineageRows,
  matchingRows,
} from '../../../../src/core/lineage/decide.js';
import {
  type Facts,
  factValues,
  type PrimarySide,
  type SecondarySide,
} from '../../../../src/core/lineage/facts.js';

const e0 = '0'.repeat(32);
const e1 = '1'.repeat(32);
const e2 = '2'.repeat(32);
const e3 = '3'.repeat(32);
const reco = 'f'.repeat(32);

/** A primary in NORMAL: era e2 from 101 on, base (e1, 100). */
const primary: PrimarySide = {
  nodeId: 'a',
  loopback: false,
  era: e2,
  s0: 101,
  stamped: 200,
  released: 150,
  sentMax: 190,
  lease: 1000,
  base: { era: e1, sequence: 100 },
  chain: [],
  history: [e0],
  past: [{ era: e1, released: 90, stamped: 100 }],
  map: 'continuous',
  dirty: false,
  appending: true,
  refreshId: undefined,
};
/** Its mirror, in step. */
const secondary: SecondarySide = {
  protocol: 1,
  nodeId: 'b',
  state: 'coherent',
  refreshId: undefined,
  position: { era: e2, sequence: 170 },
  durable: { era: e2, sequence: 160 },
  base: undefined,
  history: [e1],
};
const at = (era: string, sequence: number, durable = sequence) => ({
  position: { era, sequence },
  durable: { era, sequence: durable },
});
/** Nothing of era e2 has been released yet. */
const young = { released: 100, stamped: 120 } as const;

function* combinations(): Generator<Facts> {
  const names = Object.keys(factValues) as (keyof Facts)[];
  const total = names.reduce((product, name) => product * factValues[name].length, 1);
  for (let number = 0; number < total; number += 1) {
    const facts: Record<string, string> = {};
    let rest = number;
    for (const name of names) {
      const values = factValues[name];
      facts[name] = values[rest % values.length]!;
      rest = Math.floor(rest / values.length);
    }
    yield facts as unknown as Facts;
  }
}

test('exactly one row matches every combination of facts', (t) => {
  const used = new Set<string>();
  for (const facts of combinations()) {
    const rows = matchingRows(facts);
    if (rows.length !== 1) {
      t.fail(`${JSON.stringify(facts)}: rows ${rows.map(({ row }) => row).join(' ')}`);
      return;
    }
    used.add(rows[0]!.row);
  }
  t.deepEqual([...used].sort(), lineageRows.map(({ row }) => row).sort());
});

test('rows have names of their own, and every refusal says why with a code', (t) => {
  t.is(new Set(lineageRows.map(({ row }) => row)).size, lineageRows.length);
  for (const { row, action, code } of lineageRows) {
    if (action === 'refuse' || action === 'wait') t.true(code !== undefined, row);
    if (code !== undefined) t.true(code in errorTable, row);
  }
});

const scenario = test.macro(
  (
    t,
    row: string,
    action: LineageAction,
    p: Partial<PrimarySide>,
    s: Partial<SecondarySide>,
    more: object = {},
  ) => {
    const decision = decideLineage({ ...primary, ...p }, { ...secondary, ...s });
    t.like(decision, { row, action, ...more });
    covered.add(row);
  },
);
const covered = new Set<string>();

// biome-ignore format: one scenario a line reads as a table
function scenarios(): void {
  test('row 0v: another version', scenario, '0v', 'refuse', {}, { protocol: 2 }, { code: 'TDMF_LINK_VERSION' });
  test('row 0s: one node id at both ends (H34)', scenario, '0s', 'refuse', {}, { nodeId: 'a' }, { code: 'TDMF_RMD_SELF' });
  test('row 0s not: loopback is allowed where it is configured', scenario, '5', 'resume', { loopback: true }, { nodeId: 'a' });
  test('row 0c: durable ahead of the position', scenario, '0c', 'refuse', {}, at(e2, 170, 171));
  test('row 0c: positions in two eras', scenario, '0c', 'refuse', {}, { durable: { era: e1, sequence: 1 } });
  test('row 1: never refreshed', scenario, '1', 'wait', {}, { state: 'never', position: undefined, durable: undefined, history: [] }, { code: 'TDMF_LINEAGE_NEVER' });
  test('row 2: no era in common', scenario, '2', 'refuse', {}, { ...at(e3, 5), history: [reco] }, { code: 'TDMF_LINEAGE_UNRELATED' });
  test('row 2: coherent without a position', scenario, '2', 'refuse', {}, { position: undefined, durable: undefined });
  test('row 3: our unfinished refresh goes on', scenario, '3', 'refresh-resume', { refreshId: 'r' }, { state: 'incoherent', refreshId: 'r', position: undefined, durable: undefined });
  test('row 3x: a refresh that was killed', scenario, '3x', 'refuse', {}, { state: 'incoherent', refreshId: 'r' }, { code: 'TDMF_LINEAGE_INCOHERENT' });
  test('row 3x: damage, incoherent without a position', scenario, '3x', 'refuse', {}, { state: 'incoherent', position: undefined, durable: undefined });
  test('row F: ordered, never refreshed', scenario, 'F', 'refresh', { refreshId: 'r' }, { state: 'never', position: undefined, durable: undefined, history: [] });
  test('row F: ordered, another refresh is unfinished', scenario, 'F', 'refresh', { refreshId: 'r' }, { state: 'incoherent', refreshId: 'q' });
  test('row F: ordered, unrelated', scenario, 'F', 'refresh', { refreshId: 'r' }, { ...at(e3, 5), history: [] });
  test('row F not: never onto oneself', scenario, '0s', 'refuse', { refreshId: 'r' }, { nodeId: 'a' });
  test('row 4: this primary forgot an era (H8c)', scenario, '4', 'refuse', {}, { ...at(e3, 5), history: [e2, e1] }, { code: 'TDMF_LINEAGE_ROLLED_BACK' });
  test('row 4: the base of the mirror is in its present era', scenario, '4', 'refuse', {}, { ...at(e3, 5), base: { era: e3, sequence: 1 }, history: [e2] });
  test('row 4l: above the lease (Rule 8c, H8b)', scenario, '4l', 'refuse', { lease: 165 }, {}, { code: 'TDMF_LINEAGE_ROLLED_BACK' });
  test('row 4l: above what was stamped', scenario, '4l', 'refuse', {}, at(e2, 201));
  test('row 4l: above what was stamped of the earlier era', scenario, '4l', 'refuse', {}, at(e1, 101));
  test('row 5: in step, resume at the next (H7)', scenario, '5', 'resume', {}, {}, { era: e2, from: 171, sentMax: 0, drain: false });
  test('row 5: exactly at the released entry (Rule 26)', scenario, '5', 'resume', {}, at(e2, 150), { from: 151 });
  test('row 5: nothing missing', scenario, '5', 'resume', {}, at(e2, 200), { from: 201 });
  test('row 5: a window is closed at sentMax (Rule 7b)', scenario, '5', 'resume', {}, { state: 'incoherent', ...at(e2, 160) }, { from: 161, sentMax: 190 });
  test('row 5: a window that nothing was sent beyond', scenario, '5', 'resume', {}, { state: 'incoherent', ...at(e2, 195) }, { from: 196, sentMax: 0 });
  test('row 5: a journal is replayed by the secondary', scenario, '5', 'resume', {}, { state: 'recoverable' });
  test('row 5: before the first entry of the era', scenario, '5', 'resume', { ...young }, at(e2, 100), { from: 101 });
  test('row 5d: TRACKING drains first', scenario, '5d', 'resume', { appending: false, dirty: true }, {}, { from: 171, drain: true });
  test('row 6: durable below released (Rule 26, H26)', scenario, '6', 'checksum', {}, at(e2, 170, 149), { code: 'TDMF_LINEAGE_MIRROR_BEHIND' });
  test('row 6: nothing is durable', scenario, '6', 'checksum', {}, { durable: undefined });
  test('row 6e: below what was released of the earlier era', scenario, '6e', 'checksum', {}, at(e1, 89), { code: 'TDMF_LINEAGE_MIRROR_BEHIND' });
  test('row 6e: below the base, the rest is not known', scenario, '6e', 'checksum', { past: [] }, at(e1, 99));
  test('row 7: everything that differs is in the map', scenario, '7', 'smart', { dirty: true }, at(e1, 95));
  test('row 7: at the base, but entries of the new era were released', scenario, '7', 'smart', {}, at(e1, 100));
  test('row 7w: at the base, but the mirror may be torn (Rule 27)', scenario, '7w', 'smart', young, { ...at(e1, 100), state: 'incoherent' });
  test('row 7e: equal at the base: handed over to the new era', scenario, '7e', 'era', young, at(e1, 100), { era: e2, from: 101 });
  test('row 7e: the base alone proves it', scenario, '7e', 'era', { ...young, past: [] }, at(e1, 100));
  test('row 7b: unproven map', scenario, '7b', 'checksum', { map: 'unproven' }, at(e1, 95));
  test('row 7n: an era of the chain whose range is not known', scenario, '7n', 'checksum', { chain: [e3] }, at(e3, 7));
  test('row 7m: the base alone, in a window', scenario, '7m', 'checksum', { ...young, past: [] }, { ...at(e1, 100), state: 'incoherent' });
  test('row 7p: PASSTHRU broke the map', scenario, '7p', 'wait', { map: 'broken' }, at(e1, 95), { code: 'TDMF_LINEAGE_UNTRACKED' });
  test('row 8: applications ran on the mirror after reco', scenario, '8', 'refuse', {}, { ...at(reco, 30), base: { era: e2, sequence: 200 } }, { code: 'TDMF_LINEAGE_NEWER' });
  test('row 9: both moved, this primary kept writing (H9)', scenario, '9', 'refuse', {}, { ...at(reco, 30), base: { era: e2, sequence: 199 } }, { code: 'TDMF_LINEAGE_SPLIT' });
  test('row 9: both moved, there is dirt here', scenario, '9', 'refuse', { dirty: true }, { ...at(reco, 30), base: { era: e2, sequence: 200 } });
  test('row 9: both moved from an earlier era (H10)', scenario, '9', 'refuse', {}, { ...at(reco, 30), base: { era: e1, sequence: 100 }, history: [] });
  test('row 10: older than the base', scenario, '10', 'refuse', {}, at(e0, 5), { code: 'TDMF_LINEAGE_OLD' });
  test('row 10u: modified by others', scenario, '10u', 'refuse', {}, { state: 'unknown' }, { code: 'TDMF_LINEAGE_UNVERIFIED' });
}
scenarios();

test.after('every row has a scenario', (t) => {
  t.deepEqual([...covered].sort(), lineageRows.map(({ row }) => row).sort());
});

const era = fc.constantFrom(e0, e1, e2, e3, reco);
const sequence = fc.integer({ min: 90, max: 210 });
const position = fc.record({ era, sequence });
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const primaries: fc.Arbitrary<PrimarySide> = fc.record({
  nodeId: fc.constantFrom('a', 'b'),
  loopback: fc.boolean(),
  era,
  s0: sequence,
  stamped: sequence,
  released: sequence,
  sentMax: sequence,
  lease: sequence,
  base: maybe(position),
  chain: fc.array(era, { maxLength: 2 }),
  history: fc.array(era, { maxLength: 2 }),
  past: fc.array(fc.record({ era, released: sequence, stamped: sequence }), { maxLength: 2 }),
  map: fc.constantFrom('continuous', 'unproven', 'broken'),
  dirty: fc.boolean(),
  appending: fc.boolean(),
  refreshId: maybe(fc.constantFrom('r', 'q')),
});
const secondaries: fc.Arbitrary<SecondarySide> = fc.record({
  protocol: fc.constantFrom(1, 1, 1, 2),
  nodeId: fc.constantFrom('a', 'b'),
  state: fc.constantFrom('never', 'coherent', 'recoverable', 'incoherent', 'unknown'),
  refreshId: maybe(fc.constantFrom('r', 'q')),
  position: maybe(position),
  durable: maybe(position),
  base: maybe(position),
  history: fc.array(era, { maxLength: 2 }),
});

test('whatever the two sides say, nothing is resumed that is not proven (I8, Rules 8c and 26)', (t) => {
  fc.assert(
    fc.property(primaries, secondaries, (p, s) => {
      const { action, from, era: decided } = decideLineage(p, s);
      if (action === 'resume') {
        t.is(s.position?.era, p.era);
        t.is(decided, p.era);
        t.is(from, s.position!.sequence + 1);
        t.true(s.durable!.sequence >= p.released);
        t.true(s.position!.sequence <= p.stamped && s.position!.sequence <= p.lease);
      }
      if (action === 'era') {
        t.deepEqual(s.position, p.base);
        t.deepEqual(s.durable, p.base);
        t.false(p.dirty);
        t.true(p.released < p.s0);
        t.true(s.state === 'coherent' || s.state === 'recoverable');
      }
      // Nothing but an operator's order overwrites what exists only on the other side (I19).
      if (action === 'refresh' || action === 'refresh-resume') t.true(p.refreshId !== undefined);
      if (action === 'smart') t.is(p.map, 'continuous');
    }),
    { numRuns: 20_000 },
  );
});

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
  refreshKind: undefined,
  running: false,
  order: undefined,
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
  checkpoint: 'off',
  own: { changes: 'none', bytes: 0, since: 0 },
};
const own = (changes: 'known' | 'unknown') => ({ own: { changes, bytes: 4096, since: 7 } });
const at = (era: string, sequence: number, durable = sequence) => ({
  position: { era, sequence },
  durable: { era, sequence: durable },
});
/** Nothing of era e2 has been released yet. */
const young = { released: 100, stamped: 120 } as const;
const tracking = { appending: false, dirty: true } as const;
const never = { state: 'never', position: undefined, durable: undefined, history: [] } as const;
/** An open refresh of this kind that an operator ordered, and one that began by itself. */
const ordered = (kind: 'full' | 'smart' | 'checksum' | 'back') =>
  ({ ...tracking, refreshId: 'r', refreshKind: kind, running: true, order: kind }) as const;
const begun = (kind: 'smart' | 'checksum') =>
  ({ ...tracking, refreshId: 'r', refreshKind: kind, running: true }) as const;
const launched = { ...tracking, order: 'smart' } as const;
const override = { order: 'normal' } as const;
/** Through reco at this point. */
const away = (era: string, sequence: number) => ({
  ...at(reco, 30),
  base: { era, sequence },
});

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
  test('row 3: our unfinished refresh goes on', scenario, '3', 'refresh-resume', ordered('full'), { state: 'incoherent', refreshId: 'r', position: undefined, durable: undefined });
  test('row 3 not: a backfresh leaves no mirror unfinished', scenario, 'B3', 'refuse', ordered('back'), { state: 'incoherent', refreshId: 'r' });
  test('row 3x: a refresh that was killed', scenario, '3x', 'refuse', {}, { state: 'incoherent', refreshId: 'r' }, { code: 'TDMF_LINEAGE_INCOHERENT' });
  test('row 3x: damage, incoherent without a position', scenario, '3x', 'refuse', {}, { state: 'incoherent', position: undefined, durable: undefined });
  test('row 3n: half of a refresh is not taken for a mirror', scenario, '3n', 'refuse', { ...override, refreshId: 'r', refreshKind: 'full' }, { state: 'incoherent', refreshId: 'r' });
  test('row 1n: override: a mirror that was never refreshed is taken as it is (MD 13)', scenario, '1n', 'era', override, never, { adopt: true, from: 151 });
  test('row F: ordered, never refreshed', scenario, 'F', 'refresh', ordered('full'), never);
  test('row F: ordered, another refresh is unfinished', scenario, 'F', 'refresh', ordered('full'), { state: 'incoherent', refreshId: 'q' });
  test('row F: ordered, unrelated', scenario, 'F', 'refresh', ordered('full'), { ...at(e3, 5), history: [] });
  test('row F not: never onto oneself', scenario, '0s', 'refuse', ordered('full'), { nodeId: 'a' });
  test('row C: ordered, never refreshed', scenario, 'C', 'checksum', ordered('checksum'), never);
  test('row C: ordered, over what a killed refresh left', scenario, 'C', 'checksum', ordered('checksum'), { state: 'incoherent', refreshId: 'q' });
  test('row Cp: ordered, after reco', scenario, 'Cp', 'checksum', ordered('checksum'), away(e2, 200));
  test('row Cp: ordered, of a primary that was rolled back', scenario, 'Cp', 'checksum', ordered('checksum'), at(e2, 201));
  test('row Cp: the BAB is drained first', scenario, 'Cp', 'checksum', { ...tracking, order: 'checksum' }, {}, { drain: true, from: 171 });
  test('row B1: nothing to bring home', scenario, 'B1', 'refuse', ordered('back'), never, { code: 'TDMF_LINEAGE_NEVER' });
  test('row B3: a torn mirror is no source', scenario, 'B3', 'refuse', ordered('back'), { state: 'incoherent' }, { code: 'TDMF_LINEAGE_INCOHERENT' });
  test('row B: only what either side changed (MD 17)', scenario, 'B', 'back', ordered('back'), { ...away(e2, 160), ...own('known') }, { union: true });
  test('row B: from a mirror that stayed in our history', scenario, 'B', 'back', ordered('back'), {}, { union: true });
  test('row Bo: this primary forgot: all is compared', scenario, 'Bo', 'back', ordered('back'), { ...at(e3, 5), history: [e2] }, { union: false });
  test('row Bp: what we released is not in it', scenario, 'Bp', 'back', ordered('back'), { ...away(e2, 149), ...own('known') }, { union: false });
  test('row Bm: our own changes are not all known', scenario, 'Bm', 'back', { ...ordered('back'), map: 'broken' }, { ...away(e2, 160), ...own('known') }, { union: false });
  test('row Bu: their changes are not known', scenario, 'Bu', 'back', ordered('back'), { ...away(e2, 160), ...own('unknown') }, { union: false });
  test('row B2: the data of others', scenario, 'B2', 'refuse', ordered('back'), { ...at(e3, 5), history: [] }, { code: 'TDMF_LINEAGE_UNRELATED' });
  test('row 4: this primary forgot an era (H8c)', scenario, '4', 'refuse', {}, { ...at(e3, 5), history: [e2, e1] }, { code: 'TDMF_LINEAGE_ROLLED_BACK' });
  test('row 4: the base of the mirror is in its present era', scenario, '4', 'refuse', {}, { ...at(e3, 5), base: { era: e3, sequence: 1 }, history: [e2] });
  test('row 4l: above the lease (Rule 8c, H8b)', scenario, '4l', 'refuse', { lease: 165 }, {}, { code: 'TDMF_LINEAGE_ROLLED_BACK' });
  test('row 4l: above what was stamped', scenario, '4l', 'refuse', {}, at(e2, 201));
  test('row 4l: above what was stamped of the earlier era', scenario, '4l', 'refuse', {}, at(e1, 101));
  test('row 4l: an override does not change what is proven (MD 39)', scenario, '4l', 'refuse', override, at(e1, 101));
  test('row 5: in step, resume at the next (H7)', scenario, '5', 'resume', {}, {}, { era: e2, from: 171, sentMax: 0, drain: false });
  test('row 5: exactly at the released entry (Rule 26)', scenario, '5', 'resume', {}, at(e2, 150), { from: 151 });
  test('row 5: nothing missing', scenario, '5', 'resume', {}, at(e2, 200), { from: 201 });
  test('row 5: a window is closed at sentMax (Rule 7b)', scenario, '5', 'resume', {}, { state: 'incoherent', ...at(e2, 160) }, { from: 161, sentMax: 190 });
  test('row 5: a window that nothing was sent beyond', scenario, '5', 'resume', {}, { state: 'incoherent', ...at(e2, 195) }, { from: 196, sentMax: 0 });
  test('row 5: a journal is replayed by the secondary', scenario, '5', 'resume', {}, { state: 'recoverable' });
  test('row 5: before the first entry of the era', scenario, '5', 'resume', { ...young }, at(e2, 100), { from: 101 });
  test('row 5: a checkpoint is on, and applications write there', scenario, '5', 'resume', {}, { checkpoint: 'on', ...own('known') });
  test('row 5: an UNVERIFIED mirror stays one, and is streamed to', scenario, '5', 'resume', {}, { state: 'unknown' });
  test('row 5: an override finds nothing missing', scenario, '5', 'resume', override, {});
  test('row 5d: TRACKING drains first, then what the map says', scenario, '5d', 'smart', tracking, {}, { from: 171, drain: true, union: false });
  test('row 5d: a window is closed by what is drained (Rule 7b)', scenario, '5d', 'smart', tracking, { state: 'incoherent', ...at(e2, 160) }, { from: 161, sentMax: 190, drain: true });
  test('row 5d: an open refresh goes on, there is nothing to drain', scenario, '5d', 'smart', begun('smart'), {}, { drain: false });
  test('row 5b: the map is unproven', scenario, '5b', 'checksum', { ...tracking, map: 'unproven' }, {}, { drain: true });
  test('row 5p: the map is broken', scenario, '5p', 'wait', { ...tracking, map: 'broken' }, {}, { drain: true, code: 'TDMF_LINEAGE_UNTRACKED' });
  test('row 5q: the map is broken: launchrefresh compares all (MD 13)', scenario, '5q', 'checksum', { ...ordered('smart'), map: 'broken' }, {});
  test('row 5v: TRACKING beside a mirror that nobody has verified: no automatic refresh', scenario, '5v', 'wait', tracking, { state: 'unknown' }, { drain: true, code: 'TDMF_LINEAGE_UNVERIFIED' });
  test('row 5b: a mirror that this primary took as it was is compared', scenario, '5b', 'checksum', { ...tracking, map: 'unproven' }, { state: 'unknown' }, { drain: true });
  test('row 5w: the same, and launchrefresh was ordered', scenario, '5w', 'checksum', launched, { state: 'unknown' }, { drain: true });
  test('row 5n: an override takes what others wrote', scenario, '5n', 'resume', override, own('unknown'));
  test('row 5: written to under a checkpoint, in blocks that are known', scenario, '5', 'resume', {}, own('known'));
  test('row 5d: their blocks go with ours (MD 27)', scenario, '5d', 'smart', tracking, own('known'), { union: true, drain: true });
  test('row 6: durable below released (Rule 26, H26)', scenario, '6', 'checksum', {}, at(e2, 170, 149), { code: 'TDMF_LINEAGE_MIRROR_BEHIND' });
  test('row 6: nothing is durable', scenario, '6', 'checksum', {}, { durable: undefined });
  test('row 6: a smart refresh that is open is not enough', scenario, '6', 'checksum', begun('smart'), at(e2, 170, 149));
  test('row 6m: changes of others are not overwritten for it (I19)', scenario, '6m', 'refuse', {}, { ...at(e2, 170, 149), ...own('unknown') });
  test('row 6e: below what was released of the earlier era', scenario, '6e', 'checksum', {}, at(e1, 89), { code: 'TDMF_LINEAGE_MIRROR_BEHIND' });
  test('row 6e: below the base, the rest is not known', scenario, '6e', 'checksum', { past: [] }, at(e1, 99));
  test('row 7: everything that differs is in the map', scenario, '7', 'smart', { dirty: true }, at(e1, 95));
  test('row 7: at the base, but entries of the new era were released', scenario, '7', 'smart', {}, at(e1, 100));
  test('row 7: at the base, whatever else is known of its era', scenario, '7', 'smart', { past: [], dirty: true }, at(e1, 100));
  test('row 7: a refresh that began by itself goes on', scenario, '7', 'smart', begun('smart'), at(e1, 95), { drain: false });
  test('row 7w: at the base, but the mirror may be torn (Rule 27)', scenario, '7w', 'smart', young, { ...at(e1, 100), state: 'incoherent' });
  test('row 7e: equal at the base: handed over to the new era', scenario, '7e', 'era', young, at(e1, 100), { era: e2, from: 101, adopt: false });
  test('row 7e: the base alone proves it', scenario, '7e', 'era', { ...young, past: [] }, at(e1, 100));
  test('row 7e: an override is verified (MD 39)', scenario, '7e', 'era', { ...young, ...override }, at(e1, 100), { adopt: false });
  test('row 7b: unproven map', scenario, '7b', 'checksum', { map: 'unproven' }, at(e1, 95));
  test('row 7n: an era of the chain whose range is not known', scenario, '7n', 'checksum', { chain: [e3] }, at(e3, 7));
  test('row 7p: PASSTHRU broke the map', scenario, '7p', 'wait', { map: 'broken' }, at(e1, 95), { code: 'TDMF_LINEAGE_UNTRACKED' });
  test('row 7q: the same, and launchrefresh was ordered (MD 13)', scenario, '7q', 'checksum', { ...ordered('smart'), map: 'broken' }, at(e1, 95), { code: 'TDMF_LINEAGE_UNTRACKED' });
  test('row 8: applications ran on the mirror after reco', scenario, '8', 'refuse', {}, away(e2, 200), { code: 'TDMF_LINEAGE_NEWER' });
  test('row 8n: reco, and nothing was written: launchrefresh may', scenario, '8n', 'smart', { ...ordered('smart'), dirty: false }, away(e2, 200), { union: true });
  test('row 8k: what was written there is not overwritten by a smart refresh', scenario, '8k', 'refuse', { ...ordered('smart'), dirty: false }, { ...away(e2, 200), ...own('known') });
  test('row 8p: the point where it left is not known here', scenario, '8p', 'refuse', { ...ordered('smart'), dirty: false, released: 200, stamped: 200 }, { ...away(e0, 5), history: [e2] });
  test('row 8m: our own changes are not all known', scenario, '8m', 'refuse', { ...ordered('smart'), dirty: false, map: 'broken' }, away(e2, 200));
  test('row 9: both moved, this primary kept writing (H9)', scenario, '9', 'refuse', {}, away(e2, 199), { code: 'TDMF_LINEAGE_SPLIT' });
  test('row 9: both moved, there is dirt here', scenario, '9', 'refuse', { dirty: true }, away(e2, 200));
  test('row 9: both moved from an earlier era (H10)', scenario, '9', 'refuse', {}, { ...away(e1, 100), history: [] });
  test('row 9: an override does not merge them (MD 39)', scenario, '9', 'refuse', override, away(e2, 199));
  test('row 9a: launchrefresh: the union of both (H10)', scenario, '9a', 'smart', ordered('smart'), { ...away(e2, 199), ...own('known') }, { union: true });
  test('row 9a: from the base, of whose era nothing else is known', scenario, '9a', 'smart', { ...ordered('smart'), past: [] }, { ...away(e1, 100), ...own('known'), history: [] }, { union: true });
  test('row 9p: what we released is not in it: all is compared', scenario, '9p', 'checksum', ordered('smart'), { ...away(e2, 149), ...own('known') });
  test('row 9m: our changes are not all known: all is compared', scenario, '9m', 'checksum', { ...ordered('smart'), map: 'unproven' }, { ...away(e2, 199), ...own('known') });
  test('row 9u: theirs are not: all is compared', scenario, '9u', 'checksum', ordered('smart'), { ...away(e2, 199), ...own('unknown') });
  test('row 10: older than the base', scenario, '10', 'refuse', {}, at(e0, 5), { code: 'TDMF_LINEAGE_OLD' });
  test('row 10m: modified by others', scenario, '10m', 'refuse', {}, { ...at(e1, 95), ...own('unknown') }, { code: 'TDMF_LINEAGE_UNVERIFIED' });
  test('row 7b: an override that may have reached the mirror before NORMAL ended', scenario, '7b', 'checksum', { ...tracking, ...override }, { ...at(e1, 95), state: 'unknown' });
  test('row 10v: nobody has verified it', scenario, '10v', 'refuse', {}, { ...at(e1, 95), state: 'unknown' });
  test('row 10w: the same, and launchrefresh was ordered', scenario, '10w', 'checksum', ordered('smart'), { ...at(e1, 95), state: 'unknown' });
  test('row 7: modified in blocks that are known: both go (MD 27)', scenario, '7', 'smart', { dirty: true }, { ...at(e1, 95), ...own('known') }, { union: true });
  test('row 7k: equal, but for what others wrote in known blocks', scenario, '7k', 'smart', young, { ...at(e1, 100), ...own('known') }, { union: true });
  test('row 10c: modified in the present era, nobody knows where (Rule 9b)', scenario, '10c', 'refuse', {}, own('unknown'), { code: 'TDMF_LINEAGE_UNVERIFIED' });
  test('row 10c: launchrefresh is not enough', scenario, '10c', 'refuse', launched, own('unknown'));
  test('row 10m: launchrefresh is not enough', scenario, '10m', 'refuse', ordered('smart'), { ...at(e1, 95), ...own('unknown') });
  test('row 10m: the word of an operator ends with NORMAL', scenario, '10m', 'refuse', { ...tracking, ...override }, { ...at(e1, 95), ...own('unknown') });
  test('row 11: override: taken as it is, UNVERIFIED', scenario, '11', 'era', { ...override, dirty: true }, at(e1, 95), { adopt: true });
  test('row 11n: override of one whose range is not known', scenario, '11n', 'era', { ...override, chain: [e3] }, at(e3, 7), { adopt: true });
  test('row 11k: override, with changes of others that are known', scenario, '11k', 'era', { ...young, ...override }, { ...at(e1, 100), ...own('known') }, { adopt: true });
  test('row 11w: override: the same, in a window', scenario, '11w', 'era', { ...young, ...override }, { ...at(e1, 100), state: 'incoherent' }, { adopt: true });
  test('row 11b: override after PASSTHRU (MD 13)', scenario, '11b', 'era', { ...override, map: 'broken' }, at(e1, 95), { adopt: true });
  test('row 11m: override of a modified one', scenario, '11m', 'era', override, { ...at(e1, 95), ...own('unknown') }, { adopt: true });
  test('row 11o: override of an older one', scenario, '11o', 'era', override, at(e0, 5), { adopt: true });
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
  refreshKind: maybe(fc.constantFrom('full', 'smart', 'checksum', 'back')),
  running: fc.boolean(),
  order: maybe(fc.constantFrom('full', 'smart', 'checksum', 'back', 'normal')),
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
  checkpoint: fc.constantFrom('off', 'off', 'on'),
  own: fc.record({
    changes: fc.constantFrom('none', 'known', 'unknown'),
    bytes: fc.constant(1),
    since: fc.constant(1),
  }),
});

test('whatever the two sides say, nothing is resumed that is not proven (I8, Rules 8c and 26)', (t) => {
  fc.assert(
    fc.property(primaries, secondaries, (p, s) => {
      const decision = decideLineage(p, s);
      const { action, from, era: decided, drain, union, adopt } = decision;
      const mayStream = action === 'resume' || drain;
      if (mayStream) {
        t.is(s.position?.era, p.era);
        t.is(decided, p.era);
        t.is(from, s.position!.sequence + 1);
        t.true(s.durable!.sequence >= p.released);
        t.true(s.position!.sequence <= p.stamped && s.position!.sequence <= p.lease);
      }
      if (action === 'era' && !adopt) {
        t.deepEqual(s.position, p.base);
        t.deepEqual(s.durable, p.base);
        t.false(p.dirty);
        t.true(p.released < p.s0);
        t.true(s.state === 'coherent' || s.state === 'recoverable');
        t.true(s.checkpoint === 'on' || s.own.changes === 'none');
      }
      if (adopt) t.is(p.order, 'normal');
      // Nothing but an operator's order overwrites what exists only on the other side (I19).
      const away =
        s.position !== undefined && ![p.era, p.base?.era, ...p.chain].includes(s.position.era);
      const { changes } = s.own;
      const unverified =
        s.state === 'unknown' &&
        changes === 'none' &&
        p.map === 'continuous' &&
        p.order !== 'normal';
      const foreign = changes === 'unknown' || unverified || (away && changes === 'known');
      const theirs = s.checkpoint === 'off' && foreign;
      const overwrites = ['refresh', 'refresh-resume', 'smart', 'checksum'].includes(action);
      const mine = action === 'refresh-resume' && s.refreshId === p.refreshId;
      if (overwrites && theirs && !mine) t.not(p.order, undefined);
      if (action === 'refresh') t.is(p.order, 'full');
      if (action === 'back') t.is(p.order, 'back');
      if (p.order === 'back') t.true(action === 'back' || action === 'refuse');
      if (action === 'smart' || union) t.is(p.map, 'continuous');
      if (union) t.true(s.checkpoint === 'on' || s.own.changes !== 'unknown');
    }),
    { numRuns: 20_000 },
  );
});

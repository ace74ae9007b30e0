/** The record of a group: lineage, bytes, and what a start makes of it. */
import test from 'ava';
import {
  deviceNameMax,
  devicesPerGroupMax,
  sequenceLeaseStep,
} from '../../../../src/core/constants.js';
import {
  decodeGroupRecord,
  encodeGroupRecord,
  parseGroupRecord,
} from '../../../../src/core/pstore/codec.js';
import {
  erasKeptMax,
  firstRecord,
  type GroupRecord,
  withCommit,
  withLease,
  withNewEra,
} from '../../../../src/core/pstore/record.js';
import { recordPayloadMax } from '../../../../src/core/pstore/slot.js';
import { decodeSlotPayload, encodeSlotPayload } from '../../../../src/core/pstore/slot-payload.js';
import { decideStart } from '../../../../src/core/pstore/start.js';

const era = (n: number) => n.toString(16).padStart(32, '0');
const devices = [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 17 }];
const first = firstRecord(0, era(1), devices, { CHUNKSIZE: 256 });
const facts = {
  group: 0,
  devices,
  tunables: { CHUNKSIZE: 256 },
  newEra: era(0xf0),
  newRefreshId: era(0xf1),
  restarted: false,
  heatKnown: true,
  released: [],
};

const normal: GroupRecord = {
  ...withCommit(withNewEra(first, era(2)), { era: era(2), sequence: 9 }),
  mode: 'normal',
  clean: true,
  mapAll: false,
  sequence: 12,
  released: 12,
};

test('a record survives its bytes, with and without what is optional', (t) => {
  for (const record of [
    first,
    normal,
    {
      ...first,
      mode: 'refresh' as const,
      refresh: { id: era(9), kind: 'full' as const, ordered: true },
    },
  ]) {
    t.deepEqual(decodeGroupRecord(encodeGroupRecord(record)), record);
  }
});

test('a record that went through a ring, where undefined is null, is the same', (t) => {
  t.deepEqual(parseGroupRecord({ ...first, base: null, refresh: null }), first);
});

test('bytes that are no record are none, whatever they are', (t) => {
  t.is(decodeGroupRecord(new Uint8Array(0)), undefined);
  t.is(decodeGroupRecord(Uint8Array.of(0xc1, 1, 2)), undefined);
  t.is(parseGroupRecord({ ...first, mode: 'asleep' }), undefined);
  t.is(parseGroupRecord({ ...first, surprise: 1 }), undefined);
  t.is(parseGroupRecord({ ...first, era: 'short' }), undefined);
  t.is(parseGroupRecord({ ...first, sequence: -1 }), undefined);
});

test('the largest record fits its copy (I12)', (t) => {
  const many = Array.from({ length: devicesPerGroupMax }, (_, index) => ({
    name: `${index}`.padStart(deviceNameMax, 'd'),
    sizeBytes: Number.MAX_SAFE_INTEGER,
    mtimeMs: 1_700_000_000_000.123,
  }));
  const eras = Array.from({ length: erasKeptMax }, (_, index) => era(index));
  const tunables = Object.fromEntries(
    Array.from({ length: 64 }, (_, index) => [`T${index}`.padEnd(32, 'X'), 'v'.repeat(64)]),
  );
  const largest: GroupRecord = {
    ...normal,
    chain: eras,
    history: eras,
    savedMap: era(8),
    past: [era(77), ...eras].map((one) => ({
      era: one,
      released: Number.MAX_SAFE_INTEGER,
      stamped: Number.MAX_SAFE_INTEGER,
    })),
    refresh: { id: era(3), kind: 'full', ordered: true },
    tunables,
    devices: many,
  };
  const extents = many.map(() => ({ page: 0xffff_ffff, pages: 17, allocation: 2 ** 50 }));
  const payload = encodeSlotPayload({ record: encodeGroupRecord(largest), extents });
  t.true(payload.length <= recordPayloadMax);
  t.deepEqual(decodeGroupRecord(decodeSlotPayload(payload)!.record), largest);
  t.deepEqual(decodeSlotPayload(payload)!.extents, extents);
});

test('eras since the base are the chain, older ones the history, both bounded (H8, I12)', (t) => {
  let record = normal;
  t.deepEqual([record.base?.era, record.chain], [era(2), []]);
  record = withNewEra(record, era(3));
  t.deepEqual(record.chain, [], 'the era of the base itself is in base');
  t.like(record, { era: era(3), sequence: 0, released: 0, lease: sequenceLeaseStep });
  record = withNewEra(withNewEra(record, era(4)), era(5));
  t.deepEqual(record.chain, [era(3), era(4)]);
  const committed = withCommit(record, { era: era(5), sequence: 3 });
  t.deepEqual(committed.chain, []);
  t.deepEqual(committed.history.slice(-3), [era(2), era(3), era(4)]);
  for (let n = 100; n < 150; n += 1) record = withNewEra(record, era(n));
  t.is(record.chain.length, erasKeptMax);
  t.is(record.history.length, erasKeptMax);
  t.is(record.chain.at(-1), era(148));
  t.is(record.history.at(-1), era(132), 'what falls out of the chain is history');
});

test('a commit proves the map and the group', (t) => {
  const doubtful: GroupRecord = { ...first, unverified: true, map: 'broken' };
  t.like(withCommit(doubtful, { era: era(1), sequence: 1 }), {
    map: 'continuous',
    unverified: false,
  });
});

test('a lease only grows (Rule 8c)', (t) => {
  t.is(withLease(first, 10).lease, sequenceLeaseStep + 10);
  t.is(withLease({ ...first, lease: 1e15 }, 10).lease, 1e15);
});

test('the first start is PASSTHRU with a map that knows nothing (Rule 10c)', (t) => {
  const { row, record } = decideStart(undefined, facts);
  t.is(row, 'first');
  t.like(record, { mode: 'passthru', map: 'broken', mapAll: true, clean: false, era: era(0xf0) });
});

test('a clean stop comes back as it was, but not clean any more (H31)', (t) => {
  const back = decideStart(normal, facts);
  t.is(back.row, 'asLeft');
  t.like(back.record, {
    mode: 'normal',
    era: era(2),
    sequence: 12,
    clean: false,
    map: 'continuous',
  });
  t.true(back.record.lease >= 12 + sequenceLeaseStep, 'the era goes on under a lease');
  const tracking = { ...normal, mode: 'tracking' as const, mapAll: true };
  t.like(decideStart(tracking, facts).record, { mode: 'tracking', mapAll: true });
});

test('a refresh that was stopped begins anew, under another id (R10)', (t) => {
  const stopped: GroupRecord = {
    ...normal,
    mode: 'refresh',
    refresh: { id: era(7), kind: 'full', ordered: true },
  };
  const { record } = decideStart(stopped, facts);
  t.is(record.mode, 'refresh');
  t.deepEqual(record.refresh, { id: era(0xf1), kind: 'full', ordered: true });
  t.true(record.mapAll);
});

for (const mode of ['normal', 'tracking', 'refresh'] as const) {
  const running: GroupRecord = { ...normal, mode, clean: false };

  test(`H18, Rule 8a: an unclean start from ${mode} tracks what is hot or in the map, in a new era`, (t) => {
    const { row, record, dirt } = decideStart(running, facts);
    t.is(row, 'unclean');
    t.is(dirt, 'persisted');
    t.like(record, { mode: 'tracking', map: 'continuous', mapAll: false, unverified: false });
    t.is(record.era, era(0xf0));
    t.is(record.refresh, undefined);
    t.deepEqual(record.base, normal.base, 'what was once equal is still known');
    t.is(record.past.at(-1)?.stamped, normal.lease, 'nobody knows how far the era came');
  });

  test(`Rule 28a: an unclean start from ${mode} without a pstore that is believed compares all`, (t) => {
    const { record, dirt } = decideStart(running, { ...facts, heatKnown: false });
    t.like(record, { mode: 'tracking', map: 'unproven', mapAll: true });
    t.is(dirt, 'all');
    const broken = decideStart({ ...running, map: 'broken' }, { ...facts, heatKnown: false });
    t.is(broken.record.map, 'broken', 'what was never tracked does not become better');
  });
}

test('R10: a full refresh that an operator ordered goes on later, under another id, with every block', (t) => {
  const refresh = { id: era(7), kind: 'full', ordered: true } as const;
  const crashed: GroupRecord = { ...normal, mode: 'refresh', refresh, mapAll: true, clean: false };
  const { record, dirt } = decideStart(crashed, facts);
  t.is(dirt, 'all');
  t.deepEqual(record.refresh, { ...refresh, id: era(0xf1) });
  t.like(record, { mode: 'tracking', mapAll: true });
  const smart = { ...crashed, refresh: { ...refresh, kind: 'smart' as const }, mapAll: false };
  t.is(decideStart(smart, facts).record.refresh, undefined);
});

test('Rule 30: BACKFRESH stays, behind its cursor, with the dirt of this side', (t) => {
  const backfresh = { cursor: { device: 0, offset: 4096 }, compareAll: false };
  const crashed: GroupRecord = {
    ...normal,
    mode: 'backfresh',
    backfresh,
    localState: 'incoherent',
    clean: false,
  };
  const { row, record, dirt } = decideStart(crashed, facts);
  t.is(row, 'backfresh');
  t.is(dirt, 'persisted');
  t.like(record, { mode: 'backfresh', localState: 'incoherent', map: 'continuous' });
  t.deepEqual(record.backfresh, backfresh);
});

test('Rule 26: what left the BAB is known from the cooling of its regions, if not from the record', (t) => {
  const past = [{ era: era(2), released: 3, stamped: 12 }];
  const running: GroupRecord = { ...normal, era: era(3), released: 5, past, clean: false };
  const released = [
    { era: era(3), sequence: 9 },
    { era: era(2), sequence: 11 },
    { era: era(9), sequence: 99 },
  ];
  const { record } = decideStart(running, { ...facts, released });
  t.deepEqual(
    record.past.map((one) => [one.era, one.released]),
    [
      [era(2), 11],
      [era(3), 9],
    ],
  );
});

test('without a stop the times of the files say nothing, their sizes do (Rule 33)', (t) => {
  const running = { ...normal, clean: false };
  const written = [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 99 }];
  t.is(decideStart(running, { ...facts, devices: written }).dirt, 'persisted');
  const grown = [{ name: 'd0', sizeBytes: 1 << 21, mtimeMs: 99 }];
  const { record, dirt } = decideStart(running, { ...facts, devices: grown });
  t.is(dirt, 'all');
  t.like(record, { map: 'unproven', unverified: true });
});

test('Rule 11: NORMAL by override keeps its map over a clean stop', (t) => {
  t.is(decideStart(normal, facts).dirt, 'none');
  t.is(decideStart({ ...normal, unverified: true }, facts).dirt, 'persisted');
});

test('Rule 31: the map that a clean stop saved is believed once, and only after a clean stop', (t) => {
  const stopped: GroupRecord = { ...normal, mode: 'tracking', savedMap: era(0xaa) };
  const { record, dirt } = decideStart(stopped, facts);
  t.is(dirt, 'saved');
  t.is(record.savedMap, undefined);
  t.is(decideStart({ ...stopped, clean: false }, facts).dirt, 'persisted');
  t.is(decideStart(record, facts).dirt, 'persisted');
  t.is(decideStart({ ...stopped, mapAll: true }, facts).dirt, 'all');
  const written = [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 18 }];
  t.is(decideStart(stopped, { ...facts, devices: written }).dirt, 'all');
});

test('after a crash of its actors a group is in the mode it was in, in the same era (H23)', (t) => {
  const running = { ...normal, clean: false };
  const again = decideStart(running, { ...facts, restarted: true });
  t.like(again, { row: 'restarted', record: { mode: 'normal', era: era(2), clean: false } });
  const tracking = decideStart({ ...running, mode: 'tracking' }, { ...facts, restarted: true });
  t.is(tracking.record.mode, 'tracking');
  const refreshing: GroupRecord = {
    ...running,
    mode: 'refresh',
    refresh: { id: era(0xee), kind: 'full', ordered: true },
  };
  const refresh = decideStart(refreshing, { ...facts, restarted: true });
  t.like(refresh.record, { mode: 'refresh', era: facts.newEra, mapAll: true });
  t.is(refresh.record.refresh?.id, facts.newRefreshId);
});

test('an unclean start from PASSTHRU is PASSTHRU, and nothing was lost', (t) => {
  const { row, record } = decideStart({ ...first, clean: false }, facts);
  t.is(row, 'unprotected');
  t.like(record, { mode: 'passthru', map: 'broken', era: era(1), unverified: false });
});

test('a map that goes on in PASSTHRU goes on over a stop, and over a crash in a new era (Rule 10c)', (t) => {
  const tracked = { ...normal, mode: 'passthru' as const };
  const stopped = decideStart({ ...tracked, clean: true, savedMap: era(9) }, facts);
  t.is(stopped.dirt, 'saved');
  t.like(stopped.record, { mode: 'passthru', map: 'continuous', era: normal.era });
  const crashed = decideStart({ ...tracked, clean: false }, facts);
  t.is(crashed.dirt, 'persisted');
  t.like(crashed.record, { mode: 'passthru', map: 'continuous', era: era(0xf0) });
  const doubtful = decideStart({ ...tracked, clean: false }, { ...facts, heatKnown: false });
  t.like(doubtful.record, { mode: 'passthru', map: 'unproven', mapAll: true });
});

test('local devices that are neither old nor new have no map that is worth anything (MD 18)', (t) => {
  const killed = { ...normal, mode: 'passthru' as const, localState: 'incoherent' as const };
  t.like(decideStart(killed, facts).record, { mode: 'passthru', map: 'broken' });
});

test('a device whose time is unknown is compared by name and size only (Rule 33)', (t) => {
  const unknown = [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 0 }];
  t.is(decideStart(normal, { ...facts, devices: unknown }).row, 'asLeft');
});

// biome-ignore format: one row a line reads as a table
const changed = [
  ['was written to', [{ name: 'd0', sizeBytes: 1 << 20, mtimeMs: 18 }], /d0 was written to/],
  ['has another size', [{ name: 'd0', sizeBytes: 1 << 21, mtimeMs: 17 }], /d0 had 1048576 bytes/],
  ['has another name', [{ name: 'd1', sizeBytes: 1 << 20, mtimeMs: 17 }], /the devices were d0/],
] as const;

for (const [what, now, sentence] of changed) {
  test(`a device that ${what} since the stop makes everything unproven (Rule 33)`, (t) => {
    const { row, record, changes } = decideStart(normal, { ...facts, devices: now });
    t.is(row, 'devicesChanged');
    t.like(record, { mode: 'tracking', map: 'unproven', mapAll: true, unverified: true });
    t.is(record.era, era(0xf0));
    t.deepEqual(record.devices, [...now]);
    t.regex(changes.join(), sentence);
  });
}

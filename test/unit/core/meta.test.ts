/** jGGG.meta and the position page as bytes (I6, Rule 7a). */
import test from 'ava';
import fc from 'fast-check';
import { crc32c } from '../../../src/core/checksum.js';
import {
  changedMirror,
  checkpointStates,
  decodeMeta,
  emptyRecord,
  encodeMeta,
  type MirrorRecord,
  metaBytes,
  mirrorStates,
  ownStates,
  recoStates,
} from '../../../src/core/meta.js';
import { PositionPage } from '../../../src/core/position-page.js';

const era = fc.stringMatching(/^[1-9a-f][0-9a-f]{31}$/);
const id = fc.stringMatching(/^[a-z0-9-]{1,36}$/);
const sequence = fc.maxSafeNat();
const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const u32 = fc.nat({ max: 0xffff_ffff });

const record: fc.Arbitrary<MirrorRecord> = fc.record({
  group: fc.nat({ max: 999 }),
  ownerNodeId: id,
  state: fc.constantFrom(...mirrorStates),
  refreshId: fc.oneof(fc.constant(''), id),
  era: fc.option(era, { nil: undefined }),
  durable: sequence,
  base: fc.option(fc.record({ era, sequence }), { nil: undefined }),
  history: fc.array(era, { maxLength: 16 }),
  barred: fc.array(id, { maxLength: 16 }),
  launch: id,
  chain: fc.option(fc.record({ first: positive, last: positive }), { nil: undefined }),
  image: fc.option(fc.record({ refreshId: id, segment: positive }), { nil: undefined }),
  clean: fc.boolean(),
  bootId: id,
  losses: u32,
  reach: sequence,
  mirrors: fc.array(
    fc.record({
      path: u32,
      inode: sequence,
      bornMs: sequence,
      sizeBytes: sequence,
      writeMark: fc.oneof(fc.constant(''), id),
    }),
    { maxLength: 64 },
  ),
  reco: fc.constantFrom(...recoStates),
  checkpoint: fc.constantFrom(...checkpointStates),
  checkpointSequence: sequence,
  own: fc.constantFrom(...ownStates),
  ownSince: sequence,
  backfreshId: fc.oneof(fc.constant(''), id),
});

test('a mirror is another one when its path or its file is, as far as that is known (H33)', (t) => {
  const one = { path: 1, inode: 2, bornMs: 3, sizeBytes: 4, writeMark: '' };
  t.is(changedMirror([], [one]), undefined, 'never written');
  t.is(changedMirror([one, one], [one, one]), undefined);
  t.is(changedMirror([one], [one, one]), 1);
  t.is(changedMirror([one], [{ ...one, path: 9 }]), 0);
  t.is(changedMirror([one], [{ ...one, inode: 9 }]), 0);
  t.is(changedMirror([one], [{ ...one, bornMs: 9 }]), 0);
  t.is(changedMirror([one], [{ ...one, inode: 0, bornMs: 0 }]), undefined);
});

test('every record comes back as it was', (t) => {
  fc.assert(
    fc.property(record, (one) => {
      t.deepEqual(decodeMeta(encodeMeta(one, crc32c), crc32c), one);
    }),
    { numRuns: 100 },
  );
});

test('any flipped bit is noticed', (t) => {
  const bytes = encodeMeta({ ...emptyRecord(7), era: 'ab'.repeat(16), durable: 5 }, crc32c);
  t.is(bytes.length, metaBytes);
  fc.assert(
    fc.property(fc.nat({ max: metaBytes - 1 }), fc.nat({ max: 7 }), (at, bit) => {
      const damaged = bytes.slice();
      damaged[at]! ^= 1 << bit;
      return typeof decodeMeta(damaged, crc32c) === 'string';
    }),
  );
  t.is(decodeMeta(bytes.subarray(1), crc32c), 'length of the record');
});

const eraA = 'a'.repeat(32);
const eraB = 'b'.repeat(32);
const page = () => {
  const bytes = new Uint8Array(new SharedArrayBuffer(4096));
  return { bytes, page: new PositionPage(bytes, crc32c) };
};

test('the durable position is the newest whole slot; a torn one leaves the one before', (t) => {
  const { bytes, page: positions } = page();
  t.is(positions.durable(), undefined);
  positions.setDurable(eraA, 10);
  positions.setDurable(eraA, 20);
  t.deepEqual(positions.durable(), { era: eraA, sequence: 20 });
  positions.setDurable(eraB, 30);
  t.deepEqual(positions.durable(), { era: eraB, sequence: 30 });
  bytes[20]! ^= 1;
  t.deepEqual(positions.durable(), { era: eraA, sequence: 20 });
  bytes[530]! ^= 1;
  t.is(positions.durable(), undefined);
});

test('the two slots lie in different sectors', (t) => {
  const { bytes, page: positions } = page();
  positions.setDurable(eraA, 1);
  const first = bytes.findIndex((byte) => byte !== 0);
  positions.setDurable(eraA, 2);
  const second = bytes.findLastIndex((byte) => byte !== 0);
  t.not(Math.floor(first / 512), Math.floor(second / 512));
});

test('the applied position counts only in its era and under its boot (Rule 7a)', (t) => {
  const { bytes, page: positions } = page();
  t.is(positions.applied(eraA, 'boot'), undefined);
  positions.guard(eraA, 'boot', 5);
  positions.setApplied(6);
  t.is(positions.applied(eraA, 'boot'), 6);
  t.is(positions.applied(eraB, 'boot'), undefined);
  t.is(positions.applied(eraA, 'another boot'), undefined);
  t.is(new PositionPage(bytes, crc32c).applied(eraA, 'boot'), 6, 'by whoever opens it next');
  positions.forget();
  positions.setApplied(7);
  t.is(positions.applied(eraA, 'boot'), undefined);
});

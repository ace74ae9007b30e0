/** The pstore's recovery table, row by row, and the bytes it judges (H28). */
import test from 'ava';
import { crc32c } from '../../../../src/core/checksum.js';
import { copyOf, recordCopyBytes } from '../../../../src/core/pstore/layout.js';
import {
  type Acknowledged,
  type Copies,
  matchRow,
  type Order,
  recoverSlot,
  recoveryTable,
} from '../../../../src/core/pstore/recovery.js';
import {
  decodeAck,
  decodeCopy,
  encodeAck,
  encodeCopy,
  type RecordCopy,
} from '../../../../src/core/pstore/slot.js';
import {
  chooseSuperblock,
  decodeSuperblock,
  encodeSuperblock,
} from '../../../../src/core/pstore/superblock.js';

const place = { nodeId: 'a1'.repeat(16), slot: 3 };
const save = (sequence: number): RecordCopy => ({
  kind: 'record',
  group: 7,
  sequence,
  savedAt: 1000,
  payload: Uint8Array.from([sequence, 2, 3]),
});

/** The whole copy as it lies in the file. */
function copyBytes(sequence: number): Uint8Array {
  const bytes = new Uint8Array(recordCopyBytes);
  bytes.set(encodeCopy(place, save(sequence), crc32c));
  return bytes;
}

const good = (sequence: number) => decodeCopy(copyBytes(sequence), place, copyOf(sequence), crc32c);
const blank = decodeCopy(new Uint8Array(recordCopyBytes), place, 0, crc32c);
const torn = (sequence: number) => {
  const bytes = copyBytes(sequence);
  bytes[65]! ^= 1;
  return decodeCopy(bytes, place, copyOf(sequence), crc32c);
};

const slots = {
  whole: [good(4), good(5), 5],
  'whole-but-later-lost': [good(4), good(5), 6],
  gap: [good(5), good(8), 5],
  torn: [torn(6), good(5), 5],
  rotten: [torn(6), good(5), 6],
  first: [good(1), blank, 1],
  'first-but-later-lost': [good(1), blank, 2],
  'partner-vanished': [good(5), blank, 5],
  'both-bad': [torn(5), torn(6), 5],
  'first-torn': [torn(1), blank, 0],
  'first-rotten': [torn(1), blank, 1],
  empty: [blank, blank, 0],
  emptied: [blank, blank, 1],
} as const;

for (const { id, decision } of recoveryTable) {
  test(`a slot that is '${id}' is decided: ${decision}`, (t) => {
    const [first, second, acknowledged] = slots[id as keyof typeof slots];
    for (const pair of [
      [first, second],
      [second, first],
    ] as const) {
      const state = recoverSlot(pair[0], pair[1], acknowledged);
      t.is(state.row, id);
      t.is(state.decision, decision);
      if (state.decision === 'newest') {
        const numbers = [first, second].flatMap((one) =>
          one.state === 'good' ? [one.sequence] : [],
        );
        t.is(state.newest.sequence, Math.max(...numbers));
      }
    }
  });
}

test('exactly one row fits every combination of facts that can be seen', (t) => {
  const orders: Readonly<Record<Copies, readonly Order[]>> = {
    GG: ['consecutive', 'gap'],
    GB: ['first', 'gap'],
    G0: ['first', 'gap'],
    BB: ['none'],
    B0: ['none'],
    '00': ['none'],
  };
  const seen = new Set<string>();
  for (const [copies, possible] of Object.entries(orders)) {
    for (const order of possible) {
      for (const acknowledged of ['beyond', 'within'] satisfies Acknowledged[]) {
        seen.add(matchRow({ copies: copies as Copies, order, acknowledged }).id);
      }
    }
  }
  t.deepEqual([...seen].sort(), recoveryTable.map(({ id }) => id).sort());
});

test('the group of a damaged slot is told when a header can be believed', (t) => {
  t.like(recoverSlot(torn(6), torn(5), 5), { decision: 'damaged', group: 7 });
  const garbage = decodeCopy(new Uint8Array(recordCopyBytes).fill(9), place, 0, crc32c);
  t.like(recoverSlot(garbage, garbage, 5), { decision: 'damaged', group: undefined });
});

test('a copy counts only in its own place', (t) => {
  const bytes = copyBytes(5);
  t.is(decodeCopy(bytes, place, 0, crc32c).state, 'good');
  t.is(decodeCopy(bytes, place, 1, crc32c).state, 'bad');
  t.is(decodeCopy(bytes, { ...place, slot: 4 }, 0, crc32c).state, 'bad');
  t.is(decodeCopy(bytes, { ...place, nodeId: 'b2'.repeat(16) }, 0, crc32c).state, 'bad');
  t.is(decodeAck(encodeAck(place, 5, crc32c), { ...place, slot: 4 }, crc32c), 0);
  t.is(decodeAck(encodeAck(place, 5, crc32c), place, crc32c), 5);
});

test('any flipped bit of a record or an ack page is noticed', (t) => {
  const bytes = copyBytes(5);
  const used = 64 + 3;
  for (let bit = 0; bit < used * 8; bit += 1) {
    const bad = bytes.slice();
    bad[bit >> 3]! ^= 1 << (bit & 7);
    t.not(decodeCopy(bad, place, 0, crc32c).state, 'good', `bit ${bit}`);
  }
  const ack = encodeAck(place, 5, crc32c);
  for (let bit = 0; bit < 64 * 8; bit += 1) {
    const bad = ack.slice();
    bad[bit >> 3]! ^= 1 << (bit & 7);
    t.is(decodeAck(bad, place, crc32c), 0, `bit ${bit}`);
  }
});

const superblock = {
  nodeId: place.nodeId,
  slots: 8,
  sequence: 1,
  createdAt: 5,
  logPages: 64,
  moved: false,
};

test('one whole copy of the superblock is enough, two strangers are not', (t) => {
  const page = encodeSuperblock(superblock, crc32c);
  const whole = decodeSuperblock(page, crc32c);
  const bad = decodeSuperblock(
    page.map((byte, index) => (index === 40 ? byte ^ 1 : byte)),
    crc32c,
  );
  const foreign = decodeSuperblock(new Uint8Array(4096), crc32c);
  t.is(bad.state, 'bad');
  t.deepEqual(chooseSuperblock(whole, bad), { superblock });
  t.deepEqual(chooseSuperblock(bad, whole), { superblock });
  t.deepEqual(chooseSuperblock(foreign, whole), { superblock });
  t.deepEqual(chooseSuperblock(bad, bad), { problem: 'damaged' });
  t.deepEqual(chooseSuperblock(bad, foreign), { problem: 'damaged' });
  t.deepEqual(chooseSuperblock(foreign, foreign), { problem: 'foreign' });
  const later = { ...superblock, sequence: 2, slots: 16 };
  const decoded = decodeSuperblock(encodeSuperblock(later, crc32c), crc32c);
  t.deepEqual(chooseSuperblock(whole, decoded), { superblock: later });
  t.deepEqual(chooseSuperblock(decoded, whole), { superblock: later });
  const other = { ...superblock, nodeId: 'b2'.repeat(16) };
  const stranger = decodeSuperblock(encodeSuperblock(other, crc32c), crc32c);
  t.deepEqual(chooseSuperblock(whole, stranger), { problem: 'damaged' });
});

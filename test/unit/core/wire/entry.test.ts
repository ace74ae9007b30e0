import test from 'ava';
import fc from 'fast-check';
import { babEntryPayloadMax, zeroStepBytes } from '../../../../src/core/constants.js';
import { ackBytes, decodeAck, emptyAck, encodeAck } from '../../../../src/core/wire/ack.js';
import {
  decodeEntry,
  emptyWireEntry,
  encodeEntry,
  entryDataLength,
  validateEntries,
} from '../../../../src/core/wire/entry.js';
import { type Ack, frameKinds, type WireEntry } from '../../../../src/core/wire/messages.js';
import { deviceSizes, sampleAck, sampleBlocks, sampleEntries } from './samples.js';

const safe = fc.nat({ max: Number.MAX_SAFE_INTEGER });

function judge(
  entries: readonly WireEntry[],
  options: { kind?: number; extra?: number; count?: number } = {},
): string | undefined {
  const { kind = frameKinds.entries, extra = 0, count = entries.length } = options;
  const data = entries.reduce((sum, entry) => sum + entryDataLength(entry), 0);
  const payloadLength = entries.length * 48 + data + extra;
  const bytes = new Uint8Array(Math.max(5 + payloadLength, 5 + entries.length * 48));
  entries.forEach((entry, index) => {
    encodeEntry(bytes, 5 + index * 48, entry);
  });
  return validateEntries(bytes, 5, { kind, count, payloadLength }, deviceSizes);
}

test('an entry survives the way there and back, anywhere', (t) => {
  const arbitrary = fc.record({
    sequence: safe,
    dep: safe,
    offset: safe,
    length: fc.nat(0xffff_ffff),
    device: fc.nat(0xffff),
    flags: fc.nat(0xffff),
  });
  fc.assert(
    fc.property(arbitrary, fc.nat(20), (entry, position) => {
      const bytes = new Uint8Array(70).fill(0xee);
      encodeEntry(bytes, position, entry);
      const read = emptyWireEntry();
      decodeEntry(bytes, position, read);
      t.deepEqual(read, { ...entry });
      t.true(bytes.subarray(0, position).every((byte) => byte === 0xee));
      t.true(bytes.subarray(position + 48).every((byte) => byte === 0xee));
    }),
  );
});

test('good tables pass', (t) => {
  t.is(judge(sampleEntries), undefined);
  t.is(judge(sampleBlocks, { kind: frameKinds.blocks }), undefined);
});

const base: WireEntry = { sequence: 7, dep: 6, device: 0, flags: 0, offset: 0, length: 4 };
const refuses = test.macro({
  exec(t, change: Partial<WireEntry>, what: RegExp, options?: Parameters<typeof judge>[1]) {
    t.regex(judge([{ ...base, ...change }], options) ?? 'taken', what);
  },
  title: (name) => `refuses ${name}`,
});
const blocks = { kind: frameKinds.blocks };
test('an unknown device (H55)', refuses, { device: 2 }, /device/);
test(
  'a range beyond the agreed size (I20)',
  refuses,
  { device: 1, offset: 4093 },
  /outside the device/,
);
test(
  'an offset beyond the agreed size (I20)',
  refuses,
  { device: 1, offset: 2 ** 53 - 1 },
  /outside the device/,
);
test('an empty entry', refuses, { length: 0 }, /length/);
test('an entry longer than the limit (H55)', refuses, { length: babEntryPayloadMax + 1 }, /length/);
test(
  'a zeroing longer than a step (H55)',
  refuses,
  { length: zeroStepBytes + 1, flags: 1 },
  /length/,
);
test('flags nobody knows', refuses, { flags: 16 }, /flags/);
test('a checkpoint marker with a range', refuses, { flags: 8 }, /marker with a range/);
test('a checkpoint marker among blocks', refuses, { flags: 8, dep: 0 }, /flags/, blocks);
test('unmap without zero', refuses, { flags: 2 }, /flags/);
test('an entry that waits for itself', refuses, { dep: 7 }, /dependency/);
test('sequence 0', refuses, { sequence: 0, dep: 0 }, /sequence/);
test('a block with a dependency', refuses, {}, /dependency/, blocks);
test('data missing at the end', refuses, {}, /outside the frame/, { extra: -1 });
test('data left over at the end', refuses, {}, /after the last/, { extra: 1 });
test('a table longer than the payload', refuses, {}, /cut short/, { count: 2 });
test('no entries', refuses, {}, /without entries/, { count: 0 });

test('refuses a gap in the sequence (H8)', (t) => {
  t.regex(judge([base, { ...base, sequence: 9 }]) ?? 'taken', /sequence/);
  t.regex(judge([base, base]) ?? 'taken', /sequence/);
});

test('refuses a number that no sequence can have', (t) => {
  const bytes = new Uint8Array(52);
  encodeEntry(bytes, 0, base);
  bytes.fill(0xff, 0, 8);
  const table = { kind: frameKinds.entries, count: 1, payloadLength: 52 };
  t.regex(validateEntries(bytes, 0, table, deviceSizes) ?? 'taken', /sequence/);
});

test('refuses reserved bytes in use', (t) => {
  const bytes = new Uint8Array(52);
  encodeEntry(bytes, 0, base);
  bytes[40] = 1;
  const table = { kind: frameKinds.entries, count: 1, payloadLength: 52 };
  t.regex(validateEntries(bytes, 0, table, deviceSizes) ?? 'taken', /reserved/);
});

test('refuses a payload outside its memory', (t) => {
  const table = { kind: frameKinds.entries, count: 1, payloadLength: 52 };
  t.regex(validateEntries(new Uint8Array(51), 0, table, deviceSizes) ?? 'taken', /memory/);
});

test('whatever the bytes are, what passes lies inside the devices and the frame (I20, H55)', (t) => {
  const entry = fc.record({
    sequence: fc.nat(3),
    dep: fc.nat(3),
    device: fc.nat(3),
    flags: fc.nat(9),
    offset: fc.oneof(fc.nat(5000), safe),
    length: fc.nat(5000),
  });
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 3 }), (entries) => {
      if (judge(entries) !== undefined) return;
      for (const { device, offset, length } of entries) {
        t.true(offset + length <= deviceSizes[device]!);
      }
    }),
    { numRuns: 1000 },
  );
});

test('an ack survives the way there and back', (t) => {
  const bytes = new Uint8Array(ackBytes + 3);
  encodeAck(bytes, 3, sampleAck);
  const read = emptyAck();
  t.is(decodeAck(bytes, 3, read), undefined);
  t.deepEqual(read, sampleAck);
});

function problem(change: Partial<Ack>): string {
  const bytes = new Uint8Array(ackBytes);
  encodeAck(bytes, 0, { ...sampleAck, ...change });
  return decodeAck(bytes, 0, emptyAck()) ?? 'taken';
}

test('an ack that contradicts itself is refused', (t) => {
  t.regex(problem({ applied: 2 ** 41 }), /applied/);
  t.regex(problem({ durable: 2 ** 41 }), /durable/);
  t.is(problem({ durable: sampleAck.received }), 'taken');
  const bytes = new Uint8Array(ackBytes).fill(0xff);
  t.regex(decodeAck(bytes, 0, emptyAck()) ?? 'taken', /number/);
});

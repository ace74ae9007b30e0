/** Single promises of the BAB that the model does not reach: crash instants, bounds, sleep, snapshots. */
import test from 'ava';
import { GroupControlView } from '../../../src/core/bab/control.js';
import { newBabEntry } from '../../../src/core/bab/descriptors.js';
import {
  descriptorsMax,
  descriptorsPerChunk,
  duty,
  slotState,
} from '../../../src/core/bab/layout.js';
import { BabPool } from '../../../src/core/bab/pool.js';
import { BabReader } from '../../../src/core/bab/reader.js';
import { BabWriter } from '../../../src/core/bab/writer.js';
import { babChunkBytes, babEntryPayloadMax } from '../../../src/core/constants.js';
import { IoVector } from '../../../src/core/io-vector.js';
import { entryFlags } from '../../../src/core/wire/messages.js';

const era = 'ab'.repeat(16);

function newBab(chunks = 64, shareChunks = 16, lease = 1e9) {
  const pool = BabPool.create({ bytes: chunks * babChunkBytes });
  pool.promiseShare(0, shareChunks * babChunkBytes);
  const control = GroupControlView.create(2);
  const writer = new BabWriter({ pool, poolSlot: 0, control });
  writer.beginEra(era, 1, lease);
  const reader = new BabReader(pool, control);
  const recovered = () => new BabWriter({ pool, poolSlot: 0, control, recovering: true });
  return { pool, control, writer, reader, recovered };
}

function start(writer: BabWriter, length: number, offset = 0): { slot: number; memory: IoVector } {
  const memory = new IoVector(64);
  if (!writer.reserve(length, 4096, memory)) throw new Error('no memory');
  const entries = BabWriter.entriesOf(memory);
  if (!writer.prepare(entries)) throw new Error('no descriptors');
  const slot = writer.slots.claim(writer.control.stamped);
  writer.slots.start(slot, 1, offset, length, duty.append, entries);
  return { slot, memory };
}

function publishOne(writer: BabWriter, length = 4096, offset = 0): number {
  const { slot, memory } = start(writer, length, offset);
  const sequence = writer.publish(slot, memory, 0);
  writer.slots.free(slot);
  return sequence;
}

test('a large write is several entries with consecutive sequences, one dep, and continues on all but the last', (t) => {
  const { writer, reader } = newBab();
  publishOne(writer);
  publishOne(writer, 600 * 1024, 8192);
  t.is(reader.pending, 4);
  const entry = newBabEntry();
  let offset = 8192;
  for (let count = 1; count < 4; count++) {
    reader.read(count, entry);
    t.like(entry, { sequence: count + 1, dep: 1, offset });
    t.is(entry.flags, count < 3 ? entryFlags.continues : 0);
    t.true(entry.length <= babEntryPayloadMax);
    offset += entry.length;
  }
  t.is(offset, 8192 + 600 * 1024);
});

test('H23: after a crash FILLING slots are free and STARTED ones are kept', (t) => {
  const { writer, recovered } = newBab();
  const filling = writer.slots.claim(0);
  const { slot } = start(writer, 512);
  const successor = recovered();
  t.is(successor.slots.stateOf(filling), slotState.free);
  t.is(successor.slots.stateOf(slot), slotState.started);
  t.is(successor.slots.freeCount, 1023);
});

test('I17: a crash between publishing and counting does not give the number again', (t) => {
  const { writer, recovered } = newBab();
  publishOne(writer);
  publishOne(writer);
  // As the dead driver left it: the cursor is ahead, the number is not.
  writer.control.stamped = 1;
  t.is(publishOne(recovered()), 3);
});

test('an era that a dead driver was changing is readable again', (t) => {
  const { writer, recovered } = newBab();
  const version = writer.control.i32;
  const before = writer.control.readEra();
  t.like(before, { era, first: 1, stamped: 0, generation: 1 });
  Atomics.add(version, 576 / 4, 1);
  t.like(recovered().control.readEra(), { era, first: 1 });
});

test('memory of entries that are durable is not counted again after a crash', (t) => {
  const { writer, reader, pool, recovered } = newBab();
  for (let count = 0; count < 20; count++) publishOne(writer, 65536);
  reader.setDurable(10);
  const successor = recovered();
  t.is(successor.control.held, 10);
  reader.setDurable(20);
  t.is(successor.reclaim(true), 10);
  t.is(pool.usedBytes, 0);
});

test('Rule 42b: the ring of descriptors wraps, in parts and in the count itself', (t) => {
  const { writer, reader } = newBab();
  // Just below the wrap of the 32-bit count.
  const near = 2 ** 32 - 3 * descriptorsPerChunk;
  for (const name of ['published', 'released', 'sent', 'received', 'applied', 'durable'] as const) {
    writer.control.setCursor(name, near);
  }
  const entry = newBabEntry();
  for (let round = 0; round < 6 * descriptorsPerChunk; round++) {
    const slot = writer.slots.claim(0);
    t.true(writer.prepare(1));
    writer.slots.start(slot, 0, round * 512, 512, duty.append, 1);
    writer.publishZero(slot, false, 0);
    writer.slots.free(slot);
    if (reader.pending === 100) {
      reader.read((reader.durable + 99) >>> 0, entry);
      if (entry.offset !== round * 512) t.fail(`entry of round ${round} is lost`);
      reader.setDurable((reader.durable + 100) >>> 0);
      writer.reclaim();
    }
  }
  t.true(reader.published < near);
});

test('I12: descriptors are bounded, and a full ring is no room', (t) => {
  const { writer } = newBab(512, 256);
  let published = 0;
  while (writer.prepare(1)) {
    const slot = writer.slots.claim(0);
    writer.slots.start(slot, 0, 0, 512, duty.append, 1);
    writer.publishZero(slot, false, 0);
    writer.slots.free(slot);
    published++;
  }
  t.is(published, descriptorsMax - descriptorsPerChunk);
});

test('a reservation that cannot be kept leaves nothing taken', (t) => {
  const { writer, pool } = newBab(16, 4);
  const memory = new IoVector(64);
  t.true(writer.reserve(3 * 65536, 4096, memory));
  const used = pool.usedBytes;
  t.false(writer.reserve(12 * 65536, 4096, new IoVector(64)));
  t.is(pool.usedBytes, used);
  writer.unreserve(memory);
  writer.reclaim(true);
  t.is(pool.usedBytes, 0);
});

test('the lease bounds what is promised, not only what is stamped', (t) => {
  const { writer } = newBab(64, 16, 3);
  t.true(writer.prepare(2));
  t.false(writer.prepare(2));
  t.true(writer.prepare(1));
  t.is(writer.leaseLeft, 0);
});

test('the reader refuses to sleep over an entry, and the writer wakes a sleeper once', (t) => {
  const { writer, reader } = newBab();
  const seen = reader.published;
  publishOne(writer);
  t.false(reader.sleep(seen));
  t.false(writer.control.takeSleeper());
  t.true(reader.sleep(reader.published));
  publishOne(writer);
  t.true(writer.control.takeSleeper());
  t.false(writer.control.takeSleeper());
});

test('durable never goes back, and the cursors behind it follow', (t) => {
  const { writer, reader } = newBab();
  for (let count = 0; count < 5; count++) publishOne(writer);
  reader.setSent(5);
  reader.setReceived(4);
  reader.setDurable(2);
  t.deepEqual([reader.sent, reader.received, reader.applied, reader.durable], [5, 4, 2, 2]);
  reader.setSent(3);
  t.throws(() => reader.setDurable(1), { message: /forward/ });
  t.throws(() => reader.setSent(1), { message: /cursor/ });
  t.throws(() => reader.read(1, newBabEntry()), { message: /pending|between/ });
  reader.drop();
  t.deepEqual([reader.sent, reader.pending], [5, 0]);
});

test('sequences and counts of one era convert both ways, and stop at the next era', (t) => {
  const { writer, reader } = newBab();
  for (let count = 0; count < 3; count++) publishOne(writer);
  writer.beginEra('cd'.repeat(16), 100, 1000);
  publishOne(writer);
  t.is(reader.sequenceOf(0), 0);
  t.is(reader.sequenceOf(3), 3);
  t.is(reader.sequenceOf(4), 100);
  t.is(reader.countOf(2), 2);
  t.is(reader.countOf(0), 0);
  t.is(reader.countOf(1000), 3, 'of the old era nothing more exists');
  reader.setDurable(3);
  t.is(reader.countOf(100), 4);
});

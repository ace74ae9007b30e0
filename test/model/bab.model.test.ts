/**
 * The whole BAB of one group against a ten-line model: an array of entries, each with the bytes that
 * were reserved for it. Commands reserve, start, publish in any order, demote, acknowledge, reclaim
 * and crash the driver; after each one every pending entry reads back exactly.
 */
import test from 'ava';
import fc from 'fast-check';
import { GroupControlView } from '../../src/core/bab/control.js';
import { newBabEntry } from '../../src/core/bab/descriptors.js';
import { duty } from '../../src/core/bab/layout.js';
import { BabPool } from '../../src/core/bab/pool.js';
import { BabReader } from '../../src/core/bab/reader.js';
import { BabWriter } from '../../src/core/bab/writer.js';
import { babChunkBytes } from '../../src/core/constants.js';
import { IoVector } from '../../src/core/io-vector.js';
import { entryFlags } from '../../src/core/wire/messages.js';

interface Flying {
  slot: number;
  memory: IoVector;
  length: number;
  fill: number;
  zero: boolean;
  offset: number;
}
interface Held {
  sequence: number;
  offset: number;
  length: number;
  fill: number;
  zero: boolean;
}

const command = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('start' as const),
      length: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 700_000 })),
      zero: fc.boolean(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('publish' as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('demote' as const), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reclaim' as const), idle: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
);

test('the BAB gives back what was published, in order, whatever happens around it (I4, I17, H23)', (t) => {
  fc.assert(
    fc.property(
      fc.array(command, { maxLength: 120 }),
      fc.integer({ min: 1, max: 3 }),
      (commands, memories) => {
        const pool = BabPool.create({ bytes: 40 * babChunkBytes, memories });
        t.true(pool.promiseShare(3, 6 * babChunkBytes));
        const control = GroupControlView.create(2);
        let writer = new BabWriter({ pool, poolSlot: 3, control });
        const reader = new BabReader(pool, control);
        writer.beginEra('ab'.repeat(16), 101, 1e9);
        const flying: Flying[] = [];
        let held: Held[] = [];
        let sequence = 100;
        let fill = 0;
        let wall = 0;
        const entry = newBabEntry();
        for (const step of commands) {
          wall++;
          if (step.do === 'start') {
            fill = (fill + 1) % 251;
            const memory = new IoVector(16);
            const alignment = step.length >= 4096 ? 4096 : 64;
            if (!step.zero && !writer.reserve(step.length, alignment, memory)) continue;
            const entries = step.zero ? 1 : BabWriter.entriesOf(memory);
            if (!writer.prepare(entries)) {
              if (!step.zero) writer.unreserve(memory);
              continue;
            }
            const slot = writer.slots.claim(sequence);
            const offset = fill * 4096;
            writer.slots.start(slot, fill % 2, offset, step.length, duty.append, entries);
            for (let piece = 0; piece < memory.count; piece++) {
              const from = memory.offsets[piece]!;
              t.is(from % alignment, 0);
              pool.bytes[memory.arena]!.fill(fill, from, from + memory.lengths[piece]!);
            }
            flying.push({ slot, memory, length: step.length, fill, zero: step.zero, offset });
          } else if (step.do === 'publish' && flying.length > 0) {
            const [one] = flying.splice(step.pick % flying.length, 1);
            const last = one!.zero
              ? writer.publishZero(one!.slot, true, wall)
              : writer.publish(one!.slot, one!.memory, wall);
            writer.slots.free(one!.slot);
            let left = one!.length;
            while (sequence < last) {
              const index = reader.published - (last - sequence);
              reader.read(index, entry);
              sequence++;
              held.push({
                ...one!,
                sequence,
                offset: one!.offset + one!.length - left,
                length: entry.length,
              });
              left -= entry.length;
              t.is((entry.flags & entryFlags.continues) !== 0, left > 0);
            }
            t.is(left, 0);
          } else if (step.do === 'demote' && flying.length > 0) {
            const [one] = flying.splice(step.pick % flying.length, 1);
            writer.demote(one!.slot);
            if (!one!.zero) writer.unreserve(one!.memory);
            writer.slots.free(one!.slot);
          } else if (step.do === 'acknowledge' && held.length > 0) {
            const done = 1 + (step.pick % held.length);
            t.is(reader.countOf(held[done - 1]!.sequence), (reader.durable + done) >>> 0);
            t.is(reader.sequenceOf(reader.durable + done), held[done - 1]!.sequence);
            reader.setDurable(reader.durable + done);
            held = held.slice(done);
          } else if (step.do === 'reclaim') {
            writer.reclaim(step.idle);
          } else if (step.do === 'crash') {
            writer = new BabWriter({ pool, poolSlot: 3, control, recovering: true });
            const started = flying.filter((one) => writer.slots.stateOf(one.slot) === 2);
            t.is(started.length, flying.length);
            for (const one of flying.splice(0)) writer.slots.free(one.slot);
          }
          t.is(reader.pending, held.length);
          held.forEach((expected, index) => {
            reader.read(reader.durable + index, entry);
            t.is(entry.sequence, expected.sequence);
            t.is(entry.offset, expected.offset);
            t.is(entry.length, expected.length);
            t.is((entry.flags & entryFlags.zero) !== 0, expected.zero);
            if (!expected.zero) {
              t.true(reader.payload(entry).every((byte) => byte === expected.fill));
            }
          });
        }
        for (const one of flying) {
          writer.demote(one.slot);
          if (!one.zero) writer.unreserve(one.memory);
          writer.slots.free(one.slot);
        }
        reader.setDurable(reader.published);
        writer.reclaim(true);
        t.is(pool.usedBytes, 0, 'an idle group holds no memory');
        t.is(pool.lentUsedBytes, 0);
        t.is(writer.control.snapshot().bytes, 0);
      },
    ),
    { numRuns: 150 },
  );
});

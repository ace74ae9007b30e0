import test from 'ava';
import fc from 'fast-check';
import { frameEntriesMax, wireEntryBytes } from '../../../../src/core/constants.js';
import {
  Drain,
  type PublishedEntries,
  type PublishedEntry,
} from '../../../../src/core/engine/drain.js';
import { Window } from '../../../../src/core/engine/window.js';
import { entryFlags } from '../../../../src/core/wire/messages.js';

const era = 'aa'.repeat(16);
const chunk = 256 * 1024;
const plenty = 16 * 1024 * 1024;

/** Entries with the lengths given; `firstIndex` is the count of the first (it may wrap). */
class FakeBab implements PublishedEntries {
  generation = 1;
  readonly entries: PublishedEntry[] = [];
  readonly firstIndex: number;
  readonly firstSequence: number;

  constructor(lengths: readonly number[], firstIndex = 0, firstSequence = 1) {
    this.firstIndex = firstIndex;
    this.firstSequence = firstSequence;
    for (const length of lengths) this.publish(length);
  }

  publish(length: number, flags = 0): void {
    const sequence = this.firstSequence + this.entries.length;
    const { generation } = this;
    this.entries.push({ sequence, dep: 0, device: 0, flags, offset: 0, length, generation });
  }

  get published(): number {
    return (this.firstIndex + this.entries.length) >>> 0;
  }

  at(index: number): PublishedEntry {
    return this.entries[(index - this.firstIndex) >>> 0]!;
  }
}

const ackOf = (received: number, applied = received, durable = applied) => ({
  received,
  applied,
  durable,
  blocks: 0,
  freedBytes: 0,
});

test('a frame carries entries up to CHUNKSIZE, and at least one', (t) => {
  const drain = new Drain();
  const bab = new FakeBab([1000, 1000, 1000]);
  t.true(drain.begin(era, 1, bab, 0));
  t.true(drain.gather(bab, 2000, plenty));
  t.like(drain.batch, { first: 1, count: 2, dataBytes: 2000 });
  drain.batchSent();
  t.true(drain.gather(bab, 10, plenty));
  t.like(drain.batch, { first: 3, count: 1, payloadBytes: 1000 + wireEntryBytes });
  drain.batchSent();
  t.false(drain.gather(bab, chunk, plenty));
});

test('no more than the credit is ever gathered, and nothing when the next entry does not fit', (t) => {
  const drain = new Drain();
  const bab = new FakeBab([1000, 1000]);
  drain.begin(era, 1, bab, 0);
  t.false(drain.gather(bab, chunk, 1000));
  t.true(drain.gather(bab, chunk, 1000 + wireEntryBytes));
  t.is(drain.batch.count, 1);
});

test('zeroes carry no data, and a frame holds frameEntriesMax of them', (t) => {
  const drain = new Drain();
  const bab = new FakeBab([]);
  for (let i = 0; i < frameEntriesMax + 1; i += 1) bab.publish(32 * 1024 * 1024, entryFlags.zero);
  drain.begin(era, 1, bab, 0);
  t.true(drain.gather(bab, chunk, plenty));
  t.like(drain.batch, { count: frameEntriesMax, dataBytes: 0 });
});

test('entries of a later era are not sent in the stream of an earlier one (T2, H8)', (t) => {
  const drain = new Drain();
  const bab = new FakeBab([10, 10]);
  drain.begin(era, 1, bab, 0);
  bab.generation = 2;
  bab.publish(10);
  t.true(drain.gather(bab, chunk, plenty));
  t.is(drain.batch.count, 2);
  drain.batchSent();
  t.false(drain.gather(bab, chunk, plenty));
});

test('a stream begins only where its entries still are (Rule 26)', (t) => {
  const bab = new FakeBab([1, 1, 1, 1], 10, 501);
  // Entries 501 and 502 may be released: 503 is the first that can be sent.
  t.false(new Drain().begin(era, 502, bab, 12));
  t.true(new Drain().begin(era, 503, bab, 12));
  t.true(new Drain().begin(era, 505, bab, 12));
  t.false(new Drain().begin(era, 506, bab, 12));
});

test('under the same boot the stream goes on at applied, and nothing counts as durable by that (H7, I4)', (t) => {
  const drain = new Drain();
  const bab = new FakeBab([1, 1, 1, 1], 0, 1);
  t.true(drain.begin(era, 4, bab, 1));
  t.is(drain.durable, 1);
  t.is(drain.acknowledged(ackOf(3, 3, 2)), undefined);
  t.is(drain.durable, 2);
  t.is(drain.indexOf(drain.durable + 1), 2);
});

const wrongAcks: [string, Parameters<typeof ackOf>, RegExp][] = [
  ['of an entry that was never sent', [4], /never sent/],
  ['that runs backwards', [1], /goes back/],
  ['whose durable runs backwards', [3, 2, 1], /goes back/],
];
for (const [what, numbers, problem] of wrongAcks) {
  test(`an ack ${what} is a breach of the protocol`, (t) => {
    const drain = new Drain();
    const bab = new FakeBab([1, 1, 1, 1]);
    drain.begin(era, 1, bab, 0);
    drain.gather(bab, 3, plenty);
    drain.batchSent();
    t.is(drain.sent, 3);
    t.is(drain.acknowledged(ackOf(2, 2, 2)), undefined);
    t.regex(drain.acknowledged(ackOf(...numbers)) ?? '', problem);
    t.is(drain.durable, 2);
  });
}

test('acks from before the stream mean nothing yet', (t) => {
  const drain = new Drain();
  const bab = new FakeBab([1], 7, 500);
  drain.begin(era, 500, bab, 7);
  t.is(drain.acknowledged(ackOf(0)), undefined);
  t.is(drain.received, 499);
});

test('the same entry refused twice is poison, another one is not (H48)', (t) => {
  const drain = new Drain();
  t.false(drain.refused(era, 7));
  t.true(drain.refused(era, 7));
  t.false(drain.refused('bb'.repeat(16), 7));
  t.false(drain.refused(era, 0));
  t.false(drain.refused(era, 0));
});

test('after a cut anywhere the next session sends exactly what follows, over wrapping counts', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 0, max: 4_000_000_000 }),
      fc.integer({ min: 1, max: 2 ** 40 }),
      fc.array(fc.tuple(fc.nat(1000), fc.nat(100), fc.integer({ min: 100, max: 5000 })), {
        minLength: 1,
        maxLength: 8,
      }),
      (lengths, firstIndex, firstSequence, sessions) => {
        const bab = new FakeBab(lengths, firstIndex + 2 ** 32 - 4_000_000_000, firstSequence);
        const drain = new Drain();
        let applied = firstSequence - 1;
        let durable = 0;
        for (const [frames, kept, credit] of [...sessions, [1000, 0, 5000] as const]) {
          const durableIndex = (bab.firstIndex + durable) >>> 0;
          if (!drain.begin(era, applied + 1, bab, durableIndex)) return false;
          const window = new Window(credit);
          let next = applied + 1;
          for (let i = 0; i < frames && drain.gather(bab, 700, window.creditBytes); i += 1) {
            if (drain.batch.first !== next) return false;
            next += drain.batch.count;
            window.sentBytes += drain.batch.payloadBytes;
            if (window.underWayBytes > credit) return false;
            drain.batchSent();
            if (drain.acknowledged(ackOf(drain.sent, drain.sent, drain.durable))) return false;
            window.freed(window.sentBytes);
          }
          // The secondary kept a part of what was sent, and a part of that is durable.
          const got = drain.sent - applied;
          applied += Math.min(got, Math.round((got * (100 - kept)) / 100));
          durable = Math.max(durable, Math.floor((applied - firstSequence + 1) / 2));
          drain.end();
        }
        return applied === firstSequence + lengths.length - 1;
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});

test('credit that was never given cannot be freed, and freed bytes never shrink', (t) => {
  const window = new Window(1000);
  window.sentBytes = 600;
  t.is(window.creditBytes, 400);
  t.false(window.freed(601));
  t.true(window.freed(500));
  t.false(window.freed(499));
  t.is(window.creditBytes, 900);
});

/** The order brain of the RMD, one promise at a time. */
import test from 'ava';
import { Apply } from '../../../../src/core/engine/apply.js';
import { entryFlags } from '../../../../src/core/wire/messages.js';

const limits = { entriesMax: 16, operationsMax: 4, runBytesMax: 4096, runPiecesMax: 4 };

interface Entry {
  sequence: number;
  dep?: number;
  device?: number;
  flags?: number;
  offset: number;
  length?: number;
}

function accept(apply: Apply, entry: Entry): string {
  const { dep = 0, device = 0, flags = 0, length = 512 } = entry;
  return apply.accept({ ...entry, dep, device, flags, length }, entry.sequence * 1000, 0);
}

test('entries start in sequence order and side by side when nothing forbids it', (t) => {
  const apply = new Apply([512], limits);
  accept(apply, { sequence: 1, offset: 0 });
  accept(apply, { sequence: 2, offset: 4096 });
  const first = apply.startNext();
  const second = apply.startNext();
  t.is(apply.operationFirst[first], 1);
  t.is(apply.operationFirst[second], 2);
  t.is(apply.inFlight, 2);
  apply.complete(second);
  t.is(apply.applied, 0, 'the prefix is contiguous');
  apply.complete(first);
  t.is(apply.applied, 2);
  t.true(apply.idle);
});

test('an overlapping entry waits for the earlier one, whatever its dependency says (H1, I9)', (t) => {
  const apply = new Apply([512], limits);
  accept(apply, { sequence: 1, offset: 0, length: 1024 });
  accept(apply, { sequence: 2, offset: 512 });
  const first = apply.startNext();
  t.is(apply.startNext(), -1);
  apply.complete(first);
  t.true(apply.startNext() >= 0);
});

test('two halves of one logical block overlap (H16)', (t) => {
  const apply = new Apply([4096], limits);
  accept(apply, { sequence: 1, offset: 0 });
  accept(apply, { sequence: 2, offset: 1024 });
  apply.startNext();
  t.is(apply.startNext(), -1);
  const other = new Apply([4096, 4096], limits);
  accept(other, { sequence: 1, offset: 0 });
  accept(other, { sequence: 2, device: 1, offset: 1024 });
  other.startNext();
  t.true(other.startNext() >= 0, 'on another device it does not matter');
});

test('an entry waits until its dependency is complete and recorded (Rule 7a)', (t) => {
  const apply = new Apply([512], limits);
  accept(apply, { sequence: 1, offset: 0 });
  accept(apply, { sequence: 2, dep: 1, offset: 4096 });
  const first = apply.startNext();
  t.is(apply.startNext(), -1);
  apply.complete(first);
  t.is(apply.startNext(), -1, 'complete is not enough');
  t.is(apply.record(), 1);
  t.true(apply.startNext() >= 0);
});

test('entries that continue each other are one operation, unless one depends on the other', (t) => {
  const apply = new Apply([512], limits);
  accept(apply, { sequence: 1, offset: 0 });
  accept(apply, { sequence: 2, offset: 512 });
  accept(apply, { sequence: 3, dep: 2, offset: 1024 });
  const run = apply.startNext();
  t.is(apply.operationCount[run], 2);
  t.is(apply.operationLength[run], 1024);
  t.is(apply.startNext(), -1);
  apply.complete(run);
  apply.record();
  t.is(apply.operationFirst[apply.startNext()], 3);
});

test('a run ends at a zero, at another device, at the limits of bytes and pieces', (t) => {
  const apply = new Apply([512, 512], limits);
  accept(apply, { sequence: 1, offset: 0 });
  accept(apply, { sequence: 2, offset: 512, flags: entryFlags.zero });
  accept(apply, { sequence: 3, offset: 1024 });
  accept(apply, { sequence: 4, device: 1, offset: 1536 });
  const counts = [apply.startNext(), apply.startNext(), apply.startNext(), apply.startNext()];
  t.deepEqual(
    counts.map((operation) => apply.operationCount[operation]),
    [1, 1, 1, 1],
  );
  const long = new Apply([512], limits);
  for (let n = 0; n < 8; n += 1) accept(long, { sequence: n + 1, offset: n * 512 });
  t.is(long.operationCount[long.startNext()], 4, 'pieces');
  const wide = new Apply([512], limits);
  for (let n = 0; n < 3; n += 1) {
    accept(wide, { sequence: n + 1, offset: n * 2048, length: 2048 });
  }
  t.is(wide.operationCount[wide.startNext()], 2, 'bytes');
});

test('a gap and a repetition are breaches; what lies below the beginning is old', (t) => {
  const apply = new Apply([512], limits);
  apply.begin(100);
  t.is(accept(apply, { sequence: 100, offset: 0 }), 'old');
  t.is(accept(apply, { sequence: 102, offset: 0 }), 'gap');
  t.is(accept(apply, { sequence: 101, offset: 0 }), 'accepted');
  t.is(accept(apply, { sequence: 101, offset: 0 }), 'duplicate');
});

test('the window and the operations are bounded (I12)', (t) => {
  const apply = new Apply([512], limits);
  for (let n = 0; n < 16; n += 1) accept(apply, { sequence: n + 1, offset: n * 4096 });
  t.is(apply.room, 0);
  t.throws(() => accept(apply, { sequence: 17, offset: 0 }), { message: /room/ });
  const started = [0, 1, 2, 3].map(() => apply.startNext());
  t.is(apply.startNext(), -1);
  for (const operation of started) apply.complete(operation);
  t.is(apply.room, 4);
});

test('a failed operation leaves its entries undone for ever', (t) => {
  const apply = new Apply([512], limits);
  accept(apply, { sequence: 1, offset: 0 });
  accept(apply, { sequence: 2, offset: 4096 });
  const first = apply.startNext();
  apply.complete(apply.startNext());
  apply.fail(first);
  t.is(apply.applied, 0);
  t.is(apply.inFlight, 0);
  t.false(apply.idle);
  apply.clear();
  t.true(apply.idle);
  t.is(apply.next, 1);
});

test('sequences above 2^32 find their slots', (t) => {
  const apply = new Apply([512], limits);
  const base = 2 ** 40;
  apply.begin(base);
  for (let n = 1; n <= 40; n += 1) {
    t.is(accept(apply, { sequence: base + n, offset: 0 }), 'accepted');
    const operation = apply.startNext();
    t.is(apply.memoryOf(base + n), (base + n) * 1000);
    apply.complete(operation);
  }
  t.is(apply.applied, base + 40);
});

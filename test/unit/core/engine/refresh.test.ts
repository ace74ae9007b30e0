import test from 'ava';
import fc from 'fast-check';
import { DeviceMap } from '../../../../src/core/bitmap/device-map.js';
import { DirtyBitmap } from '../../../../src/core/bitmap/dirty-bitmap.js';
import { mapBlockBytes } from '../../../../src/core/constants.js';
import { Convergence } from '../../../../src/core/engine/convergence.js';
import { Rate } from '../../../../src/core/engine/rate.js';
import { Records } from '../../../../src/core/engine/records.js';
import { Refresh } from '../../../../src/core/engine/refresh.js';

const quiet = {
  babUsedBytes: 0,
  chunkBytes: 256 * 1024,
  writeBytesPerSecond: 0,
  mayTakeBytes: 1024 * 1024,
};
const busy = { ...quiet, writeBytesPerSecond: 1e9, mayTakeBytes: 1000 };

function bitmap(bits: number): DirtyBitmap {
  return new DirtyBitmap(new SharedArrayBuffer(DirtyBitmap.bytesFor(bits)), bits);
}

function make(blocks: readonly number[], recordsMax = 1000) {
  const maps = blocks.map(bitmap);
  const devices = maps.map((todo) => ({
    todo,
    persisted: bitmap(todo.bits),
    compare: bitmap(todo.bits),
    sizeBytes: todo.bits * mapBlockBytes - 100,
  }));
  return { maps, refresh: new Refresh({ full: true, devices, recordsMax }) };
}

/** A journaled refresh of one device: these blocks may differ, and of these it is not known. */
function journaled(blocks: number, dirty: readonly number[], unproven: readonly number[] = []) {
  const sizeBytes = blocks * mapBlockBytes;
  const map = new DeviceMap(new SharedArrayBuffer(DeviceMap.bytesFor(sizeBytes)), sizeBytes);
  for (const block of dirty) map.mark(block * mapBlockBytes, mapBlockBytes);
  for (const block of unproven) map.markCompare(block * mapBlockBytes, mapBlockBytes);
  return { map, refresh: new Refresh({ full: false, devices: [map], recordsMax: 1000 }) };
}

function journaledFull() {
  const { map } = journaled(20, []);
  map.markAll();
  return { map, refresh: new Refresh({ full: true, devices: [map], recordsMax: 1000 }) };
}

/** What is taken, as `first+count`, with a question mark when it is to be compared. */
function takes(refresh: Refresh, max = 16): string[] {
  const seen: string[] = [];
  while (refresh.take(max, 0)) {
    const { first, count, compare } = refresh.taken;
    seen.push(`${first}+${count}${compare ? '?' : ''}`);
  }
  return seen;
}

/** Takes, numbers and acknowledges everything of one pass; returns `device:first+count`. */
function wholePass(refresh: Refresh, max = 4): string[] {
  const seen: string[] = [];
  while (refresh.take(max, 0)) {
    const { device, first, count } = refresh.taken;
    seen.push(`${device}:${first}+${count}`);
    refresh.acknowledged(refresh.records.push(device, first, count), false, 0);
  }
  return seen;
}

test('a first pass takes every block of every device once, and the bits are clear then (R3)', (t) => {
  const { maps, refresh } = make([6, 3]);
  refresh.begin(false);
  t.deepEqual(wholePass(refresh), ['0:0+4', '0:4+2', '1:0+3']);
  t.deepEqual(
    maps.map((map) => map.count),
    [0, 0],
  );
  t.is(refresh.doneBytes, refresh.totalBytes);
});

test('a bit that is set while its block is read is taken again in the next pass (H2)', (t) => {
  const { maps, refresh } = make([8]);
  refresh.begin(false);
  t.true(refresh.take(4, 0));
  maps[0]!.set(2, 1);
  refresh.records.push(0, 0, 4);
  wholePass(refresh);
  t.is(refresh.endPass(busy), 'again');
  t.deepEqual(wholePass(refresh), ['0:2+1']);
});

test('a link that is never busy for long has a rate all the same (Rule 43a)', (t) => {
  const { maps, refresh } = make([8]);
  refresh.begin(false);
  t.true(refresh.take(8, 1000));
  refresh.acknowledged(refresh.records.push(0, 0, 8), false, 1002);
  t.is(refresh.linkBytesPerSecond, (8 * mapBlockBytes) / 0.002);
  t.false(refresh.take(8, 1010));
  maps[0]!.set(0, 1);
  // At 256 KiB/s the rest would take a quarter of a second, and 750 kB be written meanwhile.
  t.is(refresh.endPass({ ...quiet, writeBytesPerSecond: 3e6 }), 'converged');
});

test('the last block of a device is as long as the device', (t) => {
  const { refresh } = make([3]);
  t.is(refresh.lengthOf(0, 0, 2), 2 * mapBlockBytes);
  t.is(refresh.lengthOf(0, 1, 2), 2 * mapBlockBytes - 100);
});

test('records that were not acknowledged return when the link breaks; acknowledged ones do not (R3)', (t) => {
  const { maps, refresh } = make([12]);
  refresh.begin(false);
  for (let i = 0; i < 3; i += 1) {
    refresh.take(4, 0);
    refresh.records.push(0, refresh.taken.first, refresh.taken.count);
  }
  refresh.acknowledged(1, true, 0);
  refresh.linkLost();
  refresh.begin(true);
  t.is(maps[0]!.count, 8);
  t.deepEqual(wholePass(refresh), ['0:4+4', '0:8+4']);
});

test('when the secondary has not kept what it acknowledged, all ones again (R10)', (t) => {
  const { maps, refresh } = make([12]);
  refresh.begin(true);
  t.is(maps[0]!.count, 12, 'at first there is nothing to keep');
  wholePass(refresh);
  refresh.linkLost();
  refresh.begin(true);
  t.is(maps[0]!.count, 0);
  refresh.linkLost();
  refresh.begin(false);
  t.is(maps[0]!.count, 12);
});

test('a smart refresh does what may differ, and starts over from that, not from all (R10)', (t) => {
  const { map, refresh } = journaled(12, [2, 3, 9]);
  map.todo.empty();
  refresh.begin(false);
  t.deepEqual(takes(refresh), ['2+2', '9+1']);
  t.is(refresh.totalBytes, 3 * mapBlockBytes);
  t.is(refresh.doneBytes, refresh.totalBytes);
  refresh.linkLost();
  refresh.begin(false);
  t.deepEqual(takes(refresh), ['2+2', '9+1']);
});

test('unproven blocks are taken apart from the others, to be compared (Rules 17, 36)', (t) => {
  const { refresh } = journaled(40, [2, 3, 20], [4, 5, 6, 30]);
  refresh.begin(false);
  t.deepEqual(takes(refresh), ['2+2', '4+3?', '20+1', '30+1?']);
});

test('a full refresh compares nothing', (t) => {
  const { map } = journaled(8, [], [0, 1, 2]);
  const refresh = new Refresh({ full: true, devices: [map], recordsMax: 10 });
  refresh.begin(false);
  t.deepEqual(takes(refresh), ['0+8']);
});

test('a block is compared once: marked again it is sent; given back it is compared (H17)', (t) => {
  const { map, refresh } = journaled(8, [], [1, 2]);
  refresh.begin(false);
  refresh.take(8, 0);
  map.mark(mapBlockBytes, mapBlockBytes);
  refresh.equal(0, 1, 2);
  t.deepEqual(takes(refresh), []);
  refresh.endPass(quiet);
  t.deepEqual(takes(refresh), ['1+1']);
  refresh.giveBack(0, 2, 1, true);
  refresh.endPass(quiet);
  t.deepEqual(takes(refresh), ['2+1?']);
});

test('what a killed refresh found equal is unproven all the same for the next one (Rule 17)', (t) => {
  const { map, refresh } = journaled(8, [], [0, 1, 2, 3]);
  refresh.begin(false);
  refresh.take(8, 0);
  refresh.equal(0, 0, 4);
  refresh.linkLost();
  const next = new Refresh({ full: false, devices: [map], recordsMax: 10 });
  next.begin(false);
  t.deepEqual(takes(next), ['0+4?']);
});

test('the part of a compared take that is not kept is compared later', (t) => {
  const { refresh } = journaled(8, [], [0, 1, 2, 3]);
  refresh.begin(false);
  refresh.take(8, 0);
  refresh.keep(1);
  t.deepEqual(takes(refresh), ['1+3?']);
});

test('an abort of a journaled phase b gives back what was not acknowledged in it (R9)', (t) => {
  const { map, refresh } = journaled(12, [0, 1, 2, 3], [8, 9]);
  refresh.begin(false);
  // Of block 0 a record of phase a is under way when it is frozen.
  refresh.take(1, 0);
  refresh.records.push(0, 0, 1);
  map.mark(0, 1);
  refresh.freeze();
  t.deepEqual(takes(refresh), ['0+4', '8+2?']);
  refresh.records.push(0, 0, 1);
  refresh.records.push(0, 1, 1);
  refresh.records.push(0, 2, 2);
  refresh.equal(0, 8, 1);
  refresh.acknowledged(1, true, 0);
  t.true(refresh.acknowledged(3, true, 0));
  refresh.giveBack(0, 9, 1, true);
  refresh.abort();
  t.deepEqual(takes(refresh), ['2+2', '9+1?']);
});

test('a record of phase a that is acknowledged in phase b proves nothing about F (R9)', (t) => {
  const { map, refresh } = journaled(12, [0]);
  refresh.begin(false);
  refresh.take(1, 0);
  refresh.records.push(0, 0, 1);
  map.mark(0, 1);
  refresh.freeze();
  refresh.acknowledged(1, true, 0);
  refresh.abort();
  t.deepEqual(takes(refresh), ['0+1']);
});

test('only part of a take is kept: the rest is walked next', (t) => {
  const { maps, refresh } = make([8]);
  refresh.begin(false);
  refresh.take(8, 0);
  refresh.keep(3);
  t.is(maps[0]!.count, 5);
  t.deepEqual(wholePass(refresh), ['0:3+4', '0:7+1']);
});

test('phase b walks the frozen rest once; writes meanwhile go to todo and are not walked (R4, R5)', (t) => {
  const { maps, refresh } = make([8]);
  refresh.begin(false);
  wholePass(refresh);
  maps[0]!.set(1, 2);
  refresh.endPass(quiet);
  refresh.freeze();
  t.is(maps[0]!.count, 0);
  maps[0]!.set(6, 1);
  t.deepEqual(wholePass(refresh), ['0:1+2']);
  t.true(refresh.passOver);
  t.is(refresh.blocksInB, 1);
  t.is(maps[0]!.count, 1);
});

test('an abort puts all of the frozen rest back, sent or not, acknowledged or not (R9, H5)', (t) => {
  const { maps, refresh } = make([32]);
  refresh.begin(false);
  wholePass(refresh);
  maps[0]!.set(0, 10);
  refresh.endPass(quiet);
  refresh.freeze();
  refresh.take(4, 0);
  refresh.acknowledged(refresh.records.push(0, 0, 4), false, 0);
  maps[0]!.set(20, 1);
  refresh.abort();
  t.is(refresh.phase, 'a');
  t.is(maps[0]!.count, 11);
  t.deepEqual(wholePass(refresh, 16), ['0:0+10', '0:20+1']);
});

test('a second attempt does not remember the frozen rest of the first', (t) => {
  const { maps, refresh } = make([8]);
  refresh.begin(false);
  wholePass(refresh);
  maps[0]!.set(0, 2);
  refresh.endPass(quiet);
  refresh.freeze();
  refresh.abort();
  wholePass(refresh);
  refresh.endPass(quiet);
  maps[0]!.set(5, 1);
  refresh.freeze();
  t.deepEqual(wholePass(refresh), ['0:5+1']);
});

test('acks that arrive late after an abort are not believed twice, nor are they a breach', (t) => {
  const { refresh } = make([8]);
  refresh.begin(false);
  wholePass(refresh);
  refresh.endPass(quiet);
  refresh.freeze();
  refresh.records.push(0, 0, 1);
  refresh.records.push(0, 1, 1);
  const before = refresh.records.acked;
  refresh.abort();
  t.true(refresh.acknowledged(before + 1, false, 0));
  t.true(refresh.acknowledged(before + 2, false, 0));
  t.false(refresh.acknowledged(before + 1, false, 0), 'an ack that runs backwards');
  t.false(refresh.acknowledged(before + 3, false, 0), 'a record that was never sent');
});

test('unacknowledged records are bounded: nothing more is taken until an ack comes (I12)', (t) => {
  const { refresh } = make([40], 3);
  refresh.begin(false);
  for (let i = 0; i < 3; i += 1) {
    t.true(refresh.take(1, 0));
    refresh.records.push(0, refresh.taken.first, 1);
  }
  t.false(refresh.take(1, 0));
  t.false(refresh.passOver);
  refresh.acknowledged(1, true, 0);
  t.true(refresh.take(1, 0));
});

test('no block is lost whatever happens: it is in todo, frozen, taken, or acknowledged since its last write', (t) => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('write' as const), block: fc.nat(19) }),
    fc.record({ do: fc.constant('take' as const), max: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ do: fc.constant('send' as const) }),
    fc.record({ do: fc.constant('ack' as const) }),
    fc.record({ do: fc.constant('lost' as const), boot: fc.boolean() }),
    fc.record({ do: fc.constant('freeze' as const) }),
    fc.record({ do: fc.constant('abort' as const) }),
  );
  const blocks = fc.uniqueArray(fc.integer({ min: 0, max: 19 }));
  fc.assert(
    fc.property(fc.boolean(), blocks, blocks, fc.array(step, { maxLength: 150 }), (...given) => {
      const [full, dirty, unproven, steps] = given;
      const { map, refresh } = full ? journaledFull() : journaled(20, dirty, unproven);
      const { todo } = map;
      // What the mirror shows, and what is in `.i` over it; of a full refresh it is all the mirror.
      const before = Array.from({ length: 20 }, (_, block) => (dirty.includes(block) ? -1 : 0));
      let mirror = full ? before.map(() => -1) : [...before];
      const local = Array.from({ length: 20 }, () => 0);
      interface Piece {
        readonly first: number;
        readonly values: number[];
        readonly compare: boolean;
      }
      let taken: Piece[] = [];
      let sent: (Piece & { number: number })[] = [];
      let version = 0;
      refresh.begin(false);
      const giveBack = () => {
        for (const { first, values, compare } of taken) {
          refresh.giveBack(0, first, values.length, compare);
        }
        taken = [];
      };
      for (const one of steps) {
        if (one.do === 'write') {
          local[one.block] = ++version;
          map.mark(one.block * mapBlockBytes, 1);
        } else if (one.do === 'take') {
          if (!refresh.take(one.max, 0)) {
            if (refresh.phase === 'a' && refresh.passOver) refresh.endPass(busy);
            continue;
          }
          const { first, count, compare } = refresh.taken;
          taken.push({ first, values: local.slice(first, first + count), compare });
        } else if (one.do === 'send' && taken.length > 0) {
          const piece = taken.shift()!;
          const { first, values } = piece;
          if (piece.compare) {
            // Compared with what the other side has by now; what was sent before is there first.
            for (const { first: at, values: earlier } of sent)
              mirror.splice(at, earlier.length, ...earlier);
            for (const { number } of sent.splice(0)) refresh.acknowledged(number, false, 0);
            for (const [index, value] of values.entries()) {
              const block = first + index;
              if (mirror[block] === value) refresh.equal(0, block, 1);
              else
                sent.push({
                  first: block,
                  values: [value],
                  compare: false,
                  number: refresh.records.push(0, block, 1),
                });
            }
          } else sent.push({ ...piece, number: refresh.records.push(0, first, values.length) });
        } else if (one.do === 'ack' && sent.length > 0) {
          const { first, values, number } = sent.shift()!;
          if (!full || refresh.phase === 'a') mirror.splice(first, values.length, ...values);
          if (!refresh.acknowledged(number, false, 0)) return false;
        } else if (one.do === 'freeze' && refresh.phase === 'a' && (!full || sent.length === 0)) {
          // What was read and not sent becomes part of the frozen rest.
          giveBack();
          refresh.freeze();
        } else if (one.do === 'abort' && refresh.phase === 'b') {
          giveBack();
          sent = [];
          refresh.abort();
        } else if (one.do === 'lost') {
          giveBack();
          sent = [];
          if (refresh.phase === 'b') refresh.abort();
          else refresh.linkLost();
          if (one.boot) mirror = full ? mirror.fill(-1) : [...before];
          refresh.begin(!one.boot);
        }
      }
      // An abort gives everything back that may differ: then todo covers every difference (I5).
      giveBack();
      if (refresh.phase === 'b') refresh.abort();
      else refresh.linkLost();
      return local.every((value, block) => mirror[block] === value || todo.has(block));
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

test('light writes: phase b follows the first whole pass', (t) => {
  t.is(new Convergence().passEnded(1000, 1e6, quiet), 'converged');
});

test('Rule 43a: the BAB is in use, or too much would be written while the rest is sent', (t) => {
  const full = { ...quiet, babUsedBytes: 2 * quiet.chunkBytes + 1 };
  t.is(new Convergence().passEnded(0, 1e6, full), 'again');
  // 100 blocks over 6.5536 MB/s are a second: half of mayTakeBytes may be written in it.
  const link = 100 * mapBlockBytes;
  const half = { ...quiet, writeBytesPerSecond: quiet.mayTakeBytes / 2 };
  t.is(new Convergence().passEnded(100, link, half), 'converged');
  const more = { ...half, writeBytesPerSecond: half.writeBytesPerSecond + 1 };
  t.is(new Convergence().passEnded(100, link, more), 'again');
});

test('three passes that shrink by less than a fifth do not converge, and say so each time', (t) => {
  const convergence = new Convergence();
  const verdicts = [100, 90, 85, 80, 70, 40, 39, 38, 37].map((left) =>
    convergence.passEnded(left, 1, busy),
  );
  t.deepEqual(
    verdicts.map((verdict) => verdict === 'notConverging'),
    [false, false, false, true, false, false, false, false, true],
  );
});

test('converged is said once an attempt', (t) => {
  const convergence = new Convergence();
  t.is(convergence.passEnded(0, 1, quiet), 'converged');
  t.is(convergence.passEnded(0, 1, quiet), 'again');
  convergence.restart();
  t.is(convergence.passEnded(0, 1, quiet), 'converged');
});

test('a rate follows its counter, smoothly, and starts afresh when the counter does', (t) => {
  const rate = new Rate();
  rate.sample(0, 0);
  t.is(rate.sample(1000, 5000), 5000);
  t.is(rate.sample(1010, 9999), 5000, 'too short a span says nothing');
  const slower = rate.sample(2000, 5000);
  t.true(slower < 5000 && slower > 4000);
  t.is(rate.sample(3000, 0), slower);
});

test('records number on after what was given back', (t) => {
  const records = new Records(4);
  records.push(0, 0, 1);
  records.push(1, 5, 2);
  const back: number[][] = [];
  records.giveBack((...record) => back.push(record));
  t.deepEqual(back, [
    [0, 0, 1],
    [1, 5, 2],
  ]);
  t.is(records.push(0, 9, 1), 3);
  t.is(records.room, 3);
});

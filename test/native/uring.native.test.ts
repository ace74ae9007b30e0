/** The ring of a thread as its users see it: batches, sinks that throw, limits, memories. */
import test, { type ExecutionContext } from 'ava';
import { IoVector } from '../../src/core/io-vector.js';
import { native } from '../../src/io/native.js';
import { Turn } from '../../src/io/turn.js';
import { UringIo } from '../../src/io/uring-io.js';
import { uringLayout } from '../../src/io/uring-layout.js';
import type { BlockDevice } from '../../src/ports/block-device.js';
import { Outcomes } from '../../src/testing/contracts/outcomes.js';
import { makeScratch } from '../helpers/scratch.js';

const withDevice = test.macro(
  async (
    t: ExecutionContext,
    run: (t: ExecutionContext, io: UringIo, device: BlockDevice, turn: Turn) => Promise<void>,
  ) => {
    const scratch = await makeScratch();
    const turn = new Turn();
    const io = new UringIo(turn);
    const path = scratch.path('file');
    const device = await io.open({ path, access: 'readwrite', createBytes: 32 << 20 });
    try {
      await run(t, io, device, turn);
    } finally {
      await io.close();
      await scratch.remove();
    }
  },
);

test(
  'more operations than the ring holds: the surplus completes with EAGAIN, nothing is lost',
  withDevice,
  async (t, io, device) => {
    const { arena } = io.allocate(4096);
    const outcomes = new Outcomes();
    const vector = new IoVector(1).single(arena, 0, 512);
    const count = uringLayout.opsMax + 10;
    const results = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        outcomes.of((s, tag) => device.write(vector, index * 512, false, s, tag)),
      ),
    );
    t.is(results.filter((result) => result === 512).length, uringLayout.opsMax);
    t.is(results.filter((result) => result === -11).length, 10);
    t.is(await outcomes.of((s, tag) => device.flush(s, tag)), 0);
  },
);

test(
  'vectors that together overflow the piece table are all executed',
  withDevice,
  async (t, io, device) => {
    const { arena, bytes } = io.allocate(4096 * 64);
    const outcomes = new Outcomes();
    const vector = new IoVector(3000);
    const results = await Promise.all(
      Array.from({ length: 12 }, (_, index) => {
        vector.reset(arena);
        for (let piece = 0; piece < 3000; piece++) vector.push((piece * 64 + index) % 200000, 16);
        return outcomes.of((s, tag) => device.write(vector, index << 20, false, s, tag));
      }),
    );
    t.deepEqual(
      results,
      Array.from({ length: 12 }, () => 48000),
    );
    t.is(bytes.length, 4096 * 64);
  },
);

test(
  'a callback of the end of the turn runs after the completions and before the submit',
  withDevice,
  async (t, io, device, turn) => {
    const { arena } = io.allocate(8192);
    const order: string[] = [];
    const vector = new IoVector(1).single(arena, 0, 4096);
    await new Promise<void>((resolve) => {
      const sink = {
        completed(tag: number) {
          order.push(`completed ${tag}`);
          if (tag === 1) turn.endOfTurn(() => order.push('end of turn'));
          if (tag === 2) device.write(vector, 8192, false, sink, 3);
          if (tag === 3) resolve();
        },
      };
      device.write(vector, 0, false, sink, 1);
      device.write(vector, 4096, false, sink, 2);
    });
    t.true(order.indexOf('end of turn') < order.indexOf('completed 3'));
    t.is(order.at(-1), 'completed 3');
  },
);

test(
  'memories have agreed numbers below 16 and private ones above',
  withDevice,
  async (t, io, device) => {
    const shared = new SharedArrayBuffer(16384);
    const attached = io.attach(shared, 5);
    t.is(attached.arena, 5);
    t.is(native.addressModulo(attached.bytes, 4096), 0);
    t.is(io.attach(shared, 5).bytes, attached.bytes, 'several groups of a thread use one BAB');
    t.throws(() => io.attach(new SharedArrayBuffer(8192), 5), { message: /other memory/ });
    t.throws(() => io.attach(new SharedArrayBuffer(8192), 16), { message: /below 16/ });
    const own = io.allocate(5000);
    t.true(own.arena >= 16);
    t.is(own.bytes.length, 5000);
    t.is(native.addressModulo(own.bytes, 4096), 0);

    attached.bytes.fill(7, 0, 4096);
    const outcomes = new Outcomes();
    const vector = new IoVector(1).single(5, 0, 4096);
    t.is(await outcomes.of((s, tag) => device.write(vector, 0, false, s, tag)), 4096);
    vector.single(own.arena, 0, 4096);
    t.is(await outcomes.of((s, tag) => device.read(vector, 0, s, tag)), 4096);
    t.true(own.bytes.subarray(0, 4096).every((byte) => byte === 7));

    io.release(own);
    t.is(await outcomes.of((s, tag) => device.read(vector, 0, s, tag)), -22);
    const again = io.allocate(4096);
    t.is(again.arena, own.arena);
  },
);

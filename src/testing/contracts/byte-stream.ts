/**
 * What every ByteStream promises (ports/byte-stream.ts), one case per sentence. Needs two connected
 * streams; runs on the ring, on node:net and on the simulated network.
 */
import { strict as assert } from 'node:assert';
import { IoVector } from '../../core/io-vector.js';
import type { ArenaMemory, DeviceOpener } from '../../ports/block-device.js';
import type { ByteStream } from '../../ports/byte-stream.js';
import type { ContractCase } from './case.js';
import { Outcomes } from './outcomes.js';

export interface ByteStreamFixture {
  readonly opener: DeviceOpener;
  /** Two ends of one connection. */
  readonly ends: readonly [ByteStream, ByteStream];
  teardown(): Promise<void>;
}

interface Bench {
  readonly near: ByteStream;
  readonly far: ByteStream;
  readonly memory: ArenaMemory;
  readonly outcomes: Outcomes;
  send(end: ByteStream, at: number, length: number): Promise<number>;
  receive(end: ByteStream, at: number, length: number): Promise<number>;
  /** Receives exactly so many bytes, in as many steps as it takes. */
  receiveAll(end: ByteStream, at: number, length: number): Promise<void>;
  expectCopy(from: number, to: number, length: number): void;
}

export function byteStreamContract(setup: () => Promise<ByteStreamFixture>): ContractCase[] {
  const cases: ContractCase[] = [];
  const promise = (title: string, check: (bench: Bench) => Promise<void>): void => {
    cases.push({ title, run: () => withBench(setup, check) });
  };

  promise('what one end sends the other receives, unchanged', async (b) => {
    assert.equal(await b.send(b.near, 0, 5000), 5000);
    await b.receiveAll(b.far, half, 5000);
    b.expectCopy(0, half, 5000);
  });

  promise('a receive that came first completes when bytes come', async (b) => {
    const received = b.receive(b.far, half, 4096);
    assert.equal(await b.send(b.near, 0, 100), 100);
    const count = await received;
    assert.ok(count >= 1 && count <= 100);
  });

  promise('both directions work at the same time', async (b) => {
    const both = [b.receiveAll(b.near, half, 3000), b.receiveAll(b.far, half + 8192, 3000)];
    assert.equal(await b.send(b.near, 0, 3000), 3000);
    assert.equal(await b.send(b.far, 4096, 3000), 3000);
    await Promise.all(both);
    b.expectCopy(4096, half, 3000);
    b.expectCopy(0, half + 8192, 3000);
  });

  promise('a send completes with all its bytes, however slowly they are taken', async (b) => {
    const sent = b.send(b.near, 0, half);
    await b.receiveAll(b.far, half, half);
    assert.equal(await sent, half);
    b.expectCopy(0, half, half);
  });

  promise('a send gathers its pieces in order, a receive scatters in order', async (b) => {
    const vector = new IoVector(3).reset(b.memory.arena);
    vector.push(8192, 1000);
    vector.push(0, 500);
    vector.push(20000, 1);
    assert.equal(await b.outcomes.of((s, t) => b.near.send(vector, s, t)), 1501);
    await b.receiveAll(b.far, half, 1000);
    b.expectCopy(8192, half, 1000);
    vector.reset(b.memory.arena).push(half + 4096, 500);
    vector.push(half + 8192, 100);
    assert.equal(await b.outcomes.of((s, t) => b.far.receive(vector, s, t)), 501);
    b.expectCopy(0, half + 4096, 500);
    b.expectCopy(20000, half + 8192, 1);
  });

  promise('a send of more pieces than one system call takes arrives whole', async (b) => {
    const count = 3000;
    const vector = new IoVector(count).reset(b.memory.arena);
    for (let index = 0; index < count; index++) vector.push(index * 64, 28);
    const sent = b.outcomes.of((s, t) => b.near.send(vector, s, t));
    await b.receiveAll(b.far, half, count * 28);
    assert.equal(await sent, count * 28);
    for (let index = 0; index < count; index += 101)
      b.expectCopy(index * 64, half + index * 28, 28);
  });

  promise('a receive completes with 0 when the other end has closed', async (b) => {
    assert.equal(await b.send(b.near, 0, 10), 10);
    await b.near.close();
    await b.receiveAll(b.far, half, 10);
    assert.equal(await b.receive(b.far, half, 10), 0);
    assert.equal(await b.receive(b.far, half, 10), 0);
  });

  promise('a send to an end that has closed fails, now or at the next attempt', async (b) => {
    await b.far.close();
    let result = await b.send(b.near, 0, 4096);
    for (let attempt = 0; attempt < 20 && result > 0; attempt++) {
      result = await b.send(b.near, 0, 4096);
    }
    assert.ok(result < 0);
  });

  promise('close brings the outstanding operations back with an error', async (b) => {
    const received = b.receive(b.near, half, 4096);
    const stuck = b.send(b.near, 0, half);
    let settled = 0;
    const count = (result: number): void => {
      assert.ok(result < 0, 'an operation that close ended reports an error');
      settled++;
    };
    const both = Promise.all([received.then(count), stuck.then(count)]);
    await b.near.close();
    assert.equal(settled, 2, 'close resolves after them');
    await both;
  });

  promise('an empty vector, or one outside the arena, fails and the stream lives', async (b) => {
    assert.ok((await b.send(b.near, 0, 0)) < 0);
    assert.ok((await b.receive(b.near, 0, 0)) < 0);
    assert.ok((await b.send(b.near, half * 2 - 10, 20)) < 0);
    assert.ok((await b.receive(b.near, half * 2 - 10, 20)) < 0);
    assert.equal(await b.send(b.near, 0, 10), 10);
    await b.receiveAll(b.far, half, 10);
  });

  promise(
    'a second receive, a second send, or any use after close is a bug that throws',
    async (b) => {
      const vector = new IoVector(1).single(b.memory.arena, 0, 10);
      const received = b.receive(b.near, half, 10);
      assert.throws(() => b.near.receive(vector, b.outcomes, 1000));
      await b.near.close();
      await received;
      assert.throws(() => b.near.receive(vector, b.outcomes, 1000));
      assert.throws(() => b.near.send(vector, b.outcomes, 1000));
    },
  );

  return cases;
}

async function withBench(
  setup: () => Promise<ByteStreamFixture>,
  check: (bench: Bench) => Promise<void>,
): Promise<void> {
  const fixture = await setup();
  const memory = fixture.opener.allocate(half * 2);
  const [near, nearDone] = noteClose(fixture.ends[0]);
  const [far, farDone] = noteClose(fixture.ends[1]);
  try {
    memory.bytes.set(
      memory.bytes.map((_, index) => (index < half ? (index * 7 + (index >> 8)) % 256 : 0)),
    );
    await check(makeBench(near, far, memory));
  } finally {
    await Promise.all([nearDone(), farDone()]);
    fixture.opener.release(memory);
    await fixture.teardown();
  }
}

function makeBench(near: ByteStream, far: ByteStream, memory: ArenaMemory): Bench {
  const outcomes = new Outcomes();
  const { arena, bytes } = memory;
  const one = (at: number, length: number): IoVector => {
    const vector = new IoVector(1).reset(arena);
    if (length > 0) vector.push(at, length);
    return vector;
  };
  const receive = (end: ByteStream, at: number, length: number): Promise<number> =>
    outcomes.of((s, t) => end.receive(one(at, length), s, t));
  return {
    near,
    far,
    memory,
    outcomes,
    receive,
    send: (end, at, length) => outcomes.of((s, t) => end.send(one(at, length), s, t)),
    async receiveAll(end, at, length) {
      for (let got = 0; got < length; ) {
        const count = await receive(end, at + got, length - got);
        assert.ok(count > 0, 'bytes come');
        got += count;
      }
    },
    expectCopy(from, to, length) {
      const wanted = bytes.subarray(from, from + length);
      const wrong = wanted.findIndex((byte, index) => byte !== bytes[to + index]);
      assert.equal(wrong, -1, 'the bytes arrive unchanged');
    },
  };
}

/** The stream, and a way to close it that does nothing when the case has closed it already. */
function noteClose(stream: ByteStream): [ByteStream, () => Promise<void>] {
  let closed: Promise<void> | undefined;
  const noted: ByteStream = {
    receive: (memory, sink, tag) => stream.receive(memory, sink, tag),
    send: (memory, sink, tag) => stream.send(memory, sink, tag),
    close: () => (closed = stream.close()),
  };
  return [noted, () => closed ?? stream.close()];
}

// The first half of the memory is a pattern to send, the second is received into.
const half = 1 << 20;

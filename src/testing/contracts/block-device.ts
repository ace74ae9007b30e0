/**
 * What every BlockDevice promises (ports/block-device.ts), one case per sentence, negative ones
 * included. Runs on any implementation: the ring, the thread pool, the simulated device, a device of
 * your own. A power cut is not among the cases; only a simulated device can have one.
 */
import { strict as assert } from 'node:assert';
import { isTdmfError } from '../../core/errors.js';
import { IoVector } from '../../core/io-vector.js';
import type {
  ArenaMemory,
  BlockDevice,
  DeviceOpener,
  OpenOptions,
} from '../../ports/block-device.js';
import type { ContractCase } from './case.js';
import { Outcomes } from './outcomes.js';

export interface BlockDeviceFixture {
  readonly opener: DeviceOpener;
  /** Opens a device of at least 1 MiB that reads as zeroes; the same one every time. */
  readonly options: OpenOptions;
  /** Opens an empty growable file, where the implementation has such a thing. */
  readonly growable?: OpenOptions;
  /** Names nothing. */
  readonly missingPath: string;
  readonly errno: ErrnoValues;
  teardown(): Promise<void>;
}

/** The positive error numbers of the platform that completions carry negated. */
export interface ErrnoValues {
  readonly EBADF: number;
  readonly EINVAL: number;
  readonly ENOSPC: number;
}

interface Bench extends BlockDeviceFixture {
  readonly device: BlockDevice;
  readonly memory: ArenaMemory;
  readonly outcomes: Outcomes;
  read(offset: number, length: number, at?: number): Promise<number>;
  write(offset: number, length: number, at?: number, fua?: boolean): Promise<number>;
  zero(offset: number, length: number, mayUnmap?: boolean, fua?: boolean): Promise<number>;
  flush(): Promise<number>;
  /** Fills the memory from `at` with a pattern of its own per `seed`. */
  fill(seed: number, length: number, at?: number): void;
  expectFill(seed: number, length: number, at?: number, from?: number): void;
  expectZero(length: number, at?: number): void;
}

export function blockDeviceContract(setup: () => Promise<BlockDeviceFixture>): ContractCase[] {
  const cases: ContractCase[] = [];
  const promise = (title: string, check: (bench: Bench) => Promise<void>): void => {
    cases.push({ title, run: () => withBench(setup, check) });
  };

  promise('a write is readable back once it has completed', async (b) => {
    b.fill(1, 8192);
    assert.equal(await b.write(4096, 8192), 8192);
    assert.equal(await b.read(4096, 8192, half), 8192);
    b.expectFill(1, 8192, half);
  });

  promise('what was never written reads as zeroes', async (b) => {
    b.fill(2, 4096);
    assert.equal(await b.read(65536, 4096), 4096);
    b.expectZero(4096);
  });

  promise('a vector gathers its pieces in order and scatters them in order', async (b) => {
    b.fill(3, 16384);
    const vector = new IoVector(3).reset(b.memory.arena);
    vector.push(8192, 4096);
    vector.push(0, 4096);
    vector.push(12288, 4096);
    assert.equal(await b.outcomes.of((s, t) => b.device.write(vector, 0, false, s, t)), 12288);
    vector.reset(b.memory.arena).push(half + 4096, 4096);
    vector.push(half + 16384, 8192);
    assert.equal(await b.outcomes.of((s, t) => b.device.read(vector, 0, s, t)), 12288);
    b.expectFill(3, 4096, half + 4096, 8192);
    b.expectFill(3, 4096, half + 16384, 0);
    b.expectFill(3, 4096, half + 20480, 12288);
  });

  promise('a vector may have more pieces than one system call takes', async (b) => {
    const piece = Math.max(b.device.alignmentBytes, 64);
    const count = Math.min(1500, Math.floor(half / piece / 2));
    b.fill(4, half);
    const vector = new IoVector(count).reset(b.memory.arena);
    for (let index = 0; index < count; index++) vector.push(index * 2 * piece, piece);
    const bytes = count * piece;
    assert.equal(await b.outcomes.of((s, t) => b.device.write(vector, 0, false, s, t)), bytes);
    assert.equal(await b.read(0, bytes, half), bytes);
    for (let index = 0; index < count; index += 97) {
      b.expectFill(4, piece, half + index * piece, index * 2 * piece);
    }
  });

  promise('the vector may be refilled as soon as the call has returned', async (b) => {
    b.fill(5, 8192);
    const vector = new IoVector(2).single(b.memory.arena, 0, 4096);
    const first = b.outcomes.of((s, t) => b.device.write(vector, 0, false, s, t));
    vector.single(b.memory.arena, 4096, 4096);
    const second = b.outcomes.of((s, t) => b.device.write(vector, 4096, false, s, t));
    vector.reset(b.memory.arena);
    assert.deepEqual(await Promise.all([first, second]), [4096, 4096]);
    assert.equal(await b.read(0, 8192, half), 8192);
    b.expectFill(5, 8192, half);
  });

  promise('many operations at once all complete, each with its own result', async (b) => {
    b.fill(6, half);
    const count = 200;
    const writes = Array.from({ length: count }, (_, index) =>
      b.write(index * 4096, 4096, index * 4096),
    );
    assert.deepEqual(
      await Promise.all(writes),
      Array.from({ length: count }, () => 4096),
    );
    assert.equal(await b.read(0, count * 4096, half), count * 4096);
    b.expectFill(6, count * 4096, half);
  });

  promise('an operation of no bytes completes with 0', async (b) => {
    assert.equal(await b.write(0, 0), 0);
    assert.equal(await b.read(0, 0), 0);
    assert.equal(await b.zero(0, 0), 0);
  });

  promise('a write with fua completes like any other', async (b) => {
    b.fill(7, 4096);
    assert.equal(await b.write(0, 4096, 0, true), 4096);
    assert.equal(await b.read(0, 4096, half), 4096);
    b.expectFill(7, 4096, half);
  });

  promise('flush completes with 0, with and without writes before it', async (b) => {
    assert.equal(await b.flush(), 0);
    b.fill(8, 4096);
    await b.write(0, 4096);
    assert.equal(await b.flush(), 0);
  });

  for (const mayUnmap of [false, true]) {
    for (const fua of [false, true]) {
      const how = `${mayUnmap ? 'that may unmap' : 'that keeps the space'}${fua ? ', with fua' : ''}`;
      promise(`H32: a zero ${how} makes exactly its sectors zero`, async (b) => {
        const unit = Math.max(512, b.device.alignmentBytes);
        b.fill(9, 32 * unit);
        await b.write(0, 32 * unit);
        assert.equal(await b.zero(3 * unit, 18 * unit, mayUnmap, fua), 0);
        assert.equal(await b.read(0, 32 * unit, half), 32 * unit);
        b.expectFill(9, 3 * unit, half);
        b.expectZero(18 * unit, half + 3 * unit);
        b.expectFill(9, 11 * unit, half + 21 * unit, 21 * unit);
      });
    }
  }

  promise('I20: a write beyond the size fails with ENOSPC and changes nothing', async (b) => {
    const end = b.device.sizeBytes;
    b.fill(10, 8192);
    await b.write(end - 4096, 4096);
    b.fill(11, 8192);
    assert.equal(await b.write(end - 4096, 8192), -b.errno.ENOSPC);
    assert.equal(await b.write(end, 4096), -b.errno.ENOSPC);
    assert.equal(await b.read(end - 4096, 4096, half), 4096);
    b.expectFill(10, 4096, half);
    assert.equal(b.device.sizeBytes, end);
  });

  promise('I20: a zero beyond the size fails with ENOSPC and changes nothing', async (b) => {
    const end = b.device.sizeBytes;
    b.fill(12, 4096);
    await b.write(end - 4096, 4096);
    assert.equal(await b.zero(end - 4096, 8192), -b.errno.ENOSPC);
    assert.equal(await b.zero(end, 4096, true), -b.errno.ENOSPC);
    assert.equal(await b.read(end - 4096, 4096, half), 4096);
    b.expectFill(12, 4096, half);
  });

  promise('a read beyond the size fails with EINVAL', async (b) => {
    assert.equal(await b.read(b.device.sizeBytes - 4096, 8192), -b.errno.EINVAL);
    assert.equal(await b.read(b.device.sizeBytes, 4096), -b.errno.EINVAL);
  });

  promise('an offset that is no offset fails with EINVAL', async (b) => {
    for (const offset of [-4096, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60]) {
      assert.equal(await b.read(offset, 4096), -b.errno.EINVAL, `read at ${offset}`);
    }
    for (const offset of [-4096, 0.5, Number.NaN]) {
      assert.equal(await b.write(offset, 4096), -b.errno.EINVAL, `write at ${offset}`);
      assert.equal(await b.zero(offset, 4096), -b.errno.EINVAL, `zero at ${offset}`);
    }
  });

  promise('memory outside its arena, or of no arena, fails with EINVAL', async (b) => {
    const past = b.memory.bytes.length - 4096;
    assert.equal(await b.read(0, 8192, past), -b.errno.EINVAL);
    const vector = new IoVector(1).single(b.memory.arena + 1, 0, 4096);
    const read = await b.outcomes.of((s, t) => b.device.read(vector, 0, s, t));
    assert.equal(read, -b.errno.EINVAL);
  });

  promise(
    'H16: a direct device refuses what is not aligned, a buffered one takes it',
    async (b) => {
      const { alignmentBytes, direct } = b.device;
      assert.equal(direct ? alignmentBytes >= 512 : alignmentBytes === 1, true);
      const odd = direct ? alignmentBytes / 2 : 1;
      const expected = (length: number): number => (direct ? -b.errno.EINVAL : length);
      b.fill(13, 8192);
      assert.equal(await b.write(odd, 4096), expected(4096), 'offset');
      assert.equal(await b.write(0, odd), expected(odd), 'length');
      assert.equal(await b.write(0, 4096, odd), expected(4096), 'memory');
      assert.equal(await b.read(odd, 4096), expected(4096), 'read offset');
      assert.equal(await b.zero(odd, 4096), direct ? -b.errno.EINVAL : 0, 'zero');
    },
  );

  promise('the extents cover the device; nothing that is data is called a hole', async (b) => {
    b.fill(14, 65536);
    await b.write(131072, 65536);
    for (let offset = 0; offset < b.device.sizeBytes; ) {
      const { length, hole } = await b.device.extentAt(offset);
      assert.ok(length > 0 && offset + length <= b.device.sizeBytes, 'inside the device');
      const overlaps = offset < 196608 && offset + length > 131072;
      assert.equal(hole && overlaps, false, 'the written range is data');
      offset += length;
    }
  });

  promise('H22: a second open is refused as busy until the first handle is closed', async (b) => {
    await rejects(b.opener.open(b.options), 'TDMF_DEVICE_BUSY');
    assert.equal(await b.flush(), 0);
  });

  promise('H22: a shared handle keeps the fence until both are closed', async (b) => {
    b.fill(15, 4096);
    await b.write(0, 4096);
    const second = b.opener.adopt(b.device.share());
    assert.equal(second.sizeBytes, b.device.sizeBytes);
    assert.equal(second.direct, b.device.direct);
    await b.device.close();
    try {
      await rejects(b.opener.open(b.options), 'TDMF_DEVICE_BUSY');
      const vector = new IoVector(1).single(b.memory.arena, half, 4096);
      assert.equal(await b.outcomes.of((s, t) => second.read(vector, 0, s, t)), 4096);
      b.expectFill(15, 4096, half);
    } finally {
      await second.close();
    }
    const reopened = await b.opener.open(b.options);
    await reopened.close();
  });

  promise('close waits for the operations under way', async (b) => {
    let completed = 0;
    const operations = Array.from({ length: 20 }, (_, index) =>
      b.write(index * 4096, 4096).then(() => completed++),
    );
    await b.device.close();
    assert.equal(completed, 20);
    await Promise.all(operations);
  });

  promise('using a closed handle is a bug that throws', async (b) => {
    await b.device.close();
    const vector = new IoVector(1).single(b.memory.arena, 0, 4096);
    const { device, outcomes } = b;
    assert.throws(() => device.read(vector, 0, outcomes, 1));
    assert.throws(() => device.write(vector, 0, false, outcomes, 1));
    assert.throws(() => device.flush(outcomes, 1));
    assert.throws(() => device.zero(0, 4096, { mayUnmap: false, fua: false }, outcomes, 1));
    assert.throws(() => device.share());
  });

  promise('a device opened for read refuses writes with EBADF', async (b) => {
    await b.device.close();
    const device = await b.opener.open({ ...b.options, access: 'read' });
    try {
      const vector = new IoVector(1).single(b.memory.arena, 0, 4096);
      const write = await b.outcomes.of((s, t) => device.write(vector, 0, false, s, t));
      assert.equal(write, -b.errno.EBADF);
      const zero = await b.outcomes.of((s, t) =>
        device.zero(0, 4096, { mayUnmap: true, fua: false }, s, t),
      );
      assert.equal(zero, -b.errno.EBADF);
      assert.equal(await b.outcomes.of((s, t) => device.read(vector, 0, s, t)), 4096);
    } finally {
      await device.close();
    }
  });

  promise('a missing object is refused, unless it is to be made', async (b) => {
    const { createBytes: _, ...options } = b.options;
    await rejects(b.opener.open({ ...options, path: b.missingPath }), 'TDMF_DEVICE_MISSING');
  });

  promise('a growable file grows with its writes, and a read at its end is short', async (b) => {
    if (b.growable === undefined) return;
    const file = await b.opener.open(b.growable);
    try {
      assert.equal(file.sizeBytes, 0);
      b.fill(16, 12288);
      const vector = new IoVector(1).single(b.memory.arena, 0, 12288);
      assert.equal(await b.outcomes.of((s, t) => file.write(vector, 4096, false, s, t)), 12288);
      assert.equal(file.sizeBytes, 16384);
      vector.single(b.memory.arena, half, 32768);
      assert.equal(await b.outcomes.of((s, t) => file.read(vector, 8192, s, t)), 8192);
      b.expectFill(16, 8192, half, 4096);
      assert.equal(await b.outcomes.of((s, t) => file.read(vector, 1 << 20, s, t)), 0);
      const zero = await b.outcomes.of((s, t) =>
        file.zero(12288, 8192, { mayUnmap: true, fua: false }, s, t),
      );
      assert.equal(zero, 0);
      assert.equal(file.sizeBytes, 20480);
    } finally {
      await file.close();
    }
  });

  return cases;
}

async function withBench(
  setup: () => Promise<BlockDeviceFixture>,
  check: (bench: Bench) => Promise<void>,
): Promise<void> {
  const fixture = await setup();
  const memory = fixture.opener.allocate(half * 2);
  let device: BlockDevice | undefined;
  let open = true;
  try {
    device = await fixture.opener.open(fixture.options);
    await check(makeBench(fixture, device, memory, () => (open = false)));
  } finally {
    if (device !== undefined && open) await device.close();
    fixture.opener.release(memory);
    await fixture.teardown();
  }
}

function makeBench(
  fixture: BlockDeviceFixture,
  opened: BlockDevice,
  memory: ArenaMemory,
  closed: () => void,
): Bench {
  const outcomes = new Outcomes();
  const vector = new IoVector(1);
  const { arena, bytes } = memory;
  const device = noteClose(opened, closed);
  return {
    ...fixture,
    device,
    memory,
    outcomes,
    read: (offset, length, at = 0) =>
      outcomes.of((s, t) => device.read(vector.single(arena, at, length), offset, s, t)),
    write: (offset, length, at = 0, fua = false) =>
      outcomes.of((s, t) => device.write(vector.single(arena, at, length), offset, fua, s, t)),
    zero: (offset, length, mayUnmap = false, fua = false) =>
      outcomes.of((s, t) => device.zero(offset, length, { mayUnmap, fua }, s, t)),
    flush: () => outcomes.of((s, t) => device.flush(s, t)),
    fill(seed, length, at = 0) {
      for (let index = 0; index < length; index++) bytes[at + index] = pattern(seed, index);
    },
    expectFill(seed, length, at = 0, from = 0) {
      for (let index = 0; index < length; index++) {
        assert.equal(bytes[at + index], pattern(seed, from + index), `byte ${from + index}`);
      }
    },
    expectZero(length, at = 0) {
      const first = bytes.subarray(at, at + length).findIndex((byte) => byte !== 0);
      assert.equal(first, -1, 'all bytes are zero');
    },
  };
}

/** The device itself, with a note taken when a case closes it, so that nobody closes it twice. */
function noteClose(device: BlockDevice, closed: () => void): BlockDevice {
  return new Proxy(device, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name === 'close') closed();
      return value.bind(target) as unknown;
    },
  });
}

async function rejects(promise: Promise<BlockDevice>, code: string): Promise<void> {
  const outcome = await promise.then(
    (device) => device.close().then(() => 'opened'),
    (error: unknown) => (isTdmfError(error) ? error.code : String(error)),
  );
  assert.equal(outcome, code);
}

// Never zero, and different for every sector.
function pattern(seed: number, index: number): number {
  return ((seed * 31 + (index >>> 9) * 7 + index) % 251) + 1;
}

// The memory of a case has two halves: written from the first, read into the second.
const half = 1 << 20;

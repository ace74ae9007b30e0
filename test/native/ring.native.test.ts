/**
 * The ring by itself, below the adapters: every wrong argument throws, every wrong instruction comes
 * back with its error through the completions, and nothing outside the named memory is touched.
 */
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import test from 'ava';
import { type NativeRing, native } from '../../src/io/native.js';
import { uringLayout } from '../../src/io/uring-layout.js';
import { makeScratch, type Scratch } from '../helpers/scratch.js';
import { streamPair } from '../helpers/stream-pair.js';

const { opRead, opWrite, opFlush, opPunch, opZeroRange, opReceive, opSend, opClose } = uringLayout;
const { EBADF, EBUSY, EINVAL, ENOSPC } = constants.errno;

interface Instruction {
  readonly op: number;
  readonly flags?: number;
  readonly file?: number;
  readonly arena?: number;
  readonly pieceCount?: number;
  readonly firstPiece?: number;
  readonly reserved?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly at?: number;
}

const recordCount = 64;
const pieceCount = 8;
const arenaBytes = 16384;
const arenaNumber = 3;
const fileBytes = 65536;
const allInvalid = Array.from({ length: 8 }, () => -EINVAL);

class Rig {
  readonly records = new SharedArrayBuffer(recordCount * uringLayout.instructionBytes);
  readonly pieces = new Float64Array(new SharedArrayBuffer(pieceCount * uringLayout.pieceBytes));
  readonly completions = new Float64Array(
    new SharedArrayBuffer(recordCount * uringLayout.completionBytes),
  );
  readonly arena = new Uint8Array(new SharedArrayBuffer(arenaBytes + 4096));
  readonly #woken: ((count: number) => void)[] = [];
  readonly ring: NativeRing;

  constructor() {
    this.ring = new native.Ring(
      new Uint8Array(this.records),
      new Uint8Array(this.pieces.buffer),
      new Uint8Array(this.completions.buffer),
      (count) => this.#woken.shift()?.(count),
    );
    this.ring.setArena(arenaNumber, this.aligned());
  }

  aligned(): Uint8Array {
    const past = native.addressModulo(this.arena, 4096);
    return this.arena.subarray(past === 0 ? 0 : 4096 - past).subarray(0, arenaBytes);
  }

  write(index: number, tag: number, asked: Instruction): void {
    const view = new DataView(this.records, index * uringLayout.instructionBytes);
    view.setUint8(0, asked.op);
    view.setUint8(1, asked.flags ?? 0);
    view.setUint16(2, asked.file ?? 0, true);
    view.setUint32(4, asked.arena ?? arenaNumber, true);
    view.setUint32(8, asked.pieceCount ?? 1, true);
    view.setUint32(12, asked.firstPiece ?? 0, true);
    view.setUint32(16, tag, true);
    view.setUint32(20, asked.reserved ?? 0, true);
    view.setFloat64(24, asked.offset ?? 0, true);
    view.setFloat64(32, asked.length ?? 4096, true);
    view.setFloat64(40, asked.at ?? 0, true);
  }

  /** Executes the instructions; their results in the order in which they were given. */
  async run(...asked: Instruction[]): Promise<number[]> {
    for (const [index, instruction] of asked.entries()) this.write(index, index, instruction);
    assert.equal(this.ring.submit(asked.length), 0);
    const results: number[] = [];
    for (let done = 0; done < asked.length; ) {
      const count = await new Promise<number>((resolve) => this.#woken.push(resolve));
      for (let index = 0; index < count; index++) {
        results[this.completions[index * 2]!] = this.completions[index * 2 + 1]!;
      }
      done += count;
    }
    return results;
  }

  async runOne(asked: Instruction): Promise<number> {
    return (await this.run(asked))[0]!;
  }
}

async function withFile(
  run: (rig: Rig, file: number, fd: number, scratch: Scratch) => Promise<void>,
  { direct = false, write = true, closed = false, ringClosed = false } = {},
): Promise<void> {
  const scratch = await makeScratch();
  const path = scratch.path('file');
  const made = await native.openDevice(path, true, false, false, true, fileBytes, 0);
  await native.closeFd(made.fd);
  const { fd, alignmentBytes } = await native.openDevice(path, write, true, direct, false, 0, 500);
  const rig = new Rig();
  try {
    await run(rig, rig.ring.addDevice(fd, write, false, fileBytes, alignmentBytes), fd, scratch);
  } finally {
    if (!ringClosed) rig.ring.close();
    if (!closed) await native.closeFd(fd);
    await scratch.remove();
  }
}

test('the layout that TypeScript writes is the one the addon reads', (t) => {
  t.deepEqual({ ...native.constants }, { ...uringLayout });
});

test('an instruction with unknown opcode, flags or reserved bits is refused', async (t) => {
  await withFile(async (rig, file) => {
    t.deepEqual(
      await rig.run(
        { op: 0, file },
        { op: 9, file },
        { op: 255, file },
        { op: opRead, file, flags: 1 },
        { op: opWrite, file, flags: 2 },
        { op: opWrite, file, flags: 255 },
        { op: opPunch, file, flags: 2 },
        { op: opFlush, file, reserved: 1 },
      ),
      allInvalid,
    );
  });
});

test('an instruction for a file that is not open is refused', async (t) => {
  await withFile(
    async (rig, file) => {
      t.deepEqual(
        await rig.run(
          { op: opRead, file: file + 1 },
          { op: opWrite, file: 65535 },
          { op: opClose, file: 4095 },
        ),
        [-EBADF, -EBADF, -EBADF],
      );
      t.is(await rig.runOne({ op: opClose, file }), 0);
      t.is(await rig.runOne({ op: opRead, file }), -EBADF);
      t.is(await rig.runOne({ op: opClose, file }), -EBADF);
    },
    { closed: true },
  );
});

test('memory that is not wholly inside its arena is refused, and not a byte is written', async (t) => {
  await withFile(async (rig, file) => {
    rig.arena.fill(9);
    const wrong: Instruction[] = [
      { op: opRead, file, arena: arenaNumber + 1 },
      { op: opRead, file, arena: 1024 },
      { op: opRead, file, arena: 2 ** 32 - 1 },
      { op: opRead, file, at: arenaBytes - 4095 },
      { op: opRead, file, at: arenaBytes + 1, length: 0 },
      { op: opRead, file, length: arenaBytes + 1 },
      { op: opRead, file, at: -1 },
      { op: opRead, file, at: 0.5 },
      { op: opRead, file, at: Number.NaN },
      { op: opRead, file, at: Number.POSITIVE_INFINITY },
      { op: opRead, file, at: 2 ** 53 },
      { op: opRead, file, length: -1 },
      { op: opRead, file, length: 0.5 },
      { op: opRead, file, length: Number.NaN },
      { op: opRead, file, length: 2 ** 64 },
    ];
    t.deepEqual(
      await rig.run(...wrong),
      wrong.map(() => -EINVAL),
    );
    t.true(rig.arena.every((byte) => byte === 9));
  });
});

test('pieces are refused beyond the piece table, and each is checked', async (t) => {
  await withFile(async (rig, file) => {
    rig.arena.fill(9);
    rig.pieces.set([0, 512, 1024, 512, arenaBytes - 100, 101, 0, Number.NaN]);
    t.deepEqual(
      await rig.run(
        { op: opRead, file, pieceCount: 2 },
        { op: opRead, file, pieceCount: pieceCount + 1 },
        { op: opRead, file, pieceCount: 2, firstPiece: pieceCount - 1 },
        { op: opRead, file, pieceCount: 2 ** 32 - 1, firstPiece: 2 ** 32 - 1 },
        { op: opRead, file, pieceCount: 3 },
        { op: opRead, file, pieceCount: 2, firstPiece: 2 },
        { op: opRead, file, pieceCount: 0, firstPiece: pieceCount },
        { op: opRead, file, pieceCount: 0, firstPiece: pieceCount + 1 },
      ),
      [1024, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, 0, -EINVAL],
    );
  });
});

test('I20: no byte beyond the size is written, read or made zero', async (t) => {
  await withFile(async (rig, file) => {
    t.deepEqual(
      await rig.run(
        { op: opWrite, file, offset: fileBytes - 4095 },
        { op: opWrite, file, offset: fileBytes },
        { op: opZeroRange, file, offset: fileBytes - 1, length: 2 },
        { op: opPunch, file, offset: 2 ** 52, length: 1 },
        { op: opRead, file, offset: fileBytes - 1, length: 2 },
        { op: opZeroRange, file, offset: 0, length: 2 ** 53 },
        { op: opZeroRange, file, offset: 1, length: 2 ** 53 - 1 },
        { op: opZeroRange, file, flags: uringLayout.flagExtend, length: 1 },
      ),
      [-ENOSPC, -ENOSPC, -ENOSPC, -ENOSPC, -EINVAL, -EINVAL, -EINVAL, -EINVAL],
    );
    t.is(await rig.runOne({ op: opWrite, file, offset: fileBytes - 4096 }), 4096);
  });
});

test('H16: a direct file refuses odd offsets, lengths and addresses', async (t) => {
  await withFile(
    async (rig, file) => {
      t.deepEqual(
        await rig.run(
          { op: opWrite, file, offset: 1 },
          { op: opWrite, file, length: 4095 },
          { op: opWrite, file, at: 1 },
          { op: opRead, file, offset: 256 },
          { op: opZeroRange, file, offset: 1, length: 512 },
          { op: opPunch, file, offset: 0, length: 511 },
          { op: opWrite, file },
        ),
        [-EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, 4096],
      );
    },
    { direct: true },
  );
});

test('a file added for reading refuses whatever would change it', async (t) => {
  await withFile(
    async (rig, file) => {
      t.deepEqual(
        await rig.run(
          { op: opWrite, file },
          { op: opPunch, file },
          { op: opZeroRange, file },
          { op: opRead, file },
        ),
        [-EBADF, -EBADF, -EBADF, 4096],
      );
    },
    { write: false },
  );
});

test('device operations are refused on sockets, stream operations on devices', async (t) => {
  await withFile(async (rig, file, _, scratch) => {
    const [near, far] = await streamPair(scratch.path('s'));
    for (const fd of [near, far]) native.adoptFd(fd);
    const socket = rig.ring.addSocket(near);
    t.deepEqual(
      await rig.run(
        { op: opRead, file: socket },
        { op: opWrite, file: socket },
        { op: opFlush, file: socket },
        { op: opPunch, file: socket },
        { op: opSend, file },
        { op: opReceive, file },
        { op: opSend, file: socket, length: 0 },
        { op: opReceive, file: socket, pieceCount: 0 },
        { op: opSend, file: socket, length: 77 },
      ),
      [...allInvalid, 77],
    );
    t.is(await rig.runOne({ op: opClose, file: socket }), 0);
    await native.closeFd(far);
  });
});

test('close is refused while the file has an operation in flight', async (t) => {
  await withFile(async (rig, _file, _fd, scratch) => {
    const [near, far] = await streamPair(scratch.path('s'));
    native.prepareSocket(near);
    native.adoptFd(near);
    native.adoptFd(far);
    const socket = rig.ring.addSocket(near);
    rig.write(0, 7, { op: opReceive, file: socket });
    rig.ring.submit(1);
    t.is(await rig.runOne({ op: opClose, file: socket }), -EBUSY);
    await native.closeFd(far);
  });
});

test('counts and arguments out of range throw', async (t) => {
  await withFile(async (rig, file, fd) => {
    const { ring } = rig;
    for (const count of [-1, 0.5, Number.NaN, recordCount + 1, 2 ** 40]) {
      t.throws(() => ring.submit(count), { instanceOf: RangeError });
    }
    const loose = ring as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const wrong of [undefined, '1', null, {}, 1n]) {
      t.throws(() => loose['submit']!(wrong));
      t.throws(() => loose['setArena']!(wrong, rig.arena));
      t.throws(() => loose['addDevice']!(wrong, true, false, 0, 1));
      t.throws(() => loose['fileSize']!(wrong));
    }
    t.throws(() => ring.setArena(1024, rig.arena), { instanceOf: RangeError });
    t.throws(() => ring.setArena(arenaNumber, rig.arena), { code: 'EEXIST' });
    t.throws(() => ring.setArena(4, new Uint8Array(8)), { instanceOf: TypeError });
    t.throws(() => ring.setArena(4, new Uint8Array(new SharedArrayBuffer(0))));
    t.throws(() => ring.addDevice(fd, true, false, 4096, 3), { instanceOf: RangeError });
    t.throws(() => ring.addDevice(fd, true, false, 4096, 0), { instanceOf: RangeError });
    t.throws(() => ring.addDevice(fd, true, false, -1, 1), { instanceOf: RangeError });
    t.throws(() => ring.addDevice(0, true, false, 4096, 1), { code: 'EBADF' });
    t.throws(() => ring.fileSize(file + 1), { code: 'EBADF' });
    const shared = new Uint8Array(new SharedArrayBuffer(64));
    t.throws(() => new native.Ring(new Uint8Array(64), shared, shared, () => {}));
    t.throws(() => new native.Ring(shared, shared, new Uint8Array(64), () => {}));
    t.throws(
      () => new native.Ring(new Uint8Array(new SharedArrayBuffer(8)), shared, shared, () => {}),
    );
    t.throws(() => new (native.Ring as unknown as new () => unknown)());
  });
});

test('an arena in use cannot be cleared, and a cleared one is unknown', async (t) => {
  await withFile(async (rig, file, _fd, scratch) => {
    const [near, far] = await streamPair(scratch.path('s'));
    native.prepareSocket(near);
    native.adoptFd(near);
    native.adoptFd(far);
    const socket = rig.ring.addSocket(near);
    rig.write(0, 7, { op: opReceive, file: socket });
    rig.ring.submit(1);
    t.throws(() => rig.ring.clearArena(arenaNumber), { code: 'EBUSY' });
    const other = new Uint8Array(new SharedArrayBuffer(4096));
    rig.ring.setArena(4, other);
    t.is(await rig.runOne({ op: opRead, file, arena: 4 }), 4096);
    rig.ring.clearArena(4);
    t.is(await rig.runOne({ op: opRead, file, arena: 4 }), -EINVAL);
    await native.closeFd(far);
  });
});

test('a closed ring refuses every call', async (t) => {
  const rig = new Rig();
  rig.ring.close();
  t.throws(() => rig.ring.submit(0), { message: /closed/ });
  t.throws(() => rig.ring.reap(), { message: /closed/ });
  t.throws(() => rig.ring.close(), { message: /closed/ });
});

test('H22: when a closed ring has returned, no operation of it lands any more', async (t) => {
  await withFile(
    async (rig, file, fd, scratch) => {
      rig.arena.fill(5);
      const flags = uringLayout.flagDurable;
      for (let index = 0; index < recordCount; index++) {
        rig.write(index, index, { op: opWrite, flags, file, offset: index * 1024, length: 1024 });
      }
      rig.ring.submit(recordCount);
      rig.ring.close();
      const path = scratch.path('file');
      const atClose = readFileSync(path);
      await native.closeFd(fd);
      // The lock falls with the last reference to the file: nothing can be in flight behind it.
      const next = await native.openDevice(path, true, false, false, false, 0, 10000);
      t.true(readFileSync(path).equals(atClose));
      await native.closeFd(next.fd);
    },
    { direct: true, closed: true, ringClosed: true },
  );
});

test('H22: closing a ring brings back a receive that would wait for ever', async (t) => {
  const scratch = await makeScratch();
  const [near, far] = await streamPair(scratch.path('s'));
  for (const fd of [near, far]) {
    native.prepareSocket(fd);
    native.adoptFd(fd);
  }
  const first = new Rig();
  const socket = first.ring.addSocket(near);
  for (let index = 0; index < 8; index++)
    first.write(index, index, { op: opReceive, file: socket });
  first.ring.submit(8);
  first.ring.close();

  // Had one of them survived, it would take these bytes.
  const second = new Rig();
  const [sender, receiver] = [second.ring.addSocket(far), second.ring.addSocket(near)];
  t.is(await second.runOne({ op: opSend, file: sender, length: 100 }), 100);
  t.is(await second.runOne({ op: opReceive, file: receiver }), 100);
  second.ring.close();
  await native.closeFd(near);
  await native.closeFd(far);
  await scratch.remove();
});

test('the ring keeps the loop alive only while it has files or operations', async (t) => {
  const { Worker } = await import('node:worker_threads');
  const idle = new Worker(new URL('./workers/idle-ring.js', import.meta.url));
  const [code] = (await once(idle, 'exit')) as [number];
  t.is(code, 0);
});

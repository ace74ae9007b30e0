/** Opening, locking and owning descriptors, and the mapped page. */
import { readFile, truncate, writeFile } from 'node:fs/promises';
import test, { type ExecutionContext } from 'ava';
import { atomicFiles } from '../../src/io/atomic-files.js';
import { native } from '../../src/io/native.js';
import { openIo } from '../../src/io/open-io.js';
import { makeScratch, type Scratch } from '../helpers/scratch.js';

const withScratch = test.macro(
  async (t: ExecutionContext, run: (t: ExecutionContext, scratch: Scratch) => Promise<void>) => {
    const scratch = await makeScratch();
    try {
      await run(t, scratch);
    } finally {
      await scratch.remove();
    }
  },
);

test('H22: readers share a file, a writer has it alone', withScratch, async (t, scratch) => {
  const io = openIo('threads');
  const path = scratch.path('file');
  await writeFile(path, new Uint8Array(4096));
  const readers = [
    await io.open({ path, access: 'read' }),
    await io.open({ path, access: 'read' }),
  ];
  await t.throwsAsync(io.open({ path, access: 'readwrite' }), { code: 'TDMF_DEVICE_BUSY' });
  await Promise.all(readers.map((reader) => reader.close()));
  const writer = await io.open({ path, access: 'readwrite' });
  await t.throwsAsync(io.open({ path, access: 'read' }), { code: 'TDMF_DEVICE_BUSY' });
  await io.close();
  t.throws(() => writer.share());
});

test('a path that is no file or block device is refused', withScratch, async (t, scratch) => {
  const io = openIo('uring');
  const open = (path: string) => io.open({ path, access: 'readwrite' });
  await t.throwsAsync(open(scratch.path('missing')), { code: 'TDMF_DEVICE_MISSING' });
  await t.throwsAsync(open(scratch.path('a/b')), { code: 'TDMF_DEVICE_MISSING' });
  await t.throwsAsync(open('/dev/null'), { code: 'TDMF_DEVICE_KIND' });
  await t.throwsAsync(open('/'), { code: 'TDMF_DEVICE_KIND' });
  await t.throwsAsync(open(''), { code: 'TDMF_DEVICE_FAILED' });
  await t.throwsAsync(open('a\0b'), { code: 'TDMF_DEVICE_FAILED' });
  await io.close();
});

test(
  'a file is made with its size, and an existing one keeps its own',
  withScratch,
  async (t, scratch) => {
    const io = openIo('uring');
    const path = scratch.path('file');
    const made = await io.open({ path, access: 'readwrite', createBytes: 12288 });
    t.is(made.sizeBytes, 12288);
    await made.close();
    const again = await io.open({ path, access: 'readwrite', createBytes: 99999 });
    t.is(again.sizeBytes, 12288);
    await again.close();
    // As a creator leaves it that died between making the file and giving it its size.
    await truncate(path, 0);
    const repaired = await io.open({ path, access: 'readwrite', createBytes: 8192 });
    t.is(repaired.sizeBytes, 8192);
    await io.close();
  },
);

test('a descriptor that the addon does not own is neither closed nor adopted', async (t) => {
  t.throws(() => native.closeFd(0), { code: 'EBADF' });
  t.throws(() => native.closeFd(99999), { code: 'EBADF' });
  t.throws(() => native.adoptFd(99999), { code: 'EBADF' });
  t.throws(() => native.dupFd(99999), { code: 'EBADF' });
  t.throws(() => native.prepareSocket(99999), { code: 'EBADF' });
  for (const wrong of [-1, 1.5, Number.NaN, 2 ** 31]) {
    t.throws(() => native.dupFd(wrong), { instanceOf: RangeError });
  }
});

test('wrong arguments of an open throw and open nothing', (t) => {
  const loose = native as unknown as { openDevice(...args: unknown[]): unknown };
  const open = (...args: unknown[]): unknown => loose.openDevice(...args);
  t.throws(() => open('x', 1, false, false, false, 0, 0), { instanceOf: TypeError });
  t.throws(() => open(7, true, false, false, false, 0, 0), { instanceOf: TypeError });
  t.throws(() => open('x', true, false, false, true, -1, 0), { instanceOf: RangeError });
  t.throws(() => open('x', true, false, false, true, 0, 1e9), { instanceOf: RangeError });
  t.throws(() => native.seekExtent(0, 10, 10), { instanceOf: RangeError });
  t.throws(() => native.fallocate(0, true, true, 0, 1), { instanceOf: TypeError });
});

test('a store into a mapped page is in the file at once', withScratch, async (t, scratch) => {
  const path = scratch.path('page');
  const page = await atomicFiles.openPage(path);
  t.is(page.bytes.length, 4096);
  t.true(native.isZero(page.bytes, 0, 4096));
  page.bytes[100] = 42;
  t.is((await readFile(path))[100], 42);
  await page.sync();
  await page.close();
  t.is(page.bytes.length, 0);
  const again = await atomicFiles.openPage(path);
  t.is(again.bytes[100], 42);
  await again.close();
});

test('only a page that mapPage gave is synced or unmapped', (t) => {
  t.throws(() => native.syncPage(new Uint8Array(4095)), { instanceOf: RangeError });
  t.throws(() => native.unmapPage(new Uint8Array(8)), { instanceOf: RangeError });
});

test('Rule 52: the I/O flusher mark is set, or its refusal is named', (t) => {
  t.true(native.setIoFlusher() >= 0);
});

test('the pages of a loaded addon say where memory lies', (t) => {
  const memory = new Uint8Array(new SharedArrayBuffer(8192));
  const past = native.addressModulo(memory, 4096);
  t.is(native.addressModulo(memory.subarray(1), 4096), (past + 1) % 4096);
  t.throws(() => native.addressModulo(memory, 0), { instanceOf: RangeError });
});

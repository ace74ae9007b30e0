/** Only what is empty becomes a pstore: a mistyped path costs nobody's data. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { makePstore } from '../../../src/server/offline-init.js';
import { makeScratch } from '../../helpers/scratch.js';

async function pathOf(t: ExecutionContext): Promise<string> {
  const scratch = await makeScratch();
  t.teardown(() => scratch.remove());
  return scratch.path('pstore');
}

test('a missing file is made, 0600, and made once', async (t) => {
  const path = await pathOf(t);
  t.true(await makePstore(path));
  t.is(statSync(path).mode & 0o777, 0o600);
  const before = readFileSync(path);
  t.false(await makePstore(path));
  t.true(readFileSync(path).equals(before));
});

test('an empty file, and one of zeroes that is large enough, are taken', async (t) => {
  for (const bytes of [0, 64 * 2 ** 20]) {
    const path = await pathOf(t);
    writeFileSync(path, '');
    truncateSync(path, bytes);
    t.true(await makePstore(path), String(bytes));
    t.false(await makePstore(path));
  }
});

test('what holds anything else is refused and not touched', async (t) => {
  for (const content of [Buffer.from('hello'), randomBytes(100_000), randomBytes(8192)]) {
    const path = await pathOf(t);
    writeFileSync(path, content);
    await t.throwsAsync(makePstore(path), { code: 'TDMF_PSTORE_FOREIGN' });
    t.true(readFileSync(path).equals(content));
  }
});

test('a damaged pstore is not made anew by itself', async (t) => {
  const path = await pathOf(t);
  await makePstore(path);
  const bytes = readFileSync(path);
  bytes.fill(0xff, 64, 128);
  bytes.fill(0xff, 4096 + 64, 4096 + 128);
  writeFileSync(path, bytes);
  await t.throwsAsync(makePstore(path), { code: 'TDMF_PSTORE_DAMAGED' });
});

test('too small, a directory, and no place to be', async (t) => {
  const path = await pathOf(t);
  writeFileSync(path, '');
  truncateSync(path, 2 ** 20);
  await t.throwsAsync(makePstore(path), { code: 'TDMF_DEVICE_SIZE' });
  await t.throwsAsync(makePstore('/'), { code: 'TDMF_DEVICE_KIND' });
  await t.throwsAsync(makePstore(`${path}-no/pstore`), { code: 'TDMF_DEVICE_MISSING' });
  t.false(existsSync(`${path}-no`));
});

/** Only what is empty becomes a pstore: a mistyped path costs nobody's data. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { openIo } from '../../../src/io/open-io.js';
import { initHost, makePstore } from '../../../src/server/offline-init.js';
import { mustBeNewest, openPstore } from '../../../src/server/pstore-file.js';
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

test('Rule 54b: init moves a pstore while nobody uses it, and the settings name one place at every time', async (t) => {
  const scratch = await makeScratch();
  t.teardown(() => scratch.remove());
  const [old, fresh, configFile] = ['pstore', 'moved', 'tdmf.cfg'].map((name) =>
    scratch.path(name),
  );
  const plan = (pstore: string, pstoreNow: string) => ({
    ...{ pstore, pstoreNow, configFile: configFile!, configText: `pstore: ${pstore}\n` },
  });
  t.is(await initHost(plan(old!, old!)), 'made');
  t.is(await initHost(plan(old!, old!)), 'kept');
  const io = openIo('threads');
  t.teardown(() => io.close());
  const { device } = await openPstore(io, old!);
  await t.throwsAsync(initHost(plan(fresh!, old!)), { code: 'TDMF_PSTORE_BUSY' });
  t.is(readFileSync(configFile!, 'utf8'), `pstore: ${old}\n`);
  await device.close();
  t.is(await initHost(plan(fresh!, old!)), 'moved');
  t.is(readFileSync(configFile!, 'utf8'), `pstore: ${fresh}\n`);
  t.is(statSync(fresh!).mode & 0o777, 0o600);
  t.false(await makePstore(fresh!), 'it is one');
  await t.throwsAsync(makePstore(old!), { code: 'TDMF_PSTORE_MOVED' });
  writeFileSync(scratch.path('data'), 'mine');
  await t.throwsAsync(initHost(plan(scratch.path('data'), fresh!)), {
    code: 'TDMF_PSTORE_FOREIGN',
  });
});

test('Rule 54b: a copy that is older than what was used last is refused, another pstore is not', async (t) => {
  const scratch = await makeScratch();
  t.teardown(() => scratch.remove());
  const seen = scratch.path('pstore.seen');
  const node = { nodeId: 'a'.repeat(32), sequence: 3 };
  await mustBeNewest(seen, '/a', node);
  await mustBeNewest(seen, '/a', node);
  await mustBeNewest(seen, '/b', { ...node, sequence: 4 });
  await t.throwsAsync(mustBeNewest(seen, '/a', node), {
    code: 'TDMF_PSTORE_STALE',
    message: /\/b/,
  });
  await mustBeNewest(seen, '/c', { nodeId: 'b'.repeat(32), sequence: 1 });
  writeFileSync(seen, 'rubbish');
  await mustBeNewest(seen, '/a', node);
});

/** Small files: replaced whole, private, and missing ones are no error where the port says so. */
import { stat, truncate, writeFile } from 'node:fs/promises';
import test from 'ava';
import { atomicFiles } from '../../../src/io/atomic-files.js';
import { systemRandom } from '../../../src/io/system-random.js';
import { makeScratch } from '../../helpers/scratch.js';

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

test('a file is replaced whole, is private, and leaves nothing beside it', async (t) => {
  const scratch = await makeScratch();
  const path = scratch.path('meta');
  await atomicFiles.replace(path, Buffer.from('one'));
  t.is(text(await atomicFiles.read(path)), 'one');
  await Promise.all(
    ['two', 'three'].map((content) => atomicFiles.replace(path, Buffer.from(content))),
  );
  t.true(['two', 'three'].includes(text(await atomicFiles.read(path))));
  t.is((await stat(path)).mode & 0o777, 0o600);
  t.deepEqual(await atomicFiles.list(scratch.path('')), ['meta']);
  await scratch.remove();
});

test('a failed replacement keeps the old file and leaves nothing beside it', async (t) => {
  const scratch = await makeScratch();
  await t.throwsAsync(atomicFiles.replace(scratch.path('no/meta'), Buffer.from('x')));
  const directory = scratch.path('meta');
  await atomicFiles.openPage(scratch.path('other')).then((page) => page.close());
  await t.throwsAsync(atomicFiles.rename(scratch.path('missing'), directory));
  t.deepEqual(await atomicFiles.list(scratch.path('')), ['other']);
  await scratch.remove();
});

test('missing files read as undefined and are removed without complaint', async (t) => {
  const scratch = await makeScratch();
  t.is(await atomicFiles.read(scratch.path('missing')), undefined);
  t.is(await atomicFiles.list(scratch.path('missing')), undefined);
  await atomicFiles.remove(scratch.path('missing'));
  await atomicFiles.replace(scratch.path('a'), Buffer.from('a'));
  await atomicFiles.rename(scratch.path('a'), scratch.path('b'));
  await atomicFiles.remove(scratch.path('b'));
  t.deepEqual(await atomicFiles.list(scratch.path('')), []);
  await scratch.remove();
});

test('the boot has an id that stays', async (t) => {
  const id = await atomicFiles.bootId();
  t.regex(id, /^[0-9a-f-]{36}$/);
  t.is(await atomicFiles.bootId(), id);
});

test('random numbers stay below their bound, random bytes differ', (t) => {
  for (let round = 0; round < 200; round++) {
    const value = systemRandom.below(3);
    t.true(Number.isInteger(value) && value >= 0 && value < 3);
  }
  t.is(systemRandom.below(1), 0);
  t.notDeepEqual(systemRandom.fill(new Uint8Array(16)), systemRandom.fill(new Uint8Array(16)));
});

test('a path names another file after it was replaced, the same after it was written (H33)', async (t) => {
  const scratch = await makeScratch();
  const path = scratch.path('mirror');
  await writeFile(path, 'one');
  const before = await atomicFiles.identify(path);
  t.true(before.inode > 0);
  await truncate(path, 4096);
  const after = await atomicFiles.identify(path);
  t.is(after.inode, before.inode);
  t.true(before.bornMs === 0 || after.bornMs === before.bornMs);
  await writeFile(scratch.path('other'), 'two');
  await atomicFiles.rename(scratch.path('other'), path);
  t.not((await atomicFiles.identify(path)).inode, before.inode);
  t.deepEqual(await atomicFiles.identify('/dev/null'), { inode: 0, bornMs: 0 });
  await scratch.remove();
});

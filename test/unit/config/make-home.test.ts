/** The home is private, and no directory of others becomes so by mistake. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { home } from '../../../src/config/home.js';
import { makeHome } from '../../../src/config/make-home.js';
import { makeScratch } from '../../helpers/scratch.js';

async function scratchDirectory(t: ExecutionContext): Promise<string> {
  const scratch = await makeScratch();
  t.teardown(() => scratch.remove());
  return scratch.path('');
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

test('a home that is not there is made, 0700', async (t) => {
  const files = home(join(await scratchDirectory(t), 'a', 'b'));
  await makeHome(files);
  t.is(modeOf(files.directory), '700');
  t.is(modeOf(files.runDirectory), '700');
});

test('an empty directory and an open home become private', async (t) => {
  for (const name of [undefined, 'tdmf.cfg', 'p000.cfg']) {
    const files = home(join(await scratchDirectory(t), 'h'));
    mkdirSync(files.directory, { mode: 0o755 });
    if (name !== undefined) writeFileSync(join(files.directory, name), '');
    await makeHome(files);
    t.is(modeOf(files.directory), '700', name ?? 'empty');
  }
});

test('a directory with files of others is left as it is', async (t) => {
  const files = home(join(await scratchDirectory(t), 'h'));
  mkdirSync(files.directory, { mode: 0o755 });
  writeFileSync(join(files.directory, 'passwd'), '');
  await t.throwsAsync(makeHome(files), { code: 'TDMF_HOME_DENIED' });
  t.is(modeOf(files.directory), '755');
});

test('a file is no home', async (t) => {
  const path = join(await scratchDirectory(t), 'h');
  writeFileSync(path, '');
  await t.throwsAsync(makeHome(home(path)), { code: 'TDMF_HOME_DENIED' });
});

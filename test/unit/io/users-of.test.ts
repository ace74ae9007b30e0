/** Who has a file open: processes by name, whatever path they used. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import test from 'ava';
import { usersOf } from '../../../src/io/users-of.js';
import { makeScratch } from '../../helpers/scratch.js';

test('another process is found, by another name of the file too; oneself is not', async (t) => {
  const scratch = await makeScratch();
  t.teardown(() => scratch.remove());
  const path = scratch.path('image');
  writeFileSync(path, 'x');
  linkSync(path, scratch.path('other-name'));
  const own = await open(path, 'r+');
  t.deepEqual(await usersOf(path), []);
  const child = spawn('sh', [
    '-c',
    'exec 3<>"$1"; echo ready; read line',
    'sh',
    scratch.path('other-name'),
  ]);
  await once(child.stdout, 'data');
  t.deepEqual(await usersOf(path), [`sh (${child.pid})`]);
  child.stdin.end('\n');
  await once(child, 'exit');
  t.deepEqual(await usersOf(path), []);
  await own.close();
  t.deepEqual(await usersOf(scratch.path('nothing')), []);
});

/**
 * The block-device contract on real block devices: loop devices with 512 and 4096-byte sectors, with
 * and without the page cache, on both adapters. Needs root and loop devices; without root it says so
 * in its one test, and as root a missing loop device is a failure, never a skip.
 */
import { execFile } from 'node:child_process';
import { truncate, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { promisify } from 'node:util';
import test from 'ava';
import { openIo } from '../../src/io/open-io.js';
import { blockDeviceContract } from '../../src/testing/contracts/block-device.js';
import { runContract } from '../helpers/run-contract.js';
import { makeScratch } from '../helpers/scratch.js';

const run = promisify(execFile);

interface Loop {
  readonly path: string;
  detach(): Promise<void>;
}

async function attachLoop(file: string, sectorBytes: number): Promise<Loop> {
  await writeFile(file, '');
  await truncate(file, 4 << 20);
  const { stdout } = await run('losetup', [
    '--find',
    '--show',
    `--sector-size=${sectorBytes}`,
    file,
  ]);
  const path = stdout.trim();
  return { path, detach: () => run('losetup', ['--detach', path]).then(() => {}) };
}

if (process.getuid?.() === 0) {
  for (const kind of ['uring', 'threads'] as const) {
    for (const sectorBytes of [512, 4096]) {
      for (const cache of ['direct', 'writeback'] as const) {
        runContract(
          `${kind}, ${cache} loop device with ${sectorBytes}-byte sectors`,
          blockDeviceContract(async () => {
            const scratch = await makeScratch();
            const loop = await attachLoop(scratch.path('disk'), sectorBytes);
            const io = openIo(kind);
            return {
              opener: io,
              options: { path: loop.path, access: 'readwrite', cache },
              missingPath: scratch.path('missing'),
              errno: constants.errno,
              teardown: async () => {
                await io.close();
                await loop.detach();
                await scratch.remove();
              },
            };
          }),
          true,
        );
      }
    }
  }

  test.serial(
    'a block device is opened direct by default and says its logical block',
    async (t) => {
      const scratch = await makeScratch();
      const loop = await attachLoop(scratch.path('disk'), 4096);
      const io = openIo('uring');
      const device = await io.open({ path: loop.path, access: 'readwrite' });
      t.is(device.direct, true);
      t.is(device.logicalBlockBytes, 4096);
      t.is(device.alignmentBytes, 4096);
      t.is(device.sizeBytes, 4 << 20);
      await io.close();
      await loop.detach();
      await scratch.remove();
    },
  );
} else {
  test('block devices are not tested: loop devices need root', (t) => {
    t.log('run the tests as root to test block devices');
    t.pass();
  });
}

/**
 * File systems on devices: a TDMF device as applications would have it (nbdfuse, loop, mount), and
 * copies of mirror images, mounted beside their origin. Needs root, FUSE and loop devices.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, execute, succeed } from '../../helpers/daemon.js';
import { ended } from './fio.js';
import type { Scope } from './scope.js';

export interface Mounted {
  readonly path: string;
  readonly loop: string;
  /** Unmounts; the image, or the device, is free afterwards. May be called twice. */
  release(): Promise<void>;
}

/** A directory that other users may enter: PostgreSQL does not run as root. */
export function openDirectory(scope: Scope): string {
  const directory = mkdtempSync(join(tmpdir(), 'tdmf-mount-'));
  chmodSync(directory, 0o755);
  scope.defer(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Mounts an image file; `options` as mount has them. */
export async function mountImage(scope: Scope, image: string, options = ''): Promise<Mounted> {
  const path = join(openDirectory(scope), 'mounted');
  mkdirSync(path);
  const loop = (await succeed('losetup', ['--find', '--show', image])).trim();
  let released: Promise<void> | undefined;
  const release = async () => {
    await unmount(path);
    await succeed('losetup', ['-d', loop]);
  };
  const mounted: Mounted = {
    path,
    loop,
    release: () => {
      released ??= release();
      return released;
    },
  };
  scope.defer(() => mounted.release());
  await succeed('mount', [...(options === '' ? [] : ['-o', options]), loop, path]);
  return mounted;
}

/** Makes a file system (unless `make` is empty) on an NBD export and mounts it. */
export async function mountExport(
  scope: Scope,
  uri: string,
  make: readonly string[],
): Promise<Mounted> {
  const directory = openDirectory(scope);
  for (const name of ['fuse', 'mounted']) mkdirSync(join(directory, name));
  const pidFile = join(directory, 'pid');
  const file = join(directory, 'fuse/device');
  const front = spawn('nbdfuse', ['-P', pidFile, file, uri], { stdio: 'ignore' });
  let loop = '';
  const path = join(directory, 'mounted');
  const release = async () => {
    await unmount(path);
    if (loop !== '') await succeed('losetup', ['-d', loop]);
    await execute('fusermount3', ['-u', '-z', '-q', join(directory, 'fuse')]);
    await ended(front);
  };
  let released: Promise<void> | undefined;
  const once = () => {
    released ??= release();
    return released;
  };
  scope.defer(once);
  await eventually(async () => existsSync(pidFile), 'nbdfuse has mounted');
  loop = (await succeed('losetup', ['--find', '--show', '--direct-io=on', file])).trim();
  const [mkfs, ...words] = make;
  if (mkfs !== undefined) await succeed(mkfs, [...words, loop]);
  await succeed('mount', [loop, path]);
  return { path, loop, release: once };
}

/** A process that was just killed may hold a file for a moment. */
async function unmount(path: string): Promise<void> {
  await eventually(
    async () =>
      (await execute('mountpoint', ['-q', path])).code !== 0 ||
      (await execute('umount', [path])).code === 0,
    `umount ${path}`,
    10_000,
  );
}

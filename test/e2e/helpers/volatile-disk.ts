/**
 * A disk with a volatile write cache that can lose its power: a file behind nbdkit's cache filter
 * (writeback: only a flush or FUA reaches the file), nbdfuse, a loop device and ext4 on it. A cut
 * kills nbdkit: what was not flushed is gone, and the kernel's own cache goes with the mount.
 *
 * A machine that lost its power has another boot id, and the product looks at it: a program run
 * through `wrap` sees a file of ours in its place, which every cut changes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, execute, succeed } from '../../helpers/daemon.js';
import { ended } from './fio.js';
import type { Scope } from './scope.js';

export class VolatileDisk {
  readonly #directory: string;
  #server: ChildProcess | undefined;
  #front: ChildProcess | undefined;
  #loop = '';
  cuts = 0;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(scope: Scope, bytes: number): Promise<VolatileDisk> {
    const disk = new VolatileDisk(mkdtempSync(join(tmpdir(), 'tdmf-disk-')));
    scope.defer(() => rmSync(disk.#directory, { recursive: true, force: true }));
    for (const name of ['fuse', 'mounted']) mkdirSync(disk.#at(name));
    writeFileSync(disk.#at('disk.img'), '');
    truncateSync(disk.#at('disk.img'), bytes);
    disk.#reboot();
    scope.defer(() => disk.off());
    await disk.#attach();
    await succeed('mkfs.ext4', ['-q', '-F', disk.#loop]);
    await succeed('mount', [disk.#loop, disk.path]);
    return disk;
  }

  /** Where the file system is; only there while the power is on. */
  get path(): string {
    return this.#at('mounted');
  }

  /** Runs a program that takes this disk's machine for its own. */
  get wrap(): readonly string[] {
    const script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';
    return [
      'unshare',
      '--mount',
      '--propagation',
      'slave',
      'sh',
      '-c',
      script,
      this.#at('boot-id'),
    ];
  }

  /** From this instant on nothing reaches the disk, and what it had not flushed is lost. */
  cut(): void {
    this.cuts++;
    this.#server?.kill('SIGKILL');
  }

  /** After a cut, when nothing uses the file system any more. */
  async on(): Promise<void> {
    await this.off();
    this.#reboot();
    await this.#attach();
    await succeed('mount', [this.#loop, this.path]);
  }

  async off(): Promise<void> {
    if (this.#server !== undefined) await ended(this.#server);
    this.#server = undefined;
    if ((await execute('mountpoint', ['-q', this.path])).code === 0) {
      await succeed('umount', [this.path]);
    }
    if (this.#loop !== '') await succeed('losetup', ['-d', this.#loop]);
    this.#loop = '';
    if (this.#front !== undefined) await ended(this.#front);
    this.#front = undefined;
    // It aborts when its server is gone, and leaves the mount point behind.
    await execute('fusermount3', ['-u', '-z', '-q', this.#at('fuse')]);
    rmSync(this.#at('disk.sock'), { force: true });
    rmSync(this.#at('fuse.pid'), { force: true });
  }

  #at(name: string): string {
    return join(this.#directory, name);
  }

  #reboot(): void {
    writeFileSync(this.#at('boot-id'), `${randomUUID()}\n`);
  }

  async #attach(): Promise<void> {
    const socket = this.#at('disk.sock');
    this.#server = spawn(
      'nbdkit',
      ['-f', '-U', socket, '--filter=cache', 'file', this.#at('disk.img'), 'cache=writeback'],
      { stdio: 'ignore' },
    );
    await eventually(async () => existsSync(socket), 'the disk serves');
    this.#front = spawn(
      'nbdfuse',
      ['-P', this.#at('fuse.pid'), this.#at('fuse/disk'), `nbd+unix:///?socket=${socket}`],
      { stdio: 'ignore' },
    );
    await eventually(async () => existsSync(this.#at('fuse.pid')), 'nbdfuse has mounted');
    const found = await succeed('losetup', [
      ...['--find', '--show', '--direct-io=on', this.#at('fuse/disk')],
    ]);
    this.#loop = found.trim();
  }
}

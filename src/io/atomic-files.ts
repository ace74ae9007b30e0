/**
 * Small files replaced atomically: written under another name, made durable, renamed over the old
 * one, and the directory made durable. A reader, and a power cut, sees the old file or the new one.
 * Files are readable by their owner only, because some hold secrets.
 *
 * Two replacements of one file at the same time end with one of the two, whole.
 */
import { randomUUID } from 'node:crypto';
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DurablePage, FileStore } from '../ports/file-store.js';
import { native } from './native.js';

export const atomicFiles: FileStore = {
  async read(path) {
    return unlessMissing(readFile(path));
  },

  async replace(path, bytes) {
    const fresh = `${path}.${randomUUID()}.new`;
    try {
      const file = await open(fresh, 'wx', ownerOnly);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(fresh, path);
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
    await syncDirectory(dirname(path));
  },

  async remove(path) {
    await rm(path, { force: true });
    await syncDirectory(dirname(path));
  },

  async rename(from, to) {
    await rename(from, to);
    await syncDirectory(dirname(to));
    if (dirname(from) !== dirname(to)) await syncDirectory(dirname(from));
  },

  async list(directory) {
    return unlessMissing(readdir(directory));
  },

  syncDirectory,

  async openPage(path) {
    const bytes = await native.mapPage(path);
    await syncDirectory(dirname(path));
    return new MappedPage(bytes);
  },

  async identify(path) {
    const facts = await stat(path, { bigint: true });
    if (!facts.isFile()) return { inode: 0, bornMs: 0 };
    const { ino, birthtimeMs, ctimeMs } = facts;
    // Where the kernel does not tell the birth, Node puts the last change there, or nothing.
    const bornMs = birthtimeMs < ctimeMs ? Number(birthtimeMs) : 0;
    return { inode: Number(BigInt.asUintN(53, ino)), bornMs };
  },

  async writeMark(path) {
    const facts = await stat(path, { bigint: true });
    if (facts.isFile())
      return `${base36(facts.mtimeNs)}.${base36(facts.ctimeNs)}.${base36(facts.size)}`;
    if (!facts.isBlockDevice()) return '';
    const counters = await unlessMissing(
      readFile(`/sys/dev/block/${device(facts.rdev)}/stat`, 'utf8'),
    );
    const [, , , , writes, , sectors] = counters?.trim().split(/\s+/) ?? [];
    if (writes === undefined || sectors === undefined) return '';
    // They begin at nothing with every boot.
    return `${(await bootId()).slice(0, 8)}.${writes}.${sectors}`;
  },

  bootId,
};

function base36(value: bigint): string {
  return value.toString(36);
}

/** Major and minor number as in /sys/dev/block; glibc splits both in two. */
function device(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  return `${major}:${minor & 0xffffffffn}`;
}

async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

class MappedPage implements DurablePage {
  readonly bytes: Uint8Array;
  #syncing: Promise<void> = Promise.resolve();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  sync(): Promise<void> {
    const sync = native.syncPage(this.bytes);
    this.#syncing = Promise.allSettled([this.#syncing, sync]).then(() => {});
    return sync;
  }

  async close(): Promise<void> {
    await this.#syncing;
    native.unmapPage(this.bytes);
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function unlessMissing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

const ownerOnly = 0o600;

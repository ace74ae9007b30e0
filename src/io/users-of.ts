/**
 * Who else has a file or block device open: other processes, and loop devices that stand on it. A lock
 * says nothing of programs that take none, and a mirror under a mounted file system must not be written
 * (Rule 15a). What the system does not let us look at (processes of others, without root) is not found.
 */
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';

/** In words, for the operator: `postgres (4711)`, `/dev/loop3`. Empty: nobody that can be seen. */
export async function usersOf(path: string): Promise<readonly string[]> {
  const object = await identityOf(path);
  if (object === undefined) return [];
  return [...(await loopsOn(object)), ...(await processesOn(object))];
}

async function loopsOn(object: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await names('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    const file = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '');
    if (file !== '' && (await identityOf(file.trimEnd())) === object) found.push(`/dev/${name}`);
  }
  return found;
}

async function processesOn(object: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await names('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    if (await hasOpen(pid, object)) found.push(`${await nameOf(pid)} (${pid})`);
  }
  return found;
}

async function hasOpen(pid: string, object: string): Promise<boolean> {
  for (const fd of await names(`/proc/${pid}/fd`)) {
    const link = `/proc/${pid}/fd/${fd}`;
    // Sockets and pipes are the most, and a look at the name is enough for them.
    const target = await readlink(link).catch(() => '');
    if (target.startsWith('/') && (await identityOf(link)) === object) return true;
  }
  return false;
}

async function nameOf(pid: string): Promise<string> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return basename(command.split('\0')[0] ?? '') || 'a process';
}

/** The same for every name of one object: device and inode, or the number of the block device. */
async function identityOf(path: string): Promise<string | undefined> {
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined) return undefined;
  return facts.isBlockDevice() ? `block ${facts.rdev}` : `file ${facts.dev} ${facts.ino}`;
}

async function names(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}

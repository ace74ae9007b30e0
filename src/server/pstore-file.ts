/**
 * The host's pstore: made where there is none, opened with its lock otherwise. Only what is empty is
 * ever formatted: a path that was mistyped must not cost somebody's data.
 */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DeviceCalls } from '../actors/device-calls.js';
import {
  checksumOf,
  formatPstore,
  type PstorePlace,
  readSuperblock,
} from '../actors/pstore-format.js';
import { groupsMax } from '../core/constants.js';
import { isTdmfError, TdmfError } from '../core/errors.js';
import { pstoreBytes, superblockBytes } from '../core/pstore/layout.js';

import { atomicFiles } from '../io/atomic-files.js';
import type { Io } from '../io/open-io.js';
import { SystemClock } from '../io/system-clock.js';
import { systemRandom } from '../io/system-random.js';
import type { BlockDevice } from '../ports/block-device.js';

/**
 * Makes the pstore when `path` is missing, or is an empty file or a block device that begins with
 * zeroes. True when it was made.
 * @throws TDMF_PSTORE_FOREIGN, TDMF_PSTORE_DAMAGED, TDMF_PSTORE_VERSION, TDMF_DEVICE_*
 */
export async function ensurePstore(io: Io, path: string): Promise<boolean> {
  const slots = groupsMax;
  const facts = await stat(path).catch(() => undefined);
  const empty = facts === undefined || (facts.isFile() && facts.size === 0);
  const device = await io.open({
    path,
    access: 'readwrite',
    ...(empty && { createBytes: pstoreBytes(slots) }),
  });
  try {
    if (!empty && !(await isBlank(device, io))) return false;
    if (device.sizeBytes < pstoreBytes(slots)) {
      const expected = pstoreBytes(slots);
      throw new TdmfError('TDMF_DEVICE_SIZE', { path, actual: device.sizeBytes, expected });
    }
    const clock = new SystemClock();
    await formatPstore({ device, opener: io, clock, random: systemRandom, slots });
  } finally {
    await device.close();
  }
  // The name too must survive a power cut: without it the pstore is gone, and with it all lineage.
  await atomicFiles.syncDirectory(dirname(path));
  return true;
}

/** False when it is a pstore. @throws when it is anything else than blank */
async function isBlank(device: BlockDevice, io: Io): Promise<boolean> {
  if (device.sizeBytes < superblockBytes) {
    throw new TdmfError('TDMF_PSTORE_FOREIGN', { path: device.path });
  }
  const calls = new DeviceCalls(device, io);
  try {
    await readSuperblock(calls, checksumOf(io.digest));
    return false;
  } catch (error) {
    if (!isTdmfError(error) || error.code !== 'TDMF_PSTORE_DAMAGED') throw error;
    const head = await calls.read(0, superblockBytes);
    if (typeof head !== 'number' && head.length > 0 && head.every((byte) => byte === 0))
      return true;
    if (error.details['what'] === noPstore)
      throw new TdmfError('TDMF_PSTORE_FOREIGN', { path: device.path });
    throw error;
  }
}

/** Groups have run on this home: a pstore that is gone must not be replaced by an empty one. */
export async function mustExist(path: string): Promise<void> {
  await stat(path).catch((cause: unknown) => {
    throw new TdmfError('TDMF_PSTORE_MISSING', { path }, { cause });
  });
}

/** @throws TDMF_PSTORE_MISSING, TDMF_DEVICE_BUSY */
export async function openPstore(io: Io, path: string, create = false): Promise<PstorePlace> {
  try {
    const options = { path, access: 'readwrite', growable: true } as const;
    const device = await io.open(create ? { ...options, createBytes: superblockBytes } : options);
    const { sizeBytes } = device;
    const grows = (await stat(path)).isFile();
    return { device, opener: io, capacityBytes: grows ? undefined : sizeBytes };
  } catch (error) {
    if (!isTdmfError(error) || error.code !== 'TDMF_DEVICE_MISSING') throw error;
    throw new TdmfError('TDMF_PSTORE_MISSING', { path }, { cause: error });
  }
}

/**
 * Rule 54b: what was used last is remembered in the home, so that an older copy of it, which an edited
 * tdmf.cfg may name, is not taken for it.
 * @throws TDMF_PSTORE_STALE
 */
export async function mustBeNewest(
  seenFile: string,
  path: string,
  { nodeId, sequence }: { readonly nodeId: string; readonly sequence: number },
): Promise<void> {
  const bytes = await atomicFiles.read(seenFile);
  const seen = bytes === undefined ? undefined : parseSeen(Buffer.from(bytes).toString('utf8'));
  if (seen?.nodeId === nodeId && seen.sequence > sequence) {
    throw new TdmfError('TDMF_PSTORE_STALE', { path, other: seen.path });
  }
  const now = `${JSON.stringify({ nodeId, sequence, path })}\n`;
  if (seen?.nodeId === nodeId && seen.sequence === sequence && seen.path === path) return;
  await atomicFiles.replace(seenFile, Buffer.from(now));
}

function parseSeen(text: string): { nodeId: string; sequence: number; path: string } | undefined {
  try {
    const { nodeId, sequence, path } = JSON.parse(text) as Record<string, unknown>;
    const whole = typeof nodeId === 'string' && typeof path === 'string';
    return whole && Number.isSafeInteger(sequence)
      ? { nodeId, path, sequence: sequence as number }
      : undefined;
  } catch {
    return undefined;
  }
}

/** What readSuperblock says of bytes that never were a pstore. */
const noPstore = 'it is no pstore';

/** The host's pstore: made when there is none, opened with its lock otherwise. */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatPstore } from '../actors/pstore-format.js';
import { groupsMax } from '../core/constants.js';
import { isTdmfError, TdmfError } from '../core/errors.js';
import { pstoreBytes } from '../core/pstore/layout.js';
import { atomicFiles } from '../io/atomic-files.js';
import type { Io } from '../io/open-io.js';
import { SystemClock } from '../io/system-clock.js';
import { systemRandom } from '../io/system-random.js';
import type { BlockDevice } from '../ports/block-device.js';

/** Makes the pstore when `path` is a file that does not exist. True when it was made. */
export async function ensurePstore(io: Io, path: string): Promise<boolean> {
  if (await exists(path)) return false;
  const slots = groupsMax;
  const device = await io.open({ path, access: 'readwrite', createBytes: pstoreBytes(slots) });
  try {
    await formatPstore({
      device,
      opener: io,
      clock: new SystemClock(),
      random: systemRandom,
      slots,
    });
  } finally {
    await device.close();
  }
  // The name too must survive a power cut: without it the pstore is gone, and with it all lineage.
  await atomicFiles.syncDirectory(dirname(path));
  return true;
}

/** @throws TDMF_PSTORE_MISSING, TDMF_DEVICE_BUSY */
export async function openPstore(io: Io, path: string): Promise<BlockDevice> {
  try {
    return await io.open({ path, access: 'readwrite' });
  } catch (error) {
    if (!isTdmfError(error) || error.code !== 'TDMF_DEVICE_MISSING') throw error;
    throw new TdmfError('TDMF_PSTORE_MISSING', { path }, { cause: error });
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

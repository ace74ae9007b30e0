/**
 * The lock of a TDMF home: an flock on `run/lock`, held by the process and gone with it, however it
 * ends. It keeps two servers from one home; the fence of data is the lock on each device (H22).
 */
import { isTdmfError } from '../core/errors.js';
import { native } from './native.js';
import { openFacts } from './open-facts.js';

/** Resolves with what releases the lock, or undefined when another process has it. */
export async function lockFile(path: string): Promise<(() => Promise<void>) | undefined> {
  try {
    const { fd } = await openFacts({ path, access: 'readwrite', createBytes: 1 });
    return () => native.closeFd(fd);
  } catch (error) {
    if (isTdmfError(error) && error.code === 'TDMF_DEVICE_BUSY') return undefined;
    throw error;
  }
}

/**
 * Opens a device with its lock (Rule 22) and translates what the system says into the product's
 * errors. Both adapters stand on it. The work is done by the addon on libuv's pool, because opening
 * may hang with the disk.
 */
import { type ErrorDetails, TdmfError } from '../core/errors.js';
import type { OpenOptions, SharedDevice } from '../ports/block-device.js';
import { native } from './native.js';

export async function openFacts(options: OpenOptions): Promise<SharedDevice> {
  const { path, access, cache, createBytes, growable } = options;
  const writable = access === 'readwrite';
  try {
    const facts = await native.openDevice(
      path,
      writable,
      cache !== 'writeback',
      cache === 'direct',
      createBytes !== undefined && writable,
      createBytes ?? 0,
      lockWaitMs,
    );
    return {
      path,
      writable,
      growable: growable === true && !facts.block,
      fd: facts.fd,
      sizeBytes: facts.sizeBytes,
      logicalBlockBytes: facts.logicalBlockBytes,
      direct: facts.direct,
      alignmentBytes: facts.alignmentBytes,
    };
  } catch (error) {
    throw deviceError(path, error);
  }
}

/** Any failure of the system on a device, as the operator is to hear of it. */
export function deviceError(path: string, error: unknown): TdmfError {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  const details: ErrorDetails = { path, errno: String(code), operation: String(syscall) };
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENXIO':
    case 'ENODEV':
      return new TdmfError('TDMF_DEVICE_MISSING', details, { cause: error });
    case 'EISDIR':
    case 'ENOTBLK':
      return new TdmfError('TDMF_DEVICE_KIND', details, { cause: error });
    case 'EAGAIN':
    case 'EBUSY':
      return new TdmfError('TDMF_DEVICE_BUSY', details, { cause: error });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new TdmfError('TDMF_DEVICE_PERMISSION', details, { cause: error });
    default:
      return new TdmfError('TDMF_DEVICE_FAILED', details, { cause: error });
  }
}

// A lock may outlive its owner by milliseconds: the kernel ends the I/O of a killed process or a
// closed ring on its own time. Busy means busy for this long.
const lockWaitMs = 250;

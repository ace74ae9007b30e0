/**
 * The I/O of this thread. `auto` takes io_uring where the kernel allows it (Linux 6.0 or later, not
 * forbidden by the container) and the thread-pool adapter elsewhere; both keep the same ports, and
 * the contract suites run on both. Called once per host thread.
 */
import { TdmfError } from '../core/errors.js';
import type { DeviceOpener } from '../ports/block-device.js';
import type { StreamOpener } from '../ports/byte-stream.js';
import { errnoName } from './errno.js';
import { native } from './native.js';
import { ThreadsIo } from './threads-io.js';
import { threadTurn } from './turn.js';
import { UringIo } from './uring-io.js';

export interface Io extends DeviceOpener, StreamOpener {
  readonly kind: 'uring' | 'threads';
  /** Closes every device and stream that is still open, then the I/O itself. */
  close(): Promise<void>;
}

/** @throws TDMF_IO_URING when `uring` is demanded and the kernel refuses it. */
export function openIo(choice: 'auto' | 'uring' | 'threads', turn = threadTurn): Io {
  // Rule 52: where the kernel allows it, memory that this thread asks for never waits for its own I/O.
  native.setIoFlusher();
  if (choice === 'threads') return new ThreadsIo();
  const refused = native.probe();
  if (refused === 0) return new UringIo(turn);
  if (choice === 'auto') return new ThreadsIo();
  throw new TdmfError('TDMF_IO_URING', { errno: errnoName(refused) });
}

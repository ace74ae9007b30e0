/** Error numbers of the system as completions carry them: negative. Knows nothing else. */
import { constants } from 'node:os';

const { errno } = constants;
export const eAgain = -errno.EAGAIN;
export const eBadFile = -errno.EBADF;
export const eCanceled = -errno.ECANCELED;
export const eInvalid = -errno.EINVAL;
export const eIo = -errno.EIO;
export const eNoSpace = -errno.ENOSPC;
export const eNotSupported = -errno.EOPNOTSUPP;
export const eNoCall = -errno.ENOSYS;

/** The negative errno of a failed node:fs, node:net or addon call; −EIO when it has none. */
export function errnoOf(error: unknown): number {
  const value =
    typeof error === 'object' && error !== null && 'errno' in error ? error.errno : undefined;
  return typeof value === 'number' && value < 0 ? value : eIo;
}

/** The name of a positive errno, for messages. */
export function errnoName(value: number): string {
  return Object.entries(errno).find(([, code]) => code === value)?.[0] ?? String(value);
}

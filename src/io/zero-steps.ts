/**
 * How a range is made zero (H32), and what to try next when a file system or device cannot do that.
 * Punching gives the space back, so it is used only where that is allowed; zeroing keeps it. Writing
 * zeroes always works. What a hole cannot do is make a growable file longer.
 */
import { eInvalid, eNoCall, eNotSupported } from './errno.js';

export type ZeroStep = 'punch' | 'zero' | 'write';

export function zeroSteps(mayUnmap: boolean, extend: boolean): readonly ZeroStep[] {
  return mayUnmap && !extend ? unmapping : keeping;
}

/** EINVAL too: a buffered block device refuses ranges that are not whole blocks. */
export function stepRefused(result: number): boolean {
  return result === eNotSupported || result === eNoCall || result === eInvalid;
}

const unmapping: readonly ZeroStep[] = ['punch', 'zero', 'write'];
const keeping: readonly ZeroStep[] = ['zero', 'write'];

/**
 * The tunables that the group's own decisions and its neighbours need, as numbers. Their values were
 * checked when they were set; one that is missing has its default.
 */
import { refreshTimeoutDefault } from '../core/constants.js';
import type { GroupRecord } from '../core/pstore/record.js';

/** REFRESHTIMEOUT in ms; negative: for ever (MD 12). */
export function refreshTimeoutMsOf(tunables: GroupRecord['tunables']): number {
  const seconds = Number(tunables['REFRESHTIMEOUT'] ?? refreshTimeoutDefault);
  return seconds < 0 ? -1 : seconds * 1000;
}

/**
 * What `override` does to a mode (MD 24, 39; row 11). The PMD does not run meanwhile, so nothing here
 * waits for the secondary: a mode is put in, and what the mirror makes of it is found out at the next
 * connection. No override clears dirt (Rule 11), and no override makes half-old local devices a source.
 */
import { recordTracking } from './group-mode-moves.js';

const abortRefresh = { type: 'abortPhaseB', params: { again: false } } as const;
const markOnly = { type: 'setDuties', params: { append: false, mark: true } } as const;

/** PASSTHRU goes on marking, so that it can be left without comparing everything (Rule 10c). */
export const overridePassthru = {
  target: '#group.mode.passthru.tracked',
  actions: [
    'forgetUnfinished',
    markOnly,
    'restoreMap',
    'clearBab',
    'beginEra',
    'endRefresh',
    { type: 'recordMode', params: { mode: 'passthru', cause: 'operator.override' } },
    'persist',
  ],
} as const;

export const overrideTracking = {
  target: '#group.mode.tracking.waiting',
  actions: [markOnly, ...recordTracking('operator.override')],
} as const;

/** From a PASSTHRU that remembered nothing: everything may differ, and is compared (MD 13). */
export const overrideTrackingUnknown = {
  target: '#group.mode.tracking.waiting',
  actions: [markOnly, 'recordUnproven', 'restoreMap', ...recordTracking('operator.override')],
} as const;

/** NORMAL, unverified, by way of TRACKING: group-mode-tracking.ts says how it is entered. */
export const overrideNormal = {
  target: '#group.mode.tracking.entering',
  actions: overrideTracking.actions,
} as const;

export const overrideNormalUnknown = {
  target: '#group.mode.tracking.entering',
  actions: overrideTrackingUnknown.actions,
} as const;

/** A refresh that has no PMD ends like one that was killed; its map stays. */
export const leaveRefresh = ['publishRefreshKilled', markOnly, abortRefresh] as const;

/** Every entry becomes dirt, and so does what is written from now on (H11). */
export const clearBabInNormal = {
  target: '#group.mode.tracking.waiting',
  actions: [markOnly, 'clearBab', ...recordTracking('operator.override')],
} as const;

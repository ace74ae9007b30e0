/**
 * The sequences of actions that several states of the mode machine share, in the order in which they
 * must happen: what begins a refresh, what ends one, what TRACKING needs. Every way out of a refresh
 * but the commit leaves the dirt where it is (4.3, I21).
 */
import type { GroupCause, RefreshKind, RestingMode } from './group-mode-types.js';

/** The record of TRACKING. The map has exactly what was marked. */
export const recordTracking = (cause: GroupCause) =>
  [
    { type: 'beginEra' },
    { type: 'endRefresh' },
    { type: 'forgetUnfinished' },
    { type: 'recordMode', params: { mode: 'tracking', cause } },
    { type: 'persist' },
  ] as const;

/** R9 and 4.3: append off first, then the PMD forgets; P stays what it is. */
export const giveUpRefresh = (cause: GroupCause) =>
  [
    { type: 'setDuties', params: { append: false, mark: true } },
    { type: 'abortPhaseB', params: { again: false } },
    { type: 'restoreMap' },
    ...recordTracking(cause),
  ] as const;

/** The same, but the refresh stays in the record and goes on after a growing pause (MD 12). */
export const pauseRefresh = (cause: GroupCause) =>
  [
    { type: 'setDuties', params: { append: false, mark: true } },
    { type: 'abortPhaseB', params: { again: false } },
    { type: 'restoreMap' },
    { type: 'rememberUnfinished' },
    { type: 'countFailure' },
    { type: 'beginEra' },
    { type: 'recordMode', params: { mode: 'tracking', cause } },
    { type: 'persist' },
    { type: 'publishRefreshRetrying', params: { cause } },
  ] as const;

/** R9: phase a again, later. A new era, because marked writes are not in the old one's stream. */
export const abandonPhaseB = (cause: GroupCause) =>
  [
    { type: 'setDuties', params: { append: false, mark: true } },
    { type: 'abortPhaseB', params: { again: true } },
    { type: 'beginEra' },
    { type: 'persist' },
    { type: 'countAttempt' },
    { type: 'publishRefreshAborted', params: { cause } },
  ] as const;

/** R1: the record says REFRESH, and of which kind, before anything else happens. */
const beginRefresh = (
  origin: RestingMode,
  kind: RefreshKind,
  ordered: boolean,
  cause: GroupCause,
) =>
  [
    { type: 'comeFrom', params: { mode: origin } },
    { type: 'wantKind', params: { kind } },
    { type: 'forgetAttempts' },
    { type: 'forgetUnfinished' },
    { type: 'beginEra' },
    { type: 'recordRefresh', params: { kind, ordered } },
    { type: 'recordMode', params: { mode: 'refresh', cause } },
    { type: 'persist' },
  ] as const;

/** An operator's word also ends the pause that grew with the failures before. */
export const orderRefresh = (origin: RestingMode, kind: RefreshKind) =>
  ({
    target: '#group.mode.refresh.preparing.saving',
    actions: [
      { type: 'forgetFailures' },
      { type: 'forgetQuiet' },
      ...beginRefresh(origin, kind, true, 'operator.launchrefresh'),
    ],
  }) as const;

/** MD 13: a map that knows nothing is never trusted. */
export const orderUpgraded = (origin: RestingMode) =>
  ({
    target: '#group.mode.refresh.preparing.saving',
    actions: [
      { type: 'forgetFailures' },
      { type: 'forgetQuiet' },
      ...beginRefresh(origin, 'checksum', true, 'operator.launchrefresh'),
      { type: 'publishUpgraded', params: { why: 'map' } },
    ],
  }) as const;

/** override state refresh: a smart refresh that waits for launchpmd. */
export const overrideRefresh = (origin: RestingMode, kind: 'smart' | 'checksum') =>
  ({
    target: '#group.mode.refresh.preparing.saving',
    actions: [
      { type: 'beQuiet' },
      { type: 'forgetFailures' },
      ...beginRefresh(origin, kind, true, 'operator.override'),
      ...(kind === 'checksum'
        ? ([{ type: 'publishUpgraded', params: { why: 'map' } }] as const)
        : []),
    ],
  }) as const;

export const orderBackfresh = (origin: RestingMode) =>
  ({
    target: '#group.mode.backfresh.closing',
    actions: [
      { type: 'forgetQuiet' },
      { type: 'forgetFailures' },
      { type: 'forgetUnfinished' },
      { type: 'comeFrom', params: { mode: origin } },
    ],
  }) as const;

/** override state backfresh: it waits for launchpmd. */
export const overrideBackfresh = (origin: RestingMode) =>
  ({
    target: '#group.mode.backfresh.closing',
    actions: [...orderBackfresh(origin).actions, { type: 'beQuiet' }],
  }) as const;

/** TRACKING ends by itself when the link is there and the lineage allows it. */
export const startRefresh = (kind: RefreshKind) =>
  ({
    target: '#group.mode.refresh.preparing.saving',
    actions: beginRefresh('tracking', kind, false, 'link.decided'),
  }) as const;

/** The refresh of the record goes on: the same one, so that nothing is done twice. */
export const resumeRefresh = {
  target: '#group.mode.refresh.preparing.saving',
  actions: [
    { type: 'comeFrom', params: { mode: 'tracking' } },
    { type: 'forgetAttempts' },
    { type: 'resumeRecorded' },
    { type: 'recordMode', params: { mode: 'refresh', cause: 'refresh.retrying' } },
    { type: 'persist' },
  ],
} as const;

/** What the map has is not all that may differ: the refresh compares everything instead (row 6). */
export const upgradeRefresh = [
  { type: 'comeFrom', params: { mode: 'tracking' } },
  { type: 'wantKind', params: { kind: 'checksum' } },
  { type: 'publishUpgraded', params: { why: 'lineage' } },
  { type: 'recordUpgrade' },
  { type: 'persist' },
] as const;

/** Whether a PMD shall run is durable, so that a restart launches it again (MD 34). */
export const launch = [
  { type: 'recordPmd', params: { launched: true } },
  'persist',
  'launchPmd',
] as const;
export const kill = [
  { type: 'recordPmd', params: { launched: false } },
  'persist',
  'killPmd',
] as const;

/** Rule 3: a switch that did not take effect in time is undone; the dirt of a refresh is kept. */
export const undoSwitch = {
  target: '#group.mode.tracking.pausing',
  actions: [
    { type: 'publishRefreshFailed', params: { code: 'TDMF_TIMED_OUT' } },
    ...pauseRefresh('limit.passed'),
  ],
} as const;

export const abandon = (cause: GroupCause) =>
  ({ target: '#group.mode.refresh.backoff', actions: abandonPhaseB(cause) }) as const;

/** The beginning was never durable: nothing has changed yet, so the mode before goes on. */
export const neverBegan = [
  { type: 'publishRefreshFailed', params: { code: 'TDMF_PSTORE_FAILED' } },
  { type: 'revertRecord' },
] as const;

/** The local devices are taken as they are, on an operator's word: nobody knows what the mirror lacks. */
export const takeLocal = {
  target: '#group.mode.passthru.untracked',
  actions: [
    'acceptLocal',
    { type: 'setDuties', params: { append: false, mark: false } },
    { type: 'recordMode', params: { mode: 'passthru', cause: 'operator.override' } },
    'persist',
    'openDoor',
  ],
} as const;

/** Neither old nor new: closed to clients until a backfresh or an override settles it (MD 18). */
export const leaveIncoherent = {
  target: '#group.mode.passthru.incoherent',
  actions: [
    'recordIncoherent',
    { type: 'recordMode', params: { mode: 'passthru', cause: 'operator.killbackfresh' } },
    'persist',
  ],
} as const;

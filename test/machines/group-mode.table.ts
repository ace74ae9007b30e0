/**
 * What every state of the mode region does with every event, decided cell by cell. No Partial: a new
 * state or event does not compile until all its cells are here. The group is connected in all rows.
 *
 * A cell is the state that follows, `same` (nothing happens in this region), `noted` (the state
 * stays, something is remembered or announced), or the code of the refusal.
 */
import type { TdmfErrorCode } from '../../src/core/errors.js';
import type { GroupModeEvent, ModeLeaf } from '../../src/machines/group-mode.js';
import type { OperatorRequest } from '../../src/machines/refusals.js';

export type Cell = ModeLeaf | 'same' | 'noted' | TdmfErrorCode;
export type Fact = Exclude<GroupModeEvent['type'], OperatorRequest>;

const unbuilt = {
  'operator.overrideClearBab': 'TDMF_MODE_NOT_YET',
  'operator.overridePassthru': 'TDMF_MODE_NOT_YET',
  'operator.overrideNormal': 'TDMF_MODE_NOT_YET',
  'operator.overrideTracking': 'TDMF_MODE_NOT_YET',
  'operator.overrideRefresh': 'TDMF_MODE_NOT_YET',
  'operator.overrideBackfresh': 'TDMF_MODE_NOT_YET',
  'operator.checkpointOn': 'TDMF_MODE_NOT_YET',
  'operator.checkpointOff': 'TDMF_MODE_NOT_YET',
  'operator.reco': 'TDMF_MODE_NOT_YET',
} as const;

const anyMode = {
  'operator.start': 'TDMF_GROUP_STARTED',
  // Accepted in every mode and carried out by the actor: draining is no mode.
  'operator.stop': 'same',
  'operator.launchpmd': 'TDMF_PMD_RUNNING',
  'operator.killpmd': 'same',
  ...unbuilt,
} as const;

const resting: Readonly<Record<OperatorRequest, Cell>> = {
  ...anyMode,
  'operator.refreshFull': 'refresh.preparing.saving',
  'operator.refreshSmart': 'TDMF_MODE_NOT_YET',
  'operator.refreshChecksum': 'TDMF_MODE_NOT_YET',
  'operator.killrefresh': 'TDMF_REFRESH_NOT_RUNNING',
  'operator.backfresh': 'TDMF_MODE_NOT_YET',
  'operator.killbackfresh': 'TDMF_MODE_REFUSED',
};

const refreshing: Readonly<Record<OperatorRequest, Cell>> = {
  ...anyMode,
  'operator.refreshFull': 'TDMF_REFRESH_RUNNING',
  'operator.refreshSmart': 'TDMF_REFRESH_RUNNING',
  'operator.refreshChecksum': 'TDMF_REFRESH_RUNNING',
  'operator.killrefresh': 'tracking',
  'operator.backfresh': 'TDMF_REFRESH_RUNNING',
  'operator.killbackfresh': 'TDMF_MODE_REFUSED',
};

/** Facts that no row mentions are late or belong to the link region. */
const deaf: Readonly<Record<Fact, Cell>> = {
  'record.saved': 'same',
  'record.failed': 'same',
  'driver.overflowed': 'same',
  'driver.graced': 'same',
  'driver.markedAll': 'same',
  'driver.marked': 'same',
  'driver.committed': 'same',
  'driver.commitKept': 'same',
  'pmd.dropped': 'same',
  'pmd.wanted': 'same',
  'pmd.stopped': 'same',
  'pmd.poisoned': 'same',
  'link.connecting': 'same',
  'link.connected': 'same',
  'link.lost': 'same',
  'link.refused': 'same',
  'link.refusedForGood': 'same',
  'refresh.converged': 'same',
  'refresh.frozenRead': 'same',
  'refresh.committed': 'same',
  'refresh.phaseBLost': 'same',
  'refresh.failed': 'same',
  'drain.expired': 'same',
};

const refreshRow: Readonly<Record<GroupModeEvent['type'], Cell>> = {
  ...refreshing,
  ...deaf,
  'refresh.failed': 'tracking',
};

export const modeTable: Readonly<Record<ModeLeaf, Readonly<Record<GroupModeEvent['type'], Cell>>>> =
  {
    passthru: { ...resting, ...deaf },
    normal: {
      ...resting,
      ...deaf,
      'driver.overflowed': 'tracking',
      'drain.expired': 'tracking',
      'pmd.poisoned': 'tracking',
    },
    tracking: { ...resting, ...deaf, 'pmd.poisoned': 'noted' },
    'refresh.preparing.saving': {
      ...refreshRow,
      'record.saved': 'refresh.preparing.gracing',
      // Back to where the refresh was ordered; the table's context says PASSTHRU.
      'record.failed': 'passthru',
      'driver.overflowed': 'noted',
    },
    'refresh.preparing.gracing': { ...refreshRow, 'driver.graced': 'refresh.preparing.marking' },
    'refresh.preparing.marking': {
      ...refreshRow,
      'driver.markedAll': 'refresh.preparing.dropping',
    },
    'refresh.preparing.dropping': { ...refreshRow, 'pmd.dropped': 'refresh.phaseA' },
    // A lost link changes nothing: the PMD goes on where it was when it is back (R3).
    'refresh.phaseA': { ...refreshRow, 'refresh.converged': 'refresh.freezing.recording' },
    'refresh.freezing.recording': {
      ...refreshRow,
      'record.saved': 'refresh.freezing.gracing',
      'record.failed': 'refresh.backoff',
      'operator.killpmd': 'refresh.backoff',
      'link.lost': 'refresh.backoff',
    },
    'refresh.freezing.gracing': {
      ...refreshRow,
      'driver.graced': 'refresh.phaseB.sending',
      'driver.overflowed': 'refresh.backoff',
      'operator.killpmd': 'refresh.backoff',
      'link.lost': 'refresh.backoff',
    },
    'refresh.phaseB.sending': {
      ...refreshRow,
      'pmd.poisoned': 'refresh.backoff',
      'refresh.frozenRead': 'refresh.phaseB.marking',
      'refresh.phaseBLost': 'refresh.backoff',
      'driver.overflowed': 'refresh.backoff',
      'operator.killpmd': 'refresh.backoff',
      'link.lost': 'refresh.backoff',
    },
    'refresh.phaseB.marking': {
      ...refreshRow,
      'pmd.poisoned': 'refresh.backoff',
      'driver.marked': 'refresh.committing.awaiting',
      'refresh.phaseBLost': 'refresh.backoff',
      'driver.overflowed': 'refresh.backoff',
      'operator.killpmd': 'refresh.backoff',
      'link.lost': 'refresh.backoff',
    },
    'refresh.committing.awaiting': {
      ...refreshRow,
      'pmd.poisoned': 'refresh.backoff',
      'refresh.committed': 'refresh.committing.clearing',
      'refresh.phaseBLost': 'refresh.backoff',
      'driver.overflowed': 'refresh.backoff',
      'operator.killpmd': 'refresh.backoff',
    },
    'refresh.committing.clearing': {
      ...refreshRow,
      'driver.committed': 'refresh.committing.recording',
      'driver.commitKept': 'tracking',
      'driver.overflowed': 'noted',
    },
    'refresh.committing.recording': {
      ...refreshRow,
      'record.saved': 'normal',
      'driver.overflowed': 'tracking',
      'drain.expired': 'tracking',
    },
    'refresh.backoff': { ...refreshRow, 'refresh.converged': 'noted' },
    backfresh: {
      ...resting,
      ...deaf,
      'operator.refreshFull': 'TDMF_MODE_REFUSED',
      'operator.refreshSmart': 'TDMF_MODE_REFUSED',
      'operator.refreshChecksum': 'TDMF_MODE_REFUSED',
      'operator.killbackfresh': 'TDMF_MODE_NOT_YET',
    },
  };

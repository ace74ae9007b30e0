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
  'operator.refreshSmart': 'refresh.preparing.saving',
  'operator.refreshChecksum': 'refresh.preparing.saving',
  'operator.killrefresh': 'TDMF_REFRESH_NOT_RUNNING',
  'operator.backfresh': 'TDMF_MODE_NOT_YET',
  'operator.killbackfresh': 'TDMF_MODE_REFUSED',
};

const refreshing: Readonly<Record<OperatorRequest, Cell>> = {
  ...anyMode,
  'operator.refreshFull': 'TDMF_REFRESH_RUNNING',
  'operator.refreshSmart': 'TDMF_REFRESH_RUNNING',
  'operator.refreshChecksum': 'TDMF_REFRESH_RUNNING',
  'operator.killrefresh': 'tracking.held',
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
  'driver.cleared': 'same',
  'pmd.dropped': 'same',
  'pmd.drained': 'same',
  'pmd.wanted': 'same',
  'pmd.stopped': 'same',
  'pmd.poisoned': 'same',
  'link.connecting': 'same',
  'link.connected': 'same',
  'link.lost': 'same',
  'link.refused': 'same',
  'link.refusedForGood': 'same',
  'lineage.follows': 'same',
  'lineage.equal': 'same',
  'lineage.smart': 'same',
  'lineage.checksum': 'same',
  'lineage.waits': 'same',
  'refresh.converged': 'same',
  'refresh.frozenRead': 'same',
  'refresh.committed': 'same',
  'refresh.phaseBLost': 'same',
  'refresh.failed': 'same',
  'refresh.timedOut': 'same',
  'tunables.set': 'noted',
  'drain.expired': 'same',
};

const refreshRow: Readonly<Record<GroupModeEvent['type'], Cell>> = {
  ...refreshing,
  ...deaf,
  'refresh.failed': 'tracking.pausing',
  'refresh.timedOut': 'noted',
};

/** TRACKING; in the table no session is judged before the event. */
const tracking: Readonly<Record<GroupModeEvent['type'], Cell>> = {
  ...resting,
  ...deaf,
  'pmd.poisoned': 'noted',
  'driver.cleared': 'noted',
};
/** A session that allows it ends TRACKING: at once, or when the BAB is drained. */
const allowed = {
  'lineage.follows': 'tracking.draining',
  'lineage.equal': 'refresh.preparing.saving',
  'lineage.smart': 'refresh.preparing.saving',
  'lineage.checksum': 'refresh.preparing.saving',
} as const;
const lostSession = {
  'link.lost': 'tracking.waiting',
  'link.connecting': 'tracking.waiting',
  'link.refused': 'tracking.waiting',
  'link.refusedForGood': 'tracking.waiting',
  'pmd.stopped': 'tracking.waiting',
  'operator.killpmd': 'tracking.waiting',
} as const;
/** Phase a is left for the limit of before, and begun anew when the mirror was set back. */
const phaseA = {
  'refresh.timedOut': 'tracking.pausing',
  'lineage.checksum': 'refresh.preparing.saving',
} as const;

export const modeTable: Readonly<Record<ModeLeaf, Readonly<Record<GroupModeEvent['type'], Cell>>>> =
  {
    passthru: { ...resting, ...deaf },
    normal: {
      ...resting,
      ...deaf,
      'driver.overflowed': 'tracking.waiting',
      'drain.expired': 'tracking.waiting',
      'pmd.poisoned': 'tracking.waiting',
      // What is in the BAB cannot go on from where the mirror is: at once the refresh that can.
      'lineage.smart': 'refresh.preparing.saving',
      'lineage.checksum': 'refresh.preparing.saving',
    },
    'tracking.waiting': { ...tracking, ...allowed },
    'tracking.draining': {
      ...tracking,
      'pmd.drained': 'refresh.preparing.saving',
      ...lostSession,
    },
    'tracking.pausing': { ...tracking, 'operator.killrefresh': 'tracking.held' },
    'tracking.held': { ...tracking, ...allowed },
    'refresh.preparing.saving': {
      ...refreshRow,
      'record.saved': 'refresh.preparing.gracing',
      // Back to where the refresh was ordered; the table's context says PASSTHRU.
      'record.failed': 'passthru',
      'driver.overflowed': 'noted',
    },
    // A full refresh goes on with `marking`, without waiting for the secondary.
    'refresh.preparing.gracing': { ...refreshRow, 'driver.graced': 'refresh.preparing.awaiting' },
    'refresh.preparing.awaiting': {
      ...refreshRow,
      'lineage.follows': 'refresh.preparing.draining',
      'lineage.equal': 'refresh.preparing.clearing',
      'lineage.smart': 'refresh.preparing.clearing',
      'lineage.checksum': 'refresh.preparing.saving',
      'lineage.waits': 'tracking.held',
    },
    'refresh.preparing.draining': {
      ...refreshRow,
      'pmd.drained': 'refresh.preparing.clearing',
      'pmd.poisoned': 'refresh.preparing.clearing',
      'link.lost': 'refresh.preparing.awaiting',
      'link.connecting': 'refresh.preparing.awaiting',
      'link.refused': 'refresh.preparing.awaiting',
      'link.refusedForGood': 'refresh.preparing.awaiting',
      'pmd.stopped': 'refresh.preparing.awaiting',
      'operator.killpmd': 'refresh.preparing.awaiting',
    },
    'refresh.preparing.clearing': { ...refreshRow, 'driver.cleared': 'refresh.preparing.dropping' },
    'refresh.preparing.marking': {
      ...refreshRow,
      'driver.markedAll': 'refresh.preparing.dropping',
    },
    'refresh.preparing.dropping': { ...refreshRow, 'pmd.dropped': 'refresh.phaseA' },
    // A lost link changes nothing: the PMD goes on where it was when it is back (R3).
    'refresh.phaseA': {
      ...refreshRow,
      ...phaseA,
      'refresh.converged': 'refresh.freezing.recording',
    },
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
      'driver.commitKept': 'tracking.waiting',
      'driver.overflowed': 'noted',
      'refresh.failed': 'same',
    },
    'refresh.committing.recording': {
      ...refreshRow,
      'record.saved': 'normal',
      'driver.overflowed': 'tracking.waiting',
      'drain.expired': 'tracking.waiting',
      'refresh.failed': 'same',
    },
    'refresh.backoff': { ...refreshRow, ...phaseA, 'refresh.converged': 'noted' },
    backfresh: {
      ...resting,
      ...deaf,
      'operator.refreshFull': 'TDMF_MODE_REFUSED',
      'operator.refreshSmart': 'TDMF_MODE_REFUSED',
      'operator.refreshChecksum': 'TDMF_MODE_REFUSED',
      'operator.killbackfresh': 'TDMF_MODE_NOT_YET',
    },
  };

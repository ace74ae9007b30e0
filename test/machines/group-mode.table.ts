/**
 * What every state of the mode region does with every event, decided cell by cell. No Partial: a new
 * state or event does not compile until all its cells are here. The group is connected in all rows,
 * but for the overrides, which need a PMD that does not run (MD 24).
 *
 * A cell is the state that follows, `same` (nothing happens in this region), `noted` (the state
 * stays, something is remembered or announced), or the code of the refusal.
 */
import type { TdmfErrorCode } from '../../src/core/errors.js';
import type { GroupModeEvent, ModeLeaf } from '../../src/machines/group-mode.js';
import type { CheckpointLeaf } from '../../src/machines/group-mode-leaves.js';
import type { OperatorRequest } from '../../src/machines/refusals.js';

export type Cell = ModeLeaf | 'same' | 'noted' | TdmfErrorCode;
export type Fact = Exclude<GroupModeEvent['type'], OperatorRequest>;

const anyMode = {
  'operator.start': 'TDMF_GROUP_STARTED',
  // Accepted in every mode and carried out by the actor: draining is no mode.
  'operator.stop': 'same',
  'operator.launchpmd': 'TDMF_PMD_RUNNING',
  'operator.killpmd': 'same',
  'operator.killrefresh': 'TDMF_REFRESH_NOT_RUNNING',
  'operator.killbackfresh': 'TDMF_BACKFRESH_NOT_RUNNING',
  // The checkpoint region's business; there is none in this table.
  'operator.checkpointOn': 'same',
  'operator.checkpointOff': 'TDMF_CHECKPOINT_OFF',
  'operator.reco': 'TDMF_MODE_REFUSED',
} as const;

const resting: Readonly<Record<OperatorRequest, Cell>> = {
  ...anyMode,
  'operator.refreshFull': 'refresh.preparing.saving',
  'operator.refreshSmart': 'refresh.preparing.saving',
  'operator.refreshChecksum': 'refresh.preparing.saving',
  'operator.backfresh': 'backfresh.closing',
  'operator.overrideClearBab': 'noted',
  'operator.overridePassthru': 'passthru.tracked',
  'operator.overrideNormal': 'tracking.entering.clearing',
  'operator.overrideTracking': 'same',
  'operator.overrideRefresh': 'refresh.preparing.saving',
  'operator.overrideBackfresh': 'backfresh.closing',
};

const passthru: Readonly<Record<OperatorRequest, Cell>> = {
  ...resting,
  'operator.overrideClearBab': 'same',
  'operator.overridePassthru': 'same',
  'operator.overrideTracking': 'tracking.waiting',
  'operator.checkpointOn': 'TDMF_MODE_REFUSED',
};

const refreshing: Readonly<Record<OperatorRequest, Cell>> = {
  ...resting,
  'operator.refreshFull': 'TDMF_REFRESH_RUNNING',
  'operator.refreshSmart': 'TDMF_REFRESH_RUNNING',
  'operator.refreshChecksum': 'TDMF_REFRESH_RUNNING',
  'operator.killrefresh': 'tracking.held',
  'operator.backfresh': 'TDMF_REFRESH_RUNNING',
  'operator.overrideClearBab': 'TDMF_MODE_REFUSED',
  'operator.overrideTracking': 'tracking.waiting',
  'operator.overrideRefresh': 'TDMF_REFRESH_RUNNING',
  'operator.overrideBackfresh': 'TDMF_REFRESH_RUNNING',
};

const backfreshing: Readonly<Record<OperatorRequest, Cell>> = {
  ...anyMode,
  'operator.refreshFull': 'TDMF_BACKFRESH_RUNNING',
  'operator.refreshSmart': 'TDMF_BACKFRESH_RUNNING',
  'operator.refreshChecksum': 'TDMF_BACKFRESH_RUNNING',
  'operator.backfresh': 'TDMF_BACKFRESH_RUNNING',
  // Too late, or the end is near anyway, where the row does not say otherwise.
  'operator.killbackfresh': 'same',
  'operator.overrideClearBab': 'TDMF_BACKFRESH_RUNNING',
  'operator.overridePassthru': 'same',
  'operator.overrideNormal': 'TDMF_BACKFRESH_RUNNING',
  'operator.overrideTracking': 'TDMF_BACKFRESH_RUNNING',
  'operator.overrideRefresh': 'TDMF_BACKFRESH_RUNNING',
  'operator.overrideBackfresh': 'TDMF_BACKFRESH_RUNNING',
  'operator.checkpointOn': 'TDMF_MODE_REFUSED',
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
  'driver.doorShut': 'same',
  'driver.doorBusy': 'same',
  'backfresh.finished': 'same',
  'backfresh.failed': 'same',
  'backfresh.ended': 'same',
  'backfresh.endedUntouched': 'same',
  'pmd.eraTaken': 'same',
  'lineage.adopts': 'same',
  'lineage.refused': 'same',
  'turn.taken': 'same',
  'hook.ended': 'same',
  'hook.failed': 'same',
  'driver.markerStamped': 'same',
  'driver.markerRefused': 'same',
  'checkpoint.isOn': 'same',
  'checkpoint.isOff': 'same',
  'checkpoint.failed': 'same',
  'checkpoint.markerLost': 'same',
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

const backfresh: Readonly<Record<GroupModeEvent['type'], Cell>> = { ...backfreshing, ...deaf };
/** Nothing was written yet; the table's context came from PASSTHRU. */
const unwritten = { ...backfresh, 'operator.killbackfresh': 'passthru.untracked' } as const;
/** The other side hears of the new era as row 7e of the table, from TRACKING. */
const handedLater = {
  'operator.killbackfresh': 'tracking.waiting',
  'operator.killpmd': 'tracking.waiting',
  'link.lost': 'tracking.waiting',
  'link.connecting': 'tracking.waiting',
  'link.refused': 'tracking.waiting',
  'link.refusedForGood': 'tracking.waiting',
  'pmd.stopped': 'tracking.waiting',
} as const;
/** A session that allows it ends TRACKING: at once, or when the BAB is drained. */
const allowed = {
  'lineage.follows': 'tracking.draining',
  'lineage.equal': 'tracking.queueing',
  'lineage.smart': 'tracking.queueing',
  'lineage.checksum': 'tracking.queueing',
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
  'lineage.refused': 'tracking.held',
  'refresh.timedOut': 'tracking.pausing',
  'lineage.checksum': 'refresh.preparing.saving',
} as const;

export const modeTable: Readonly<Record<ModeLeaf, Readonly<Record<GroupModeEvent['type'], Cell>>>> =
  {
    'passthru.untracked': { ...passthru, ...deaf },
    'passthru.tracked': { ...passthru, ...deaf, 'driver.cleared': 'noted' },
    'passthru.incoherent': {
      ...passthru,
      ...deaf,
      'operator.refreshFull': 'TDMF_LOCAL_INCOHERENT',
      'operator.refreshSmart': 'TDMF_LOCAL_INCOHERENT',
      'operator.refreshChecksum': 'TDMF_LOCAL_INCOHERENT',
      'operator.overridePassthru': 'passthru.untracked',
      'operator.overrideNormal': 'TDMF_LOCAL_INCOHERENT',
      'operator.overrideTracking': 'TDMF_LOCAL_INCOHERENT',
      'operator.overrideRefresh': 'TDMF_LOCAL_INCOHERENT',
    },
    normal: {
      ...resting,
      ...deaf,
      'driver.overflowed': 'tracking.waiting',
      'drain.expired': 'tracking.waiting',
      'pmd.poisoned': 'tracking.waiting',
      // What is in the BAB cannot go on from where the mirror is: at once the refresh that can.
      'lineage.smart': 'tracking.queueing',
      'lineage.checksum': 'tracking.queueing',
      'pmd.eraTaken': 'noted',
      'operator.overrideClearBab': 'tracking.waiting',
      'operator.overrideNormal': 'same',
      'operator.overrideTracking': 'tracking.waiting',
    },
    'tracking.waiting': { ...tracking, ...allowed },
    'tracking.draining': {
      ...tracking,
      'pmd.drained': 'tracking.queueing',
      ...lostSession,
    },
    'tracking.queueing': {
      ...tracking,
      'turn.taken': 'refresh.preparing.saving',
      ...lostSession,
    },
    'tracking.pausing': { ...tracking, 'operator.killrefresh': 'tracking.held' },
    'tracking.held': { ...tracking, ...allowed },
    'tracking.entering.clearing': { ...tracking, 'driver.cleared': 'tracking.entering.dropping' },
    'tracking.entering.dropping': { ...tracking, 'pmd.dropped': 'tracking.entering.recording' },
    'tracking.entering.recording': { ...tracking, 'record.saved': 'tracking.entering.gracing' },
    'tracking.entering.gracing': {
      ...tracking,
      'driver.graced': 'tracking.entering.saving',
      'driver.overflowed': 'tracking.waiting',
    },
    'tracking.entering.saving': {
      ...tracking,
      'record.saved': 'normal',
      'driver.overflowed': 'tracking.waiting',
    },
    'refresh.preparing.saving': {
      ...refreshRow,
      'record.saved': 'refresh.preparing.gracing',
      // Back to where the refresh was ordered; the table's context says PASSTHRU.
      'record.failed': 'passthru.untracked',
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
      'operator.refreshFull': 'refresh.preparing.saving',
      'operator.refreshChecksum': 'refresh.preparing.saving',
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
    'backfresh.closing': {
      ...unwritten,
      'driver.doorShut': 'backfresh.clearing',
      'driver.doorBusy': 'passthru.untracked',
      'driver.overflowed': 'noted',
    },
    'backfresh.clearing': { ...unwritten, 'driver.cleared': 'backfresh.dropping' },
    'backfresh.dropping': { ...unwritten, 'pmd.dropped': 'backfresh.saving' },
    'backfresh.saving': {
      ...unwritten,
      'record.saved': 'backfresh.running',
      'record.failed': 'passthru.untracked',
    },
    'backfresh.reclosing': {
      ...backfresh,
      'driver.doorShut': 'backfresh.running',
      'operator.killbackfresh': 'passthru.incoherent',
      'operator.overridePassthru': 'passthru.untracked',
    },
    // killpmd and a lost link change nothing: it goes on where the cursor is (MD 19).
    'backfresh.running': {
      ...backfresh,
      'operator.killbackfresh': 'backfresh.ending',
      'operator.overridePassthru': 'backfresh.leaving',
      'backfresh.finished': 'backfresh.equalizing',
      'backfresh.failed': 'backfresh.pausing',
    },
    'backfresh.pausing': {
      ...backfresh,
      'operator.killbackfresh': 'backfresh.ending',
      'operator.overridePassthru': 'backfresh.leaving',
    },
    'backfresh.ending': {
      ...backfresh,
      'backfresh.endedUntouched': 'passthru.untracked',
      'backfresh.ended': 'passthru.incoherent',
    },
    'backfresh.leaving': {
      ...backfresh,
      'backfresh.endedUntouched': 'passthru.untracked',
      'backfresh.ended': 'passthru.untracked',
    },
    'backfresh.equalizing': { ...backfresh, 'driver.committed': 'backfresh.recording' },
    'backfresh.recording': { ...backfresh, 'record.saved': 'backfresh.handing' },
    'backfresh.handing': { ...backfresh, ...handedLater, 'pmd.eraTaken': 'backfresh.entering' },
    'backfresh.entering': { ...backfresh, 'record.saved': 'normal' },
  };

type CheckpointCell = CheckpointLeaf | 'same' | 'noted';
type CheckpointRow = Readonly<Partial<Record<GroupModeEvent['type'], CheckpointCell>>>;

const session = {
  'link.lost': 'closing',
  'link.connecting': 'closing',
  'link.refused': 'closing',
  'link.refusedForGood': 'closing',
  'pmd.stopped': 'closing',
  'operator.killpmd': 'closing',
} as const;

/**
 * The checkpoint region, for a group in TRACKING, where nothing that needs NORMAL goes on. What a row
 * does not name changes nothing.
 */
export const checkpointTable: Readonly<Record<CheckpointLeaf, CheckpointRow>> = {
  off: { 'operator.checkpointOn': 'queued', 'checkpoint.isOn': 'on' },
  queued: { 'operator.checkpointOff': 'off' },
  quiescing: { 'hook.ended': 'ready', 'hook.failed': 'off' },
  ready: { 'operator.checkpointOff': 'off' },
  recording: { 'record.saved': 'marking', 'record.failed': 'off' },
  marking: { 'driver.markerStamped': 'pending', 'driver.markerRefused': 'ready' },
  pending: { 'checkpoint.isOn': 'on', 'checkpoint.failed': 'off', 'checkpoint.markerLost': 'off' },
  on: { 'operator.checkpointOff': 'closing', 'checkpoint.isOff': 'off', 'hook.failed': 'noted' },
  closing: { 'checkpoint.isOff': 'off' },
  releasing: { 'checkpoint.isOff': 'off', 'checkpoint.failed': 'on', ...session },
};

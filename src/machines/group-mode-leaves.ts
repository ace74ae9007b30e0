/**
 * The names of the states in which the mode region can rest, as `info` and the tables show them. A new
 * state is not reachable in the tests before it is named here.
 */

/** Every state the mode region can rest in, as the value of the region. */
export const modeLeaves = [
  'passthru.untracked',
  'passthru.tracked',
  'passthru.incoherent',
  'normal',
  'tracking.waiting',
  'tracking.draining',
  'tracking.queueing',
  'tracking.pausing',
  'tracking.held',
  'tracking.entering.clearing',
  'tracking.entering.dropping',
  'tracking.entering.recording',
  'tracking.entering.gracing',
  'tracking.entering.saving',
  'refresh.preparing.saving',
  'refresh.preparing.gracing',
  'refresh.preparing.awaiting',
  'refresh.preparing.draining',
  'refresh.preparing.clearing',
  'refresh.preparing.marking',
  'refresh.preparing.dropping',
  'refresh.phaseA',
  'refresh.freezing.recording',
  'refresh.freezing.gracing',
  'refresh.phaseB.sending',
  'refresh.phaseB.marking',
  'refresh.committing.awaiting',
  'refresh.committing.clearing',
  'refresh.committing.recording',
  'refresh.backoff',
  'backfresh.closing',
  'backfresh.clearing',
  'backfresh.dropping',
  'backfresh.saving',
  'backfresh.reclosing',
  'backfresh.running',
  'backfresh.pausing',
  'backfresh.ending',
  'backfresh.leaving',
  'backfresh.equalizing',
  'backfresh.recording',
  'backfresh.handing',
  'backfresh.entering',
] as const;
export type ModeLeaf = (typeof modeLeaves)[number];

/** Every state of the checkpoint region. */
export const checkpointLeaves = [
  'off',
  'queued',
  'quiescing',
  'ready',
  'recording',
  'marking',
  'pending',
  'on',
  'closing',
  'releasing',
] as const;
export type CheckpointLeaf = (typeof checkpointLeaves)[number];

/**
 * Words of the group's mode machine: its events, what it remembers, why things happen. Requests are
 * imperative and come as `operator.*`; facts are past tense. Types only.
 */
import type { CheckpointState, GroupMode, RecordedKind } from '../core/pstore/record.js';
import type { OperatorRequest } from './refusals.js';

/** A position in history, (era, sequence). */
export interface ModePosition {
  readonly era: string;
  readonly sequence: number;
}

/**
 * Requests are imperative and come as `operator.*`; facts are past tense. The actor drops facts of
 * an older token, refresh or era before they get here, and splits those that carry a decision
 * (`driver.committed` with `cleared: false` is `driver.commitKept`), so that guards read context only.
 */
export type GroupModeEvent =
  | { type: OperatorRequest }
  | { type: 'record.saved' }
  | { type: 'record.failed' }
  | { type: 'driver.overflowed'; sequence: number }
  | { type: 'driver.graced' }
  | { type: 'driver.markedAll' }
  | { type: 'driver.marked'; sequence: number }
  | { type: 'driver.committed' }
  | { type: 'driver.commitKept' }
  /** Every entry of the BAB is in the map (H11). */
  | { type: 'driver.cleared' }
  | { type: 'pmd.dropped' }
  /** Everything that was appended before is durable on the secondary (R1). */
  | { type: 'pmd.drained' }
  | { type: 'pmd.wanted' }
  | { type: 'pmd.stopped' }
  | { type: 'pmd.poisoned'; position: ModePosition }
  | { type: 'link.connecting' }
  | { type: 'link.connected' }
  | { type: 'link.lost' }
  | { type: 'link.refused' }
  | { type: 'link.refusedForGood' }
  /** What the lineage table makes of this session (verdict.ts). */
  | { type: 'lineage.follows' }
  | { type: 'lineage.equal' }
  | { type: 'lineage.smart' }
  | { type: 'lineage.checksum' }
  | { type: 'lineage.waits'; code: string }
  /** There is no session, because the table refuses this mirror. */
  | { type: 'lineage.refused'; code: string }
  | { type: 'refresh.converged' }
  | { type: 'refresh.frozenRead' }
  | { type: 'refresh.committed'; position: ModePosition }
  | { type: 'refresh.phaseBLost' }
  | { type: 'refresh.failed'; code: string }
  /** REFRESHTIMEOUT has passed since phase b overflowed (MD 12). */
  | { type: 'refresh.timedOut' }
  /** Nobody is inside and no I/O is in flight; or somebody is, and nothing has changed (Rule 30). */
  | { type: 'driver.doorShut' }
  | { type: 'driver.doorBusy' }
  | { type: 'backfresh.finished'; position: ModePosition }
  | { type: 'backfresh.failed'; code: string }
  /** No local write is in flight any more; `Untouched`: none was ever made. */
  | { type: 'backfresh.ended' }
  | { type: 'backfresh.endedUntouched' }
  | { type: 'pmd.eraTaken' }
  /** NORMAL by override meets a mirror that is not proven equal (row 11). */
  | { type: 'lineage.adopts' }
  /** This group may refresh by itself now (Rule 53). */
  | { type: 'turn.taken' }
  | { type: 'hook.ended' }
  | { type: 'hook.failed'; code: string }
  | { type: 'driver.markerStamped' }
  | { type: 'driver.markerRefused' }
  | { type: 'checkpoint.isOn' }
  | { type: 'checkpoint.isOff' }
  | { type: 'checkpoint.failed'; code: string }
  /** The marker was in the BAB when that was given up: it never arrives. */
  | { type: 'checkpoint.markerLost' }
  | { type: 'tunables.set'; refreshTimeoutMs: number }
  | { type: 'drain.expired' };

/** Where a refresh or a backfresh began; `incoherent` is PASSTHRU with half-old local devices. */
export type RestingMode = 'passthru' | 'normal' | 'tracking' | 'incoherent';
export type RefreshKind = Exclude<RecordedKind, 'back'>;

/**
 * What the session that is there allows: nothing is known yet; the mirror follows what is in the BAB;
 * it stands at the last point known equal; the map holds every difference; it may lack some; only an
 * operator may go on.
 */
export type Verdict =
  | 'unknown'
  | 'follows'
  | 'equal'
  | 'smart'
  | 'checksum'
  | 'waits'
  /** NORMAL by override: the mirror is taken as it is (row 11). */
  | 'adopts';

export interface GroupModeInput {
  /** What core/pstore/start.ts decided from the record. */
  readonly mode: GroupMode;
  readonly pmdLaunched: boolean;
  /** PASSTHRU: the map goes on knowing what changes (Rule 10c). */
  readonly tracked: boolean;
  /** Of the refresh in the record, when there is one. */
  readonly kind: RefreshKind | undefined;
  /** REFRESHTIMEOUT; negative: for ever. */
  readonly refreshTimeoutMs: number;
  /** BACKFRESH: the local devices are not whole; otherwise its end was about to be handed over. */
  readonly localOk: boolean;
  readonly checkpoint: CheckpointState;
}

export interface GroupModeContext {
  readonly mode: GroupMode;
  readonly pmdLaunched: boolean;
  readonly tracked: boolean;
  readonly kind: RefreshKind;
  readonly refreshTimeoutMs: number;
  readonly localOk: boolean;
  readonly checkpoint: CheckpointState;
  /** The mode is NORMAL, as far as a checkpoint is concerned. */
  readonly normal: boolean;
  /** By override: the PMD is not launched for it. */
  readonly quiet: boolean;
  /** Where a refresh began: a switch that was never durable goes back there. */
  readonly origin: RestingMode;
  /** Abandoned attempts of phase b in this refresh; the back-off grows with it. */
  readonly attempt: number;
  /** Refreshes in a row that ended in TRACKING by themselves; the pause grows with it. */
  readonly failures: number;
  /** The refresh in the record goes on after the pause. */
  readonly unfinished: boolean;
  /** The PMD said so while the back-off was running. */
  readonly converged: boolean;
  /** REFRESHTIMEOUT runs; it has passed. */
  readonly timing: boolean;
  readonly timedOut: boolean;
  readonly verdict: Verdict;
}

export type HookName = 'pre_on' | 'post_on';

/** What the state means: colour of the chart, and which duties writes have. */
export type GroupTag =
  | 'append'
  | 'mark'
  /** The duties are those of the mode before. */
  | 'as-before'
  /** Passes soon, and what an operator asked for is answered afterwards. */
  | 'deciding'
  | 'unprotected'
  | 'refreshing'
  | 'coherent-stream';

/** Why a mode changed or an attempt was given up; the `cause` of the events. */
export type GroupCause =
  | 'group.started'
  | 'entry.poisoned'
  | 'operator.launchrefresh'
  | 'operator.killrefresh'
  | 'operator.killpmd'
  | 'operator.launchbackfresh'
  | 'operator.killbackfresh'
  | 'operator.override'
  | 'backfresh.finished'
  | 'bab.overflowed'
  | 'link.decided'
  | 'link.lost'
  | 'pstore.failed'
  | 'refresh.committed'
  | 'refresh.failed'
  | 'refresh.retrying'
  | 'refresh.timedOut'
  | 'stop.notDrained'
  | 'limit.passed';

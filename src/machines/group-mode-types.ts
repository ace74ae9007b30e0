/**
 * Words of the group's mode machine: its events, what it remembers, why things happen. Requests are
 * imperative and come as `operator.*`; facts are past tense. Types only.
 */
import type { GroupMode } from '../core/pstore/record.js';
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
  | { type: 'pmd.dropped' }
  | { type: 'pmd.wanted' }
  | { type: 'pmd.stopped' }
  | { type: 'pmd.poisoned'; position: ModePosition }
  | { type: 'link.connecting' }
  | { type: 'link.connected' }
  | { type: 'link.lost' }
  | { type: 'link.refused' }
  | { type: 'link.refusedForGood' }
  | { type: 'refresh.converged' }
  | { type: 'refresh.frozenRead' }
  | { type: 'refresh.committed'; position: ModePosition }
  | { type: 'refresh.phaseBLost' }
  | { type: 'refresh.failed'; code: string }
  | { type: 'drain.expired' };

export type RestingMode = 'passthru' | 'normal' | 'tracking';

export interface GroupModeInput {
  /** What core/pstore/start.ts decided from the record. */
  readonly mode: GroupMode;
  readonly pmdLaunched: boolean;
}

export interface GroupModeContext extends GroupModeInput {
  /** Where a refresh began: a switch that was never durable goes back there. */
  readonly origin: RestingMode;
  /** Abandoned attempts of phase b in this refresh; the back-off grows with it. */
  readonly attempt: number;
  /** The PMD said so while the back-off was running. */
  readonly converged: boolean;
}

/** What the state means: colour of the chart, and which duties writes have. */
export type GroupTag = 'append' | 'mark' | 'unprotected' | 'refreshing' | 'coherent-stream';

/** Why a mode changed or an attempt was given up; the `cause` of the events. */
export type GroupCause =
  | 'group.started'
  | 'entry.poisoned'
  | 'operator.launchrefresh'
  | 'operator.killrefresh'
  | 'operator.killpmd'
  | 'bab.overflowed'
  | 'link.lost'
  | 'pstore.failed'
  | 'refresh.committed'
  | 'refresh.failed'
  | 'stop.notDrained'
  | 'limit.passed';

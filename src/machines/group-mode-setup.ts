/**
 * What the group's mode machine is made of: the names of its actions, guards and delays. Actions are
 * declared here and filled in by actors/group-actions.ts; guards read context only. The sequences of
 * actions that several states share are in group-mode-moves.ts.
 */
import { assign, cancel, raise, setup, stateIn } from 'xstate';
import {
  commitLimitMs,
  refreshBackoffFirstMs,
  refreshBackoffMaxMs,
  switchLimitMs,
  trackingPauseFirstMs,
  trackingPauseMaxMs,
} from '../core/constants.js';
import type { CheckpointState, GroupMode } from '../core/pstore/record.js';
import type {
  GroupCause,
  GroupModeContext,
  GroupModeEvent,
  GroupModeInput,
  GroupTag,
  HookName,
  ModePosition,
  RefreshKind,
  RestingMode,
  Verdict,
} from './group-mode-types.js';

/** The pause after the `attempt`-th abandoned phase b. */
export function backoffMs(attempt: number): number {
  return Math.min(refreshBackoffMaxMs, refreshBackoffFirstMs * 2 ** Math.max(0, attempt - 1));
}

/** The pause in TRACKING after the `failures`-th refresh in a row that ended by itself. */
export function pauseMs(failures: number): number {
  return Math.min(trackingPauseMaxMs, trackingPauseFirstMs * 2 ** Math.max(0, failures - 1));
}

/** An action by name and parameters only; actors/group-actions.ts says what it does. */
const declared = <Params>() => {
  const action = (_args: unknown, _params: Params): void => {};
  return action;
};

const timeout = 'refreshTimeout';

export const groupModeSetup = setup({
  types: {} as {
    context: GroupModeContext;
    events: GroupModeEvent;
    input: GroupModeInput;
    tags: GroupTag;
  },
  actions: {
    // the record (pstore); `persist` answers with record.saved or record.failed
    recordMode: declared<{ mode: GroupMode; cause: GroupCause }>(),
    recordPmd: declared<{ launched: boolean }>(),
    recordCommit: declared<{ position: ModePosition }>(),
    recordRefresh: declared<{ kind: RefreshKind; ordered: boolean }>(),
    resumeRecorded: () => {},
    recordUpgrade: () => {},
    endRefresh: () => {},
    beginEra: () => {},
    clearMapAll: () => {},
    revertRecord: () => {},
    persist: () => {},
    // the driver
    useEra: declared<{ attempt: boolean }>(),
    setDuties: declared<{ append: boolean; mark: boolean }>(),
    markAllBlocks: () => {},
    restoreMap: () => {},
    clearBab: () => {},
    takeMark: () => {},
    commitDriver: () => {},
    // the PMD
    launchPmd: () => {},
    killPmd: () => {},
    dropEntries: () => {},
    startPhaseA: () => {},
    startPhaseB: () => {},
    sendMark: declared<{ sequence: number }>(),
    abortPhaseB: declared<{ again: boolean }>(),
    // backfresh
    shutDoor: () => {},
    openDoor: () => {},
    recordBackfresh: () => {},
    forgetBackfresh: () => {},
    startBackfresh: () => {},
    endBackfresh: () => {},
    rememberEqual: declared<{ position: ModePosition }>(),
    equalDriver: () => {},
    recordEqual: () => {},
    handOver: () => {},
    recordIncoherent: () => {},
    acceptLocal: () => {},
    publishBackfreshStarted: () => {},
    publishBackfreshFinished: () => {},
    publishBackfreshFailed: declared<{ code: string }>(),
    // override
    recordUnproven: () => {},
    recordOverridden: () => {},
    /** The mirror goes on in the present era: from here on this is where both are equal. */
    recordTaken: () => {},
    recordAdopted: () => {},
    // checkpoint
    runHook: declared<{ hook: HookName }>(),
    takeMarker: () => {},
    releaseCheckpoint: () => {},
    recordCheckpoint: declared<{ state: CheckpointState }>(),
    publishCheckpoint: declared<{ on: boolean }>(),
    publishCheckpointFailed: declared<{ on: boolean; code: string }>(),
    publishHookFailed: declared<{ code: string }>(),
    // the group itself: `judge` repeats the verdict, `watchDrain` answers with pmd.drained, `takeTurn`
    // with turn.taken
    judge: () => {},
    watchDrain: () => {},
    takeTurn: () => {},
    // events to the operator
    publishOverflow: declared<{ sequence: number }>(),
    publishPoisoned: declared<{ position: ModePosition }>(),
    publishRefreshStarted: () => {},
    publishRefreshFinished: () => {},
    publishRefreshFailed: declared<{ code: string }>(),
    publishRefreshKilled: () => {},
    publishRefreshAborted: declared<{ cause: GroupCause }>(),
    publishRefreshRetrying: declared<{ cause: GroupCause }>(),
    publishUpgraded: declared<{ why: 'map' | 'lineage' }>(),
    // context
    comeFrom: assign({ origin: (_, params: { mode: RestingMode }) => params.mode }),
    wantKind: assign({ kind: (_, params: { kind: RefreshKind }) => params.kind }),
    countAttempt: assign({ attempt: ({ context }) => context.attempt + 1 }),
    countFailure: assign({ failures: ({ context }) => context.failures + 1 }),
    forgetFailures: assign({ failures: 0 }),
    forgetAttempts: assign({ attempt: 0, converged: false }),
    rememberUnfinished: assign({ unfinished: true }),
    forgetUnfinished: assign({ unfinished: false }),
    rememberConverged: assign({ converged: true }),
    forgetConverged: assign({ converged: false }),
    rememberTimeout: assign({ timedOut: true }),
    judged: assign({ verdict: (_, params: { verdict: Verdict }) => params.verdict }),
    /** Nothing of before is in the BAB any more; the mirror stands where it stood. */
    judgedDropped: assign({
      verdict: ({ context }) => (context.verdict === 'unknown' ? 'unknown' : 'smart'),
    }),
    setTimeouts: assign({
      refreshTimeoutMs: ({ context, event }) =>
        event.type === 'tunables.set' ? event.refreshTimeoutMs : context.refreshTimeoutMs,
    }),
    /** MD 12: from the first overflow of this refresh on. */
    startTimeout: raise(
      { type: 'refresh.timedOut' },
      { id: timeout, delay: ({ context }) => context.refreshTimeoutMs },
    ),
    rememberTiming: assign({ timing: true }),
    stopTimeout: cancel(timeout),
    forgetTimeout: assign({ timing: false, timedOut: false }),
    rememberNormal: assign({ normal: true }),
    forgetNormal: assign({ normal: false }),
    beQuiet: assign({ quiet: true }),
    forgetQuiet: assign({ quiet: false }),
    rememberTracked: assign({ tracked: (_, params: { tracked: boolean }) => params.tracked }),
    rememberCheckpoint: assign({
      checkpoint: (_, params: { state: CheckpointState }) => params.state,
    }),
    wantPmd: raise({ type: 'pmd.wanted' }),
  },
  guards: {
    startsNormal: ({ context }) => context.mode === 'normal',
    startsTracking: ({ context }) => context.mode === 'tracking',
    startsRefresh: ({ context }) => context.mode === 'refresh',
    startsBackfresh: ({ context }) => context.mode === 'backfresh' && !context.localOk,
    startsHanded: ({ context }) => context.mode === 'backfresh' && context.localOk,
    startsIncoherent: ({ context }) => context.mode === 'passthru' && !context.localOk,
    startsTracked: ({ context }) => context.tracked,
    startsPending: ({ context }) => context.checkpoint === 'pending',
    startsCheckpointed: ({ context }) => context.checkpoint === 'on',
    isPassthru: stateIn({ mode: 'passthru' }),
    isBackfresh: stateIn({ mode: 'backfresh' }),
    isNormal: ({ context }) => context.normal,
    isNormalConnected: ({ context }) => context.normal && context.verdict !== 'unknown',
    isQuiet: ({ context }) => context.quiet,
    cameFromIncoherent: ({ context }) => context.origin === 'incoherent',
    cameFromPassthru: ({ context }) => context.origin === 'passthru',
    startsWithPmd: ({ context }) => context.pmdLaunched,
    cameFromNormal: ({ context }) => context.origin === 'normal',
    cameFromTracking: ({ context }) => context.origin === 'tracking',
    isFull: ({ context }) => context.kind === 'full',
    isChecksum: ({ context }) => context.kind === 'checksum',
    isUnfinished: ({ context }) => context.unfinished,
    /** REFRESHTIMEOUT runs, or is no limit. */
    isTiming: ({ context }) => context.timing || context.refreshTimeoutMs < 0,
    isTimedOut: ({ context }) => context.timedOut,
    lostSession: ({ context }) => context.verdict === 'unknown' && !context.unfinished,
    isUnjudged: ({ context }) => context.verdict === 'unknown',
    follows: ({ context }) => context.verdict === 'follows',
    mapSuffices: ({ context }) => context.verdict === 'equal' || context.verdict === 'smart',
    /** Not under a checkpoint: the mirror is not ours to compare (Rule 15d). */
    mayLackDifferences: ({ context }) =>
      context.verdict === 'checksum' && context.checkpoint === 'off',
    /** A smart refresh is not enough for this mirror. */
    needsUpgrade: ({ context }) =>
      context.verdict === 'checksum' && context.kind === 'smart' && context.checkpoint === 'off',
    isSmart: ({ context }) => context.kind === 'smart',
    convergedMeanwhile: ({ context }) => context.converged,
  },
  delays: {
    switchLimit: switchLimitMs,
    commitLimit: commitLimitMs,
    backoff: ({ context }) => backoffMs(context.attempt),
    pause: ({ context }) => pauseMs(context.failures),
  },
});

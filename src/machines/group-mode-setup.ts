/**
 * What the group's mode machine is made of: the names of its actions, guards and delays, and the few
 * sequences of actions that several states share. Actions are declared here and filled in by
 * actors/group-actions.ts; guards read context only.
 */
import { assign, raise, setup } from 'xstate';
import {
  commitLimitMs,
  refreshBackoffFirstMs,
  refreshBackoffMaxMs,
  switchLimitMs,
} from '../core/constants.js';
import type { GroupMode } from '../core/pstore/record.js';
import type {
  GroupCause,
  GroupModeContext,
  GroupModeEvent,
  GroupModeInput,
  GroupTag,
  ModePosition,
  RestingMode,
} from './group-mode-types.js';

/** The pause after the `attempt`-th abandoned phase b. */
export function backoffMs(attempt: number): number {
  return Math.min(refreshBackoffMaxMs, refreshBackoffFirstMs * 2 ** Math.max(0, attempt - 1));
}

/** An action by name and parameters only; actors/group-machine.ts says what it does. */
const declared = <Params>() => {
  const action = (_args: unknown, _params: Params): void => {};
  return action;
};

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
    beginRefresh: declared<{ kind: 'full' }>(),
    endRefresh: () => {},
    beginEra: () => {},
    markMapAll: () => {},
    clearMapAll: () => {},
    revertRecord: () => {},
    persist: () => {},
    // the driver
    useEra: declared<{ attempt: boolean }>(),
    setDuties: declared<{ append: boolean; mark: boolean }>(),
    markAllBlocks: () => {},
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
    // events to the operator
    publishOverflow: declared<{ sequence: number }>(),
    publishPoisoned: declared<{ position: ModePosition }>(),
    publishRefreshStarted: () => {},
    publishRefreshFinished: () => {},
    publishRefreshFailed: declared<{ code: string }>(),
    publishRefreshKilled: () => {},
    publishRefreshAborted: declared<{ cause: GroupCause }>(),
    // context
    comeFrom: assign({ origin: (_, params: { mode: RestingMode }) => params.mode }),
    countAttempt: assign({ attempt: ({ context }) => context.attempt + 1 }),
    forgetAttempts: assign({ attempt: 0, converged: false }),
    rememberConverged: assign({ converged: true }),
    forgetConverged: assign({ converged: false }),
    wantPmd: raise({ type: 'pmd.wanted' }),
  },
  guards: {
    startsNormal: ({ context }) => context.mode === 'normal',
    startsTracking: ({ context }) => context.mode === 'tracking',
    startsRefresh: ({ context }) => context.mode === 'refresh',
    startsBackfresh: ({ context }) => context.mode === 'backfresh',
    startsWithPmd: ({ context }) => context.pmdLaunched,
    cameFromNormal: ({ context }) => context.origin === 'normal',
    cameFromTracking: ({ context }) => context.origin === 'tracking',
    convergedMeanwhile: ({ context }) => context.converged,
  },
  delays: {
    switchLimit: switchLimitMs,
    commitLimit: commitLimitMs,
    backoff: ({ context }) => backoffMs(context.attempt),
  },
});

/** The record of TRACKING; its map is everything, since only the pstore's coarse map is durable. */
export const recordTracking = (cause: GroupCause) =>
  [
    { type: 'beginEra' },
    { type: 'markMapAll' },
    { type: 'endRefresh' },
    { type: 'recordMode', params: { mode: 'tracking', cause } },
    { type: 'persist' },
  ] as const;

/** R9 and 4.3: append off first, then the PMD forgets; a superset of the dirt stays marked. */
export const giveUpRefresh = (cause: GroupCause) =>
  [
    { type: 'setDuties', params: { append: false, mark: true } },
    { type: 'abortPhaseB', params: { again: false } },
    { type: 'markAllBlocks' },
    ...recordTracking(cause),
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

/** R1: the record says REFRESH and "every block may differ" before anything else happens. */
export const beginFullRefresh = (origin: RestingMode) =>
  [
    { type: 'comeFrom', params: { mode: origin } },
    { type: 'forgetAttempts' },
    { type: 'beginEra' },
    { type: 'markMapAll' },
    { type: 'beginRefresh', params: { kind: 'full' } },
    { type: 'recordMode', params: { mode: 'refresh', cause: 'operator.launchrefresh' } },
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
  target: '#group.mode.tracking',
  actions: [
    ...giveUpRefresh('limit.passed'),
    { type: 'publishRefreshFailed', params: { code: 'TDMF_TIMED_OUT' } },
  ],
} as const;

export const abandon = (cause: GroupCause) =>
  ({ target: '#group.mode.refresh.backoff', actions: abandonPhaseB(cause) }) as const;

/** The beginning was never durable: nothing has changed yet, so the mode before goes on. */
export const neverBegan = [
  { type: 'revertRecord' },
  { type: 'publishRefreshFailed', params: { code: 'TDMF_PSTORE_FAILED' } },
] as const;

/**
 * The mode of a logical group, and beside it the state of its link.
 *
 *   passthru ──operator.refreshFull──► refresh ──driver.committed, recorded──► normal
 *      ▲                                 │  ▲                                    │
 *      └─ first or unclean start         ▼  └──────operator.refreshFull──┐  driver.overflowed
 *                            killrefresh, failed ───────────────────► tracking ◄─┘
 *
 *   refresh: preparing ► phaseA ⇄ backoff ◄─(R9)─ freezing ► phaseB ► committing
 *
 * Decides situations, never single writes. Actions are names here, provided by actors/group.ts, so
 * that the chart can be drawn and tests get them as data. Keeps: nothing leads to NORMAL but a
 * durable commit (I21), every added duty is graced before it is used (Rule 3), an abandoned phase b
 * ends in phase a or TRACKING with its dirt (R9, 4.3). Refused requests have no transition: see
 * refusals.ts. Spec: docs/modes.md. Table: test/machines/group-mode.table.ts.
 */
import { assign, raise, setup } from 'xstate';
import {
  commitLimitMs,
  refreshBackoffFirstMs,
  refreshBackoffMaxMs,
  switchLimitMs,
} from '../core/constants.js';
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

/** The pause after the `attempt`-th abandoned phase b. */
export function backoffMs(attempt: number): number {
  return Math.min(refreshBackoffMaxMs, refreshBackoffFirstMs * 2 ** Math.max(0, attempt - 1));
}

/** An action by name and parameters only; actors/group-machine.ts says what it does. */
const declared = <Params>() => {
  const action = (_args: unknown, _params: Params): void => {};
  return action;
};

const machineSetup = setup({
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
const recordTracking = (cause: GroupCause) =>
  [
    { type: 'beginEra' },
    { type: 'markMapAll' },
    { type: 'endRefresh' },
    { type: 'recordMode', params: { mode: 'tracking', cause } },
    { type: 'persist' },
  ] as const;

/** R9 and 4.3: append off first, then the PMD forgets; a superset of the dirt stays marked. */
const giveUpRefresh = (cause: GroupCause) =>
  [
    { type: 'setDuties', params: { append: false, mark: true } },
    { type: 'abortPhaseB', params: { again: false } },
    { type: 'markAllBlocks' },
    ...recordTracking(cause),
  ] as const;

/** R9: phase a again, later. A new era, because marked writes are not in the old one's stream. */
const abandonPhaseB = (cause: GroupCause) =>
  [
    { type: 'setDuties', params: { append: false, mark: true } },
    { type: 'abortPhaseB', params: { again: true } },
    { type: 'beginEra' },
    { type: 'persist' },
    { type: 'countAttempt' },
    { type: 'publishRefreshAborted', params: { cause } },
  ] as const;

/** R1: the record says REFRESH and "every block may differ" before anything else happens. */
const beginFullRefresh = (origin: RestingMode) =>
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
const launch = [{ type: 'recordPmd', params: { launched: true } }, 'persist', 'launchPmd'] as const;
const kill = [{ type: 'recordPmd', params: { launched: false } }, 'persist', 'killPmd'] as const;

/** Rule 3: a switch that did not take effect in time is undone; the dirt of a refresh is kept. */
const undoSwitch = {
  target: '#group.mode.tracking',
  actions: [
    ...giveUpRefresh('limit.passed'),
    { type: 'publishRefreshFailed', params: { code: 'TDMF_TIMED_OUT' } },
  ],
} as const;

const abandon = (cause: GroupCause) =>
  ({ target: '#group.mode.refresh.backoff', actions: abandonPhaseB(cause) }) as const;

/** The beginning was never durable: nothing has changed yet, so the mode before goes on. */
const neverBegan = [
  { type: 'revertRecord' },
  { type: 'publishRefreshFailed', params: { code: 'TDMF_PSTORE_FAILED' } },
] as const;

export const groupModeMachine = machineSetup.createMachine({
  id: 'group',
  type: 'parallel',
  context: ({ input }) => ({ ...input, origin: 'passthru', attempt: 0, converged: false }),
  states: {
    mode: {
      initial: 'starting',
      states: {
        starting: {
          description: 'Passes at once into the mode that the record allows.',
          always: [
            {
              guard: 'startsNormal',
              target: 'normal',
              actions: [
                { type: 'useEra', params: { attempt: false } },
                { type: 'setDuties', params: { append: true, mark: false } },
              ],
            },
            {
              guard: 'startsTracking',
              target: 'tracking',
              actions: [
                { type: 'setDuties', params: { append: false, mark: true } },
                'markAllBlocks',
              ],
            },
            { guard: 'startsRefresh', target: 'refresh.preparing.gracing' },
            { guard: 'startsBackfresh', target: 'backfresh' },
            {
              target: 'passthru',
              actions: { type: 'setDuties', params: { append: false, mark: false } },
            },
          ],
        },
        passthru: {
          description: 'Writes go to the local devices only: nothing is mirrored or remembered.',
          tags: 'unprotected',
          on: {
            'operator.refreshFull': {
              target: 'refresh.preparing.saving',
              actions: beginFullRefresh('passthru'),
            },
          },
        },
        normal: {
          description: 'Every write goes into the BAB and from there, in order, to the mirror.',
          tags: ['append', 'coherent-stream'],
          on: {
            'operator.refreshFull': {
              target: 'refresh.preparing.saving',
              actions: beginFullRefresh('normal'),
            },
            'driver.overflowed': {
              target: 'tracking',
              actions: [
                { type: 'publishOverflow', params: ({ event }) => ({ sequence: event.sequence }) },
                ...recordTracking('bab.overflowed'),
                // The driver latched by itself (T2); saying it again makes the latch ours too.
                { type: 'setDuties', params: { append: false, mark: true } },
              ],
            },
            'pmd.poisoned': {
              description: 'H48: never sent again; the map has it and all that came after.',
              target: 'tracking',
              actions: [
                { type: 'publishPoisoned', params: ({ event }) => ({ position: event.position }) },
                { type: 'setDuties', params: { append: false, mark: true } },
                'markAllBlocks',
                'dropEntries',
                ...recordTracking('entry.poisoned'),
              ],
            },
            'drain.expired': { target: 'tracking', actions: recordTracking('stop.notDrained') },
          },
        },
        tracking: {
          description: 'Changed blocks are remembered in the map; launchrefresh -f leads out.',
          tags: 'mark',
          on: {
            'operator.refreshFull': {
              target: 'refresh.preparing.saving',
              actions: beginFullRefresh('tracking'),
            },
            'pmd.poisoned': {
              description: 'H48, while the rest of NORMAL was drained: it ends here.',
              actions: [
                { type: 'publishPoisoned', params: ({ event }) => ({ position: event.position }) },
                'markAllBlocks',
                'dropEntries',
              ],
            },
          },
        },
        refresh: {
          description: 'The mirror is being made equal to the local devices.',
          tags: 'refreshing',
          initial: 'preparing',
          on: {
            'operator.killrefresh': {
              target: 'tracking',
              actions: [...giveUpRefresh('operator.killrefresh'), 'publishRefreshKilled'],
            },
            'refresh.failed': {
              target: 'tracking',
              actions: [
                ...giveUpRefresh('refresh.failed'),
                {
                  type: 'publishRefreshFailed',
                  params: ({ event }) => ({ code: event.code }),
                },
              ],
            },
          },
          states: {
            preparing: {
              description: 'Record, duty, whole map, empty BAB: only then the PMD reads (R1, R2).',
              initial: 'saving',
              states: {
                saving: {
                  description: 'Waits for the durable record; nothing else has changed yet.',
                  on: {
                    'record.saved': { target: 'gracing', actions: 'wantPmd' },
                    'record.failed': [
                      {
                        guard: 'cameFromNormal',
                        target: '#group.mode.normal',
                        actions: neverBegan,
                      },
                      {
                        guard: 'cameFromTracking',
                        target: '#group.mode.tracking',
                        actions: [...neverBegan, ...recordTracking('pstore.failed')],
                      },
                      { target: '#group.mode.passthru', actions: neverBegan },
                    ],
                    'operator.killrefresh': {
                      description: 'The PMD knows nothing yet; entries of NORMAL go on draining.',
                      target: '#group.mode.tracking',
                      actions: [
                        ...recordTracking('operator.killrefresh'),
                        { type: 'setDuties', params: { append: false, mark: true } },
                        'markAllBlocks',
                        'publishRefreshKilled',
                      ],
                    },
                    'driver.overflowed': {
                      description: 'The BAB of NORMAL filled up meanwhile: no way back there.',
                      actions: [
                        { type: 'comeFrom', params: { mode: 'tracking' } },
                        {
                          type: 'publishOverflow',
                          params: ({ event }) => ({ sequence: event.sequence }),
                        },
                      ],
                    },
                  },
                },
                gracing: {
                  description: 'Waits for the writes that started without the mark duty (R2).',
                  tags: 'mark',
                  entry: { type: 'setDuties', params: { append: false, mark: true } },
                  on: { 'driver.graced': 'marking' },
                  after: { switchLimit: undoSwitch },
                },
                marking: {
                  description: 'Sets every bit of the map (Rule 12.1).',
                  tags: 'mark',
                  entry: 'markAllBlocks',
                  on: { 'driver.markedAll': 'dropping' },
                  after: { switchLimit: undoSwitch },
                },
                dropping: {
                  description: 'The PMD forgets what is in the BAB; the map has it (Rule 12.3).',
                  tags: 'mark',
                  entry: 'dropEntries',
                  on: {
                    'pmd.dropped': { target: '#phaseA', actions: 'publishRefreshStarted' },
                  },
                  after: { switchLimit: undoSwitch },
                },
              },
            },
            phaseA: {
              id: 'phaseA',
              description: 'Passes over the map: clear the bit, read, send. Writes only mark (R3).',
              tags: 'mark',
              entry: 'startPhaseA',
              always: { guard: 'convergedMeanwhile', target: 'freezing' },
              on: { 'refresh.converged': 'freezing' },
              exit: 'forgetConverged',
            },
            freezing: {
              description: 'Append goes on in a new era; marks stay on (R4, Rule 8a).',
              tags: 'mark',
              initial: 'recording',
              on: {
                'operator.killpmd': abandon('operator.killpmd'),
                'link.lost': abandon('link.lost'),
              },
              states: {
                recording: {
                  description: 'Waits until the new era is durable, before any entry of it.',
                  entry: ['beginEra', 'persist'],
                  on: {
                    'record.saved': 'gracing',
                    'record.failed': abandon('pstore.failed'),
                  },
                },
                gracing: {
                  description: 'Waits for the writes that started without the append duty (R4).',
                  tags: 'append',
                  entry: [
                    { type: 'useEra', params: { attempt: true } },
                    { type: 'setDuties', params: { append: true, mark: true } },
                  ],
                  on: {
                    'driver.graced': '#phaseB',
                    'driver.overflowed': {
                      target: '#group.mode.refresh.backoff',
                      actions: [
                        {
                          type: 'publishOverflow',
                          params: ({ event }) => ({ sequence: event.sequence }),
                        },
                        ...abandonPhaseB('bab.overflowed'),
                      ],
                    },
                  },
                  after: { switchLimit: abandon('limit.passed') },
                },
              },
            },
            phaseB: {
              id: 'phaseB',
              description: 'The frozen rest goes to .i, new entries to .c (R5).',
              tags: ['append', 'mark'],
              initial: 'sending',
              on: {
                'operator.killpmd': abandon('operator.killpmd'),
                'link.lost': abandon('link.lost'),
                'refresh.phaseBLost': abandon('link.lost'),
                'pmd.poisoned': {
                  target: '#group.mode.refresh.backoff',
                  actions: [
                    {
                      type: 'publishPoisoned',
                      params: ({ event }) => ({ position: event.position }),
                    },
                    ...abandonPhaseB('entry.poisoned'),
                  ],
                },
                'driver.overflowed': {
                  target: '#group.mode.refresh.backoff',
                  actions: [
                    {
                      type: 'publishOverflow',
                      params: ({ event }) => ({ sequence: event.sequence }),
                    },
                    ...abandonPhaseB('bab.overflowed'),
                  ],
                },
              },
              states: {
                sending: {
                  description: 'Until the last read of the frozen rest has completed.',
                  entry: 'startPhaseB',
                  on: { 'refresh.frozenRead': 'marking' },
                  after: { commitLimit: abandon('limit.passed') },
                },
                marking: {
                  description: 'Waits for the writes in flight: the last stamp is the mark (R6).',
                  entry: 'takeMark',
                  on: {
                    'driver.marked': {
                      target: '#committing',
                      actions: {
                        type: 'sendMark',
                        params: ({ event }) => ({ sequence: event.sequence }),
                      },
                    },
                  },
                  after: { switchLimit: abandon('limit.passed') },
                },
              },
            },
            committing: {
              id: 'committing',
              description: 'The mark is sent; the secondary makes the commit record durable (R7).',
              tags: 'append',
              initial: 'awaiting',
              states: {
                awaiting: {
                  description: 'A lost link decides nothing here: the commit may have happened.',
                  tags: 'mark',
                  on: {
                    'refresh.committed': {
                      target: 'clearing',
                      actions: {
                        type: 'recordCommit',
                        params: ({ event }) => ({ position: event.position }),
                      },
                    },
                    'operator.killpmd': abandon('operator.killpmd'),
                    'refresh.phaseBLost': abandon('link.lost'),
                    'pmd.poisoned': {
                      target: '#group.mode.refresh.backoff',
                      actions: [
                        {
                          type: 'publishPoisoned',
                          params: ({ event }) => ({ position: event.position }),
                        },
                        ...abandonPhaseB('entry.poisoned'),
                      ],
                    },
                    'driver.overflowed': {
                      target: '#group.mode.refresh.backoff',
                      actions: [
                        {
                          type: 'publishOverflow',
                          params: ({ event }) => ({ sequence: event.sequence }),
                        },
                        ...abandonPhaseB('bab.overflowed'),
                      ],
                    },
                  },
                  after: { commitLimit: abandon('limit.passed') },
                },
                clearing: {
                  description: 'The driver alone knows whether append was interrupted (R8).',
                  tags: 'mark',
                  entry: 'commitDriver',
                  on: {
                    'driver.committed': 'recording',
                    'driver.commitKept': {
                      target: '#group.mode.tracking',
                      actions: [
                        ...recordTracking('bab.overflowed'),
                        { type: 'setDuties', params: { append: false, mark: true } },
                        'publishRefreshFinished',
                      ],
                    },
                    'driver.overflowed': {
                      description: 'The driver answers commitKept next; the base stands.',
                      actions: {
                        type: 'publishOverflow',
                        params: ({ event }) => ({ sequence: event.sequence }),
                      },
                    },
                  },
                },
                recording: {
                  description: 'NORMAL is shown only when the record says so durably (I6).',
                  entry: [
                    'endRefresh',
                    'clearMapAll',
                    {
                      type: 'recordMode',
                      params: { mode: 'normal', cause: 'refresh.committed' },
                    },
                    'persist',
                  ],
                  on: {
                    'record.saved': {
                      target: '#group.mode.normal',
                      actions: ['forgetAttempts', 'publishRefreshFinished'],
                    },
                    'drain.expired': {
                      description: 'Stopped before it was shown: what is not drained is tracked.',
                      target: '#group.mode.tracking',
                      actions: ['publishRefreshFinished', ...recordTracking('stop.notDrained')],
                    },
                    'driver.overflowed': {
                      target: '#group.mode.tracking',
                      actions: [
                        'publishRefreshFinished',
                        {
                          type: 'publishOverflow',
                          params: ({ event }) => ({ sequence: event.sequence }),
                        },
                        ...recordTracking('bab.overflowed'),
                        { type: 'setDuties', params: { append: false, mark: true } },
                      ],
                    },
                  },
                },
              },
            },
            backoff: {
              description: 'Phase b did not fit; phase a goes on after a growing pause (Rule 43b).',
              tags: 'mark',
              on: { 'refresh.converged': { actions: 'rememberConverged' } },
              after: { backoff: 'phaseA' },
            },
          },
        },
        backfresh: {
          description: 'The mirror is copied back. Declared only: nothing leads here yet.',
        },
      },
    },
    link: {
      initial: 'starting',
      states: {
        starting: {
          description: 'A PMD that ran before the restart runs again.',
          always: [
            { guard: 'startsWithPmd', target: 'connecting', actions: 'launchPmd' },
            { target: 'stopped' },
          ],
        },
        stopped: {
          description: 'ACCUMULATE: no PMD runs.',
          on: {
            'operator.launchpmd': { target: 'connecting', actions: launch },
            'pmd.wanted': { target: 'connecting', actions: launch },
          },
        },
        connecting: {
          description: 'NOT CONNECTED: the PMD runs and tries to reach the RMD.',
          on: {
            'link.connected': 'connected',
            'link.refusedForGood': 'refused',
            'operator.killpmd': { target: 'stopped', actions: kill },
          },
        },
        connected: {
          description: 'CONNECTED: PMD and RMD talk to each other.',
          on: {
            'link.connecting': 'connecting',
            'link.lost': 'connecting',
            'link.refused': 'connecting',
            'link.refusedForGood': 'refused',
            // After a quick kill and launch: the word of the PMD that was killed comes last.
            'pmd.stopped': 'connecting',
            'operator.killpmd': { target: 'stopped', actions: kill },
          },
        },
        refused: {
          description:
            'ACCUMULATE: the secondary refused for good; launchpmd tries anew (Rule 50).',
          on: {
            'operator.launchpmd': { target: 'connecting', actions: launch },
            'pmd.wanted': { target: 'connecting', actions: launch },
            'link.connecting': 'connecting',
            'link.connected': 'connected',
            'operator.killpmd': { target: 'stopped', actions: kill },
          },
        },
      },
    },
  },
});

/** Every state the mode region can rest in, as the value of the region. */
export const modeLeaves = [
  'passthru',
  'normal',
  'tracking',
  'refresh.preparing.saving',
  'refresh.preparing.gracing',
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
  'backfresh',
] as const;
export type ModeLeaf = (typeof modeLeaves)[number];

/**
 * REFRESH, as the rules R1 to R9 prescribe it, for a full, a smart and a checksum refresh alike: they
 * differ in how they are prepared (group-mode-preparing.ts) and in what the PMD sends.
 *
 *   preparing ──► phaseA ──converged──► freezing ──► phaseB ──► committing ──► NORMAL
 *   (R1, R2)        ▲ (R3)               (R4)  │      (R5, R6)│   (R7, R8)  │
 *                   └────── backoff ◄──────────┴──────────────┴─────────────┘ R9
 *
 * Every wait for this side has a limit, and every way out but the commit keeps the dirt (I21): killed
 * it is TRACKING; failed or timed out it is TRACKING with a pause, after which the same refresh goes
 * on (MD 12); abandoned it is phase a again.
 */
import {
  abandon,
  abandonPhaseB,
  giveUpRefresh,
  pauseRefresh,
  recordTracking,
  upgradeRefresh,
} from './group-mode-moves.js';
import {
  leaveRefresh,
  overrideNormal,
  overridePassthru,
  overrideTracking,
} from './group-mode-override.js';
import { preparingRefresh } from './group-mode-preparing.js';
import { groupModeSetup } from './group-mode-setup.js';

/** The mirror has been found to lack more than the map says: begun anew, comparing everything. */
const upgrade = {
  guard: 'isSmart',
  target: '#group.mode.refresh.preparing.saving',
  actions: [{ type: 'abortPhaseB', params: { again: false } }, ...upgradeRefresh],
} as const;

/** The mirror is not what it was: the reason says what an operator may do, and here he can. */
const refused = groupModeSetup.createStateConfig({
  on: {
    'lineage.refused': {
      target: '#group.mode.tracking.held',
      actions: [
        { type: 'publishRefreshFailed', params: ({ event }) => ({ code: event.code }) },
        ...giveUpRefresh('link.decided'),
      ],
    },
  },
}).on['lineage.refused'];

const timedOut = {
  guard: 'isTimedOut',
  target: '#group.mode.tracking.pausing',
  actions: pauseRefresh('refresh.timedOut'),
} as const;

const overflow = groupModeSetup.createStateConfig({
  on: {
    'driver.overflowed': [
      {
        guard: 'isTiming',
        target: '#group.mode.refresh.backoff',
        actions: [
          { type: 'publishOverflow', params: ({ event }) => ({ sequence: event.sequence }) },
          ...abandonPhaseB('bab.overflowed'),
        ],
      },
      {
        target: '#group.mode.refresh.backoff',
        actions: [
          { type: 'publishOverflow', params: ({ event }) => ({ sequence: event.sequence }) },
          ...abandonPhaseB('bab.overflowed'),
          'startTimeout',
          'rememberTiming',
        ],
      },
    ],
  },
}).on['driver.overflowed'];

const poisoned = groupModeSetup.createStateConfig({
  on: {
    'pmd.poisoned': {
      target: '#group.mode.refresh.backoff',
      actions: [
        { type: 'publishPoisoned', params: ({ event }) => ({ position: event.position }) },
        ...abandonPhaseB('entry.poisoned'),
      ],
    },
  },
}).on['pmd.poisoned'];

export const refreshMode = groupModeSetup.createStateConfig({
  description: 'The mirror is being made equal to the local devices.',
  tags: 'refreshing',
  initial: 'preparing',
  exit: ['stopTimeout', 'forgetTimeout'],
  on: {
    'operator.killrefresh': {
      target: '#group.mode.tracking.held',
      actions: ['publishRefreshKilled', ...giveUpRefresh('operator.killrefresh')],
    },
    'refresh.failed': {
      target: '#group.mode.tracking.pausing',
      actions: [
        {
          type: 'publishRefreshFailed',
          params: ({ event }) => ({ code: event.code }),
        },
        ...pauseRefresh('refresh.failed'),
      ],
    },
    'refresh.timedOut': { actions: 'rememberTimeout' },
    'operator.overridePassthru': {
      target: overridePassthru.target,
      actions: [...leaveRefresh, ...overridePassthru.actions],
    },
    'operator.overrideTracking': {
      target: overrideTracking.target,
      actions: ['publishRefreshKilled', ...giveUpRefresh('operator.override')],
    },
    'operator.overrideNormal': {
      target: overrideNormal.target,
      actions: [...leaveRefresh, 'restoreMap', ...overrideNormal.actions],
    },
  },
  states: {
    preparing: preparingRefresh,
    phaseA: {
      id: 'phaseA',
      description: 'Passes over the map: clear the bit, read, send. Writes only mark (R3).',
      tags: 'mark',
      entry: 'startPhaseA',
      always: [timedOut, { guard: 'convergedMeanwhile', target: 'freezing' }],
      on: {
        'refresh.converged': 'freezing',
        'lineage.checksum': upgrade,
        'lineage.refused': refused,
      },
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
            'driver.overflowed': overflow,
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
        'pmd.poisoned': poisoned,
        'driver.overflowed': overflow,
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
              actions: [
                { type: 'recordCommit', params: ({ event }) => ({ position: event.position }) },
                { type: 'judged', params: { verdict: 'follows' } },
              ],
            },
            'operator.killpmd': abandon('operator.killpmd'),
            'refresh.phaseBLost': abandon('link.lost'),
            'pmd.poisoned': poisoned,
            'driver.overflowed': overflow,
          },
          after: { commitLimit: abandon('limit.passed') },
        },
        clearing: {
          description: 'The driver alone knows whether append was interrupted (R8).',
          tags: 'mark',
          entry: 'commitDriver',
          on: {
            'refresh.failed': {},
            'driver.committed': 'recording',
            'driver.commitKept': {
              target: '#group.mode.tracking.waiting',
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
            'forgetUnfinished',
            'clearMapAll',
            {
              type: 'recordMode',
              params: { mode: 'normal', cause: 'refresh.committed' },
            },
            'persist',
          ],
          on: {
            'refresh.failed': {},
            'record.saved': {
              target: '#group.mode.normal',
              actions: ['forgetAttempts', 'forgetFailures', 'publishRefreshFinished'],
            },
            'drain.expired': {
              description: 'Stopped before it was shown: what is not drained is tracked.',
              target: '#group.mode.tracking.waiting',
              actions: ['publishRefreshFinished', ...recordTracking('stop.notDrained')],
            },
            'driver.overflowed': {
              target: '#group.mode.tracking.waiting',
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
      always: timedOut,
      on: {
        'refresh.converged': { actions: 'rememberConverged' },
        'lineage.checksum': upgrade,
        'lineage.refused': refused,
      },
      after: { backoff: 'phaseA' },
    },
  },
});

/**
 * REFRESH, as the rules R1 to R9 of a full refresh prescribe it.
 *
 *   preparing ──► phaseA ──converged──► freezing ──► phaseB ──► committing ──► NORMAL
 *   (R1, R2)        ▲ (R3)               (R4)  │      (R5, R6)│   (R7, R8)  │
 *                   └────── backoff ◄──────────┴──────────────┴─────────────┘ R9
 *
 * Every wait has a limit, and every way out but the commit keeps the dirt (I21): killed or failed it
 * is TRACKING, abandoned it is phase a again.
 */
import {
  abandon,
  abandonPhaseB,
  giveUpRefresh,
  groupModeSetup,
  neverBegan,
  recordTracking,
  undoSwitch,
} from './group-mode-setup.js';

export const refreshMode = groupModeSetup.createStateConfig({
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
});

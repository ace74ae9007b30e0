/**
 * BACKFRESH: the mirror is copied home (Rule 30). Clients are kept out before anything else, what is
 * in the BAB becomes dirt, and "local incoherent, cursor" is durable before the PMD may write the
 * first local block. At the end the two sides are equal, durably here first; then the mirror takes the
 * new era, and NORMAL begins.
 *
 *   closing ─► clearing ─► dropping ─► saving ─► running ⇄ pausing
 *      │ a client is there                          │ killbackfresh, or done
 *      ▼                                            ▼
 *   the mode before             ending        equalizing ─► recording ─► handing ─► entering ─► NORMAL
 *                  nothing written ▼ a part        (the link is lost meanwhile: TRACKING, equal)
 *                  the mode before   passthru.incoherent
 *
 * killpmd and a lost link change nothing here: it goes on where the cursor is (MD 19).
 */
import { leaveIncoherent, recordTracking, takeLocal } from './group-mode-moves.js';
import { groupModeSetup } from './group-mode-setup.js';

/** The local devices are as good as they were: clients may come again. */
const reopen = ['openDoor'] as const;

/** PASSTHRU again, with the duties it had. */
const backToPassthru = [
  {
    guard: 'startsTracked',
    target: '#group.mode.passthru.tracked',
    actions: [{ type: 'setDuties', params: { append: false, mark: true } }, ...reopen],
  },
  {
    target: '#group.mode.passthru.untracked',
    actions: [{ type: 'setDuties', params: { append: false, mark: false } }, ...reopen],
  },
] as const;

/** The link went away while the mirror was to take the new era: it does so as row 7e, from TRACKING. */
const handLater = {
  target: '#group.mode.tracking.waiting',
  actions: [
    { type: 'setDuties', params: { append: false, mark: true } },
    ...recordTracking('link.lost'),
    ...reopen,
    'publishBackfreshFinished',
  ],
} as const;

/** A backfresh that wrote nothing leaves no trace; NORMAL comes by the lineage table (MD 18). */
const untouched = [
  { guard: 'cameFromIncoherent', ...leaveIncoherent },
  {
    guard: 'cameFromPassthru',
    target: '#group.mode.backfresh.returning',
    actions: [
      'forgetBackfresh',
      { type: 'recordMode', params: { mode: 'passthru', cause: 'operator.killbackfresh' } },
      'persist',
    ],
  },
  {
    target: '#group.mode.tracking.waiting',
    actions: [
      { type: 'setDuties', params: { append: false, mark: true } },
      'forgetBackfresh',
      ...recordTracking('operator.killbackfresh'),
      ...reopen,
    ],
  },
] as const;

/** Nothing has changed but the door. */
const notBegun = [
  { guard: 'cameFromNormal', target: '#group.mode.normal', actions: reopen },
  { guard: 'cameFromTracking', target: '#group.mode.tracking.waiting', actions: reopen },
  { guard: 'cameFromIncoherent', target: '#group.mode.passthru.incoherent' },
  { target: '#group.mode.backfresh.returning' },
] as const;

export const backfreshMode = groupModeSetup.createStateConfig({
  description: 'The mirror is copied back; the local devices are closed to clients.',
  initial: 'closing',
  states: {
    closing: {
      description: 'Keeps new clients out; refused when one is there. Nothing else has changed.',
      tags: ['as-before', 'deciding'],
      entry: 'shutDoor',
      on: {
        'driver.doorShut': 'clearing',
        'driver.doorBusy': [
          {
            guard: 'cameFromNormal',
            target: '#group.mode.normal',
            actions: { type: 'publishBackfreshFailed', params: { code: 'TDMF_GROUP_BUSY' } },
          },
          {
            guard: 'cameFromTracking',
            target: '#group.mode.tracking.waiting',
            actions: { type: 'publishBackfreshFailed', params: { code: 'TDMF_GROUP_BUSY' } },
          },
          {
            target: 'returning',
            actions: { type: 'publishBackfreshFailed', params: { code: 'TDMF_GROUP_BUSY' } },
          },
        ],
        'driver.overflowed': { actions: { type: 'comeFrom', params: { mode: 'tracking' } } },
        'operator.killbackfresh': notBegun,
      },
    },
    clearing: {
      description: 'What is in the BAB becomes dirt (Rule 30).',
      tags: ['mark', 'deciding'],
      entry: [{ type: 'setDuties', params: { append: false, mark: true } }, 'clearBab'],
      on: { 'driver.cleared': 'dropping', 'operator.killbackfresh': untouched },
    },
    dropping: {
      description: 'The PMD forgets what is in the BAB: it never goes over the newer mirror.',
      tags: ['mark', 'deciding'],
      entry: 'dropEntries',
      on: { 'pmd.dropped': 'saving', 'operator.killbackfresh': untouched },
    },
    saving: {
      description: 'Local incoherent and the cursor are durable before the first local write.',
      tags: ['mark', 'deciding'],
      entry: [
        'beginEra',
        'recordBackfresh',
        { type: 'recordMode', params: { mode: 'backfresh', cause: 'operator.launchbackfresh' } },
        'persist',
      ],
      on: {
        'record.saved': [
          {
            guard: 'isQuiet',
            target: 'running',
            actions: ['forgetQuiet', 'publishBackfreshStarted'],
          },
          { target: 'running', actions: ['wantPmd', 'publishBackfreshStarted'] },
        ],
        'record.failed': {
          target: 'undoing',
          actions: [
            { type: 'publishBackfreshFailed', params: { code: 'TDMF_PSTORE_FAILED' } },
            'forgetBackfresh',
          ],
        },
        'operator.killbackfresh': untouched,
      },
    },
    undoing: {
      description: 'Passes on at once: it never began, but the BAB is empty by now.',
      tags: 'mark',
      always: [
        { guard: 'cameFromIncoherent', ...leaveIncoherent },
        {
          guard: 'cameFromPassthru',
          target: 'returning',
          actions: [
            {
              type: 'recordMode',
              params: { mode: 'passthru', cause: 'pstore.failed' },
            },
            'persist',
          ],
        },
        {
          target: '#group.mode.tracking.waiting',
          actions: [...recordTracking('pstore.failed'), ...reopen],
        },
      ],
    },
    reclosing: {
      description: 'After a restart: no client has been let in since.',
      tags: 'mark',
      entry: ['shutDoor', { type: 'setDuties', params: { append: false, mark: true } }],
      on: {
        'driver.doorShut': 'running',
        // The PMD knows nothing of it yet; what an earlier one wrote nobody knows.
        'operator.killbackfresh': leaveIncoherent,
        'operator.overridePassthru': takeLocal,
      },
    },
    running: {
      description: 'The PMD compares and copies; the cursor is recorded as it goes on.',
      tags: 'mark',
      entry: 'startBackfresh',
      on: {
        'operator.killbackfresh': 'ending',
        'operator.overridePassthru': 'leaving',
        'backfresh.finished': {
          target: 'equalizing',
          actions: {
            type: 'rememberEqual',
            params: ({ event }) => ({ position: event.position }),
          },
        },
        'backfresh.failed': {
          target: 'pausing',
          actions: [
            'countFailure',
            { type: 'publishBackfreshFailed', params: ({ event }) => ({ code: event.code }) },
          ],
        },
      },
    },
    pausing: {
      description: 'It failed; it goes on after a growing pause, where the cursor is.',
      tags: 'mark',
      on: {
        'operator.killbackfresh': 'ending',
        'operator.overridePassthru': 'leaving',
      },
      after: { pause: 'running' },
    },
    ending: {
      description: 'Killed: waits until no local write is in flight, and what was written.',
      tags: ['mark', 'deciding'],
      entry: 'endBackfresh',
      on: {
        'backfresh.endedUntouched': untouched,
        'backfresh.ended': leaveIncoherent,
      },
      after: { switchLimit: leaveIncoherent },
    },
    leaving: {
      description: 'Override: the local devices are taken as they are, when no write is in flight.',
      tags: ['mark', 'deciding'],
      entry: 'endBackfresh',
      on: {
        'backfresh.endedUntouched': takeLocal,
        'backfresh.ended': takeLocal,
      },
      after: { switchLimit: leaveIncoherent },
    },
    returning: {
      description: 'Passes on at once to the PASSTHRU of before.',
      always: backToPassthru,
    },
    equalizing: {
      description: 'Both sides are equal: the maps are cleared (I21).',
      tags: 'mark',
      entry: 'equalDriver',
      on: { 'driver.committed': 'recording' },
    },
    recording: {
      description: 'New era, base, local ok: durable before the mirror hears of it.',
      tags: 'mark',
      entry: ['recordEqual', 'persist'],
      on: { 'record.saved': 'handing' },
    },
    handing: {
      description: 'The mirror takes the new era; both sides end the backfresh alike.',
      tags: 'mark',
      entry: 'handOver',
      on: {
        'pmd.eraTaken': 'entering',
        'operator.killbackfresh': handLater,
        'operator.killpmd': handLater,
        'link.lost': handLater,
        'link.connecting': handLater,
        'link.refused': handLater,
        'link.refusedForGood': handLater,
        'pmd.stopped': handLater,
      },
      after: { switchLimit: handLater },
    },
    entering: {
      description: 'NORMAL is recorded before the first client is let in.',
      tags: 'append',
      entry: [
        { type: 'judged', params: { verdict: 'follows' } },
        'recordTaken',
        { type: 'useEra', params: { attempt: false } },
        { type: 'setDuties', params: { append: true, mark: false } },
        { type: 'recordMode', params: { mode: 'normal', cause: 'backfresh.finished' } },
        'persist',
      ],
      on: {
        'record.saved': {
          target: '#group.mode.normal',
          actions: [...reopen, 'forgetFailures', 'publishBackfreshFinished'],
        },
      },
    },
  },
});

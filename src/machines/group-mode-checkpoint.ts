/**
 * The checkpoint of a group, beside its mode. It begins with a marker in the stream of NORMAL, so that
 * it is one cut across all devices (Rule 15b), and from there on it is the secondary that knows.
 *
 *   off ─► queued ─► quiescing ─► ready ─► recording ─► marking ─► pending ─► on
 *            (not NORMAL)  (hook)   (not NORMAL)                                  │
 *    ▲                                                                            ▼
 *    └──────────────────────────────── releasing ◄──── closing (not NORMAL) ◄─────┘
 *
 * On and off need NORMAL; ordered elsewhere they wait for it (MD 45). An overflow behind the marker
 * changes nothing (Rule 37). A marker that never arrives is a cancelled checkpoint, an effective one
 * stays until -off (MD 28).
 */
import { not, or } from 'xstate';
import { groupModeSetup } from './group-mode-setup.js';

const cancelled = (code: string) =>
  ({
    target: 'off',
    actions: [
      { type: 'publishCheckpointFailed', params: { on: true, code } },
      { type: 'recordCheckpoint', params: { state: 'off' } },
      { type: 'rememberCheckpoint', params: { state: 'off' } },
      'persist',
    ],
  }) as const;

const effective = {
  target: 'on',
  actions: [
    { type: 'recordCheckpoint', params: { state: 'on' } },
    { type: 'rememberCheckpoint', params: { state: 'on' } },
    'persist',
    { type: 'publishCheckpoint', params: { on: true } },
  ],
} as const;

const over = {
  target: 'off',
  actions: [
    { type: 'recordCheckpoint', params: { state: 'off' } },
    { type: 'rememberCheckpoint', params: { state: 'off' } },
    'persist',
    { type: 'publishCheckpoint', params: { on: false } },
  ],
} as const;

export const checkpointRegion = groupModeSetup.createStateConfig({
  initial: 'starting',
  states: {
    starting: {
      description: 'What the record says; a restart of tdmfd has cancelled a pending one (MD 28).',
      always: [
        { guard: 'startsCheckpointed', target: 'on' },
        { guard: 'startsPending', target: 'pending' },
        { target: 'off' },
      ],
    },
    off: {
      description: 'The mirror follows.',
      on: {
        'operator.checkpointOn': {
          guard: not(or(['isPassthru', 'isBackfresh'])),
          target: 'queued',
        },
        // The marker had arrived before the primary was restarted, or heard that it was lost.
        'checkpoint.isOn': effective,
      },
    },
    queued: {
      description: 'Ordered; it waits for NORMAL (MD 45).',
      always: { guard: 'isNormal', target: 'quiescing' },
      on: { 'operator.checkpointOff': 'off' },
    },
    quiescing: {
      description: 'The hook cp_pre_on of the primary brings the applications to rest.',
      tags: 'deciding',
      entry: { type: 'runHook', params: { hook: 'pre_on' } },
      on: {
        'hook.ended': 'ready',
        'hook.failed': {
          target: 'off',
          actions: {
            type: 'publishCheckpointFailed',
            params: ({ event }) => ({ on: true, code: event.code }),
          },
        },
      },
    },
    ready: {
      description: 'The applications rest; a marker needs NORMAL (Rule 37).',
      always: { guard: 'isNormal', target: 'recording' },
      on: { 'operator.checkpointOff': 'off' },
    },
    recording: {
      description: 'Pending is durable before there is a marker.',
      tags: 'deciding',
      entry: [
        { type: 'recordCheckpoint', params: { state: 'pending' } },
        { type: 'rememberCheckpoint', params: { state: 'pending' } },
        'persist',
      ],
      on: {
        'record.saved': 'marking',
        'record.failed': cancelled('TDMF_PSTORE_FAILED'),
      },
    },
    marking: {
      description: 'The driver stamps the marker behind everything that was answered.',
      tags: 'deciding',
      entry: 'takeMarker',
      on: {
        'driver.markerStamped': 'pending',
        'driver.markerRefused': 'ready',
      },
    },
    pending: {
      description: 'The marker is on its way; the writes before it may be many.',
      on: {
        'checkpoint.isOn': {
          ...effective,
          actions: [...effective.actions, { type: 'runHook', params: { hook: 'post_on' } }],
        },
        'checkpoint.failed': {
          target: 'off',
          actions: [
            {
              type: 'publishCheckpointFailed',
              params: ({ event }) => ({ on: true, code: event.code }),
            },
            { type: 'recordCheckpoint', params: { state: 'off' } },
            { type: 'rememberCheckpoint', params: { state: 'off' } },
            'persist',
          ],
        },
        'checkpoint.markerLost': cancelled('TDMF_CHECKPOINT_LOST'),
      },
    },
    on: {
      description: 'The mirror stands still for others; what comes is journaled.',
      on: {
        'operator.checkpointOff': 'closing',
        'checkpoint.isOff': over,
        'hook.failed': {
          description: 'The checkpoint is on all the same; the operator hears of the hook.',
          actions: { type: 'publishHookFailed', params: ({ event }) => ({ code: event.code }) },
        },
      },
    },
    closing: {
      description: 'Off is ordered; it waits for NORMAL and a session (Rule 37, MD 45).',
      always: { guard: 'isNormalConnected', target: 'releasing' },
      on: { 'checkpoint.isOff': over },
    },
    releasing: {
      description: 'The secondary takes the mirror back and applies its journal (Rule 15a).',
      tags: 'deciding',
      entry: 'releaseCheckpoint',
      on: {
        'checkpoint.isOff': over,
        'checkpoint.failed': {
          target: 'on',
          actions: {
            type: 'publishCheckpointFailed',
            params: ({ event }) => ({ on: false, code: event.code }),
          },
        },
        'link.lost': 'closing',
        'link.connecting': 'closing',
        'link.refused': 'closing',
        'link.refusedForGood': 'closing',
        'pmd.stopped': 'closing',
        'operator.killpmd': 'closing',
      },
    },
  },
});

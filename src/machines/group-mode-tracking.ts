/**
 * TRACKING: writes mark the map, and the way out is a refresh. It begins by itself as soon as there
 * is a session that allows it and what NORMAL left in the BAB is drained (R1), with four brakes: a
 * killed refresh waits for a new session or a command, a failed one pauses, longer each time (MD 12),
 * where the lineage says wait an operator is asked (I19), and of many groups a few go first (Rule 53).
 */
import {
  orderBackfresh,
  orderRefresh,
  overrideBackfresh,
  overrideRefresh,
  recordTracking,
  resumeRefresh,
  startRefresh,
} from './group-mode-moves.js';
import { overrideNormal, overridePassthru } from './group-mode-override.js';
import { groupModeSetup } from './group-mode-setup.js';

const overflowedInTime = {
  target: '#group.mode.tracking.held',
  actions: [
    { type: 'setDuties', params: { append: false, mark: true } },
    'clearBab',
    ...recordTracking('limit.passed'),
  ],
} as const;

const overflowed = groupModeSetup.createStateConfig({
  on: {
    'driver.overflowed': {
      target: '#group.mode.tracking.waiting',
      actions: [
        { type: 'publishOverflow', params: ({ event }) => ({ sequence: event.sequence }) },
        { type: 'setDuties', params: { append: false, mark: true } },
        ...recordTracking('bab.overflowed'),
      ],
    },
  },
}).on['driver.overflowed'];

export const trackingMode = groupModeSetup.createStateConfig({
  description: 'Changed blocks are remembered in the map; a refresh leads out.',
  initial: 'waiting',
  on: {
    'operator.refreshFull': orderRefresh('tracking', 'full'),
    'operator.refreshSmart': orderRefresh('tracking', 'smart'),
    'operator.refreshChecksum': orderRefresh('tracking', 'checksum'),
    'operator.backfresh': orderBackfresh('tracking'),
    'operator.overridePassthru': overridePassthru,
    'operator.overrideNormal': overrideNormal,
    'operator.overrideRefresh': overrideRefresh('tracking', 'smart'),
    'operator.overrideBackfresh': overrideBackfresh('tracking'),
    'operator.overrideClearBab': { actions: 'clearBab' },
    'pmd.poisoned': {
      description: 'H48, while the rest of NORMAL was drained: it ends here.',
      actions: [
        { type: 'publishPoisoned', params: ({ event }) => ({ position: event.position }) },
        'clearBab',
      ],
    },
    'driver.cleared': { actions: 'dropEntries' },
    'pmd.dropped': { actions: 'judgedDropped' },
  },
  states: {
    starting: {
      description: 'Passes at once: the refresh that the record names goes on after a pause.',
      tags: 'mark',
      always: [{ guard: 'isUnfinished', target: 'pausing' }, { target: 'waiting' }],
    },
    waiting: {
      description: 'Nothing to start yet: no session, or one that waits for an operator.',
      tags: 'mark',
      always: [
        { guard: 'follows', target: 'draining' },
        { guard: 'mapSuffices', target: 'queueing' },
        { guard: 'mayLackDifferences', target: 'queueing' },
      ],
    },
    draining: {
      description: 'What NORMAL left in the BAB goes to the mirror; then a smart refresh.',
      tags: 'mark',
      entry: 'watchDrain',
      always: { guard: 'isUnjudged', target: 'waiting' },
      on: { 'pmd.drained': 'queueing' },
    },
    queueing: {
      description: 'A refresh may begin; it waits for its turn among the groups (Rule 53).',
      tags: 'mark',
      entry: 'takeTurn',
      always: { guard: 'lostSession', target: 'waiting' },
      on: {
        'turn.taken': [
          { guard: 'isUnfinished', ...resumeRefresh },
          { guard: 'mayLackDifferences', ...startRefresh('checksum') },
          startRefresh('smart'),
        ],
      },
    },
    pausing: {
      description: 'A refresh ended by itself; it goes on after a growing pause (MD 12).',
      tags: 'mark',
      on: {
        'operator.killrefresh': {
          description: 'It does not go on.',
          target: 'held',
          actions: ['publishRefreshKilled', ...recordTracking('operator.killrefresh')],
        },
      },
      after: { pause: [{ guard: 'isUnfinished', target: 'queueing' }, { target: 'waiting' }] },
    },
    entering: {
      description: 'Override: NORMAL begins in a new era, and nothing in the BAB is older.',
      initial: 'clearing',
      states: {
        clearing: {
          description: 'What is in the BAB becomes marks (Rule 11).',
          tags: ['mark', 'deciding'],
          entry: 'clearBab',
          on: { 'driver.cleared': 'dropping' },
        },
        dropping: {
          description: 'The PMD forgets it.',
          tags: ['mark', 'deciding'],
          entry: 'dropEntries',
          on: { 'pmd.dropped': 'recording' },
        },
        recording: {
          description: 'Waits until the new era is durable (Rule 8a).',
          tags: ['mark', 'deciding'],
          entry: ['beginEra', 'persist'],
          on: { 'record.saved': 'gracing' },
        },
        gracing: {
          description: 'Waits for the writes that started without the append duty (H3).',
          tags: ['append', 'deciding'],
          entry: [
            { type: 'useEra', params: { attempt: false } },
            { type: 'setDuties', params: { append: true, mark: false } },
          ],
          on: { 'driver.graced': 'saving', 'driver.overflowed': overflowed },
          after: { switchLimit: overflowedInTime },
        },
        saving: {
          description: 'NORMAL, unverified, is durable before it is shown (I6).',
          tags: ['append', 'deciding'],
          entry: ['recordOverridden', 'persist'],
          on: {
            'record.saved': '#group.mode.normal',
            'driver.overflowed': overflowed,
          },
        },
      },
    },
    held: {
      description: 'A refresh was killed: the next one begins with a command or a new session.',
      tags: 'mark',
      on: {
        'lineage.follows': 'waiting',
        'lineage.equal': 'waiting',
        'lineage.smart': 'waiting',
        'lineage.checksum': 'waiting',
      },
    },
  },
});

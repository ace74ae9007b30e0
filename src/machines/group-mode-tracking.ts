/**
 * TRACKING: writes mark the map, and the way out is a refresh. It begins by itself as soon as there
 * is a session that allows it and what NORMAL left in the BAB is drained (R1), with three brakes: a
 * killed refresh waits for a new session or a command, a failed one pauses, longer each time (MD 12),
 * and where the lineage says wait an operator is asked (I19).
 */
import { orderRefresh, recordTracking, resumeRefresh, startRefresh } from './group-mode-moves.js';
import { groupModeSetup } from './group-mode-setup.js';

export const trackingMode = groupModeSetup.createStateConfig({
  description: 'Changed blocks are remembered in the map; a refresh leads out.',
  initial: 'waiting',
  on: {
    'operator.refreshFull': orderRefresh('tracking', 'full'),
    'operator.refreshSmart': orderRefresh('tracking', 'smart'),
    'operator.refreshChecksum': orderRefresh('tracking', 'checksum'),
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
        { guard: 'mapSuffices', ...startRefresh('smart') },
        { guard: 'mayLackDifferences', ...startRefresh('checksum') },
      ],
    },
    draining: {
      description: 'What NORMAL left in the BAB goes to the mirror; then a smart refresh.',
      tags: 'mark',
      entry: 'watchDrain',
      always: { guard: 'isUnjudged', target: 'waiting' },
      on: { 'pmd.drained': startRefresh('smart') },
    },
    pausing: {
      description: 'A refresh ended by itself; it goes on after a growing pause (MD 12).',
      tags: 'mark',
      on: {
        'operator.killrefresh': {
          description: 'It does not go on.',
          target: 'held',
          actions: [
            'publishRefreshKilled',
            'forgetUnfinished',
            ...recordTracking('operator.killrefresh'),
          ],
        },
      },
      after: { pause: [{ guard: 'isUnfinished', ...resumeRefresh }, { target: 'waiting' }] },
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

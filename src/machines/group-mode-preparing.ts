/**
 * How a refresh is prepared (R1, R2). What is in the BAB from before is never sent behind the blocks
 * of a refresh (H12): a full refresh drops it, because the whole map is marked; a smart one drains it
 * to the last where the mirror follows it, and turns it into marks where it does not.
 *
 *   saving ─► gracing ─┬─ full ─────────────────────────────► marking ─┐
 *                      └─► awaiting ─┬─ follows ─► draining ─┬─► (checksum) │
 *                           (link)   ├─ checksum ────────────┘         ├─► dropping ─► phaseA
 *                                    └─ smart, equal ─► clearing ──────┘
 */

import {
  giveUpRefresh,
  neverBegan,
  orderRefresh,
  recordTracking,
  undoSwitch,
  upgradeRefresh,
} from './group-mode-moves.js';
import { groupModeSetup } from './group-mode-setup.js';

export const preparingRefresh = groupModeSetup.createStateConfig({
  description: 'Record, duty, what is in the BAB: only then the PMD reads (R1, R2).',
  initial: 'saving',
  states: {
    saving: {
      description: 'Waits for the durable record; nothing else has changed yet.',
      tags: 'as-before',
      on: {
        'record.saved': [
          { guard: 'isQuiet', target: 'gracing', actions: 'forgetQuiet' },
          { target: 'gracing', actions: 'wantPmd' },
        ],
        'record.failed': [
          { guard: 'cameFromNormal', target: '#group.mode.normal', actions: neverBegan },
          {
            description: 'One that goes on is still in the record of before.',
            guard: 'isUnfinished',
            target: '#group.mode.tracking.pausing',
            actions: ['countFailure', ...neverBegan],
          },
          {
            guard: 'cameFromTracking',
            target: '#group.mode.tracking.pausing',
            actions: ['countFailure', ...neverBegan, ...recordTracking('pstore.failed')],
          },
          { target: '#group.mode.passthru.choosing', actions: neverBegan },
        ],
        'operator.killrefresh': {
          description: 'The PMD knows nothing yet; entries of NORMAL go on draining.',
          target: '#group.mode.tracking.held',
          actions: [
            'publishRefreshKilled',
            ...recordTracking('operator.killrefresh'),
            { type: 'setDuties', params: { append: false, mark: true } },
            'restoreMap',
          ],
        },
        'driver.overflowed': {
          description: 'The BAB of NORMAL filled up meanwhile: no way back there.',
          actions: [
            { type: 'comeFrom', params: { mode: 'tracking' } },
            { type: 'publishOverflow', params: ({ event }) => ({ sequence: event.sequence }) },
          ],
        },
      },
    },
    gracing: {
      description: 'Waits for the writes that started without the mark duty (R2).',
      tags: 'mark',
      entry: { type: 'setDuties', params: { append: false, mark: true } },
      on: { 'driver.graced': [{ guard: 'isFull', target: 'marking' }, { target: 'awaiting' }] },
      after: { switchLimit: undoSwitch },
    },
    awaiting: {
      description: 'Waits for the secondary: what it stands at decides what is needed.',
      tags: 'mark',
      entry: 'judge',
      always: [
        { guard: 'follows', target: 'draining' },
        { guard: 'needsUpgrade', target: 'saving', actions: upgradeRefresh },
        { guard: 'mayLackDifferences', target: 'marking' },
        { guard: 'mapSuffices', target: 'covering' },
      ],
      on: {
        // Nothing was done yet: what is refused or awaited here can be ordered otherwise.
        'operator.refreshFull': orderRefresh('tracking', 'full'),
        'operator.refreshChecksum': orderRefresh('tracking', 'checksum'),
        'lineage.waits': {
          description: 'Not even an order is enough here; the reason says what is.',
          target: '#group.mode.tracking.held',
          actions: [
            { type: 'publishRefreshFailed', params: ({ event }) => ({ code: event.code }) },
            ...giveUpRefresh('link.decided'),
          ],
        },
      },
    },
    draining: {
      description: 'What NORMAL left in the BAB goes to the mirror, to the last entry (R1).',
      tags: 'mark',
      entry: 'watchDrain',
      always: { guard: 'isUnjudged', target: 'awaiting' },
      on: {
        'pmd.drained': 'covering',
        'pmd.poisoned': {
          description: 'H48: it and all later ones become marks.',
          target: 'covering',
          actions: {
            type: 'publishPoisoned',
            params: ({ event }) => ({ position: event.position }),
          },
        },
      },
    },
    covering: {
      description: 'Passes on at once: is the map enough, or is everything compared?',
      tags: 'mark',
      always: [{ guard: 'isChecksum', target: 'marking' }, { target: 'clearing' }],
    },
    clearing: {
      description: 'What is in the BAB and cannot be drained becomes marks (H11).',
      tags: 'mark',
      entry: 'clearBab',
      on: { 'driver.cleared': 'dropping' },
      after: { switchLimit: undoSwitch },
    },
    marking: {
      description: 'Sets every bit of the map (Rules 12.1, 17).',
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
        'pmd.dropped': {
          target: '#phaseA',
          actions: ['judgedDropped', 'publishRefreshStarted'],
        },
      },
      after: { switchLimit: undoSwitch },
    },
  },
});

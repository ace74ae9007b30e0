/**
 * PASSTHRU: nothing goes to the mirror. Whether the map goes on is another matter: after an override
 * it does, so that both sides can be made equal again without comparing everything (Rule 10c, MD 13).
 * Local devices that a backfresh has half overwritten are in PASSTHRU too, and nobody may open them
 * before that is settled (MD 18).
 */
import {
  orderBackfresh,
  orderRefresh,
  orderUpgraded,
  overrideBackfresh,
  overrideRefresh,
  takeLocal,
} from './group-mode-moves.js';
import {
  overrideNormal,
  overrideNormalUnknown,
  overrideTracking,
  overrideTrackingUnknown,
} from './group-mode-override.js';
import { groupModeSetup } from './group-mode-setup.js';

export const passthruMode = groupModeSetup.createStateConfig({
  description: 'Writes go to the local devices only.',
  tags: 'unprotected',
  initial: 'choosing',
  states: {
    choosing: {
      description: 'Passes on at once, by what the record says of the map.',
      always: [{ guard: 'startsTracked', target: 'tracked' }, { target: 'untracked' }],
    },
    untracked: {
      description: 'Nothing is remembered: the way out compares or copies everything.',
      entry: { type: 'rememberTracked', params: { tracked: false } },
      on: {
        'operator.refreshFull': orderRefresh('passthru', 'full'),
        'operator.refreshSmart': orderUpgraded('passthru'),
        'operator.refreshChecksum': orderRefresh('passthru', 'checksum'),
        'operator.backfresh': orderBackfresh('passthru'),
        'operator.overrideNormal': overrideNormalUnknown,
        'operator.overrideTracking': overrideTrackingUnknown,
        'operator.overrideRefresh': overrideRefresh('passthru', 'checksum'),
        'operator.overrideBackfresh': overrideBackfresh('passthru'),
      },
    },
    tracked: {
      description: 'Changed blocks are remembered all the same; nothing is automatic (Rule 10c).',
      tags: 'mark',
      entry: { type: 'rememberTracked', params: { tracked: true } },
      on: {
        'driver.cleared': { actions: 'dropEntries' },
        'pmd.dropped': { actions: 'judgedDropped' },
        'operator.refreshFull': orderRefresh('passthru', 'full'),
        'operator.refreshSmart': orderRefresh('passthru', 'smart'),
        'operator.refreshChecksum': orderRefresh('passthru', 'checksum'),
        'operator.backfresh': orderBackfresh('passthru'),
        'operator.overrideNormal': overrideNormal,
        'operator.overrideTracking': overrideTracking,
        'operator.overrideRefresh': overrideRefresh('passthru', 'smart'),
        'operator.overrideBackfresh': overrideBackfresh('passthru'),
      },
    },
    incoherent: {
      description: 'A backfresh was killed half way: the local devices are neither old nor new.',
      entry: ['shutDoor', { type: 'setDuties', params: { append: false, mark: false } }],
      on: {
        'operator.backfresh': orderBackfresh('incoherent'),
        'operator.overrideBackfresh': overrideBackfresh('incoherent'),
        'operator.overridePassthru': takeLocal,
      },
    },
  },
});

/**
 * The link of a group as its mode machine sees it: whether a PMD shall run, and whether it is
 * connected. The PMD's own machine (link.ts) knows how a connection comes about; this one is what
 * the operator commands and `info` shows (connectionOf in refusals.ts).
 */
import { kill, launch } from './group-mode-moves.js';
import { groupModeSetup } from './group-mode-setup.js';
import type { Verdict } from './group-mode-types.js';

const judged = (verdict: Verdict) =>
  ({ actions: { type: 'judged', params: { verdict } } }) as const;

export const linkRegion = groupModeSetup.createStateConfig({
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
      exit: { type: 'judged', params: { verdict: 'unknown' } },
      on: {
        'lineage.follows': judged('follows'),
        'lineage.equal': judged('equal'),
        'lineage.smart': judged('smart'),
        'lineage.checksum': judged('checksum'),
        'lineage.waits': judged('waits'),
        'lineage.adopts': judged('adopts'),
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
      description: 'ACCUMULATE: the secondary refused for good; launchpmd tries anew (Rule 50).',
      on: {
        'operator.launchpmd': { target: 'connecting', actions: launch },
        'pmd.wanted': { target: 'connecting', actions: launch },
        'link.connecting': 'connecting',
        'link.connected': 'connected',
        'operator.killpmd': { target: 'stopped', actions: kill },
      },
    },
  },
});

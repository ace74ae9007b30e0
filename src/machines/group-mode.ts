/**
 * The mode of a logical group, and beside it the state of its link.
 *
 *   passthru ──launchrefresh──► refresh ──driver.committed, recorded──► normal
 *      ▲                         │  ▲                                     │
 *      └─ first start            ▼  └── link there, or launchrefresh ─┐  driver.overflowed
 *                    killrefresh, failed ───────────────────────► tracking ◄─┘
 *
 *   refresh: preparing ► phaseA ⇄ backoff ◄─(R9)─ freezing ► phaseB ► committing
 *
 * Decides situations, never single writes. Actions are names here, provided by actors/group.ts, so
 * that the chart can be drawn and tests get them as data. Keeps: nothing leads to NORMAL but a
 * durable commit (I21), every added duty is graced before it is used (Rule 3), an abandoned phase b
 * ends in phase a or TRACKING with its dirt (R9, 4.3). Refused requests have no transition: see
 * refusals.ts. Spec: docs/modes.md. Table: test/machines/group-mode.table.ts.
 */
import { backfreshMode } from './group-mode-backfresh.js';
import { checkpointRegion } from './group-mode-checkpoint.js';
import { linkRegion } from './group-mode-link.js';
import {
  orderBackfresh,
  orderRefresh,
  overrideBackfresh,
  overrideRefresh,
  recordTracking,
} from './group-mode-moves.js';
import { clearBabInNormal, overridePassthru, overrideTracking } from './group-mode-override.js';
import { passthruMode } from './group-mode-passthru.js';
import { refreshMode } from './group-mode-refresh.js';
import { groupModeSetup } from './group-mode-setup.js';
import { trackingMode } from './group-mode-tracking.js';

export { type ModeLeaf, modeLeaves } from './group-mode-leaves.js';
export { backoffMs, pauseMs } from './group-mode-setup.js';
export type {
  GroupCause,
  GroupModeContext,
  GroupModeEvent,
  GroupModeInput,
  GroupTag,
  ModePosition,
  RefreshKind,
  RestingMode,
  Verdict,
} from './group-mode-types.js';

/** The mirror is not where the BAB begins: what is in it becomes marks, and a refresh follows. */
const cannotResume = {
  target: 'tracking',
  actions: [
    { type: 'setDuties', params: { append: false, mark: true } },
    ...recordTracking('link.decided'),
  ],
} as const;

export const groupModeMachine = groupModeSetup.createMachine({
  id: 'group',
  type: 'parallel',
  context: ({ input: { kind, ...input } }) => ({
    ...input,
    kind: kind ?? 'smart',
    unfinished: input.mode === 'tracking' && kind !== undefined,
    origin: 'passthru',
    attempt: 0,
    failures: 0,
    converged: false,
    timing: false,
    timedOut: false,
    normal: false,
    quiet: false,
    verdict: 'unknown',
  }),
  on: { 'tunables.set': { actions: 'setTimeouts' } },
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
              target: 'tracking.starting',
              actions: { type: 'setDuties', params: { append: false, mark: true } },
            },
            {
              guard: 'startsRefresh',
              target: 'refresh.preparing.gracing',
            },
            { guard: 'startsBackfresh', target: 'backfresh.reclosing' },
            {
              description: 'Its end was recorded, and the mirror had yet to hear of it.',
              guard: 'startsHanded',
              target: 'tracking.waiting',
              actions: [
                { type: 'setDuties', params: { append: false, mark: true } },
                ...recordTracking('group.started'),
              ],
            },
            { guard: 'startsIncoherent', target: 'passthru.incoherent' },
            {
              guard: 'startsTracked',
              target: 'passthru.tracked',
              actions: { type: 'setDuties', params: { append: false, mark: true } },
            },
            {
              target: 'passthru.untracked',
              actions: { type: 'setDuties', params: { append: false, mark: false } },
            },
          ],
        },
        passthru: passthruMode,
        normal: {
          description: 'Every write goes into the BAB and from there, in order, to the mirror.',
          tags: ['append', 'coherent-stream'],
          entry: 'rememberNormal',
          exit: 'forgetNormal',
          on: {
            'operator.refreshFull': orderRefresh('normal', 'full'),
            'operator.refreshSmart': orderRefresh('normal', 'smart'),
            'operator.refreshChecksum': orderRefresh('normal', 'checksum'),
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
                'clearBab',
                ...recordTracking('entry.poisoned'),
              ],
            },
            'operator.backfresh': orderBackfresh('normal'),
            'operator.overridePassthru': overridePassthru,
            'operator.overrideTracking': overrideTracking,
            'operator.overrideRefresh': overrideRefresh('normal', 'smart'),
            'operator.overrideBackfresh': overrideBackfresh('normal'),
            'operator.overrideClearBab': clearBabInNormal,
            'pmd.eraTaken': {
              actions: [
                'recordAdopted',
                'persist',
                { type: 'judged', params: { verdict: 'follows' } },
              ],
            },
            'lineage.smart': cannotResume,
            'lineage.checksum': cannotResume,
            'drain.expired': { target: 'tracking', actions: recordTracking('stop.notDrained') },
          },
        },
        tracking: trackingMode,
        refresh: refreshMode,
        backfresh: backfreshMode,
      },
    },
    link: linkRegion,
    checkpoint: checkpointRegion,
  },
});

/**
 * The mode of a logical group, and beside it the state of its link.
 *
 *   passthru ──operator.refreshFull──► refresh ──driver.committed, recorded──► normal
 *      ▲                                 │  ▲                                    │
 *      └─ first or unclean start         ▼  └──────operator.refreshFull──┐  driver.overflowed
 *                            killrefresh, failed ───────────────────► tracking ◄─┘
 *
 *   refresh: preparing ► phaseA ⇄ backoff ◄─(R9)─ freezing ► phaseB ► committing
 *
 * Decides situations, never single writes. Actions are names here, provided by actors/group.ts, so
 * that the chart can be drawn and tests get them as data. Keeps: nothing leads to NORMAL but a
 * durable commit (I21), every added duty is graced before it is used (Rule 3), an abandoned phase b
 * ends in phase a or TRACKING with its dirt (R9, 4.3). Refused requests have no transition: see
 * refusals.ts. Spec: docs/modes.md. Table: test/machines/group-mode.table.ts.
 */
import { linkRegion } from './group-mode-link.js';
import { refreshMode } from './group-mode-refresh.js';
import { beginFullRefresh, groupModeSetup, recordTracking } from './group-mode-setup.js';

export { backoffMs } from './group-mode-setup.js';
export type {
  GroupCause,
  GroupModeContext,
  GroupModeEvent,
  GroupModeInput,
  GroupTag,
  ModePosition,
  RestingMode,
} from './group-mode-types.js';

export const groupModeMachine = groupModeSetup.createMachine({
  id: 'group',
  type: 'parallel',
  context: ({ input }) => ({ ...input, origin: 'passthru', attempt: 0, converged: false }),
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
              target: 'tracking',
              actions: [
                { type: 'setDuties', params: { append: false, mark: true } },
                'markAllBlocks',
              ],
            },
            { guard: 'startsRefresh', target: 'refresh.preparing.gracing' },
            { guard: 'startsBackfresh', target: 'backfresh' },
            {
              target: 'passthru',
              actions: { type: 'setDuties', params: { append: false, mark: false } },
            },
          ],
        },
        passthru: {
          description: 'Writes go to the local devices only: nothing is mirrored or remembered.',
          tags: 'unprotected',
          on: {
            'operator.refreshFull': {
              target: 'refresh.preparing.saving',
              actions: beginFullRefresh('passthru'),
            },
          },
        },
        normal: {
          description: 'Every write goes into the BAB and from there, in order, to the mirror.',
          tags: ['append', 'coherent-stream'],
          on: {
            'operator.refreshFull': {
              target: 'refresh.preparing.saving',
              actions: beginFullRefresh('normal'),
            },
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
                'markAllBlocks',
                'dropEntries',
                ...recordTracking('entry.poisoned'),
              ],
            },
            'drain.expired': { target: 'tracking', actions: recordTracking('stop.notDrained') },
          },
        },
        tracking: {
          description: 'Changed blocks are remembered in the map; launchrefresh -f leads out.',
          tags: 'mark',
          on: {
            'operator.refreshFull': {
              target: 'refresh.preparing.saving',
              actions: beginFullRefresh('tracking'),
            },
            'pmd.poisoned': {
              description: 'H48, while the rest of NORMAL was drained: it ends here.',
              actions: [
                { type: 'publishPoisoned', params: ({ event }) => ({ position: event.position }) },
                'markAllBlocks',
                'dropEntries',
              ],
            },
          },
        },
        refresh: refreshMode,
        backfresh: {
          description: 'The mirror is copied back. Declared only: nothing leads here yet.',
        },
      },
    },
    link: linkRegion,
  },
});

/** Every state the mode region can rest in, as the value of the region. */
export const modeLeaves = [
  'passthru',
  'normal',
  'tracking',
  'refresh.preparing.saving',
  'refresh.preparing.gracing',
  'refresh.preparing.marking',
  'refresh.preparing.dropping',
  'refresh.phaseA',
  'refresh.freezing.recording',
  'refresh.freezing.gracing',
  'refresh.phaseB.sending',
  'refresh.phaseB.marking',
  'refresh.committing.awaiting',
  'refresh.committing.clearing',
  'refresh.committing.recording',
  'refresh.backoff',
  'backfresh',
] as const;
export type ModeLeaf = (typeof modeLeaves)[number];

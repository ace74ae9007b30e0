/**
 * What the secondary does with what it receives: the word `info` shows, and whether the journal may go to
 * the mirror. One machine per session; docs/rmd-modes.md is its specification.
 *
 *   off ─opened─► mirroring ─refresh.journaled─► journaling ─committed─► replaying ─chain.over─► mirroring
 *                     └──checkpoint.effective──► checkpointed ─checkpoint.released─┘
 *
 * Keeps Rule 15a: nothing leads from a checkpoint to `replays` but its end. An event that a state does not
 * name changes nothing; the table of the tests is total.
 */
import { setup } from 'xstate';

export type RmdModeEvent =
  /** The session has the mirrors, or found a checkpoint on. */
  | { type: 'session.opened' }
  | { type: 'session.checkpointed' }
  | { type: 'session.closed' }
  /** The chain of an earlier session is on its way to the mirror. */
  | { type: 'chain.found' }
  /** All of the chain is on the mirror; entries go there directly. */
  | { type: 'chain.over' }
  /** Entries go to the journal first (WRITEAHEAD=Y). */
  | { type: 'writeAhead.begun' }
  /** Blocks of a refresh go to an image from now on. */
  | { type: 'refresh.journaled' }
  | { type: 'refresh.committed' }
  /** Without a commit. */
  | { type: 'refresh.ended' }
  | { type: 'checkpoint.effective' }
  | { type: 'checkpoint.released' };

export type RmdWord = 'MIRRORING' | 'JOURNALING' | 'MIRRORING_AND_JOURNALING' | 'OFF';

export const rmdModes = [
  'off',
  'mirroring',
  'journaling',
  'replaying',
  'checkpointed',
  'checkpointedRefresh',
] as const;
export type RmdMode = (typeof rmdModes)[number];

export const rmdWords: { readonly [Mode in RmdMode]: RmdWord } = {
  off: 'OFF',
  mirroring: 'MIRRORING',
  journaling: 'JOURNALING',
  replaying: 'MIRRORING_AND_JOURNALING',
  checkpointed: 'JOURNALING',
  checkpointedRefresh: 'JOURNALING',
};

const closed = { 'session.closed': 'off' } as const;

export const rmdModeMachine = setup({
  types: { events: {} as RmdModeEvent, tags: {} as 'replays' },
}).createMachine({
  id: 'rmd',
  initial: 'off',
  states: {
    off: {
      on: { 'session.opened': 'mirroring', 'session.checkpointed': 'checkpointed' },
    },
    mirroring: {
      on: {
        ...closed,
        'chain.found': 'replaying',
        'writeAhead.begun': 'replaying',
        'refresh.journaled': 'journaling',
        'checkpoint.effective': 'checkpointed',
      },
    },
    journaling: {
      on: { ...closed, 'refresh.committed': 'replaying', 'refresh.ended': 'mirroring' },
    },
    replaying: {
      tags: 'replays',
      on: { ...closed, 'chain.over': 'mirroring' },
    },
    checkpointed: {
      on: {
        ...closed,
        'refresh.journaled': 'checkpointedRefresh',
        'checkpoint.released': 'replaying',
      },
    },
    checkpointedRefresh: {
      on: {
        ...closed,
        'refresh.committed': 'checkpointed',
        'refresh.ended': 'checkpointed',
      },
    },
  },
});

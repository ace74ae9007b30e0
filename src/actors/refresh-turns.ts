/**
 * The actor on main that lets groups refresh by themselves, a few at a time (Rule 53). A group asks for
 * its turn before an automatic refresh and gives it back when it is over; an operator's own command
 * does not wait here. Order and limit: core/engine/turns.ts.
 */
import { refreshesAtOnceMax } from '../core/constants.js';
import { Turns } from '../core/engine/turns.js';
import { TdmfError } from '../core/errors.js';
import type { StartActor } from './actor.js';

/** Where groups find it. */
export const refreshTurnsActor = 'refresh-turns';

export type TurnQuestion = {
  readonly kind: 'turn.take';
  readonly group: number;
  /** When its mirror was last known equal, ms since 1970; 0: never. */
  readonly cutAt: number;
};

export type TurnMessage = { readonly type: 'turn.give'; readonly group: number };

/** The answer to a question that a later one of the same group has replaced never comes. */
export const startRefreshTurns: StartActor<undefined, TurnMessage> = async () => {
  const turns = new Turns(refreshesAtOnceMax);
  return {
    receive: ({ group }) => turns.give(group),
    ask: (question) => {
      const { kind, group, cutAt } = question as TurnQuestion;
      if (kind !== 'turn.take') {
        return Promise.reject(
          new TdmfError('TDMF_INTERNAL', { what: `question ${kind as string}` }),
        );
      }
      return new Promise<void>((resolve) => {
        turns.take(group, cutAt, resolve);
      });
    },
    stop: async () => {},
  };
};

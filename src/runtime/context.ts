/**
 * What an actor is given to live with: the world of its place, guarded so that whatever goes wrong
 * in a callback is this actor's failure (H46), and the addresses of others.
 */
import type { ActorContext } from '../actors/actor.js';
import type { ActorCell } from '../actors/cell.js';
import { guardClock } from '../actors/guarded-clock.js';
import { assert } from '../core/assert.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { Ports } from '../ports/ports.js';
import type { Random } from '../ports/random.js';

export interface Surroundings {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly ports: Ports | undefined;
}

export function actorContext(
  cell: ActorCell,
  { clock, log, random, ports }: Surroundings,
  others: Pick<ActorContext, 'address' | 'publish'>,
): ActorContext {
  const guard: ActorContext['guard'] = (run) => cell.guard(run);
  return {
    ...others,
    id: cell.id,
    clock: guardClock(clock, guard),
    log: log.with({ actor: cell.id }),
    random,
    get ports(): Ports {
      assert(ports !== undefined, 'this place was given no ports');
      return ports;
    },
    fail: (error) => cell.fail(error),
    guard,
  };
}

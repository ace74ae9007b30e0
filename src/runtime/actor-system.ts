/**
 * The actor system as its users see it; pool.ts is the system.
 *
 * An actor is begun by its kind on a host, or by its start function on main; its address works from
 * everywhere once `spawn` has resolved. Actors that fail together form a set ('g0'): when one fails
 * or its host dies, all of the set are stopped, and after a back-off `onSetFailed` is called to
 * start them again, in its own order (H22, H46). Other sets and main go on (I11). What a set is and
 * how it is started is the caller's business.
 */
import type { Address, StartActor } from '../actors/actor.js';
import type { Decision } from '../core/supervision.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { Ports } from '../ports/ports.js';
import type { Random } from '../ports/random.js';
import type { WorldModule } from './control.js';
import type { SetState } from './sets.js';

export interface ActorSystemOptions {
  readonly hosts: number;
  /** Builds each host's world: exports `createWorld(data)`. */
  readonly world: WorldModule;
  /** URL of a module that exports `actors`, the start functions by kind. */
  readonly registry: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  /** For actors on main; without it they have none. */
  readonly ports?: Ports;
  /** Events that actors publish, and the runtime's own: actor.failed, actor.parked, host.crashed. */
  readonly onEvent?: (type: string, payload: Readonly<Record<string, unknown>>) => void;
  /** An actor ended by failing, or its host died. Its set is being stopped. */
  readonly onExit?: (exit: ActorExit) => void;
  /**
   * The set has ended and its back-off is over: start it again (`restart`), or take note (`park`).
   * A rejection counts as the set's next failure.
   */
  readonly onSetFailed?: (set: string, decision: Decision, error: unknown) => Promise<void>;
}

export interface ActorExit {
  readonly id: string;
  readonly set: string;
  readonly host: number | 'main';
  readonly error: unknown;
}

export interface SpawnSpec {
  readonly id: string;
  readonly kind: string;
  readonly host: number;
  readonly options: unknown;
  /** The actors that are stopped and restarted together; by default the actor alone. */
  readonly set?: string;
}

export interface LocalSpec<Options, Message> {
  readonly id: string;
  readonly start: StartActor<Options, Message>;
  readonly options: Options;
  readonly set?: string;
}

export interface ActorSystem {
  readonly hosts: number;
  /** Resolves when the actor has started and every thread knows its address; rejects as its start. */
  spawn<Message = unknown>(spec: SpawnSpec): Promise<Address<Message>>;
  spawnLocal<Options, Message>(spec: LocalSpec<Options, Message>): Promise<Address<Message>>;
  address<Message = unknown>(id: string): Address<Message>;
  /** As `Address.ask`, but by structured clone: may carry shared memory. */
  ask<Answer>(id: string, question: unknown): Promise<Answer>;
  /** Resolves when the actor's I/O is done (H22); at once when there is no such actor. */
  stopActor(id: string): Promise<void>;
  /** Stops the set's actors, the last begun first, and forgets its failures. */
  stopSet(set: string): Promise<void>;
  setState(set: string): SetState;
  /** Lets a host thread die of an exception outside every actor: for tests of the recovery. */
  crashHost(host: number): void;
  list(): readonly { readonly id: string; readonly set: string; readonly host: number | 'main' }[];
  /** Stops every actor, the last begun first, then the hosts. */
  stop(): Promise<void>;
}

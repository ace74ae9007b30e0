/**
 * The shape of an actor: it owns one thing, has one bounded mailbox, runs each message to
 * completion, and reaches the world only through ports. A message to an actor looks the same
 * wherever the actor lives: in this thread, in another one, in the simulator.
 *
 * Rule 47 (H47): nothing blocks on a mailbox. `tell` returns false when there is no room, and the
 * sender keeps its state (positions and modes live in shared control words, messages are doorbells)
 * or tries again when the runtime calls `writable`.
 */
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { Ports } from '../ports/ports.js';
import type { Random } from '../ports/random.js';

export interface Actor<Message> {
  /** Runs to completion; a throw ends this actor only (H46). */
  receive(message: Message): void;
  /** A question from elsewhere that wants an answer (control plane only). */
  ask?(question: unknown): Promise<unknown>;
  /** Once after a `tell` of this actor returned false because of room, when there is room again. */
  writable?(): void;
  /** Ends cleanly: resolves when the actor's I/O is done and what it owned is closed (H22). */
  stop(): Promise<void>;
}

export interface Address<Message> {
  /** For instance `g7/driver`; unique in the process. */
  readonly id: string;
  /**
   * Queues the message: msgpack-able plain data, which belongs to the receiver from now on. False:
   * nothing was queued, because there is no room (`writable` follows) or no such actor. True does
   * not say that it will be received: the actor may end first.
   */
  tell(message: Message): boolean;
  /**
   * Asks and waits for the answer. Rejects with the actor's error (its `code` and `cause` kept), or
   * with TDMF_ACTOR_GONE when the actor ends first.
   */
  ask<Answer>(question: unknown): Promise<Answer>;
}

export interface ActorContext {
  readonly id: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  readonly ports: Ports;
  address<Message>(id: string): Address<Message>;
  /** Ends this actor with an error, as a throw in `receive` does. For use in port callbacks. */
  fail(error: unknown): void;
  /** Wraps a port callback: a throw in it becomes `fail`, so that one group's bug stays its own. */
  guard<Args extends unknown[]>(run: (...args: Args) => void): (...args: Args) => void;
  /** Publishes an event to the operator's stream; `type` is a key of TdmfEvents. */
  publish(type: string, payload: Readonly<Record<string, unknown>>): void;
}

export type StartActor<Options, Message> = (
  context: ActorContext,
  options: Options,
) => Promise<Actor<Message>>;

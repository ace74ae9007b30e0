/**
 * The actors of one simulated process, in the same cells as the product's (actors/cell.ts), with the
 * simulated world as their ports. Every message is delivered by an event of the world, after a
 * random delay, in the order in which it was sent to its receiver.
 */

import type { ActorContext, Address, StartActor } from '../actors/actor.js';
import { ActorCell, type CellPlace } from '../actors/cell.js';
import { guardClock } from '../actors/guarded-clock.js';
import { TdmfError } from '../core/errors.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { Ports } from '../ports/ports.js';
import type { SimWorld } from './world.js';

export interface SimActorsOptions {
  readonly name: string;
  readonly world: SimWorld;
  readonly ports: Ports;
  readonly onEvent: (type: string, payload: Readonly<Record<string, unknown>>) => void;
  readonly onFailed: (id: string, error: unknown) => void;
  /** Longest way of a message: a busy thread looks at its mailboxes late. */
  readonly messageMs?: number;
  /** An actor writes a line of level `error`: bugs end up here when the actor keeps them in (I11). */
  readonly onError?: (id: string, fields: Readonly<Record<string, unknown>> | undefined) => void;
  /** Shared by the threads of one process: who is where. */
  readonly directory?: SimDirectory;
}

export type SimDirectory = Map<string, ActorCell>;

/** Messages one actor receives in one delivery. */
const messagesPerRun = 8;
const messageMsDefault = 0.2;

export class SimActors implements CellPlace {
  readonly #options: SimActorsOptions;
  readonly #cells = new Map<string, ActorCell>();
  readonly #directory: SimDirectory;
  readonly #scheduled = new Set<ActorCell>();
  #alive = true;
  #keys = 0;

  constructor(options: SimActorsOptions) {
    this.#options = options;
    this.#directory = options.directory ?? new Map<string, ActorCell>();
  }

  get ids(): readonly string[] {
    return [...this.#cells.keys()];
  }

  async start<Options, Message>(
    id: string,
    start: StartActor<Options, Message>,
    options: Options,
  ): Promise<void> {
    const cell = new ActorCell(id, ++this.#keys, this);
    this.#cells.set(id, cell);
    this.#directory.set(id, cell);
    try {
      await cell.start(start as StartActor<unknown, unknown>, this.#context(cell), options);
    } catch (error) {
      this.#forget(id, cell);
      throw error;
    }
  }

  async stop(id: string): Promise<void> {
    const cell = this.#cells.get(id);
    if (cell === undefined) return;
    try {
      await cell.stop();
    } finally {
      this.#forget(id, cell);
    }
  }

  /** The thread is gone: nothing of its actors runs any more (kill -9, or a crash of the thread). */
  die(): void {
    this.#alive = false;
    for (const [id, cell] of [...this.#cells]) {
      // Whoever waits for an answer hears that there will be none.
      cell.fail(new TdmfError('TDMF_ACTOR_GONE', { actor: id }));
      this.#forget(id, cell);
    }
  }

  #forget(id: string, cell: ActorCell): void {
    if (this.#cells.get(id) === cell) this.#cells.delete(id);
    if (this.#directory.get(id) === cell) this.#directory.delete(id);
  }

  get alive(): boolean {
    return this.#alive;
  }

  address<Message>(id: string, sender?: ActorCell): Address<Message> {
    return {
      id,
      tell: (message) => this.#alive && (this.#directory.get(id)?.tell(message, sender) ?? false),
      ask: async <Answer>(question: unknown): Promise<Answer> => {
        const answer = this.#directory.get(id)?.ask(question);
        if (answer === undefined) throw new TdmfError('TDMF_ACTOR_GONE', { actor: id });
        return answer as Promise<Answer>;
      },
    };
  }

  ready(cell: ActorCell): void {
    if (this.#scheduled.has(cell)) return;
    this.#scheduled.add(cell);
    this.#options.world.soon(this.#options.messageMs ?? messageMsDefault, 'message', () => {
      this.#scheduled.delete(cell);
      if (this.#alive && cell.run(messagesPerRun)) this.ready(cell);
    });
  }

  running(): void {}

  failed(cell: ActorCell, error: unknown): void {
    if (!this.#alive) return;
    this.#options.onFailed(cell.id, error);
  }

  failedAgain(cell: ActorCell, error: unknown): void {
    this.#options.world.trace(`${this.#options.name} ${cell.id} failed again: ${String(error)}`);
  }

  #context(cell: ActorCell): ActorContext {
    const { world, ports, name, onEvent, onError } = this.#options;
    const guard: ActorContext['guard'] = (run) =>
      cell.guard((...args) => {
        if (this.#alive) run(...args);
      });
    const living: Clock = {
      ...world.clock,
      // The timers of a dead process do not fire.
      after: (delayMs, fire) => world.clock.after(delayMs, () => void (this.#alive && fire())),
      endOfTurn: (run) => world.clock.endOfTurn(() => void (this.#alive && run())),
    };
    return {
      id: cell.id,
      clock: guardClock(living, guard),
      log: traceLog(world, `${name} ${cell.id}`, (fields) => onError?.(cell.id, fields)),
      random: world.random,
      ports,
      address: (id) => this.address(id, cell),
      fail: (error) => cell.fail(error),
      guard,
      publish: (type, payload) => {
        world.trace(`${name} ${cell.id} ${type} ${JSON.stringify(payload)}`);
        onEvent(type, payload);
      },
    };
  }
}

function traceLog(
  world: SimWorld,
  name: string,
  onError: (fields: Readonly<Record<string, unknown>> | undefined) => void,
): Log {
  return {
    write: (level, message, fields) => {
      world.trace(`${name} ${level}: ${message} ${fields ? JSON.stringify(fields) : ''}`);
      if (level === 'error') onError(fields);
    },
    with: () => traceLog(world, name, onError),
  };
}

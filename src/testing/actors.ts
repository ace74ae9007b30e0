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
}

/** Messages one actor receives in one delivery. */
const messagesPerRun = 8;
const messageDelayMsMax = 0.2;

export class SimActors implements CellPlace {
  readonly #options: SimActorsOptions;
  readonly #cells = new Map<string, ActorCell>();
  readonly #scheduled = new Set<ActorCell>();
  #alive = true;
  #keys = 0;

  constructor(options: SimActorsOptions) {
    this.#options = options;
  }

  async start<Options, Message>(
    id: string,
    start: StartActor<Options, Message>,
    options: Options,
  ): Promise<void> {
    const cell = new ActorCell(id, ++this.#keys, this);
    this.#cells.set(id, cell);
    await cell.start(start as StartActor<unknown, unknown>, this.#context(cell), options);
  }

  async stop(id: string): Promise<void> {
    const cell = this.#cells.get(id);
    await cell?.stop();
    this.#cells.delete(id);
  }

  /** The process is gone: nothing of its actors runs any more (kill -9). */
  die(): void {
    this.#alive = false;
    this.#cells.clear();
  }

  get alive(): boolean {
    return this.#alive;
  }

  address<Message>(id: string, sender?: ActorCell): Address<Message> {
    return {
      id,
      tell: (message) => this.#cells.get(id)?.tell(message, sender) ?? false,
      ask: async <Answer>(question: unknown): Promise<Answer> => {
        const answer = this.#cells.get(id)?.ask(question);
        if (answer === undefined) throw new TdmfError('TDMF_ACTOR_GONE', { actor: id });
        return answer as Promise<Answer>;
      },
    };
  }

  ready(cell: ActorCell): void {
    if (this.#scheduled.has(cell)) return;
    this.#scheduled.add(cell);
    this.#options.world.soon(messageDelayMsMax, 'message', () => {
      this.#scheduled.delete(cell);
      if (this.#alive && cell.run(messagesPerRun)) this.ready(cell);
    });
  }

  running(): void {}

  failed(cell: ActorCell, error: unknown): void {
    this.#options.onFailed(cell.id, error);
  }

  failedAgain(cell: ActorCell, error: unknown): void {
    this.#options.world.trace(`${this.#options.name} ${cell.id} failed again: ${String(error)}`);
  }

  #context(cell: ActorCell): ActorContext {
    const { world, ports, name, onEvent } = this.#options;
    const guard: ActorContext['guard'] = (run) => cell.guard(run);
    const living: Clock = {
      ...world.clock,
      // The timers of a dead process do not fire.
      after: (delayMs, fire) => world.clock.after(delayMs, () => void (this.#alive && fire())),
      endOfTurn: (run) => world.clock.endOfTurn(() => void (this.#alive && run())),
    };
    return {
      id: cell.id,
      clock: guardClock(living, guard),
      log: traceLog(world, `${name} ${cell.id}`),
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

function traceLog(world: SimWorld, name: string): Log {
  return {
    write: (level, message, fields) =>
      world.trace(`${name} ${level}: ${message} ${fields ? JSON.stringify(fields) : ''}`),
    with: () => traceLog(world, name),
  };
}

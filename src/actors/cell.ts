/**
 * One actor in its place: its mailbox, its life from start to end, and the wall that keeps its
 * failures in (H46). Runtime and simulator both keep their actors in cells; a cell decides nothing
 * about restarts, it only says `failed`, and whoever supervises calls `stop`.
 *
 *   starting ──► running ──► stopping ──► ended        fail: starting|running ──► failed ──► stopping
 *
 * A failed actor receives nothing more, but its port callbacks run until `stop` has resolved: its
 * I/O must drain before a successor may begin (H22). After the end nothing of it runs (I16).
 */
import { AssertionError } from '../core/assert.js';
import { TdmfError } from '../core/errors.js';
import type { Actor, ActorContext, StartActor } from './actor.js';
import { Mailbox } from './mailbox.js';

export interface CellPlace {
  /** There are messages: call `run` soon. */
  ready(cell: ActorCell): void;
  /** Whose code runs from here on; 0 is nobody's. */
  running(key: number): void;
  /** The actor failed after its start; nobody else knows yet. */
  failed(cell: ActorCell, error: unknown): void;
  /** A further error of an actor that has failed or is stopping: worth a line in the log. */
  failedAgain(cell: ActorCell, error: unknown): void;
}

type CellState = 'starting' | 'running' | 'failed' | 'stopping' | 'ended';

class Question {
  readonly content: unknown;
  readonly answer: (answer: unknown) => void;
  readonly refuse: (error: unknown) => void;

  constructor(content: unknown, answer: (answer: unknown) => void, refuse: (e: unknown) => void) {
    this.content = content;
    this.answer = answer;
    this.refuse = refuse;
  }
}

export class ActorCell {
  readonly id: string;
  /** Names this incarnation: a successor with the same id has another key. */
  readonly key: number;
  readonly #place: CellPlace;
  readonly #mailbox: Mailbox<unknown>;
  readonly #questions = new Set<Question>();
  readonly #waiting = new Set<ActorCell>();
  #state: CellState = 'starting';
  #actor: Actor<unknown> | undefined;
  #started: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #failure: unknown;
  readonly #deliver = (item: unknown): void => this.#receive(item);

  constructor(id: string, key: number, place: CellPlace, mailboxCapacity?: number) {
    this.id = id;
    this.key = key;
    this.#place = place;
    this.#mailbox = new Mailbox(mailboxCapacity);
  }

  /** Resolves when the actor runs; rejects with what its start threw, or its `fail` meanwhile. */
  async start(
    start: StartActor<unknown, unknown>,
    context: ActorContext,
    options: unknown,
  ): Promise<void> {
    this.#place.running(this.key);
    const starting = (async () => start(context, options))();
    this.#place.running(0);
    this.#started = starting.catch(() => undefined);
    try {
      this.#actor = await starting;
    } catch (error) {
      this.#state = 'ended';
      this.#refuseAll(error);
      throw error;
    }
    if (this.#state === 'starting') {
      this.#state = 'running';
      if (this.#mailbox.size > 0) this.#place.ready(this);
      return;
    }
    await this.stop();
    throw this.#failure ?? this.#gone();
  }

  /** Whether a message may be posted, room aside. */
  get alive(): boolean {
    return this.#state === 'running' || this.#state === 'starting';
  }

  /** False: not alive, or full; then `sender` is called when half of the mailbox is free. */
  tell(message: unknown, sender?: ActorCell): boolean {
    if (!this.alive) return false;
    if (this.#post(message)) return true;
    if (sender !== undefined) this.#waiting.add(sender);
    return false;
  }

  /** Asks after everything that was told before. Undefined: the mailbox is full. */
  ask(content: unknown): Promise<unknown> | undefined {
    if (!this.alive) return Promise.reject(this.#gone());
    if (this.#mailbox.size === this.#mailbox.capacity) return undefined;
    return new Promise((resolve, reject) => {
      const question = new Question(content, resolve, reject);
      this.#questions.add(question);
      this.#post(question);
    });
  }

  /** Receives up to `limit` messages. True: there are more. */
  run(limit: number): boolean {
    if (this.#state !== 'running') return false;
    this.#place.running(this.key);
    this.#mailbox.drain(limit, this.#deliver);
    this.#place.running(0);
    if (this.#waiting.size > 0 && this.#mailbox.size <= this.#mailbox.capacity / 2) {
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const sender of waiting) sender.writable();
    }
    return this.alive && this.#mailbox.size > 0;
  }

  writable(): void {
    if (this.#state === 'running' && this.#actor?.writable !== undefined) {
      this.#guarded(() => this.#actor?.writable?.());
    }
  }

  guard<Args extends unknown[]>(run: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      if (this.#state === 'ended') return;
      this.#place.running(this.key);
      try {
        run(...args);
      } catch (error) {
        this.fail(error);
      } finally {
        this.#place.running(0);
      }
    };
  }

  fail(error: unknown): void {
    if (!this.alive) {
      this.#place.failedAgain(this, error);
      return;
    }
    const started = this.#state === 'running';
    this.#state = 'failed';
    this.#failure = error;
    this.#mailbox.clear();
    this.#refuseAll(error);
    // Before that, the promise of `start` tells.
    if (started) this.#place.failed(this, error);
  }

  /** Resolves when the actor's I/O is done (H22). Rejects with what its `stop` threw. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    if (this.#state === 'ended') return;
    this.#state = 'stopping';
    try {
      await this.#started;
      await this.#actor?.stop();
    } finally {
      this.#state = 'ended';
      this.#mailbox.clear();
      this.#refuseAll(this.#failure);
    }
  }

  #post(item: unknown): boolean {
    if (!this.#mailbox.post(item)) return false;
    if (this.#mailbox.size === 1 && this.#state === 'running') this.#place.ready(this);
    return true;
  }

  #receive(item: unknown): void {
    // A message of a batch may have ended the actor: what follows it is not received.
    if (this.#state !== 'running') return;
    if (item instanceof Question) {
      void this.#answer(item);
      return;
    }
    try {
      this.#actor?.receive(item);
    } catch (error) {
      this.fail(error);
    }
  }

  async #answer(question: Question): Promise<void> {
    try {
      if (this.#actor?.ask === undefined) {
        throw new TdmfError('TDMF_INTERNAL', { what: `${this.id} answers no questions` });
      }
      question.answer(await this.#actor.ask(question.content));
    } catch (error) {
      question.refuse(error);
      // An operating error is an answer; a broken promise of the code ends the actor (house 3.8).
      if (error instanceof AssertionError) this.fail(error);
    } finally {
      this.#questions.delete(question);
    }
  }

  #guarded(run: () => void): void {
    this.guard(run)();
  }

  #refuseAll(cause: unknown): void {
    for (const question of this.#questions) question.refuse(this.#gone(cause));
    this.#questions.clear();
  }

  #gone(cause: unknown = this.#failure): TdmfError {
    return new TdmfError(
      'TDMF_ACTOR_GONE',
      { actor: this.id },
      cause === undefined ? {} : { cause },
    );
  }
}

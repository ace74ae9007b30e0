/**
 * One thread as a home of actors: their cells, the directory of all actors of the process, and the
 * loop that moves messages. Main and every host have one; to an actor they look the same.
 *
 * A turn: look at the bell, deliver what the rings hold into mailboxes, run the actors that have
 * messages, let refused senders try again, ring the bells of the threads written to, sleep. A
 * message to an actor of the same thread goes straight into its mailbox and runs in the same turn.
 *
 * What it keeps: an actor's failure stays in its cell (H46); nothing waits for room (H47); one
 * actor or ring cannot starve the others of a turn. It does not restart anything.
 */
import type { ActorContext, Address, StartActor } from '../actors/actor.js';
import { ActorCell, type CellPlace } from '../actors/cell.js';
import { assert } from '../core/assert.js';
import { TdmfError, toPlainError } from '../core/errors.js';
import { actorContext, type Surroundings } from './context.js';
import type { DirectoryEntry, RingOffer } from './control.js';
import { deliverTo, type Report } from './delivery.js';
import { BellKeeper } from './doorbell.js';
import { type EnvelopeKind, encodeEnvelope, envelopeKinds, runtimeKey } from './envelope.js';
import type { Deliver } from './inbound.js';
import { Questions } from './questions.js';
import { Rings } from './rings.js';

/** Messages one actor receives before the next one's turn comes. */
const messagesPerRun = 64;
/** Rounds over the actors of a thread before its I/O gets its turn. */
const roundsPerTurn = 8;

export interface PlaceOptions extends Surroundings {
  readonly place: number;
  readonly mainPlace: number;
  readonly bells: SharedArrayBuffer;
  readonly generations: readonly number[];
  readonly offer: (offer: RingOffer) => void;
  readonly broken: (place: number, error: unknown) => void;
  /** Only main is given reports: its own actors' and, through the rings, everybody's. */
  readonly report: (report: Report, place: number) => void;
}

export class Place implements CellPlace {
  readonly #options: PlaceOptions;
  readonly #rings: Rings;
  readonly #keeper: BellKeeper;
  readonly #questions = new Questions();
  readonly #cells = new Map<number, ActorCell>();
  readonly #directory = new Map<string, { readonly key: number; readonly place: number }>();
  #ready = new Set<ActorCell>();
  #turnDue = false;
  #inTurn = false;
  #flushDue = false;
  #closed = false;
  readonly #turn = (): void => this.#runTurn();
  readonly #flush = (): void => this.#runFlush();
  readonly #deliver: Deliver;

  constructor(options: PlaceOptions) {
    this.#options = options;
    this.#keeper = new BellKeeper(options.bells, options.place, this.#turn);
    this.#rings = new Rings({
      place: options.place,
      bells: options.bells,
      generations: options.generations,
      offer: options.offer,
      broken: options.broken,
      written: () => this.#flushSoon(),
    });
    this.#deliver = deliverTo({
      cells: this.#cells,
      questions: this.#questions,
      reply: (place, kind, id, body) => this.#send(place, runtimeKey, kind, id, body),
      report: options.report,
    });
    this.#turnSoon();
  }

  async start(
    id: string,
    key: number,
    start: StartActor<never, never>,
    options: unknown,
  ): Promise<void> {
    assert(!this.#directory.has(id), `one actor at a time is called ${id}`);
    const cell = new ActorCell(id, key, this);
    this.#cells.set(key, cell);
    this.#directory.set(id, { key, place: this.#options.place });
    try {
      await cell.start(start as StartActor<unknown, unknown>, this.#contextOf(cell), options);
    } catch (error) {
      this.#forget(cell);
      throw error;
    }
  }

  /** Resolves when the actor's I/O is done (H22); at once when there is no such actor. */
  async stop(key: number): Promise<void> {
    const cell = this.#cells.get(key);
    if (cell === undefined) return;
    try {
      await cell.stop();
    } finally {
      this.#forget(cell);
    }
  }

  async stopAll(): Promise<void> {
    await Promise.allSettled([...this.#cells.keys()].map((key) => this.stop(key)));
  }

  list(): readonly string[] {
    return [...this.#cells.values()].map((cell) => cell.id);
  }

  address<Message>(id: string, sender?: ActorCell): Address<Message> {
    return {
      id,
      tell: (message) => this.tell(id, message, sender),
      ask: <Answer>(question: unknown) => this.ask(id, question) as Promise<Answer>,
    };
  }

  tell(id: string, message: unknown, sender?: ActorCell): boolean {
    const entry = this.#directory.get(id);
    if (entry === undefined) return false;
    if (entry.place === this.#options.place) {
      return this.#cells.get(entry.key)?.tell(message, sender) ?? false;
    }
    const bytes = encodeEnvelope(entry.key, envelopeKinds.tell, 0, message);
    return this.#rings.tell(entry.place, bytes, sender);
  }

  async ask(id: string, question: unknown): Promise<unknown> {
    const entry = this.#directory.get(id);
    if (entry === undefined) throw new TdmfError('TDMF_ACTOR_GONE', { actor: id });
    if (entry.place === this.#options.place) {
      const cell = this.#cells.get(entry.key);
      if (cell === undefined) throw new TdmfError('TDMF_ACTOR_GONE', { actor: id });
      const answer = cell.ask(question);
      if (answer === undefined) throw new TdmfError('TDMF_ACTOR_BUSY', { actor: id });
      return answer;
    }
    return this.#questions.ask(id, entry.place, (number) =>
      this.#send(entry.place, entry.key, envelopeKinds.ask, number, question),
    );
  }

  directoryChanged(entries: readonly DirectoryEntry[]): void {
    for (const { id, key, place } of entries) {
      if (place !== undefined) this.#directory.set(id, { key, place });
      else if (this.#directory.get(id)?.key === key) this.#directory.delete(id);
    }
  }

  accept(offer: RingOffer): void {
    this.#rings.accept(offer);
    this.#turnSoon();
  }

  /** The thread of `place` died: its actors are gone, and questions to them have no answer. */
  placeDown(place: number, generation: number): void {
    if (!this.#rings.placeDown(place, generation, this.#deliver)) return;
    for (const [id, entry] of this.#directory)
      if (entry.place === place) this.#directory.delete(id);
    this.#questions.placeDown(place, new TdmfError('TDMF_HOST_CRASHED', { host: place }));
    this.#turnSoon();
  }

  close(): void {
    this.#closed = true;
    this.#rings.flush();
    this.#keeper.close();
  }

  ready(cell: ActorCell): void {
    this.#ready.add(cell);
    this.#turnSoon();
  }

  running(key: number): void {
    this.#keeper.running(key);
  }

  failed(cell: ActorCell, error: unknown): void {
    // Nobody can reach it any more from here; main takes it out of all other directories.
    this.directoryChanged([{ id: cell.id, key: cell.key, place: undefined }]);
    const { place, mainPlace, report, log } = this.#options;
    log.write('error', 'an actor failed', { actor: cell.id, error: toPlainError(error) });
    if (place === mainPlace) report({ kind: 'failure', key: cell.key, error }, place);
    else {
      const body = toPlainError(error);
      const sent = this.#send(mainPlace, runtimeKey, envelopeKinds.failure, cell.key, body);
      assert(sent, 'main hears of every failure, or of the crash of a host that cannot tell');
    }
  }

  failedAgain(cell: ActorCell, error: unknown): void {
    this.#options.log.write('warn', 'an actor that is ending failed again', {
      actor: cell.id,
      error: toPlainError(error),
    });
  }

  #contextOf(cell: ActorCell): ActorContext {
    return actorContext(cell, this.#options, {
      address: (id) => this.address(id, cell),
      publish: (type, payload) => this.#publish(type, payload),
    });
  }

  #publish(type: string, payload: Readonly<Record<string, unknown>>): void {
    const { place, mainPlace, report, log } = this.#options;
    if (place === mainPlace) {
      report({ kind: 'event', type, payload: { ...payload } }, place);
    } else if (!this.#send(mainPlace, runtimeKey, envelopeKinds.event, 0, [type, payload])) {
      log.write('warn', 'an event was lost: main does not read', { type });
    }
  }

  #forget(cell: ActorCell): void {
    this.#cells.delete(cell.key);
    this.#ready.delete(cell);
    this.directoryChanged([{ id: cell.id, key: cell.key, place: undefined }]);
  }

  #send(place: number, to: number, kind: EnvelopeKind, id: number, body: unknown): boolean {
    return this.#rings.send(place, encodeEnvelope(to, kind, id, body));
  }

  #turnSoon(): void {
    if (this.#turnDue || this.#inTurn || this.#closed) return;
    this.#turnDue = true;
    queueMicrotask(this.#turn);
  }

  #flushSoon(): void {
    if (this.#flushDue || this.#inTurn) return;
    this.#flushDue = true;
    this.#options.clock.endOfTurn(this.#flush);
  }

  #runFlush(): void {
    this.#flushDue = false;
    this.#rings.flush();
  }

  #runTurn(): void {
    if (this.#closed || this.#inTurn) return;
    this.#turnDue = false;
    this.#inTurn = true;
    // The bell first, the queues after it: what comes in meanwhile is noticed before the sleep.
    this.#keeper.look();
    let more = this.#rings.drain(this.#deliver);
    for (let round = 0; round < roundsPerTurn && this.#ready.size > 0; round++) this.#runCells();
    this.#rings.resume();
    this.#rings.flush();
    this.#inTurn = false;
    more = more || this.#ready.size > 0;
    if (more || !this.#keeper.sleep()) {
      this.#turnDue = true;
      setImmediate(this.#turn);
    }
  }

  #runCells(): void {
    const ready = this.#ready;
    this.#ready = new Set();
    for (const cell of ready) if (cell.run(messagesPerRun)) this.#ready.add(cell);
  }
}

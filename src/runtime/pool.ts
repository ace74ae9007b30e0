/**
 * The actor system at work, on main: host threads and main itself as places for actors, one
 * directory of who lives where, and supervision (actor-system.ts has the promises).
 *
 * The directory's truth is here; every thread has a copy, told before `spawn` resolves. A failure
 * or the death of a host goes to sets.ts; this file only knows whom to stop, and tells everybody.
 */
import type { Address } from '../actors/actor.js';
import { assert } from '../core/assert.js';
import { TdmfError, toPlainError } from '../core/errors.js';
import type { ActorSystem, ActorSystemOptions, LocalSpec, SpawnSpec } from './actor-system.js';
import type { DirectoryEntry, RingOffer } from './control.js';
import type { Report } from './delivery.js';
import { bellMemory } from './doorbell.js';
import { type HostCrash, Hosts } from './hosts.js';
import { Place } from './place.js';
import { type SetState, Sets } from './sets.js';

export type {
  ActorExit,
  ActorSystem,
  ActorSystemOptions,
  LocalSpec,
  SpawnSpec,
} from './actor-system.js';

interface Resident {
  readonly id: string;
  readonly key: number;
  readonly set: string;
  readonly place: number;
  /** In the directory of every thread. */
  known: boolean;
}

export async function createActorSystem(options: ActorSystemOptions): Promise<ActorSystem> {
  const system = new System(options);
  await system.begin();
  return system;
}

class System implements ActorSystem {
  readonly hosts: number;
  readonly #options: ActorSystemOptions;
  readonly #mainPlace: number;
  readonly #main: Place;
  readonly #hosts: Hosts;
  readonly #sets: Sets;
  /** In the order of their start. */
  readonly #residents = new Map<string, Resident>();
  #lastKey = 0;
  #stopped: Promise<void> | undefined;

  constructor(options: ActorSystemOptions) {
    const { clock, hosts: count, log, random, registry, world } = options;
    assert(Number.isInteger(count) && count >= 1, 'an actor system has at least one host');
    this.hosts = count;
    this.#options = options;
    this.#mainPlace = count;
    const bells = bellMemory(count + 1);
    const generations = Array.from({ length: count + 1 }, () => 0);
    this.#main = new Place({
      place: this.#mainPlace,
      mainPlace: this.#mainPlace,
      bells,
      generations,
      clock,
      log,
      random,
      ports: options.ports,
      offer: (offer) => this.#ringOpened(offer),
      broken: (place, error) => {
        log.write('error', 'a ring is broken; its host is ended', {
          host: place,
          error: toPlainError(error),
        });
        this.#hosts.terminate(place);
      },
      report: (report, place) => this.#reported(report, place),
    });
    this.#hosts = new Hosts({
      count,
      bells,
      generations,
      world,
      registry,
      clock,
      log,
      ringOpened: (offer) => this.#ringOpened(offer),
      crashed: (crash) => this.#hostCrashed(crash),
      greet: (control) => control.directoryChanged(this.#directory()),
    });
    this.#sets = new Sets({
      clock,
      log,
      stop: (set) => this.#stopTogether(set),
      decided: async (set, decision, error) => options.onSetFailed?.(set, decision, error),
      publish: (type, payload) => this.#publish(type, payload),
    });
  }

  async begin(): Promise<void> {
    try {
      await this.#hosts.start();
    } catch (error) {
      this.#main.close();
      throw error;
    }
  }

  async spawn<Message = unknown>(spec: SpawnSpec): Promise<Address<Message>> {
    const { id, kind, host, options } = spec;
    assert(Number.isInteger(host) && host >= 0 && host < this.hosts, `there is a host ${host}`);
    const resident = this.#admit(id, spec.set ?? id, host);
    const { key } = resident;
    return this.#settle(
      resident,
      this.#hosts.call(host, (control) => control.startActor({ id, key, kind, options })),
    );
  }

  async spawnLocal<Options, Message>(spec: LocalSpec<Options, Message>): Promise<Address<Message>> {
    const { id, start, options } = spec;
    const resident = this.#admit(id, spec.set ?? id, this.#mainPlace);
    return this.#settle(resident, this.#main.start(id, resident.key, start, options));
  }

  address<Message = unknown>(id: string): Address<Message> {
    return this.#main.address<Message>(id);
  }

  async ask<Answer>(id: string, question: unknown): Promise<Answer> {
    const resident = this.#residents.get(id);
    if (resident === undefined || resident.place === this.#mainPlace) {
      return this.#main.ask(id, question) as Promise<Answer>;
    }
    const answer = this.#hosts.call(resident.place, (control) => control.ask(id, question));
    return answer as Promise<Answer>;
  }

  async stopActor(id: string): Promise<void> {
    const resident = this.#residents.get(id);
    if (resident !== undefined) await this.#stopResident(resident);
  }

  async stopSet(set: string): Promise<void> {
    this.#sets.forget(set);
    await this.#stopInOrder((resident) => resident.set === set);
  }

  setState(set: string): SetState {
    return this.#sets.state(set);
  }

  crashHost(host: number): void {
    this.#hosts.post(host, (control) => control.crash());
  }

  list(): ReturnType<ActorSystem['list']> {
    return [...this.#residents.values()].map(({ id, set, place }) => ({
      id,
      set,
      host: this.#hostName(place),
    }));
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#sets.close();
    await this.#stopInOrder(() => true);
    await this.#hosts.stop();
    this.#main.close();
  }

  #admit(id: string, set: string, place: number): Resident {
    if (this.#stopped !== undefined) throw new TdmfError('TDMF_DAEMON_STOPPING');
    assert(!this.#residents.has(id), `one actor at a time is called ${id}`);
    const state = this.#sets.state(set);
    if (state === 'stopping' || state === 'waiting') {
      throw new TdmfError('TDMF_ACTOR_GONE', { actor: set });
    }
    if (state === 'parked') this.#sets.forget(set);
    this.#lastKey++;
    const resident = { id, key: this.#lastKey, set, place, known: false };
    this.#residents.set(id, resident);
    return resident;
  }

  async #settle<Message>(resident: Resident, started: Promise<void>): Promise<Address<Message>> {
    const { id, key, place } = resident;
    try {
      await started;
      // It may have failed, or its host may have died, since.
      if (this.#residents.get(id) !== resident)
        throw new TdmfError('TDMF_ACTOR_GONE', { actor: id });
    } catch (error) {
      this.#forget(resident);
      throw error;
    }
    resident.known = true;
    await this.#tellEverybody([{ id, key, place }]);
    return this.#main.address<Message>(id);
  }

  async #stopResident(resident: Resident): Promise<void> {
    const { id, key, place } = resident;
    try {
      if (place === this.#mainPlace) await this.#main.stop(key);
      else if (this.#residents.get(id) === resident) {
        await this.#hosts.call(place, (control) => control.stopActor(key));
      }
    } catch (error) {
      // The actor is over in any case; what it could not close is the locks' business (H22).
      this.#options.log.write('error', 'an actor did not end cleanly', {
        actor: id,
        error: toPlainError(error),
      });
    }
    this.#forget(resident);
    await this.#tellEverybody([{ id, key, place: undefined }]);
  }

  async #stopInOrder(chosen: (resident: Resident) => boolean): Promise<void> {
    const residents = [...this.#residents.values()].filter(chosen).toReversed();
    for (const resident of residents) await this.#stopResident(resident);
  }

  /** After a failure nobody can count on an order: each actor of the set ends by itself. */
  async #stopTogether(set: string): Promise<void> {
    const residents = [...this.#residents.values()].filter((resident) => resident.set === set);
    await Promise.all(residents.map((resident) => this.#stopResident(resident)));
  }

  async #tellEverybody(entries: readonly DirectoryEntry[]): Promise<void> {
    this.#main.directoryChanged(entries);
    await this.#hosts.broadcast((control) => control.directoryChanged(entries));
  }

  #directory(): readonly DirectoryEntry[] {
    return [...this.#residents.values()].filter((resident) => resident.known);
  }

  #forget(resident: Resident): void {
    if (this.#residents.get(resident.id) === resident) this.#residents.delete(resident.id);
  }

  #ringOpened(offer: RingOffer): void {
    if (offer.to === this.#mainPlace) this.#main.accept(offer);
    else this.#hosts.post(offer.to, (control) => control.acceptRing(offer));
  }

  /** Called inside main's loop: what the listeners throw is logged, it must not end main. */
  #reported(report: Report, place: number): void {
    if (report.kind === 'event') {
      this.#publish(report.type, report.payload);
      return;
    }
    for (const resident of this.#residents.values()) {
      const { id, key } = resident;
      if (key !== report.key || resident.place !== place) continue;
      void this.#tellEverybody([{ id, key, place: undefined }]);
      this.#exited(resident, report.error);
      this.#sets.failed(resident.set, resident.id, report.error);
    }
  }

  async #hostCrashed({ host, generation, culprit, error: cause }: HostCrash): Promise<void> {
    const error = new TdmfError('TDMF_HOST_CRASHED', { host }, { cause });
    // What the thread said before its death comes first: perhaps the failure that explains it.
    this.#main.placeDown(host, generation);
    const dead = [...this.#residents.values()].filter((resident) => resident.place === host);
    for (const resident of dead) this.#forget(resident);
    await this.#hosts.broadcast((control) => control.placeDown(host, generation));
    const blamed = dead.find((resident) => resident.key === culprit);
    this.#publish('host.crashed', { host, actor: blamed?.id, error: toPlainError(error) });
    for (const resident of dead) this.#exited(resident, error);
    for (const set of new Set(dead.map((resident) => resident.set))) {
      this.#sets.failed(set, blamed?.set === set ? blamed.id : undefined, error);
    }
  }

  #exited({ id, set, place }: Resident, error: unknown): void {
    this.#safely(() => this.#options.onExit?.({ id, set, host: this.#hostName(place), error }));
  }

  #publish(type: string, payload: Readonly<Record<string, unknown>>): void {
    this.#safely(() => this.#options.onEvent?.(type, payload));
  }

  #safely(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#options.log.write('error', 'a listener failed', { error: toPlainError(error) });
    }
  }

  #hostName(place: number): number | 'main' {
    return place === this.#mainPlace ? 'main' : place;
  }
}

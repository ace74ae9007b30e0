/**
 * What main and a host say to each other outside the rings, as types: control calls over comlink,
 * and the input of the long task that is a host. Structured clone carries them, so shared memory
 * and descriptors may be in `options`, functions may not.
 */
import type { MessagePort } from 'node:worker_threads';
import type { StartActor } from '../actors/actor.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { Ports } from '../ports/ports.js';
import type { Random } from '../ports/random.js';

/** A module by its URL, because functions do not cross threads and runtime may not import io. */
export interface WorldModule {
  /** Exports `createWorld`. */
  readonly url: string;
  readonly data: unknown;
}

export interface World {
  readonly ports: Ports;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Random;
  close(): Promise<void>;
}

export type CreateWorld = (data: unknown) => World | Promise<World>;

/** What a registry module exports as `actors`: every kind by its name. */
export type ActorRegistry = Readonly<Record<string, StartActor<never, never>>>;

export interface HostInput {
  readonly place: number;
  readonly places: number;
  readonly bells: SharedArrayBuffer;
  readonly generations: readonly number[];
  readonly world: WorldModule;
  readonly registry: string;
  /** Main calls the host on this one ... */
  readonly control: MessagePort;
  /** ... and the host calls main on this one. */
  readonly reports: MessagePort;
}

export interface StartSpec {
  readonly id: string;
  readonly key: number;
  readonly kind: string;
  readonly options: unknown;
}

/** Where an actor lives, or, with `place` undefined, that it has ended. */
export interface DirectoryEntry {
  readonly id: string;
  readonly key: number;
  readonly place: number | undefined;
}

export interface RingOffer {
  readonly from: number;
  readonly to: number;
  /** Of both ends when the ring was made: a ring to or from a dead generation is dropped. */
  readonly fromGeneration: number;
  readonly toGeneration: number;
  readonly memory: SharedArrayBuffer;
}

/** What main may ask of a host. */
export interface HostControl {
  startActor(spec: StartSpec): Promise<void>;
  /** Resolves when the actor's I/O is done; at once when there is no such actor. */
  stopActor(key: number): Promise<void>;
  /** As `Address.ask`, but by structured clone: question and answer may hold shared memory. */
  ask(id: string, question: unknown): Promise<unknown>;
  list(): readonly string[];
  directoryChanged(entries: readonly DirectoryEntry[]): void;
  acceptRing(offer: RingOffer): void;
  /** The thread of `place` died; its successor is of this generation. */
  placeDown(place: number, generation: number): void;
  /** Throws outside every actor, as a bug there would: for tests of the recovery. */
  crash(): void;
  /** Stops every actor, closes the world and ends the host's task. */
  stop(): Promise<void>;
}

/** What a host tells main. */
export interface HostReports {
  ready(threadId: number): void;
  ringOpened(offer: RingOffer): void;
}

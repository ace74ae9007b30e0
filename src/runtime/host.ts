/**
 * What runs on a host thread: a place for actors, the world they reach, and the control calls of
 * main. World and actor kinds come from modules named in the input, because functions do not cross
 * threads and runtime may not import io.
 *
 * An actor's failure is the actor's (H46). What is thrown outside every actor is not caught: the
 * thread dies, its task is rejected, and main begins a new one.
 */
import { threadId } from 'node:worker_threads';
import type { StartActor } from '../actors/actor.js';
import { assert } from '../core/assert.js';
import { TdmfError } from '../core/errors.js';
import type { ActorRegistry, CreateWorld, HostControl, HostInput, HostReports } from './control.js';
import { expose, remote } from './expose.js';
import { Place } from './place.js';

/** Resolves after a clean stop, when every actor of the host has ended and its world is closed. */
export async function runHost(input: HostInput): Promise<void> {
  const main = remote<HostReports>(input.reports);
  const { createWorld } = (await import(input.world.url)) as { createWorld?: CreateWorld };
  assert(createWorld !== undefined, `${input.world.url} exports createWorld`);
  const { actors } = (await import(input.registry)) as { actors?: ActorRegistry };
  assert(actors !== undefined, `${input.registry} exports actors`);
  const world = await createWorld(input.world.data);
  const place = new Place({
    ...world,
    place: input.place,
    mainPlace: input.places - 1,
    bells: input.bells,
    generations: input.generations,
    offer: (offer) => void main.ringOpened(offer),
    broken: (_, error) => {
      throw error;
    },
    report: () => assert(false, 'reports are for main'),
  });
  await new Promise<void>((stopped) => {
    expose(control(place, actors, stopped), input.control);
    void main.ready(threadId);
  });
  place.close();
  await world.close();
  input.control.close();
  input.reports.close();
}

function control(place: Place, actors: ActorRegistry, stopped: () => void): HostControl {
  return {
    async startActor({ id, key, kind, options }) {
      const start: StartActor<never, never> | undefined = Object.hasOwn(actors, kind)
        ? actors[kind]
        : undefined;
      if (start === undefined) {
        throw new TdmfError('TDMF_INTERNAL', { what: `no actor of the kind ${kind}` });
      }
      await place.start(id, key, start, options);
    },
    stopActor: (key) => place.stop(key),
    ask: (id, question) => place.ask(id, question),
    list: () => place.list(),
    directoryChanged: (entries) => place.directoryChanged(entries),
    acceptRing: (offer) => place.accept(offer),
    placeDown: (down, generation) => place.placeDown(down, generation),
    crash() {
      setImmediate(() => {
        throw new Error('crashed on request');
      });
    },
    async stop() {
      await place.stopAll();
      // After the answer to this very call has been posted.
      setImmediate(stopped);
    },
  };
}

/**
 * An ActorContext in the simulated world, bound to one process: when the process is killed, its
 * timers, its callbacks and its files fall silent, as the ones of a real process would.
 */
import type { ActorContext } from '../../src/actors/actor.js';
import type { FileStore } from '../../src/ports/file-store.js';
import type { Log } from '../../src/ports/log.js';
import type { Ports } from '../../src/ports/ports.js';
import type { SimProcess } from '../../src/testing/node.js';
import type { SimWorld } from '../../src/testing/world.js';

export interface SimActorContext extends ActorContext {
  readonly failures: unknown[];
  readonly events: { readonly type: string; readonly payload: Readonly<Record<string, unknown>> }[];
}

export function simContext(
  world: SimWorld,
  process: SimProcess,
  id: string,
  answer: (to: string, question: unknown) => Promise<unknown> = () => Promise.resolve(undefined),
): SimActorContext {
  const failures: unknown[] = [];
  const events: { type: string; payload: Readonly<Record<string, unknown>> }[] = [];
  const log: Log = {
    write: (level, message, fields) => {
      world.trace(`${id} ${level} ${message} ${JSON.stringify(fields ?? {})}`);
    },
    with: () => log,
  };
  const alive =
    <Args extends unknown[]>(run: (...args: Args) => void) =>
    (...args: Args) => {
      if (process.alive) run(...args);
    };
  const context: SimActorContext = {
    id,
    failures,
    events,
    log,
    random: world.random,
    clock: {
      now: () => world.clock.now(),
      wallNow: () => world.clock.wallNow(),
      after: (delayMs, fire) => world.clock.after(delayMs, alive(fire)),
      endOfTurn: (run) => world.clock.endOfTurn(alive(run)),
    },
    ports: { devices: process, files: mortalFiles(process) } as unknown as Ports,
    address: (to) => ({
      id: to,
      tell: () => true,
      ask: <Answer>(question: unknown) => answer(to, question) as Promise<Answer>,
    }),
    fail: (error) => {
      world.trace(`${id} failed: ${String(error)}`);
      failures.push(error);
    },
    guard: (run) =>
      alive((...args) => {
        try {
          run(...args);
        } catch (error) {
          context.fail(error);
        }
      }),
    publish: (type, payload) => {
      events.push({ type, payload });
    },
  };
  return context;
}

/** The files of the node, for as long as the process lives; afterwards nothing resolves. */
export function mortalFiles(process: SimProcess): FileStore {
  const files = process.files;
  const mortal = <T>(run: () => Promise<T>): Promise<T> => {
    if (!process.alive) return new Promise(() => undefined);
    return new Promise((resolve, reject) => {
      run().then(
        (value) => process.alive && resolve(value),
        (error: unknown) => process.alive && reject(error as Error),
      );
    });
  };
  return {
    read: (path) => mortal(() => files.read(path)),
    replace: (path, bytes) => mortal(() => files.replace(path, bytes)),
    remove: (path) => mortal(() => files.remove(path)),
    rename: (from, to) => mortal(() => files.rename(from, to)),
    list: (directory) => mortal(() => files.list(directory)),
    syncDirectory: (directory) => mortal(() => files.syncDirectory(directory)),
    openPage: (path) =>
      mortal(async () => {
        const page = await files.openPage(path);
        return {
          bytes: page.bytes,
          sync: () => mortal(() => page.sync()),
          close: () => mortal(() => page.close()),
        };
      }),
    identify: (path) => mortal(() => files.identify(path)),
    writeMark: (path) => mortal(() => files.writeMark(path)),
    bootId: () => mortal(() => files.bootId()),
  };
}

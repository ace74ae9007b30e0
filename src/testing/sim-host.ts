/**
 * One simulated tdmfd: a process on a SimNode with its threads, their actors, and the ports each
 * thread has. It starts and stops nothing by itself; SimPrimary and SimSecondary say what runs here.
 *
 *   SimHost ── thread 'main'  (SimActors, SimProcess)     one directory of actors for all threads,
 *           ├─ thread 'h0'                                 one endpoint of the network
 *           └─ thread 'h1'
 */
import { strict as assert } from 'node:assert';
import type { ByteStream } from '../ports/byte-stream.js';
import type { Clock } from '../ports/clock.js';
import type { Ports } from '../ports/ports.js';
import { SimActors, type SimDirectory } from './actors.js';
import { Arenas } from './arenas.js';
import type { SimEndpoint, SimNetwork } from './link.js';
import type { SimNode, SimProcess } from './node.js';
import { SimStream } from './stream.js';

export interface SimHostOptions {
  readonly node: SimNode;
  readonly network: SimNetwork;
  readonly messageMs: number;
  readonly onEvent: (type: string, payload: Readonly<Record<string, unknown>>) => void;
  readonly onFailed: (id: string, error: unknown) => void;
  readonly onError?: (id: string, fields: Readonly<Record<string, unknown>> | undefined) => void;
}

export interface SimThread {
  readonly name: string;
  readonly io: SimProcess;
  readonly actors: SimActors;
}

export class SimHost {
  readonly node: SimNode;
  readonly endpoint: SimEndpoint;
  readonly main: SimThread;
  readonly #options: SimHostOptions;
  readonly #directory: SimDirectory = new Map();
  readonly #threads = new Map<string, SimThread>();
  readonly #streams = new Map<number, { readonly device: string; stream: SimStream | undefined }>();
  #nextFd = 1000;
  alive = true;

  constructor(options: SimHostOptions) {
    this.#options = options;
    this.node = options.node;
    this.endpoint = options.network.endpoint(options.node.name);
    this.main = this.#begin('main', options.node.process());
  }

  /** The thread with this name; begun when there is none, or none any more. */
  thread(name: string): SimThread {
    return this.#threads.get(name) ?? this.#begin(name, this.main.io.thread());
  }

  /** A crash of one thread: its I/O in flight may still land. Resolves when that is over (Rule 22). */
  async crashThread(name: string): Promise<void> {
    const thread = this.#threads.get(name);
    if (thread === undefined) return;
    this.#threads.delete(name);
    thread.actors.die();
    thread.io.die();
    const { world } = this.node;
    while (this.alive && thread.io.busy) {
      await new Promise<void>((resolve) => {
        world.after(0.5, 'drain', resolve);
      });
    }
  }

  ask<Answer>(id: string, question: unknown): Promise<Answer> {
    return this.main.actors.address(id).ask<Answer>(question);
  }

  /** kill -9. */
  kill(): void {
    if (!this.alive) return;
    this.#end();
    this.endpoint.die();
    this.node.kill();
  }

  /** `silently`: the peers hear nothing, until they notice by themselves (Rule 51). */
  powerCut(silently: boolean): void {
    if (this.alive) this.#end();
    if (silently) {
      const { links } = this.#options.network;
      for (const link of links) {
        if (link.dialed.owner === this.endpoint || link.accepted.owner === this.endpoint) {
          link.goSilent();
        }
      }
    }
    this.endpoint.die();
    this.node.powerCut();
  }

  /** A number for a connection that a client has opened; the thread that adopts it owns it. */
  connection(device: string): number {
    const fd = this.#nextFd++;
    this.#streams.set(fd, { device, stream: undefined });
    return fd;
  }

  /** The client's end, once the driver has adopted the connection. */
  streamOf(fd: number): SimStream | undefined {
    return this.#streams.get(fd)?.stream;
  }

  #begin(name: string, io: SimProcess): SimThread {
    const { onEvent, onFailed, onError, node, messageMs } = this.#options;
    const ports: Ports = {
      devices: io,
      streams: { adoptStream: (fd) => this.#adopt(io, fd) },
      files: io.files,
      dialer: this.endpoint.dialer,
      links: this.endpoint.server,
    };
    const actors = new SimActors({
      name: `${node.name}/${name}`,
      world: node.world,
      ports,
      onEvent,
      onFailed,
      messageMs,
      ...(onError !== undefined && { onError }),
      directory: this.#directory,
    });
    const thread = { name, io, actors };
    this.#threads.set(name, thread);
    return thread;
  }

  #adopt(io: SimProcess, fd: number): ByteStream {
    const known = this.#streams.get(fd);
    assert.ok(known && known.stream === undefined, 'a connection is adopted once');
    const { clock } = this.node.world;
    // A thread that is dead neither receives nor sends any more.
    const living: Clock = {
      ...clock,
      after: (delayMs, fire) => clock.after(delayMs, () => void (io.alive && fire())),
    };
    known.stream = new SimStream(living, new ThreadArenas(io));
    return known.stream;
  }

  #end(): void {
    this.alive = false;
    for (const { actors } of this.#threads.values()) actors.die();
    this.#threads.clear();
  }
}

/** Arena numbers as one thread knows them, for its streams. */
export class ThreadArenas extends Arenas {
  readonly #io: SimProcess;

  constructor(io: SimProcess) {
    super();
    this.#io = io;
  }

  override bytesOf(arena: number): Uint8Array {
    return this.#io.bytesOf(arena);
  }
}

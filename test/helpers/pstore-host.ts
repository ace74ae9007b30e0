/**
 * A pstore on a simulated disk, and the actor on it: formatted, started, stopped, killed, its power
 * cut. The same host goes on after a crash, with what the disk kept.
 */
import { type PstoreList, startPstore } from '../../src/actors/pstore.js';
import { formatPstore } from '../../src/actors/pstore-format.js';
import type { GroupRecord } from '../../src/core/pstore/record.js';
import type { Ports } from '../../src/ports/ports.js';
import { SimActors } from '../../src/testing/actors.js';
import type { SimDisk } from '../../src/testing/disk.js';
import { SimNode, type SimProcess } from '../../src/testing/node.js';
import { SimWorld } from '../../src/testing/world.js';

const path = '/pstore';

export class PstoreHost {
  readonly world: SimWorld;
  readonly node: SimNode;
  process: SimProcess;
  #actors: SimActors;

  constructor(seed = 1) {
    this.world = new SimWorld(seed);
    this.node = new SimNode(this.world, 'a');
    this.process = this.node.process();
    this.#actors = this.#newActors();
  }

  get disk(): SimDisk {
    return this.node.disk(path);
  }

  /** A new pstore, and the actor on it. */
  static async with(slots: number, seed = 1, logPages = 64): Promise<PstoreHost> {
    const host = new PstoreHost(seed);
    await host.format(slots, logPages);
    await host.start();
    return host;
  }

  format(slots: number, logPages = 64): Promise<void> {
    return this.until(this.formatting(slots, logPages));
  }

  async formatting(slots: number, logPages = 64): Promise<void> {
    const opener = this.process;
    const { clock, random } = this.world;
    const access = { path, access: 'readwrite', growable: true, createBytes: 4096 } as const;
    const device = await opener.open(access);
    try {
      // The name first: a new file whose directory is not synced is gone after a power cut.
      await opener.files.syncDirectory('/');
      await formatPstore({ device, opener, slots, clock, random, logPages });
    } finally {
      await device.close();
    }
  }

  /** `capacityBytes`: as if it lay on a block device of this size. */
  start(at = path, capacityBytes?: number): Promise<void> {
    return this.until(this.#starting(at, capacityBytes));
  }

  async #starting(at: string, capacityBytes: number | undefined): Promise<void> {
    const opener = this.process;
    const device = await opener.open({ path: at, access: 'readwrite', growable: true });
    try {
      await this.#actors.start('pstore', startPstore, { device, opener, capacityBytes });
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.until(this.#actors.stop('pstore'));
  }

  /** The process or the power is gone; then another one begins. */
  async crash(how: 'kill' | 'powerCut'): Promise<void> {
    this.#actors.die();
    this.node[how]();
    await this.world.run(100);
    this.process = this.node.process();
    this.#actors = this.#newActors();
  }

  until<T>(promise: Promise<T>): Promise<T> {
    return this.world.settled(promise, 10_000);
  }

  asked<Answer>(question: unknown): Promise<Answer> {
    return this.#actors.address('pstore').ask<Answer>(question);
  }

  ask<Answer>(question: unknown): Promise<Answer> {
    return this.until(this.asked<Answer>(question));
  }

  saved(record: GroupRecord): Promise<void> {
    return this.ask({ kind: 'pstore.save', record });
  }

  load(group: number): Promise<GroupRecord | undefined> {
    return this.ask({ kind: 'pstore.load', group });
  }

  async nodeId(): Promise<string> {
    return (await this.ask<{ nodeId: string }>({ kind: 'pstore.node' })).nodeId;
  }

  list(): Promise<PstoreList> {
    return this.ask({ kind: 'pstore.list' });
  }

  #newActors(): SimActors {
    return new SimActors({
      name: 'a',
      world: this.world,
      ports: { devices: this.process } as unknown as Ports,
      onEvent: () => {},
      onFailed: (id, error) => {
        throw new Error(`${id} failed: ${String(error)}`);
      },
    });
  }
}

/**
 * What one fault needs to tell its story: the hosts, the applications, and a chance of its own, so
 * that leaving one fault out does not change what the others do.
 */
import { strict as assert } from 'node:assert';
import type { SimCluster } from './cluster.js';
import { dataPath, mirrorPath } from './cluster-options.js';
import type { SimDisk } from './disk.js';
import type { SimLink } from './link.js';
import type { Prng } from './prng.js';
import type { Workload } from './workload.js';

export class FaultStory {
  readonly cluster: SimCluster;
  readonly chance: Prng;
  readonly #workloads: readonly Workload[];

  constructor(cluster: SimCluster, workloads: readonly Workload[], chance: Prng) {
    this.cluster = cluster;
    this.chance = chance;
    this.#workloads = workloads;
  }

  workload(group: number): Workload {
    const workload = this.#workloads[group];
    assert.ok(workload);
    return workload;
  }

  /** One of the open links. */
  link(): SimLink | undefined {
    const { links } = this.cluster.network;
    return links.length === 0 ? undefined : this.chance.pick(links);
  }

  group(): number {
    return this.chance.below(this.cluster.options.groups);
  }

  device(): number {
    return this.chance.below(this.cluster.options.deviceBytes.length);
  }

  localDisk(): SimDisk {
    return this.cluster.primary.node.disk(dataPath(this.group(), this.device()));
  }

  mirrorDisk(): SimDisk {
    return this.cluster.secondary.node.disk(mirrorPath(this.group(), this.device()));
  }

  /** A device does something for a while, then not any more. */
  async trouble(disk: SimDisk, begin: () => void, maxMs: number): Promise<void> {
    begin();
    await this.pause(maxMs);
    disk.heal();
  }

  /** Some bytes of a disk or file are not what was written there. */
  spoil(bytes: Uint8Array): void {
    const at = this.chance.below(bytes.length);
    const length = Math.min(bytes.length - at, this.chance.pick([1, 64, 512]));
    for (let index = at; index < at + length; index++) bytes[index] = ~bytes[index]!;
  }

  /** A request of the operator; a refusal is an answer as good as any. */
  async ask(verb: string, args: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.cluster.operator(this.group(), verb, args);
  }

  /** Every group that a crash has ended is there again. */
  async groupsBack(): Promise<void> {
    const { primary } = this.cluster;
    while (primary.running && [...primary.started.values()].some(({ running }) => !running)) {
      await this.pause(10);
    }
  }

  pause(maxMs: number): Promise<void> {
    return this.cluster.sleep(this.upTo(maxMs));
  }

  upTo(maxMs: number): number {
    return this.chance.below(Math.max(1, Math.round(maxMs * 1000))) / 1000;
  }
}

export type TellStory = (story: FaultStory) => Promise<void>;

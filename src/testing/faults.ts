/**
 * What happens to a simulated pair of hosts, by name. Each fault is one short story that leaves the
 * hosts running again; faults of one lane follow each other, lanes run side by side, so that the
 * secondary may die while the primary restarts.
 */
import type { SimCluster } from './cluster.js';
import { faultStories } from './fault-stories.js';
import { FaultStory } from './fault-story.js';
import { Prng } from './prng.js';
import type { FaultKind } from './swarm.js';
import type { Workload } from './workload.js';

export type FaultLane = 'link' | 'secondary' | 'primary' | 'operator';
export const faultLanes: readonly FaultLane[] = ['link', 'secondary', 'primary', 'operator'];

export function laneOf(kind: FaultKind): FaultLane {
  const [subject] = kind.split('.');
  return lanes[subject!] ?? 'primary';
}

const lanes: Readonly<Record<string, FaultLane>> = {
  link: 'link',
  network: 'link',
  secondary: 'secondary',
  mirror: 'secondary',
  journal: 'secondary',
  operator: 'operator',
  load: 'operator',
  client: 'operator',
  clock: 'operator',
};

export class Faults {
  /** How often each kind happened. */
  readonly counts = new Map<FaultKind, number>();
  /** Faults so far, with those that were skipped. */
  injected = 0;
  readonly #cluster: SimCluster;
  readonly #workloads: readonly Workload[];
  readonly #seed: number;
  readonly #skip: ReadonlySet<number>;

  constructor(
    cluster: SimCluster,
    workloads: readonly Workload[],
    chance: Prng,
    skip: readonly number[] = [],
  ) {
    this.#cluster = cluster;
    this.#workloads = workloads;
    this.#seed = chance.next();
    this.#skip = new Set(skip);
  }

  async inject(kind: FaultKind): Promise<void> {
    const ordinal = this.injected++;
    if (this.#skip.has(ordinal)) return;
    this.#cluster.world.trace(`fault ${kind} (${ordinal})`);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    // A stream of its own: a fault that is left out does not shift the chance of the others.
    const chance = new Prng(Math.imul(this.#seed ^ (ordinal + 1), 0x9e3779b9));
    await faultStories[kind](new FaultStory(this.#cluster, this.#workloads, chance));
    this.#cluster.world.trace(`fault ${kind} (${ordinal}) is over`);
  }

  /** Every fault is lifted and every host runs. */
  async heal(): Promise<void> {
    const { network, primary, secondary } = this.#cluster;
    network.down = false;
    network.deadGroups.clear();
    for (const node of [primary.node, secondary.node]) node.heal();
    // A link that lost bytes never recovers by itself before its heartbeats say so.
    for (const link of network.links) {
      link.forth.cutAfter = Number.POSITIVE_INFINITY;
      link.back.cutAfter = Number.POSITIVE_INFINITY;
    }
    if (!secondary.running) await secondary.start();
    if (!primary.running) await primary.start();
  }
}

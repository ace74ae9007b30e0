/**
 * What happens to a simulated pair of hosts, by name. Each fault is one short story that leaves the
 * hosts running again; faults of one lane follow each other, lanes run side by side, so that the
 * secondary may die while the primary restarts.
 */
import type { SimCluster } from './cluster.js';
import { dataPath, mirrorPath } from './cluster-options.js';
import { errno } from './disk.js';
import type { SimLink } from './link.js';
import type { Prng } from './prng.js';
import type { FaultKind } from './swarm.js';
import type { Workload } from './workload.js';

export type FaultLane = 'link' | 'secondary' | 'primary' | 'operator';
export const faultLanes: readonly FaultLane[] = ['link', 'secondary', 'primary', 'operator'];

export function laneOf(kind: FaultKind): FaultLane {
  const [subject] = kind.split('.');
  if (subject === 'link' || subject === 'network') return 'link';
  if (subject === 'secondary' || subject === 'mirror') return 'secondary';
  return subject === 'operator' || subject === 'load' ? 'operator' : 'primary';
}

export class Faults {
  /** How often each kind happened. */
  readonly counts = new Map<FaultKind, number>();
  readonly #cluster: SimCluster;
  readonly #workloads: readonly Workload[];
  readonly #chance: Prng;

  constructor(cluster: SimCluster, workloads: readonly Workload[], chance: Prng) {
    this.#cluster = cluster;
    this.#workloads = workloads;
    this.#chance = chance;
  }

  async inject(kind: FaultKind): Promise<void> {
    this.#cluster.world.trace(`fault ${kind}`);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    await this.#stories[kind]();
    this.#cluster.world.trace(`fault ${kind} is over`);
  }

  /** Every fault is lifted and every host runs. */
  async heal(): Promise<void> {
    const { network, primary, secondary } = this.#cluster;
    network.down = false;
    for (const node of [primary.node, secondary.node]) {
      for (const disk of node.disks.values()) disk.fault = undefined;
    }
    // A link that lost bytes never recovers by itself before its heartbeats say so.
    for (const link of network.links) {
      link.forth.cutAfter = Number.POSITIVE_INFINITY;
      link.back.cutAfter = Number.POSITIVE_INFINITY;
    }
    if (!secondary.running) await secondary.start();
    if (!primary.running) await primary.start();
  }

  readonly #stories: Readonly<Record<FaultKind, () => Promise<void>>> = {
    'link.cut': async () => this.#link()?.cut(),
    'link.cutAt': async () => {
      const link = this.#link();
      if (link === undefined) return;
      const pipe = this.#chance.chance(3, 4) ? link.forth : link.back;
      pipe.cutAfter = pipe.deliveredBytes + this.#chance.below(this.#chance.pick([200, 20_000]));
    },
    'link.stall': async () =>
      this.#link()?.stall(this.#upTo(this.#chance.pick([50, 1000, 14_000]))),
    'link.silent': async () => this.#link()?.goSilent(),
    'network.down': async () => {
      const { network } = this.#cluster;
      network.down = true;
      await this.#pause(this.#chance.pick([200, 3000, 15_000]));
      network.down = false;
    },
    'secondary.kill': async () => {
      const { secondary } = this.#cluster;
      secondary.kill();
      await this.#pause(this.#chance.pick([1, 50, 3000]));
      await secondary.start();
    },
    'secondary.powerCut': async () => {
      const { secondary } = this.#cluster;
      secondary.powerCut(this.#chance.chance(1, 2));
      await this.#pause(this.#chance.pick([10, 500, 5000]));
      await secondary.start();
    },
    'secondary.restart': async () => {
      const { secondary } = this.#cluster;
      await secondary.stop();
      await this.#pause(500);
      await secondary.start();
    },
    'mirror.error': async () => {
      const { secondary, options } = this.#cluster;
      const device = this.#chance.below(options.deviceBytes.length);
      const path = mirrorPath(this.#chance.below(options.groups), device);
      const operation = this.#chance.pick(['write', 'flush'] as const);
      const disk = secondary.node.disk(path);
      let left = this.#chance.between(1, 3);
      disk.tornFaults = true;
      disk.fault = (what) => (what === operation && left-- > 0 ? errno.EIO : 0);
      await this.#pause(2000);
      disk.fault = undefined;
    },
    'primary.throw': async () => {
      await this.#cluster.primary.crashSet(this.#group(), 'throw');
      await this.#groupsBack();
    },
    'primary.thread': async () => {
      await this.#cluster.primary.crashSet(this.#group(), 'thread');
      await this.#groupsBack();
    },
    'primary.restart': async () => {
      const { primary } = this.#cluster;
      await primary.stop();
      await this.#pause(500);
      await this.#cluster.restartPrimary();
    },
    'primary.kill': async () => {
      this.#cluster.killPrimary();
      await this.#pause(this.#chance.pick([1, 50, 3000]));
      await this.#cluster.restartPrimary();
    },
    'primary.powerCut': async () => {
      this.#cluster.powerCutPrimary(this.#chance.chance(1, 2));
      await this.#pause(this.#chance.pick([10, 500, 5000]));
      await this.#cluster.restartPrimary();
    },
    'local.error': async () => {
      const { primary, options } = this.#cluster;
      const device = this.#chance.below(options.deviceBytes.length);
      const disk = primary.node.disk(dataPath(this.#group(), device));
      let left = this.#chance.between(1, 4);
      disk.tornFaults = true;
      disk.fault = (what) => (what === 'write' && left-- > 0 ? errno.EIO : 0);
      await this.#pause(1000);
      disk.fault = undefined;
    },
    'local.flush': async () => {
      const { primary, options, histories } = this.#cluster;
      const group = this.#group();
      const device = this.#chance.below(options.deviceBytes.length);
      const disk = primary.node.disk(dataPath(group, device));
      let left = 1;
      disk.fault = (what) => {
        if (what !== 'flush' || left-- <= 0) return 0;
        histories[group]!.flushFailed(device);
        return errno.EIO;
      };
      await this.#pause(2000);
      disk.fault = undefined;
    },
    'load.burst': async () => {
      this.#workloads[this.#group()]!.burst(20, 128, this.#chance);
    },
    'operator.killrefresh': () => this.#ask('killrefresh'),
    'operator.killpmd': async () => {
      await this.#ask('killpmd');
      await this.#pause(1000);
      await this.#ask('launchpmd');
    },
    'operator.launchrefresh': () => this.#ask('launchrefresh', { kind: 'full' }),
  };

  /** A request of the operator; a refusal is an answer as good as any. */
  async #ask(verb: string, args: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.#cluster.operator(this.#group(), verb, args);
  }

  async #groupsBack(): Promise<void> {
    const { primary } = this.#cluster;
    while (primary.running && [...primary.started.values()].some(({ running }) => !running)) {
      await this.#pause(10);
    }
  }

  #link(): SimLink | undefined {
    const { links } = this.#cluster.network;
    return links.length === 0 ? undefined : this.#chance.pick(links);
  }

  #group(): number {
    return this.#chance.below(this.#cluster.options.groups);
  }

  #pause(maxMs: number): Promise<void> {
    return this.#cluster.sleep(this.#upTo(maxMs));
  }

  #upTo(maxMs: number): number {
    return this.#chance.below(Math.max(1, Math.round(maxMs * 1000))) / 1000;
  }
}

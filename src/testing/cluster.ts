/**
 * A primary, a secondary and the network between them, in one simulated world, running the product's
 * own actors. The nodes have the verbs of a machine room (start, stop, kill, cut the power); here is
 * what concerns both, and the truth about what applications did.
 */
import { isTdmfError } from '../core/errors.js';
import type { ClusterOptions } from './cluster-options.js';
import { dataPath, smallCluster } from './cluster-options.js';
import { History } from './history.js';
import { SimNetwork } from './link.js';
import type { NodeImage } from './node.js';
import { SimPrimary } from './primary.js';
import { SimSecondary } from './secondary.js';
import type { SimWorld } from './world.js';

export class SimCluster {
  readonly world: SimWorld;
  readonly options: ClusterOptions;
  readonly network: SimNetwork;
  readonly primary: SimPrimary;
  readonly secondary: SimSecondary;
  /** One per group. */
  readonly histories: readonly History[];
  /** The first error of an actor, or of what was done to the cluster; the run is over then. */
  failure: unknown;
  /** The disks of one side are not what its own processes left there. */
  onTampered: ((side: 'primary' | 'secondary', what: 'rolledBack' | 'damaged') => void) | undefined;

  constructor(world: SimWorld, options: Partial<ClusterOptions> = {}) {
    this.world = world;
    this.options = { ...smallCluster, ...options };
    this.network = new SimNetwork(world, this.options.network);
    this.primary = new SimPrimary(world, this.network, this.options);
    this.secondary = new SimSecondary(world, this.network, this.options);
    const { groups, deviceBytes, filledOf16 } = this.options;
    this.histories = Array.from({ length: groups }, (_, group) => {
      const history = new History();
      for (const device of deviceBytes.keys()) {
        history.addDevice(this.primary.node.disk(dataPath(group, device)), filledOf16);
      }
      return history;
    });
    this.secondary.onFailure = (id, error) => this.fail(error, id);
    this.primary.onFailure = (id, error) => this.fail(error, id);
  }

  /** Both nodes are up and every group is started, in PASSTHRU the first time. */
  async start(): Promise<void> {
    await this.primary.format();
    await this.secondary.start();
    await this.primary.start();
  }

  fail(error: unknown, what: string): void {
    this.world.trace(`${what}: ${error instanceof Error ? error.stack : String(error)}`);
    this.failure ??= error;
  }

  /** Runs something beside the simulation's other events; its failure is the run's. */
  background(what: string, run: () => Promise<void>): void {
    run().catch((error: unknown) => this.fail(error, what));
  }

  /** Resolves when so much simulated time has passed. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.world.after(ms, 'sleep', resolve);
    });
  }

  /** kill -9 of the primary's tdmfd. */
  killPrimary(): void {
    this.primary.kill();
  }

  powerCutPrimary(silently: boolean): void {
    this.primary.powerCut(silently);
    for (const history of this.histories) history.powerCut();
  }

  /** The primary's virtual machine is restored from an older snapshot (H8). */
  rollBackPrimary(image: NodeImage): void {
    this.primary.kill();
    this.primary.node.restore(image);
    for (const history of this.histories) history.rolledBack();
    this.onTampered?.('primary', 'rolledBack');
  }

  rollBackSecondary(image: NodeImage): void {
    this.secondary.kill();
    this.secondary.node.restore(image);
    this.onTampered?.('secondary', 'rolledBack');
  }

  /** After the I/O of the dead one has ended. */
  async restartPrimary(): Promise<void> {
    await this.primary.start(() => {
      for (const history of this.histories) history.settleLost();
    });
  }

  /** A request of the operator; a refusal is traced, and as good an answer as any. */
  async operator(
    group: number,
    verb: string,
    args: Readonly<Record<string, unknown>> = {},
  ): Promise<void> {
    if (this.primary.started.get(group)?.running !== true) return;
    try {
      await this.primary.operator(group, verb, args);
    } catch (error) {
      if (!isTdmfError(error)) throw error;
      this.world.trace(`operator: ${verb}: ${error.code} ${error.message}`);
    }
  }

  cutLinks(): void {
    for (const link of [...this.network.links]) link.cut();
  }
}

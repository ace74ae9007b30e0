/**
 * The checkers of one simulated run, called after every event of the world: cheap ones always, dear
 * ones when something they look at has changed or every so many events.
 */
import { duty } from '../core/bab/layout.js';
import { AckChecker } from './checkers/acks.js';
import { checkBounds } from './checkers/bounds.js';
import { DirtChecker } from './checkers/dirt.js';
import { OrderChecker } from './checkers/order.js';
import { RestartChecker } from './checkers/restart.js';
import { SyncChecker } from './checkers/sync.js';
import type { SimCluster } from './cluster.js';
import { keptInPstore } from './pstore-view.js';
import { SecondaryView } from './secondary-view.js';
import type { Workload } from './workload.js';
import { LateError } from './world.js';

/** A run of a seed needs far fewer; more means that something turns in a circle. */
const eventsMax = 300_000;

interface Watched {
  readonly group: number;
  readonly view: SecondaryView;
  readonly order: OrderChecker;
  readonly dirt: DirtChecker;
  readonly acks: AckChecker;
  readonly restart: RestartChecker;
  readonly sync: SyncChecker;
  boots: number;
  /** Nobody can know what differs before the next commit in an era after this one. */
  unknownSince: string | undefined;
  /** What lies there claims more than is true until the secondary has looked at it. */
  unlooked: unknown;
}

export class Watch {
  readonly groups: readonly Watched[];
  readonly #cluster: SimCluster;
  readonly #workloads: readonly Workload[];
  readonly #dirtEvery: number;
  readonly #strikes: { readonly events: number; readonly run: () => void }[] = [];

  constructor(cluster: SimCluster, workloads: readonly Workload[], dirtEvery: number) {
    this.#cluster = cluster;
    this.#workloads = workloads;
    this.#dirtEvery = dirtEvery;
    this.groups = cluster.histories.map((history, group) => {
      const view = new SecondaryView(cluster.secondary.node, group, history.devices.length);
      return {
        group,
        view,
        order: new OrderChecker(history, view),
        dirt: new DirtChecker(history, view),
        acks: new AckChecker(view),
        restart: new RestartChecker(cluster.primary.node, group, history, view),
        sync: new SyncChecker(history),
        boots: 0,
        unknownSince: undefined,
        unlooked: undefined,
      };
    });
    for (const workload of workloads) {
      const { group } = workload;
      const { primary } = cluster;
      workload.onAnswered = (write) =>
        this.groups[group]!.sync.answered(write, primary.started.get(group), () => primary.pool());
    }
    cluster.onTampered = (side, what) => {
      for (const watched of this.groups) this.#tampered(watched, side, what);
    };
    cluster.world.afterStep = () => this.check();
  }

  /** Runs something once, right after the event with this number. */
  after(events: number, run: () => void): void {
    this.#strikes.push({ events, run });
    this.#strikes.sort((a, b) => a.events - b.events);
  }

  check(): void {
    const { world, failure } = this.#cluster;
    if (failure !== undefined) throw failure;
    if (world.delivered > eventsMax) throw new LateError(`${eventsMax} events, and no end`);
    const strikes = this.#strikes;
    while (strikes.length > 0 && world.delivered >= strikes[0]!.events) strikes.shift()!.run();
    const dear = world.delivered % this.#dirtEvery === 0;
    for (const watched of this.groups) {
      const { boots } = this.#cluster.secondary.node;
      const disturbed = boots !== watched.boots;
      watched.boots = boots;
      watched.sync.look(this.#cluster.primary.started.get(watched.group));
      if (disturbed) watched.order.disturbed();
      const { record } = watched.view;
      if (watched.unlooked !== undefined && watched.unlooked !== record)
        watched.unlooked = undefined;
      if (watched.unlooked === undefined) watched.order.check();
      if (dear || disturbed) this.checkDear(watched);
    }
    if (world.delivered % 64 === 0) for (const workload of this.#workloads) workload.checkWaiting();
  }

  /** Rolled back or damaged: what was known of the other side may be wrong until a commit. */
  #tampered(watched: Watched, side: 'primary' | 'secondary', what: 'rolledBack' | 'damaged'): void {
    watched.unknownSince = watched.view.record?.era ?? 'none';
    if (side === 'primary') return;
    watched.order.forget();
    watched.acks.forget();
    if (what === 'damaged') watched.unlooked = watched.view.record ?? 'damaged';
  }

  checkDear(watched: Watched): void {
    const { group, dirt, acks } = watched;
    const { primary } = this.#cluster;
    acks.check();
    const started = primary.started.get(group);
    if (started !== undefined) checkBounds(started, primary.pool());
    if (watched.unknownSince !== undefined) {
      const { era } = watched.view.record ?? {};
      if (era === watched.unknownSince || era !== started?.control.readEra().era) return;
      watched.unknownSince = undefined;
    }
    watched.restart.check();
    if (started === undefined) return;
    const pool = primary.pool();
    // Whoever says that every block may differ has forgotten nothing.
    if (keptInPstore(primary.node, group, 'live')?.record.mapAll !== false) return;
    dirt.check(started, pool);
    if (started.control.duties === duty.append) acks.checkBelieved(started, pool);
  }
}

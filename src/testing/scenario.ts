/**
 * One simulated run: a safety phase with faults, in which nothing may go wrong, then a liveness
 * phase: everything is healed, and within a bound every group must be NORMAL and its mirror
 * identical (I14), with what the operator does about it (operator.ts).
 */
import { AssertionError as BrokenPromise } from 'node:assert';
import { missingForConvergence, mustBeIdentical } from './checkers/convergence.js';
import { SimCluster } from './cluster.js';
import { type FaultLane, Faults, faultLanes, laneOf } from './faults.js';
import { Operator } from './operator.js';
import { Prng } from './prng.js';
import { drawSwarm, type FaultKind, type SwarmOptions } from './swarm.js';
import { Watch } from './watch.js';
import { Workload } from './workload.js';
import { LateError, SimWorld } from './world.js';

/** Exit codes of a run that failed (house rules 3.3). */
export const simExit = { assertion: 127, liveness: 128, correctness: 129 } as const;

export interface SimFailure {
  readonly exitCode: (typeof simExit)[keyof typeof simExit];
  readonly message: string;
  readonly trace: string;
}

export interface SimResult {
  readonly seed: number;
  readonly events: number;
  readonly simulatedMs: number;
  readonly writes: number;
  readonly answered: number;
  /** How often the order and the dirt were looked at. */
  readonly orderChecks: number;
  readonly dirtChecks: number;
  /** How often what a restart would report was compared with both disks. */
  readonly restartChecks: number;
  readonly faults: ReadonlyMap<FaultKind, number>;
  /** Faults with those that were skipped. */
  readonly injected: number;
  /** Modes the groups went through, with the number of changes to each. */
  readonly modes: ReadonlyMap<string, number>;
  readonly failure: SimFailure | undefined;
}

/** `onTrace` gets every line of the trace as it is written. */
export function runSeed(seed: number, onTrace?: (line: string) => void): Promise<SimResult> {
  return runScenario(drawSwarm(seed), onTrace);
}

export async function runScenario(
  options: SwarmOptions,
  onTrace?: (line: string) => void,
): Promise<SimResult> {
  const scenario = new Scenario(options);
  scenario.world.onTrace = onTrace;
  return scenario.run();
}

/** As long as a calm start lasts at most. */
const calmMsMax = 5_000;

export class Scenario {
  readonly world: SimWorld;
  readonly cluster: SimCluster;
  readonly options: SwarmOptions;
  readonly workloads: readonly Workload[];
  readonly watch: Watch;
  readonly faults: Faults;
  readonly #modes = new Map<string, number>();
  readonly #operators: readonly Operator[];
  #started = false;
  #healing = false;
  /** Lanes in which a fault is under way. */
  #busyLanes = 0;

  constructor(options: SwarmOptions) {
    this.options = options;
    this.world = new SimWorld(options.seed);
    const chance = new Prng(options.seed).fork('scenario');
    this.cluster = new SimCluster(this.world, options.cluster);
    this.cluster.primary.onEvent = (type, { to }) => {
      if (type === 'mode.changed')
        this.#modes.set(String(to), (this.#modes.get(String(to)) ?? 0) + 1);
    };
    this.workloads = this.cluster.histories.map(
      (_, group) => new Workload(this.cluster, group, options.writers, chance.fork('writers')),
    );
    for (const workload of this.workloads) {
      workload.paused = true;
      workload.writesMax = options.writesMax ?? Number.POSITIVE_INFINITY;
    }
    this.watch = new Watch(this.cluster, this.workloads, options.dirtEvery);
    this.faults = new Faults(this.cluster, this.workloads, chance.fork('faults'), options.skip);
    for (const lane of faultLanes) {
      const kinds = options.faults.filter((kind) => laneOf(kind) === lane);
      if (kinds.length > 0) this.#lane(lane, kinds, chance.fork(lane));
    }
    for (const { afterEvents, kind } of options.strikes ?? []) {
      this.watch.after(afterEvents, () => {
        this.cluster.background('the strike', () => this.#inject(kind));
      });
    }
    const operator = chance.fork('operator');
    const { operatorMs, patienceMs } = options;
    this.#operators = this.cluster.histories.map((_, group) => {
      const habits = { lookMs: operatorMs, patienceMs };
      return new Operator(this.cluster, group, habits, operator.fork('one'));
    });
    for (const one of this.#operators) this.cluster.background('the operator', () => one.run());
  }

  async run(): Promise<SimResult> {
    try {
      await this.#safety();
      await this.#liveness();
      return this.#result(undefined);
    } catch (error) {
      return this.#result(this.#failureOf(error));
    }
  }

  async #safety(): Promise<void> {
    const { world, cluster, options } = this;
    await world.settled(cluster.start(), 10_000, 'the start of both hosts');
    if (options.calmStart) await this.#firstNormal();
    this.#started = true;
    for (const workload of this.workloads) workload.paused = false;
    await world.run(options.safetyMs);
  }

  async #firstNormal(): Promise<void> {
    const { world } = this;
    const end = world.now + calmMsMax;
    while ((this.#modes.get('NORMAL') ?? 0) === 0 && world.now < end) await world.run(50);
  }

  async #liveness(): Promise<void> {
    const { world, cluster } = this;
    this.#healing = true;
    for (const operator of this.#operators) operator.healing = true;
    await world.until(() => this.#busyLanes === 0, 120_000, 'the faults end');
    await world.settled(this.faults.heal(), 60_000, 'healing');
    await world.run(this.options.fairMs);
    for (const workload of this.workloads) workload.paused = true;
    const end = world.now + this.options.livenessMs;
    for (const [group, history] of cluster.histories.entries()) {
      const watched = this.watch.groups[group]!;
      let missing: string | undefined = 'nobody has looked';
      while (missing !== undefined) {
        if (world.now > end) throw new LateError(`I14: group ${group}: ${missing}`);
        await world.run(100);
        const status = await world.settled(cluster.primary.status(group), 60_000, 'status');
        const idle = this.workloads[group]!.outstanding === 0;
        missing = missingForConvergence(cluster.primary.started.get(group), status, watched.view);
        if (!idle) missing ??= 'requests without an answer';
      }
      mustBeIdentical(history, watched.view);
      this.watch.checkDear(watched);
    }
  }

  #lane(lane: FaultLane, kinds: readonly FaultKind[], chance: Prng): void {
    const { cluster, options } = this;
    cluster.background(`faults of ${lane}`, async () => {
      for (;;) {
        await cluster.sleep(1 + chance.below(options.faultGapMs));
        if (this.#healing) return;
        if (!this.#started) continue;
        await this.#inject(chance.pick(kinds));
      }
    });
  }

  async #inject(kind: FaultKind): Promise<void> {
    this.#busyLanes++;
    await this.faults.inject(kind);
    this.#busyLanes--;
  }

  #failureOf(error: unknown): SimFailure {
    const message = error instanceof Error ? error.message : String(error);
    const trace = this.world.lastTrace();
    if (error instanceof BrokenPromise) return { exitCode: simExit.correctness, message, trace };
    if (error instanceof LateError) return { exitCode: simExit.liveness, message, trace };
    // An assertion of the product, or a bug nobody has thought of.
    const stack = error instanceof Error ? error.stack : undefined;
    return { exitCode: simExit.assertion, message: `${message}\n${stack ?? ''}`, trace };
  }

  #result(failure: SimFailure | undefined): SimResult {
    const { world, cluster, watch } = this;
    const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);
    return {
      seed: this.options.seed,
      events: world.delivered,
      simulatedMs: world.now,
      writes: sum(this.workloads.map(({ issued }) => issued)),
      answered: sum(cluster.histories.map(({ answered }) => answered)),
      orderChecks: sum(watch.groups.map(({ order }) => order.checks)),
      dirtChecks: sum(watch.groups.map(({ dirt }) => dirt.checks)),
      restartChecks: sum(watch.groups.map(({ restart }) => restart.checks)),
      faults: this.faults.counts,
      injected: this.faults.injected,
      modes: this.#modes,
      failure,
    };
  }
}

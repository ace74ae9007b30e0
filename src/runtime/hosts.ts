/**
 * The host threads: N places of one Piscina pool, each kept alive by a long task. A host that dies
 * is begun anew in its place after a back-off, in a new generation; main and the other hosts go on
 * (I11). A dead host never parks: which actor to blame is decided by who supervises the actors.
 *
 * Every option of Piscina is spelled out: by default it would park idle workers in Atomics.wait,
 * where no timer or socket moves, and end threads that it thinks idle.
 */
import { Piscina } from 'piscina';
import { TdmfError, toPlainError } from '../core/errors.js';
import { Backoff } from '../core/supervision.js';
import type { Clock, TimerHandle } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { HostControl, RingOffer, WorldModule } from './control.js';
import { Bell } from './doorbell.js';
import type { Remote } from './expose.js';
import { HostRun } from './host-run.js';

export interface HostCrash {
  readonly host: number;
  /** Of its successor. */
  readonly generation: number;
  /** The key of the actor whose code the thread ran when it died, 0 if none. */
  readonly culprit: number;
  readonly error: unknown;
}

export interface HostsOptions {
  readonly count: number;
  readonly bells: SharedArrayBuffer;
  /** Of every place, main's last; this file counts those of the hosts up. */
  readonly generations: number[];
  readonly world: WorldModule;
  readonly registry: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly ringOpened: (offer: RingOffer) => void;
  readonly crashed: (crash: HostCrash) => Promise<void>;
  /** The first call to a new run, which knows no actors yet. */
  readonly greet: (control: Remote<HostControl>) => Promise<void>;
}

interface Slot {
  run: HostRun;
  /** Resolves when the present or next run is ready for actors. */
  ready: Promise<void>;
  live: boolean;
  timer: TimerHandle | undefined;
  /** Ends the wait for a run that will not begin any more. */
  giveUp: (() => void) | undefined;
  readonly backoff: Backoff;
}

export class Hosts {
  readonly #options: HostsOptions;
  readonly #pool: Piscina;
  readonly #slots: Slot[] = [];
  #stopping = false;

  constructor(options: HostsOptions) {
    this.#options = options;
    this.#pool = new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      name: 'runHost',
      minThreads: options.count,
      maxThreads: options.count,
      idleTimeout: Number.POSITIVE_INFINITY,
      maxQueue: 'auto',
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      // A dead thread's descriptors are closed with it, and their locks are released (H22).
      trackUnmanagedFds: true,
      closeTimeout: 30_000,
      recordTiming: false,
      workerHistogram: false,
    });
    // A second error of a dying worker would otherwise end the process.
    this.#pool.on('error', (error: unknown) => {
      options.log.write('error', 'a host thread failed again', { error: toPlainError(error) });
    });
  }

  /** Resolves when every host takes calls; rejects with what the first that failed died of. */
  async start(): Promise<void> {
    for (let host = 0; host < this.#options.count; host++) {
      const run = this.#begin(host);
      this.#slots.push({
        run,
        ready: run.ready,
        live: true,
        timer: undefined,
        giveUp: undefined,
        backoff: new Backoff(),
      });
    }
    try {
      await Promise.all(this.#slots.map((slot) => slot.run.ready));
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#slots.forEach((slot, host) => void this.#watch(slot, host));
  }

  /** A call to a host; waits for a host that is being replaced. */
  async call<Answer>(
    host: number,
    run: (control: Remote<HostControl>) => Promise<Answer>,
  ): Promise<Answer> {
    const slot = this.#slots[host];
    if (slot === undefined) throw new TdmfError('TDMF_INTERNAL', { what: `no host ${host}` });
    await slot.ready;
    return slot.run.call(run);
  }

  /** Calls every live host; one that dies meanwhile has nothing to be told any more. */
  async broadcast(run: (control: Remote<HostControl>) => Promise<void>): Promise<void> {
    const live = this.#slots.filter((slot) => slot.live);
    await Promise.allSettled(live.map((slot) => slot.run.call(run)));
  }

  /** Nothing is waited for: a host that is down hears of it when it begins. */
  post(host: number, run: (control: Remote<HostControl>) => Promise<void>): void {
    const slot = this.#slots[host];
    if (slot?.live) slot.run.call(run).catch(() => undefined);
  }

  terminate(host: number): void {
    this.#slots[host]?.run.terminate();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const slot of this.#slots) {
      slot.timer?.cancel();
      slot.giveUp?.();
    }
    await this.broadcast((control) => control.stop());
    await Promise.all(this.#slots.filter((slot) => slot.live).map((slot) => slot.run.ended));
    await this.#pool.destroy();
  }

  #begin(host: number): HostRun {
    const { bells, count, generations, registry, ringOpened, world } = this.#options;
    new Bell(bells, host).reset();
    return new HostRun(
      this.#pool,
      { place: host, places: count + 1, bells, generations: [...generations], world, registry },
      ringOpened,
    );
  }

  async #watch(slot: Slot, host: number): Promise<void> {
    const { bells, clock, crashed, generations, log } = this.#options;
    const { error } = await slot.run.ended;
    slot.live = false;
    if (this.#stopping) return;
    const { attempt, delayMs } = slot.backoff.failed(clock.now());
    log.write('error', 'a host thread crashed; a new one is begun', {
      host,
      attempt,
      delayMs,
      error: toPlainError(error),
    });
    const culprit = new Bell(bells, host).running;
    const generation = (generations[host] ?? 0) + 1;
    generations[host] = generation;
    slot.ready = this.#replace(slot, host, delayMs);
    slot.ready.catch(() => undefined);
    await crashed({ host, generation, culprit, error });
  }

  #replace(slot: Slot, host: number, delayMs: number): Promise<void> {
    const { clock, greet } = this.#options;
    return new Promise((resolve, reject) => {
      slot.giveUp = () => reject(new TdmfError('TDMF_HOST_CRASHED', { host }));
      slot.timer = clock.after(delayMs, () => {
        slot.run = this.#begin(host);
        slot.live = true;
        void this.#watch(slot, host);
        slot.run.ready.then(() => slot.run.call(greet)).then(resolve, reject);
      });
    });
  }
}

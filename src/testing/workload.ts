/**
 * Simulated applications of one group. Each writer keeps some requests under way and draws the next
 * one from its own chance; a writer of depth 1 issues a write only after the one before was answered,
 * on whatever device, which is what ties the order of the devices together (I1). What was written,
 * when, and how it was answered goes into the history.
 */
import { sectorBytes } from '../core/constants.js';
import type { SimCluster } from './cluster.js';
import type { History, Write } from './history.js';
import { type NbdClient, type NbdOutcome, nbdCommand } from './nbd-client.js';
import type { Prng } from './prng.js';
import { stamp } from './stamp.js';

export const workloadKinds = ['random', 'sequential', 'hot', 'overlapping'] as const;
export type WorkloadKind = (typeof workloadKinds)[number];

export interface WriterOptions {
  readonly kind: WorkloadKind;
  /** Requests under way at once. */
  readonly depth: number;
  /** Longest pause before the next request. */
  readonly gapMs: number;
  readonly sectorsMax: number;
  /** Of 16 requests so many are zeroes or trims, and so many flushes. */
  readonly zeroesOf16: number;
  readonly flushesOf16: number;
  readonly readsOf16: number;
  /** Of 256 requests so many begin a burst of large writes without a pause. */
  readonly burstsOf256: number;
}

const burstRequestsMax = 24;
/** Bursts on top of each other would only measure how slow the disk is. */
const outstandingMax = 48;

/** An application may wait this long for an answer while its primary runs (I15). */
const answerMsMax = 20_000;

interface Pending {
  readonly since: number;
  readonly what: string;
}

export class Workload {
  paused = false;
  /** Nothing is written any more after so many. */
  writesMax = Number.POSITIVE_INFINITY;
  issued = 0;
  /** A write was answered well. */
  onAnswered: ((write: Write) => void) | undefined;
  readonly group: number;
  readonly #cluster: SimCluster;
  readonly #group: number;
  readonly #history: History;
  readonly #clients: (NbdClient | undefined)[];
  readonly #connecting: boolean[];
  readonly #pending = new Set<Pending>();

  constructor(cluster: SimCluster, group: number, writers: readonly WriterOptions[], chance: Prng) {
    this.#cluster = cluster;
    this.#group = group;
    this.group = group;
    this.#history = cluster.histories[group]!;
    this.#clients = cluster.options.deviceBytes.map(() => undefined);
    this.#connecting = cluster.options.deviceBytes.map(() => false);
    for (const [index, options] of writers.entries()) {
      for (let lane = 0; lane < options.depth; lane++) {
        const writer = new Writer(this, cluster, this.#history, options, chance.fork(`w${index}`));
        cluster.background('a writer', () => writer.run());
      }
    }
  }

  /** Applications rest. */
  get resting(): boolean {
    return this.paused || this.issued >= this.writesMax;
  }

  /** Requests without an answer. */
  get outstanding(): number {
    return this.#pending.size;
  }

  /** I15; in sync mode a write waits no longer than SYNCMODETIMEOUT (Rule 40). */
  checkWaiting(): void {
    const { now } = this.#cluster.world;
    for (const { since, what } of this.#pending) {
      if (now - since > answerMsMax)
        throw new Error(`I15: no answer for ${now - since} ms: ${what}`);
    }
  }

  /** Many large writes at once, to the first sectors: more than a small BAB takes. */
  burst(requests: number, sectorsMax: number, chance: Prng, within = Number.MAX_VALUE): void {
    for (let count = 0; count < requests; count++) {
      const device = chance.below(this.#history.devices.length);
      const client = this.client(device);
      if (client === undefined || this.resting || this.outstanding > outstandingMax) continue;
      const sectorCount = Math.min(within, this.#history.devices[device]!.sectorCount);
      const sectors = Math.min(sectorCount, sectorsMax);
      const first = chance.below(sectorCount - sectors + 1);
      const write = this.#history.issue(device, first, sectors, false);
      this.write(client, write, { trim: false, fua: false }, ({ error }) => {
        this.ended(write, error);
      });
    }
  }

  /** A connection to the device, if there can be one now. */
  client(device: number): NbdClient | undefined {
    const client = this.#clients[device];
    if (client?.connected === true) return client;
    if (this.#connecting[device] !== true) {
      this.#connecting[device] = true;
      this.#cluster.background('a connection', async () => {
        this.#clients[device] = await this.#cluster.primary.connect(this.#group, device);
        this.#connecting[device] = false;
      });
    }
    return undefined;
  }

  /** A write has its answer, or never will. */
  ended(write: Write, error: number | undefined): void {
    if (error === undefined) {
      this.#history.lose([write]);
      return;
    }
    this.#history.answer(write, error);
    if (error === 0) this.onAnswered?.(write);
  }

  write(
    client: NbdClient,
    write: Write,
    request: { readonly trim: boolean; readonly fua: boolean },
    done: (outcome: NbdOutcome) => void,
  ): void {
    const { firstSector, sectorCount, device, zero, id } = write;
    const offset = firstSector * sectorBytes;
    const length = sectorCount * sectorBytes;
    const { fua } = request;
    this.issued++;
    if (zero) {
      const command = request.trim ? nbdCommand.trim : nbdCommand.zero;
      this.#send(client, { command, offset, length, fua }, `zero ${id}`, done);
      return;
    }
    const payload = new Uint8Array(length);
    stamp(payload, device, firstSector, id);
    const command = nbdCommand.write;
    this.#send(client, { command, offset, length, fua, payload }, `write ${id}`, done);
  }

  flush(client: NbdClient, done: (outcome: NbdOutcome) => void): void {
    this.#send(client, { command: nbdCommand.flush, offset: 0, length: 0 }, 'flush', done);
  }

  read(client: NbdClient, offset: number, length: number, done: (outcome: NbdOutcome) => void) {
    this.#send(client, { command: nbdCommand.read, offset, length }, 'read', done);
  }

  #send(
    client: NbdClient,
    request: Parameters<NbdClient['send']>[0],
    what: string,
    done: (outcome: NbdOutcome) => void,
  ): void {
    const pending = { since: this.#cluster.world.now, what };
    this.#pending.add(pending);
    client.send(request, (outcome) => {
      this.#pending.delete(pending);
      done(outcome);
    });
  }
}

/** One chain of requests: the next is issued when the one before was answered. */
class Writer {
  readonly #workload: Workload;
  readonly #cluster: SimCluster;
  readonly #history: History;
  readonly #options: WriterOptions;
  readonly #chance: Prng;
  readonly #next: number[];
  readonly #hot: number;
  /** Requests left of a burst. */
  #burst = 0;

  constructor(
    workload: Workload,
    cluster: SimCluster,
    history: History,
    options: WriterOptions,
    chance: Prng,
  ) {
    this.#workload = workload;
    this.#cluster = cluster;
    this.#history = history;
    this.#options = options;
    this.#chance = chance;
    this.#next = history.devices.map(({ sectorCount }) => chance.below(sectorCount));
    this.#hot = chance.below(1024);
  }

  async run(): Promise<void> {
    const { gapMs, burstsOf256 } = this.#options;
    for (;;) {
      if (this.#burst > 0) this.#burst--;
      else if (this.#chance.chance(burstsOf256, 256))
        this.#burst = this.#chance.below(burstRequestsMax);
      const pauseMs = this.#burst > 0 ? 0 : gapMs;
      await this.#cluster.sleep(this.#chance.below(Math.max(1, pauseMs * 1000)) / 1000);
      if (this.#workload.resting) {
        await this.#cluster.sleep(50);
        continue;
      }
      const device = this.#chance.below(this.#history.devices.length);
      const client = this.#workload.client(device);
      if (client === undefined) await this.#cluster.sleep(5);
      else await this.#request(client, device);
    }
  }

  #request(client: NbdClient, device: number): Promise<void> {
    const { flushesOf16, readsOf16, zeroesOf16 } = this.#options;
    const draw = this.#chance.below(16);
    if (draw < flushesOf16) return this.#flush(client, device);
    if (draw < flushesOf16 + readsOf16) return this.#read(client, device);
    return this.#write(client, device, this.#chance.below(16) < zeroesOf16);
  }

  #write(client: NbdClient, device: number, wantsZero: boolean): Promise<void> {
    const [first, count] = this.#range(device);
    const zero = wantsZero && this.#history.mayZero(device, first, count);
    const request = { trim: this.#chance.chance(1, 2), fua: this.#chance.chance(1, 16) };
    const write = this.#history.issue(device, first, count, zero);
    return new Promise((resolve) => {
      this.#workload.write(client, write, request, ({ error }) => {
        this.#workload.ended(write, error);
        resolve();
      });
    });
  }

  #flush(client: NbdClient, device: number): Promise<void> {
    const snapshot = this.#history.flushSnapshot();
    return new Promise((resolve) => {
      this.#workload.flush(client, ({ error }) => {
        if (error === 0) this.#history.flushed(device, snapshot[device]!);
        resolve();
      });
    });
  }

  /** What is read must be a version that was there at some time since the question. */
  #read(client: NbdClient, device: number): Promise<void> {
    const [first, count] = this.#range(device);
    const before = this.#history.answeredVersions(device, first, count);
    return new Promise((resolve) => {
      this.#workload.read(client, first * sectorBytes, count * sectorBytes, ({ data }) => {
        if (data !== undefined) this.#history.checkRead(device, first, data, before);
        resolve();
      });
    });
  }

  /** First sector and how many. */
  #range(device: number): [number, number] {
    const { kind, sectorsMax } = this.#options;
    const { sectorCount } = this.#history.devices[device]!;
    const chance = this.#chance;
    // Mostly small, sometimes as large as allowed.
    const most = this.#burst > 0 || chance.chance(1, 8) ? sectorsMax : Math.min(sectorsMax, 16);
    const count = Math.min(sectorCount, 1 + chance.below(most));
    const last = sectorCount - count;
    switch (kind) {
      case 'random':
        return [chance.below(last + 1), count];
      case 'sequential': {
        const first = this.#next[device]!;
        const from = first > last ? 0 : first;
        this.#next[device] = from + count;
        return [from, count];
      }
      case 'hot':
        return [Math.min(last, (this.#hot * 16 + chance.below(16)) % sectorCount), count];
      case 'overlapping':
        return [Math.min(last, chance.below(24)), count];
    }
  }
}

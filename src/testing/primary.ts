/**
 * The primary of a simulated pair: the actors of the product, started, stopped and restarted as
 * src/server/primary-groups.ts does it, on simulated threads. Shared memory of a group is made here,
 * so that it outlives a crashed thread (H23).
 *
 *   main: pstore │ h0: gN/group, gN/driver │ h1: gN/pmd
 */
import { strict as assert } from 'node:assert';
import { startDriver } from '../actors/driver.js';
import { type GroupOptions, startGroup } from '../actors/group.js';
import type { GroupStatus } from '../actors/group-status.js';
import { linkTunables } from '../actors/group-tunables.js';
import type { DriverMessage, GroupDevice, GroupShared, SharedDevices } from '../actors/messages.js';
import { startPmd } from '../actors/pmd.js';
import { startPstore } from '../actors/pstore.js';
import { formatPstore } from '../actors/pstore-format.js';
import { GroupControlView } from '../core/bab/control.js';
import { BabPool } from '../core/bab/pool.js';
import { DeviceMap } from '../core/bitmap/device-map.js';
import { babShareMinBytes } from '../core/constants.js';
import { isTdmfError } from '../core/errors.js';
import { pstoreBytes } from '../core/pstore/layout.js';
import { type TunableValues, tunablesOf } from '../core/tunables.js';
import type { BlockDevice } from '../ports/block-device.js';
import {
  type ClusterOptions,
  dataPath,
  deviceName,
  mirrorPath,
  pstorePath,
  secondaryAddress,
  secretOf,
} from './cluster-options.js';
import type { SimNetwork } from './link.js';
import { NbdClient } from './nbd-client.js';
import { SimNode, type SimProcess } from './node.js';
import { SimHost } from './sim-host.js';
import type { SimWorld } from './world.js';

const pstoreOptions = { path: pstorePath, access: 'readwrite', growable: true } as const;

/** A group that is started: its shared memory, for the actors and for the checkers. */
export interface StartedGroup {
  readonly group: number;
  readonly shared: GroupShared;
  readonly control: GroupControlView;
  readonly maps: readonly DeviceMap[];
  /** False while its actors come or go. */
  running: boolean;
}

export class SimPrimary {
  readonly node: SimNode;
  readonly pool: () => BabPool;
  readonly started = new Map<number, StartedGroup>();
  host: SimHost | undefined;
  /** An actor failed of itself; nobody asked for it. */
  onFailure: ((id: string, error: unknown) => void) | undefined;
  onEvent: ((type: string, payload: Readonly<Record<string, unknown>>) => void) | undefined;
  readonly #world: SimWorld;
  readonly #network: SimNetwork;
  readonly #options: ClusterOptions;
  #pool: BabPool | undefined;
  #clients = new Set<NbdClient>();
  #expectedFailures = 0;

  constructor(world: SimWorld, network: SimNetwork, options: ClusterOptions) {
    this.#world = world;
    this.#network = network;
    this.#options = options;
    this.node = new SimNode(world, 'primary');
    this.pool = () => this.#pool!;
    const { groups, deviceBytes, logicalBlockBytes, diskMs } = options;
    for (let group = 0; group < groups; group++) {
      for (const [device, bytes] of deviceBytes.entries()) {
        const disk = { logicalBlockBytes, latencyMsMax: diskMs };
        this.node.addDisk(dataPath(group, device), bytes, disk);
      }
    }
    this.node.addDisk(pstorePath, pstoreBytes(groups), { latencyMsMax: diskMs });
  }

  get running(): boolean {
    return this.host !== undefined;
  }

  async format(): Promise<void> {
    const process = this.node.process();
    const device = await process.open(pstoreOptions);
    await this.#formatOn(device, process);
    await device.close();
    this.node.kill();
  }

  #formatOn(device: BlockDevice, opener: SimProcess): Promise<unknown> {
    const { clock, random } = this.#world;
    const slots = this.#options.groups;
    const { logPages } = this.#options;
    return formatPstore({ device, opener, clock, random, slots, logPages });
  }

  /** tdmfd starts, and every group with it. `settled`: nothing of an earlier one can happen now. */
  async start(settled?: () => void): Promise<void> {
    assert.ok(this.host === undefined, 'the primary runs once');
    await this.#locksFree([...this.node.disks.keys()]);
    settled?.();
    const host = new SimHost({
      node: this.node,
      network: this.#network,
      messageMs: this.#options.messageMs,
      onEvent: (type, payload) => this.onEvent?.(type, payload),
      onFailed: (id, error) => this.#failed(host, id, error),
    });
    this.host = host;
    this.#pool = BabPool.create({ bytes: this.#options.babBytes });
    const device = await host.main.io.open(pstoreOptions);
    if (!this.#is(host)) return;
    try {
      await host.main.actors.start('pstore', startPstore, { device, opener: host.main.io });
      for (let group = 0; group < this.#options.groups && this.#is(host); group++) {
        await this.#spawn(host, this.#allocate(group), false);
      }
    } catch (error) {
      // Killed while it started: nobody waits for it any more.
      if (!this.#is(host)) return;
      if (!isTdmfError(error) || error.code !== 'TDMF_PSTORE_DAMAGED') throw error;
      await this.#initAgain(error.message);
    }
  }

  /** The operator makes a damaged pstore anew, as he is told to, and starts again (Rule 54c). */
  async #initAgain(why: string): Promise<void> {
    this.#world.trace(`operator: init: ${why}`);
    this.kill();
    await this.#locksFree([...this.node.disks.keys()]);
    await this.format();
    await this.start();
  }

  /** A clean stop: drains, persists, ends. */
  async stop(): Promise<void> {
    const { host } = this;
    if (host === undefined) return;
    for (const started of this.started.values()) {
      started.running = false;
      await this.#stopGroup(host, started);
      if (!this.#is(host)) return;
    }
    await host.main.actors.stop('pstore');
    if (!this.#is(host)) return;
    this.#forgetHost();
    host.kill();
  }

  kill(): void {
    const { host } = this;
    this.#forgetHost();
    host?.kill();
  }

  powerCut(silently: boolean): void {
    const { host } = this;
    this.#forgetHost();
    if (host === undefined) this.node.powerCut();
    else host.powerCut(silently);
  }

  /**
   * The set of a group fails: its driver throws, or the thread that it and the group actor live on
   * crashes. All of it ends, and starts again over the same shared memory (H22, H23, H46).
   */
  async crashSet(group: number, how: 'throw' | 'thread'): Promise<void> {
    const { host } = this;
    const started = this.started.get(group);
    if (host === undefined || started === undefined || !started.running) return;
    if (how === 'throw') {
      this.#expectedFailures++;
      host.main.actors
        .address<unknown>(`g${group}/driver`)
        .tell({ type: 'driver.unknown' } satisfies { type: string });
      while (this.#is(host) && this.#expectedFailures > 0) await this.#pause(1);
      return;
    }
    // The other groups of that thread go with it.
    const all = [...this.started.values()];
    for (const one of all) one.running = false;
    this.#loseClients();
    await host.crashThread('h0');
    for (const one of all) if (this.#is(host)) await this.#restart(host, one);
  }

  operator(group: number, verb: string, args: Readonly<Record<string, unknown>> = {}) {
    assert.ok(this.host, 'the primary runs');
    return this.host.ask<unknown>(`g${group}/group`, { kind: 'operator', verb, args });
  }

  /** Undefined while the group is not there. */
  async status(group: number): Promise<GroupStatus | undefined> {
    const { host } = this;
    if (host === undefined || this.started.get(group)?.running !== true) return undefined;
    const asked = host.ask<GroupStatus>(`g${group}/group`, { kind: 'status' });
    return asked.catch(() => undefined);
  }

  /** An application connects; undefined when the group is not there. */
  async connect(group: number, device: number): Promise<NbdClient | undefined> {
    const { host } = this;
    if (host === undefined || this.started.get(group)?.running !== true) return undefined;
    const fd = host.connection(deviceName(device));
    const told = host.main.actors.address<DriverMessage>(`g${group}/driver`).tell({
      type: 'driver.connection',
      fd,
      device: deviceName(device),
      structuredReplies: false,
      baseAllocation: false,
      leftover: new Uint8Array(0),
    });
    for (let tries = 0; told && tries < 100 && this.#is(host); tries++) {
      const stream = host.streamOf(fd);
      if (stream !== undefined) {
        if (this.started.get(group)?.running !== true) return undefined;
        const client = new NbdClient(stream);
        this.#clients.add(client);
        return client;
      }
      await this.#pause(0.1);
    }
    return undefined;
  }

  async #spawn(host: SimHost, started: StartedGroup, recovering: boolean): Promise<void> {
    const { group, shared } = started;
    const { deviceBytes, logicalBlockBytes, direct, chunkSizeKb, chunkDelayMs } = this.#options;
    const tunables: TunableValues = {
      ...this.#options.tunables,
      ...{ CHUNKSIZE: chunkSizeKb, CHUNKDELAY: chunkDelayMs },
    };
    const groupActor = `g${group}/group`;
    const pmdActor = `g${group}/pmd`;
    const driverActor = `g${group}/driver`;
    const cache = direct ? 'direct' : 'writeback';
    const devices: GroupDevice[] = deviceBytes.map((_, device) => ({
      name: deviceName(device),
      data: dataPath(group, device),
      mirror: mirrorPath(group, device),
      cache,
    }));
    const home = host.thread('h0').actors;
    await home.start(driverActor, startDriver, {
      shared,
      devices,
      groupActor,
      pmdActor,
      recovering,
      regionMin: this.#options.regionBytes,
      hotTarget: this.#options.hotTarget,
    });
    if (!this.#is(host)) return;
    const handles = await host.ask<SharedDevices>(driverActor, { kind: 'driver.share' });
    if (!this.#is(host)) return;
    await host.thread('h1').actors.start(pmdActor, startPmd, {
      shared,
      group,
      target: { ...secondaryAddress, secret: secretOf(group) },
      deviceList: deviceBytes.map((sizeBytes, device) => ({
        name: deviceName(device),
        sizeBytes,
        blockBytes: logicalBlockBytes,
      })),
      devices: handles,
      nodeId: 'node-a',
      loopback: false,
      version: '0.1.0',
      tunables: { ...linkTunables(tunablesOf(tunables)), tcpWindowBytes: 0 },
      groupActor,
      driverActor,
    });
    if (!this.#is(host)) return;
    const options: GroupOptions = {
      group,
      control: shared.control,
      shared,
      mapFile: `/home/p${group}.map`,
      restarted: recovering,
      devices: this.#stamps(),
      tunables,
    };
    await home.start(groupActor, startGroup, options);
    if (this.#is(host)) started.running = true;
  }

  #allocate(group: number): StartedGroup {
    const pool = this.#pool!;
    assert.ok(pool.promiseShare(group, babShareMinBytes), 'the BAB has a share for every group');
    const { deviceBytes } = this.#options;
    const control = GroupControlView.create(deviceBytes.length);
    const maps = deviceBytes.map((bytes) => new SharedArrayBuffer(DeviceMap.bytesFor(bytes)));
    const started: StartedGroup = {
      group,
      shared: {
        group,
        poolSlot: group,
        pool: pool.header,
        babMemories: pool.memories,
        control,
        maps,
      },
      control: new GroupControlView(control),
      maps: maps.map((memory, device) => new DeviceMap(memory, deviceBytes[device]!)),
      running: false,
    };
    this.started.set(group, started);
    return started;
  }

  async #stopGroup(host: SimHost, { group }: StartedGroup): Promise<void> {
    const home = host.thread('h0').actors;
    try {
      // H21: without a good flush the stop is not clean, and the next start says so.
      await host.ask(`g${group}/driver`, { kind: 'driver.flush', last: true });
      if (!this.#is(host)) return;
      await home.stop(`g${group}/driver`);
      if (!this.#is(host)) return;
      await this.#prepareStop(host, group);
    } catch (error) {
      this.#world.trace(`primary: group ${group} did not stop cleanly: ${String(error)}`);
      if (!isTdmfError(error)) throw error;
    }
    if (!this.#is(host)) return;
    await host.thread('h1').actors.stop(`g${group}/pmd`);
    if (!this.#is(host)) return;
    await home.stop(`g${group}/driver`);
    if (!this.#is(host)) return;
    await home.stop(`g${group}/group`);
  }

  async #prepareStop(host: SimHost, group: number): Promise<void> {
    const { drainOnStopMs } = this.#options;
    await host.ask(`g${group}/group`, {
      kind: 'prepareStop',
      drainMs: drainOnStopMs,
      devices: this.#stamps(),
    });
  }

  async #restart(host: SimHost, started: StartedGroup): Promise<void> {
    const { group } = started;
    started.running = false;
    const home = host.thread('h0').actors;
    const link = host.thread('h1').actors;
    await Promise.all([
      home.stop(`g${group}/driver`),
      link.stop(`g${group}/pmd`),
      home.stop(`g${group}/group`),
    ]);
    if (!this.#is(host)) return;
    await this.#locksFree(this.#pathsOf(group));
    if (this.#is(host)) await this.#spawn(host, started, true);
  }

  #failed(host: SimHost, id: string, error: unknown): void {
    this.#world.trace(
      `primary ${id} failed: ${error instanceof Error ? error.stack : String(error)}`,
    );
    if (!this.#is(host)) return;
    if (this.#expectedFailures === 0 || !id.endsWith('/driver')) {
      this.onFailure?.(id, error);
      return;
    }
    this.#expectedFailures--;
    const started = this.started.get(Number(id.slice(1).split('/')[0]));
    if (started === undefined) return;
    started.running = false;
    this.#restart(host, started).catch((problem: unknown) => this.onFailure?.(id, problem));
  }

  #is(host: SimHost): boolean {
    return this.host === host && host.alive;
  }

  #forgetHost(): void {
    this.host = undefined;
    this.started.clear();
    this.#expectedFailures = 0;
    this.#loseClients();
  }

  #loseClients(): void {
    const clients = this.#clients;
    this.#clients = new Set();
    for (const client of clients) client.lose();
  }

  #stamps() {
    return this.#options.deviceBytes.map((sizeBytes, device) => ({
      name: deviceName(device),
      sizeBytes,
      mtimeMs: 0,
    }));
  }

  /** The I/O of those who died has ended, and their locks are free (H22). */
  async #locksFree(paths: readonly string[]): Promise<void> {
    while (paths.some((path) => this.node.disk(path).holders > 0)) await this.#pause(0.5);
  }

  #pathsOf(group: number): string[] {
    return this.#options.deviceBytes.map((_, device) => dataPath(group, device));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#world.after(ms, 'pause', resolve);
    });
  }
}

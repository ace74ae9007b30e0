/**
 * The groups of which this host is the primary: which are started, with what shared memory, on which
 * host threads. A started group is a supervision set `gN` of driver, PMD and group actor; its shared
 * memory lives here, so that it outlives a crashed thread (H23).
 */
import { access, copyFile, rm, stat } from 'node:fs/promises';
import type { GroupOptions } from '../actors/group.js';
import type { GroupStatus } from '../actors/group-status.js';
import { checkedTunables, linkTunables } from '../actors/group-tunables.js';
import type { GroupShared, SharedDevices } from '../actors/messages.js';
import type { PmdOptions } from '../actors/pmd-options.js';
import { listGroups, readGroupConfig } from '../config/files.js';
import { type GroupConfig, isLoopback } from '../config/group-config.js';
import type { Home } from '../config/home.js';
import { GroupControlView } from '../core/bab/control.js';
import { DeviceMap } from '../core/bitmap/device-map.js';
import { isTdmfError, TdmfError, toPlainError } from '../core/errors.js';
import type { DeviceStamp, GroupRecord } from '../core/pstore/record.js';
import type { Decision } from '../core/supervision.js';
import { type Tunables, type TunableValues, tunablesOf } from '../core/tunables.js';
import type { PrimaryInfo } from '../info.js';
import type { DeviceOpener } from '../ports/block-device.js';
import type { Clock } from '../ports/clock.js';
import type { Log } from '../ports/log.js';
import type { ActorSystem } from '../runtime/pool.js';
import { notReadable, notStarted, primaryInfo } from './primary-info.js';
import { type Problem, problemOf } from './problem.js';
import { Rates } from './rates.js';
import type { SharedPool } from './shared-pool.js';

export interface PrimaryGroupsOptions {
  readonly home: Home;
  readonly system: ActorSystem;
  readonly log: Log;
  readonly publish: (type: string, payload: Readonly<Record<string, unknown>>) => void;
  readonly nodeId: string;
  readonly version: string;
  readonly io: DeviceOpener;
  readonly pool: SharedPool;
  readonly pstorePath: string;
  readonly tcpWindowKb: number;
  readonly hotRegionMb: number;
  readonly hotRegions: number;
  readonly clock: Clock;
}

export interface StartedGroup {
  readonly config: GroupConfig;
  readonly shared: GroupShared;
  readonly view: GroupControlView;
  readonly sizes: readonly number[];
  readonly rates: Rates;
}

/** A stop drains what the link takes in this time; the rest is tracked (Rule 31). */
const drainOnStopMs = 5_000;
/** How often a waiting sync looks at the cursors. */
const syncLookMs = 20;

export class PrimaryGroups {
  readonly #options: PrimaryGroupsOptions;
  readonly #started = new Map<number, StartedGroup>();
  /** Why groups that should run do not; forgotten when they start or are stopped. */
  readonly #problems = new Map<number, Problem>();
  /** One start or stop of a group at a time. */
  readonly #turns = new Map<number, Promise<unknown>>();

  constructor(options: PrimaryGroupsOptions) {
    this.#options = options;
  }

  started(group: number): StartedGroup | undefined {
    return this.#started.get(group);
  }

  all(): IterableIterator<[number, StartedGroup]> {
    return this.#started.entries();
  }

  /** @throws TDMF_GROUP_STARTED, TDMF_CONFIG_*, TDMF_DEVICE_*, TDMF_BAB_SHARE */
  start(group: number): Promise<void> {
    return this.#inTurn(group, async () => {
      if (this.#started.has(group)) throw new TdmfError('TDMF_GROUP_STARTED', { group });
      const { home, pool, publish } = this.#options;
      const config = await readGroupConfig(home, 'p.cfg', group);
      const sizes = await this.#sizes(config);
      const poolSlot = pool.admit(group, (await listGroups(home, 'p.cfg')).length);
      const control = GroupControlView.create(config.devices.length);
      const started: StartedGroup = {
        config,
        sizes,
        view: new GroupControlView(control),
        rates: new Rates(),
        shared: {
          group,
          poolSlot,
          pool: pool.pool.header,
          babMemories: pool.pool.memories,
          control,
          maps: sizes.map((bytes) => new SharedArrayBuffer(DeviceMap.bytesFor(bytes))),
        },
      };
      this.#started.set(group, started);
      const known = await exists(home.groupFile('p.cur', group));
      try {
        await this.#spawn(group, started, false, known);
        // Only now: a group that was refused must not take the device of another at the next boot.
        await copyFile(home.groupFile('p.cfg', group), home.groupFile('p.cur', group));
      } catch (error) {
        await this.#end(group, started);
        throw error;
      }
      this.#problems.delete(group);
      publish('group.started', { group });
    });
  }

  /**
   * A group that the operator stopped stays stopped when tdmfd starts again, unless `restart` (the
   * manual's `tdmfstop -s`).
   * @throws TDMF_GROUP_STOPPED, TDMF_GROUP_UNKNOWN, TDMF_GROUP_BUSY
   */
  stop(group: number, { force = false, restart = false } = {}): Promise<void> {
    return this.#inTurn(group, async () => {
      const current = this.#options.home.groupFile('p.cur', group);
      if (!this.#started.has(group) && (await exists(current))) {
        // It could not be started again; now nobody wants it to.
        this.#problems.delete(group);
        if (!restart) await rm(current, { force: true });
        return;
      }
      const started = await this.#need(group);
      const connections = await this.#options.system
        .ask<number>(`g${group}/driver`, { kind: 'driver.connections' })
        .catch(() => 0);
      if (connections > 0 && !force) {
        throw new TdmfError('TDMF_GROUP_BUSY', { group, count: connections });
      }
      await this.#stopCleanly(group, started);
      if (!restart) await rm(current, { force: true });
      this.#options.publish('group.stopped', { group });
    });
  }

  /** A request of the operator to the group's mode machine. */
  async operator(
    group: number,
    verb: string,
    args: Readonly<Record<string, unknown>>,
  ): Promise<unknown> {
    await this.#need(group);
    return this.#options.system.ask(`g${group}/group`, { kind: 'operator', verb, args });
  }

  /**
   * tdmfset: changes tunables, if any are given, and answers with all that are in force. The pstore
   * has the word, also on a group that does not run.
   * @throws TDMF_TUNABLE_INVALID, TDMF_TUNABLE_UNRECORDED, TDMF_GROUP_UNKNOWN
   */
  tunables(group: number, given: TunableValues): Promise<Tunables> {
    return this.#inTurn(group, async () => {
      const { home, system } = this.#options;
      const values = checkedTunables(given);
      if (this.#started.has(group)) {
        const question = { kind: 'set', tunables: values };
        return tunablesOf(await system.ask<TunableValues>(`g${group}/group`, question));
      }
      const pstore = system.address('pstore');
      const record = await pstore.ask<GroupRecord | null | undefined>({
        kind: 'pstore.load',
        group,
      });
      const changes = Object.keys(values).length > 0;
      if (!record) {
        await this.#need(group).catch((error: unknown) => {
          if (!isTdmfError(error) || error.code !== 'TDMF_GROUP_STOPPED') throw error;
        });
        if (changes) throw new TdmfError('TDMF_TUNABLE_UNRECORDED', { group });
        return tunablesOf((await readGroupConfig(home, 'p.cfg', group)).tunables);
      }
      const told = { ...record.tunables, ...values };
      if (changes) await pstore.ask({ kind: 'pstore.save', record: { ...record, tunables: told } });
      return tunablesOf(told);
    });
  }

  /**
   * tdmfsync: the local devices are flushed, and everything written until now is durable on the
   * mirror. Waits as long as it takes; refused where entries do not reach the mirror.
   */
  async sync(group: number): Promise<void> {
    const { system, clock } = this.#options;
    const { view } = await this.#need(group);
    const refused = (mode: string) => {
      const reason = `in ${mode} not every write goes on to the mirror`;
      return new TdmfError('TDMF_MODE_REFUSED', { group, event: 'sync', mode, reason });
    };
    const { mode } = await this.infoOf(group);
    if (mode !== 'NORMAL') throw refused(mode);
    await system.ask(`g${group}/driver`, { kind: 'driver.flush' });
    const published = view.cursor('published');
    const isDurable = () => ((published - view.cursor('durable')) | 0) <= 0;
    while (!isDurable()) {
      system.address(`g${group}/pmd`).tell({ type: 'pmd.flush' });
      await new Promise<void>((resolve) => {
        clock.after(syncLookMs, resolve);
      });
      if (view.latched) throw refused('TRACKING');
    }
    // Entries that were dropped, for a refresh or as poison, count as done and are not on the mirror.
    const after = (await this.infoOf(group)).mode;
    if (after === 'NORMAL') return;
    throw new TdmfError('TDMF_MODE_REFUSED', { group, event: 'sync', mode: after });
  }

  /** Groups that ran when the home was last used run again (MD 34). */
  async resumeAll(): Promise<void> {
    await Promise.all((await this.wanted()).map((group) => this.#resume(group)));
  }

  /** Groups that ran when the home was last used, or were stopped with -s, and do not run now. */
  async wanted(): Promise<number[]> {
    const groups = await listGroups(this.#options.home, 'p.cur');
    return groups.filter((group) => !this.#started.has(group));
  }

  async #resume(group: number): Promise<void> {
    await this.start(group).catch((error: unknown) => {
      const problem = problemOf(error);
      this.#problems.set(group, problem);
      this.#options.publish('group.startFailed', { group, ...problem });
    });
  }

  async stopAll(): Promise<void> {
    await Promise.all(
      [...this.#started].map(([group, started]) =>
        this.#inTurn(group, () => this.#stopCleanly(group, started)),
      ),
    );
  }

  /** The set of a group failed and has ended: start it again, or leave it parked. */
  async setFailed(set: string, decision: Decision, error: unknown): Promise<void> {
    const group = Number(set.slice(1));
    const started = this.#started.get(group);
    if (started === undefined || decision.kind === 'park') return;
    await this.#inTurn(group, async () => {
      // Stopped meanwhile: its slot of the BAB may be another group's by now (Rule 42a).
      if (this.#started.get(group) !== started) return;
      await this.#spawn(group, started, true, true);
      this.#options.publish('group.restarted', { group, cause: toPlainError(error).message });
    });
  }

  async info(): Promise<PrimaryInfo[]> {
    const { home } = this.#options;
    const groups = new Set([
      ...(await listGroups(home, 'p.cfg')),
      ...(await listGroups(home, 'p.cur')),
      ...this.#started.keys(),
    ]);
    return Promise.all([...groups].map((group) => this.infoOf(group)));
  }

  async infoOf(group: number): Promise<PrimaryInfo> {
    const { home, system, pool, pstorePath, clock } = this.#options;
    const started = this.#started.get(group);
    if (started === undefined) {
      const problem = this.#problems.get(group) ?? null;
      try {
        const config = await readGroupConfig(home, 'p.cfg', group);
        return notStarted(config, home, pstorePath, problem);
      } catch (error) {
        const missing = isTdmfError(error) && error.code === 'TDMF_CONFIG_MISSING';
        if (missing && !(await exists(home.groupFile('p.cur', group))))
          throw new TdmfError('TDMF_GROUP_UNKNOWN', { group });
        return notReadable(group, pstorePath, problem ?? problemOf(error));
      }
    }
    const status = await system
      .ask<GroupStatus>(`g${group}/group`, { kind: 'status' })
      .catch(() => undefined);
    const now = { monotonicMs: clock.now(), wallMs: clock.wallNow() };
    return primaryInfo(started, status, pool.pool, home, pstorePath, now);
  }

  async #spawn(
    group: number,
    started: StartedGroup,
    recovering: boolean,
    known: boolean,
  ): Promise<void> {
    const { system, nodeId, version } = this.#options;
    const { config, shared } = started;
    const set = `g${group}`;
    const ids = {
      groupActor: `${set}/group`,
      driverActor: `${set}/driver`,
      pmdActor: `${set}/pmd`,
    };
    const home = group % system.hosts;
    const { hotRegionMb, hotRegions } = this.#options;
    const hot = { regionMin: hotRegionMb * 2 ** 20, hotTarget: hotRegions };
    await system.spawn({
      id: `${set}/driver`,
      kind: 'driver',
      set,
      host: home,
      options: { ...ids, shared, devices: config.devices, recovering, ...hot },
    });
    const devices = await system.ask<SharedDevices>(`${set}/driver`, { kind: 'driver.share' });
    await this.#checkSizes(started, devices);
    await system.spawn({
      id: ids.pmdActor,
      kind: 'pmd',
      set,
      host: (group + 1) % system.hosts,
      options: {
        ...ids,
        group,
        shared,
        devices,
        nodeId,
        version,
        loopback: isLoopback(config),
        target: {
          host: config.secondary.host,
          port: config.secondary.port,
          secret: config.secret,
        },
        deviceList: devices.map(({ sizeBytes, logicalBlockBytes }, index) => ({
          name: config.devices[index]?.name ?? '',
          sizeBytes,
          blockBytes: logicalBlockBytes,
        })),
        tunables: {
          ...linkTunables(tunablesOf(config.tunables)),
          tcpWindowBytes: this.#options.tcpWindowKb * 1024,
        },
      } satisfies PmdOptions,
    });
    await system.spawn({
      id: ids.groupActor,
      kind: 'group',
      set,
      host: home,
      options: {
        group,
        control: shared.control,
        shared,
        mapFile: this.#options.home.groupFile('p.map', group),
        known,
        restarted: recovering,
        tunables: config.tunables,
        devices: await stampsOf(config, started.sizes),
      } satisfies GroupOptions,
    });
  }

  /** The driver first: then no write is in flight and the devices are flushed (Rule 31). */
  async #stopCleanly(group: number, started: StartedGroup): Promise<void> {
    const { system, log } = this.#options;
    try {
      // H21: when the devices cannot be flushed the stop is not clean, and the next start says so.
      await system.ask(`g${group}/driver`, { kind: 'driver.flush', last: true });
      await system.stopActor(`g${group}/driver`);
      const devices = await stampsOf(started.config, started.sizes);
      const question = { kind: 'prepareStop', drainMs: drainOnStopMs, devices };
      await system.ask(`g${group}/group`, question);
    } catch (error) {
      log.write('error', 'a group did not stop cleanly', { group, error: toPlainError(error) });
    }
    await this.#end(group, started);
  }

  async #end(group: number, started: StartedGroup): Promise<void> {
    await this.#options.system.stopSet(`g${group}`);
    this.#options.pool.withdraw(started.shared.poolSlot);
    this.#started.delete(group);
  }

  async #need(group: number): Promise<StartedGroup> {
    const started = this.#started.get(group);
    if (started !== undefined) return started;
    const known = await exists(this.#options.home.groupFile('p.cfg', group));
    throw new TdmfError(known ? 'TDMF_GROUP_STOPPED' : 'TDMF_GROUP_UNKNOWN', { group });
  }

  /** Sizes, and early, clear errors for paths that are wrong or devices that are in use. */
  async #sizes(config: GroupConfig): Promise<number[]> {
    return Promise.all(
      config.devices.map(async ({ data }) => {
        const device = await this.#options.io.open({ path: data, access: 'readwrite' });
        const { sizeBytes } = device;
        await device.close();
        if (sizeBytes > 0) return sizeBytes;
        throw new TdmfError('TDMF_DEVICE_SIZE', { path: data, actual: sizeBytes, expected: 512 });
      }),
    );
  }

  /** The maps, the clients and the mirror know the size of before; another needs a stop and a start. */
  async #checkSizes({ sizes }: StartedGroup, devices: SharedDevices): Promise<void> {
    const index = devices.findIndex(({ sizeBytes }, device) => sizeBytes !== sizes[device]);
    if (index < 0) return;
    // They are ours to close: the lock is on what they describe (H22).
    await Promise.all(devices.map((device) => this.#options.io.adopt(device).close()));
    const { path, sizeBytes } = devices[index]!;
    throw new TdmfError('TDMF_DEVICE_SIZE', { path, actual: sizeBytes, expected: sizes[index] });
  }

  #inTurn<T>(group: number, run: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(group) ?? Promise.resolve();
    const turn = before.then(run, run);
    this.#turns.set(
      group,
      turn.catch(() => undefined),
    );
    return turn;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** What the local devices look like: what a start compares with the stop before (Rule 33). */
function stampsOf(config: GroupConfig, sizes: readonly number[]): Promise<DeviceStamp[]> {
  return Promise.all(
    config.devices.map(async ({ name, data }, index) => {
      const file = await stat(data);
      const mtimeMs = file.isFile() ? file.mtimeMs : 0;
      return { name, sizeBytes: sizes[index] ?? 0, mtimeMs };
    }),
  );
}

/**
 * A PMD in the simulated world: local disks, a BAB, a stand-in for the driver that writes, marks and
 * appends as the rules say, and a stand-in for the group that records what it is told and, when asked
 * to, leads a refresh through its phases.
 */
import type { Actor } from '../../src/actors/actor.js';
import type {
  DriverMessage,
  GroupMessage,
  PmdMessage,
  Position,
  PrimaryLineage,
  RefreshKind,
  SharedDevices,
} from '../../src/actors/messages.js';
import { startPmd } from '../../src/actors/pmd.js';
import type { ChunkTunables } from '../../src/actors/pmd-options.js';
import { GroupControlView } from '../../src/core/bab/control.js';
import { BabPool } from '../../src/core/bab/pool.js';
import { BabWriter } from '../../src/core/bab/writer.js';
import { DeviceMap } from '../../src/core/bitmap/device-map.js';
import { babChunkBytes, mapBlockBytes } from '../../src/core/constants.js';
import { IoVector } from '../../src/core/io-vector.js';
import type { BlockDevice } from '../../src/ports/block-device.js';
import type { LinkDialer } from '../../src/ports/link.js';
import type { Ports } from '../../src/ports/ports.js';
import { SimActors } from '../../src/testing/actors.js';
import type { SimDisk } from '../../src/testing/disk.js';
import { SimNode, type SimProcess } from '../../src/testing/node.js';
import { SimWorld } from '../../src/testing/world.js';
import { ScriptedSecondary } from './scripted-secondary.js';

export const eraOf = (number: number): string => number.toString(16).padStart(32, '0');

export interface BenchOptions {
  readonly seed?: number;
  /** Blocks of each device. */
  readonly blocks?: readonly number[];
  readonly chunks?: number;
  readonly tunables?: Partial<ChunkTunables>;
  /** Another network than the one to the scripted secondary. */
  readonly dialer?: (world: SimWorld) => LinkDialer;
}

export class PmdBench {
  readonly world: SimWorld;
  readonly secondary: ScriptedSecondary;
  readonly process: SimProcess;
  readonly disks: readonly SimDisk[];
  readonly maps: readonly DeviceMap[];
  readonly pool: BabPool;
  readonly control: GroupControlView;
  readonly writer: BabWriter;
  readonly heard: GroupMessage[] = [];
  readonly driverHeard: DriverMessage[] = [];
  readonly failures: unknown[] = [];
  append = true;
  mark = false;
  era = 1;
  lineage: PrimaryLineage;
  /** Lead refreshes through phase b as the group does. */
  leads = true;
  readonly #options: BenchOptions;
  readonly #control: SharedArrayBuffer;
  readonly #memories: readonly SharedArrayBuffer[];
  readonly #actors: SimActors;
  #devices: BlockDevice[] = [];

  constructor(options: BenchOptions = {}) {
    this.#options = options;
    const { seed = 1, blocks = [8, 4], chunks = 128 } = options;
    this.world = new SimWorld(seed);
    this.secondary = new ScriptedSecondary(this.world);
    const node = new SimNode(this.world, 'a');
    this.disks = blocks.map((count, index) => node.addDisk(`/d${index}`, count * mapBlockBytes));
    for (const [index, disk] of this.disks.entries()) disk.live.fill(index + 1);
    this.process = node.process();
    this.pool = BabPool.create({ bytes: chunks * babChunkBytes });
    this.pool.promiseShare(0, 8 * babChunkBytes);
    this.#control = GroupControlView.create(blocks.length);
    this.control = new GroupControlView(this.#control);
    this.writer = new BabWriter({ pool: this.pool, poolSlot: 0, control: this.#control });
    this.#memories = this.disks.map(
      (disk) => new SharedArrayBuffer(DeviceMap.bytesFor(disk.sizeBytes)),
    );
    this.maps = this.#memories.map(
      (memory, index) => new DeviceMap(memory, this.disks[index]!.sizeBytes),
    );
    this.writer.beginEra(eraOf(1), 1, 1e9);
    this.lineage = {
      nodeId: 'primary',
      era: eraOf(1),
      s0: 1,
      lease: 1e9,
      base: undefined,
      chain: [],
      history: [],
      map: 'continuous',
      dirty: false,
      appending: true,
      past: [],
      refreshId: undefined,
      refreshKind: undefined,
      order: undefined,
    };
    // A mirror that is where the primary began.
    this.secondary.state = 'coherent';
    this.secondary.position = { era: eraOf(1), sequence: 0 };
    this.secondary.durable = this.secondary.position;
    this.secondary.mirrors = this.disks.map((disk) => disk.live.slice());
    const ports = {
      devices: this.process,
      files: this.process.files,
      dialer: options.dialer?.(this.world) ?? this.secondary,
    };
    this.#actors = new SimActors({
      name: 'a',
      world: this.world,
      ports: ports as unknown as Ports,
      onEvent: () => {},
      onFailed: (_id, error) => this.failures.push(error),
    });
  }

  async start(): Promise<this> {
    const group: Actor<GroupMessage> = {
      receive: (message) => {
        this.world.trace(`group hears ${JSON.stringify(message)}`);
        this.heard.push(message);
        if (this.leads) this.#lead(message);
      },
      stop: async () => {},
    };
    await this.#actors.start('g0/group', async () => group, {});
    const driver: Actor<DriverMessage> = {
      receive: (message) => void this.driverHeard.push(message),
      stop: async () => {},
    };
    await this.#actors.start('g0/driver', async () => driver, {});
    for (const { path } of this.disks) {
      this.#devices.push(await this.process.open({ path, access: 'readwrite' }));
    }
    await this.#actors.start('g0/pmd', startPmd, {
      shared: {
        group: 0,
        poolSlot: 0,
        pool: this.pool.header,
        babMemories: this.pool.memories,
        control: this.#control,
        maps: this.#memories,
      },
      group: 0,
      target: { host: 'b', port: 575, secret: btoa('k'.repeat(32)) },
      devices: this.share(),
      deviceList: this.disks.map(({ sizeBytes, logicalBlockBytes }, index) => ({
        name: `d${index}`,
        sizeBytes,
        blockBytes: logicalBlockBytes,
      })),
      nodeId: 'primary',
      loopback: false,
      version: 'test',
      tunables: {
        chunkSizeKb: 256,
        chunkDelayMs: 0,
        compression: false,
        refreshRateKb: 0,
        tcpWindowBytes: 0,
        ...this.#options.tunables,
      },
      groupActor: 'g0/group',
      driverActor: 'g0/driver',
    });
    return this;
  }

  share(): SharedDevices {
    return this.#devices.map((device) => device.share());
  }

  async launch(): Promise<this> {
    this.tell({ type: 'pmd.lineage', lineage: this.lineage });
    this.tell({ type: 'pmd.launch', nonce: 'launch-1' });
    return this;
  }

  tell(message: PmdMessage): void {
    if (!this.#actors.address('g0/pmd').tell(message)) throw new Error('the PMD takes no message');
  }

  async stop(): Promise<void> {
    await this.world.settled(this.#actors.stop('g0/pmd'));
  }

  told<Type extends GroupMessage['type']>(type: Type) {
    return this.heard.filter(
      (message): message is Extract<GroupMessage, { type: Type }> => message.type === type,
    );
  }

  async hears(type: GroupMessage['type'], times = 1, limitMs = 60_000): Promise<void> {
    await this.until(() => this.told(type).length >= times, `${type} ×${times}`, limitMs);
  }

  async until(done: () => boolean, what: string, limitMs = 60_000): Promise<void> {
    await this.world.until(
      () => {
        if (this.failures.length > 0) throw this.failures[0];
        return done();
      },
      limitMs,
      what,
    );
  }

  /** One write of the application, whole in one turn: T1 with its duties. */
  write(device: number, offset: number, length: number, fill: number): number {
    const before = this.startWrite(device, offset, length);
    this.disks[device]!.live.fill(fill, offset, offset + length);
    return this.endWrite(device, offset, length, before);
  }

  startWrite(device: number, offset: number, length: number): boolean {
    if (this.mark) this.maps[device]!.mark(offset, length);
    return this.append;
  }

  /** The local write has completed: mark again, stamp, publish, wake. Returns the sequence. */
  endWrite(device: number, offset: number, length: number, append: boolean): number {
    if (this.mark) this.maps[device]!.mark(offset, length);
    if (!append || !this.append) return 0;
    const { writer, pool } = this;
    const memory = new IoVector(16);
    if (!writer.reserve(length, 64, memory)) throw new Error('the BAB is full');
    const live = this.disks[device]!.live;
    let at = offset;
    for (let piece = 0; piece < memory.count; piece += 1) {
      const bytes = live.subarray(at, at + memory.lengths[piece]!);
      pool.bytes[memory.arena]!.set(bytes, memory.offsets[piece]);
      at += memory.lengths[piece]!;
    }
    const slot = writer.slots.claim(this.control.stamped);
    const entries = BabWriter.entriesOf(memory);
    if (!writer.prepare(entries)) throw new Error('the BAB is full');
    writer.slots.start(slot, device, offset, length, 1, entries);
    const sequence = writer.publish(slot, memory, 0);
    writer.slots.free(slot);
    if (this.control.takeSleeper()) this.tell({ type: 'pmd.wake' });
    return sequence;
  }

  /** launchrefresh, up to phase a; by itself it is what TRACKING does when the link is there. */
  refresh(refreshId: string, kind: RefreshKind = 'full', ordered = true): void {
    this.append = false;
    this.mark = true;
    for (const map of this.maps) {
      if (kind === 'full') map.markAll();
      if (kind === 'checksum') map.markAllCompare();
    }
    const order = ordered ? kind : undefined;
    const open = { refreshId, refreshKind: kind, order };
    this.lineage = { ...this.lineage, ...open, dirty: true, appending: false };
    this.tell({ type: 'pmd.lineage', lineage: this.lineage });
    this.tell({ type: 'pmd.drop', token: 7 });
    this.tell({ type: 'pmd.refresh', refreshId, kind, union: false });
  }

  /** launchbackfresh: the door is shut, the BAB is in the map, the record says so. */
  backfresh(refreshId: string, compareAll = false): void {
    this.append = false;
    this.mark = true;
    const open = { refreshId, refreshKind: 'back', order: 'back' } as const;
    this.lineage = { ...this.lineage, ...open, dirty: true, appending: false };
    this.tell({ type: 'pmd.lineage', lineage: this.lineage });
    this.tell({ type: 'pmd.drop', token: 7 });
    const cursor = { device: 0, offset: 0 };
    this.tell({ type: 'pmd.backfresh', refreshId, compareAll, cursor });
  }

  /** Its end: the new era and the empty map are durable, the mirror goes on in it. */
  handOver(refreshId: string, from: Position): void {
    const { era, s0 } = this.beginEra();
    for (const map of this.maps) map.clearAll();
    const done = { refreshId: undefined, refreshKind: undefined, order: undefined } as const;
    this.lineage = { ...this.lineage, ...done, base: from, chain: [], dirty: false };
    this.tell({ type: 'pmd.lineage', lineage: this.lineage });
    this.tell({ type: 'pmd.backfreshEnd', refreshId, handOver: { from, era, s0 } });
  }

  /** NORMAL. */
  normal(): void {
    this.append = true;
    this.mark = false;
    this.lineage = { ...this.lineage, appending: true };
    this.tell({ type: 'pmd.lineage', lineage: this.lineage });
  }

  /** TRACKING: writes are marked from here on, what is in the BAB is drained. */
  track(): void {
    this.append = false;
    this.mark = true;
    this.lineage = { ...this.lineage, appending: false, dirty: true };
    this.tell({ type: 'pmd.lineage', lineage: this.lineage });
  }

  beginEra(): { era: string; s0: number } {
    this.era += 1;
    const era = eraOf(this.era);
    const s0 = this.control.stamped + 1;
    this.writer.beginEra(era, s0, 1e9);
    this.lineage = { ...this.lineage, era, s0, chain: [...this.lineage.chain, this.lineage.era] };
    return { era, s0 };
  }

  get same(): boolean {
    return this.disks.every((disk, index) => {
      const mirror = this.secondary.mirrors[index]!;
      return Buffer.compare(disk.live, mirror) === 0;
    });
  }

  #lead(message: GroupMessage): void {
    if (message.type === 'refresh.converged') {
      const { refreshId } = message;
      const { era, s0 } = this.beginEra();
      this.append = true;
      this.lineage = { ...this.lineage, appending: true };
      this.tell({ type: 'pmd.lineage', lineage: this.lineage });
      this.tell({ type: 'pmd.phaseB', refreshId, era, s0 });
    } else if (message.type === 'refresh.frozenRead') {
      const { refreshId } = message;
      this.tell({ type: 'pmd.mark', refreshId, mark: this.control.stamped });
    } else if (message.type === 'refresh.committed') {
      this.mark = false;
      for (const map of this.maps) map.clearAll();
      this.lineage = {
        ...this.lineage,
        refreshId: undefined,
        refreshKind: undefined,
        order: undefined,
        base: message.position,
        chain: [],
        dirty: false,
      };
      this.tell({ type: 'pmd.lineage', lineage: this.lineage });
    } else if (message.type === 'refresh.phaseBLost') {
      this.append = false;
      this.lineage = { ...this.lineage, appending: false };
      this.tell({ type: 'pmd.abort', refreshId: message.refreshId, again: true });
    }
  }
}

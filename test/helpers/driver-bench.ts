/**
 * A driver in the simulated world: disks that complete in random order, clients that speak NBD over
 * simulated streams, mailboxes that record what the group and the PMD are told, the BAB seen from
 * the PMD's side. `crash` loses the driver as a thread crash does; `restart` starts its successor.
 */
import type { Actor, ActorContext, Address } from '../../src/actors/actor.js';
import { type DriverOptions, startDriver } from '../../src/actors/driver.js';
import type {
  DriverMessage,
  GroupMessage,
  GroupShared,
  PmdMessage,
} from '../../src/actors/messages.js';
import { GroupControlView } from '../../src/core/bab/control.js';
import { type BabEntry, newBabEntry } from '../../src/core/bab/descriptors.js';
import { BabPool } from '../../src/core/bab/pool.js';
import { BabReader } from '../../src/core/bab/reader.js';
import { DeviceMap } from '../../src/core/bitmap/device-map.js';
import { babChunkBytes } from '../../src/core/constants.js';
import { entryFlags } from '../../src/core/wire/messages.js';
import type { ArenaMemory } from '../../src/ports/block-device.js';
import type { ByteStream } from '../../src/ports/byte-stream.js';
import type { CompletionSink } from '../../src/ports/completion.js';
import type { Ports } from '../../src/ports/ports.js';
import { Arenas } from '../../src/testing/arenas.js';
import type { SimDisk } from '../../src/testing/disk.js';
import { SimNode, type SimProcess } from '../../src/testing/node.js';
import { SimStream } from '../../src/testing/stream.js';
import { SimWorld } from '../../src/testing/world.js';
import { HeatPstore } from './heat-pstore.js';
import { parseReplies, type Reply, request } from './nbd-bytes.js';

export const era = '0123456789abcdef'.repeat(2);
export const otherEra = 'fedcba9876543210'.repeat(2);

export interface BenchOptions {
  readonly seed?: number;
  readonly deviceBytes?: number;
  readonly devices?: number;
  readonly babBytes?: number;
  readonly shareBytes?: number;
  readonly logicalBlockBytes?: number;
  readonly direct?: boolean;
  readonly regionMin?: number;
  readonly hotTarget?: number;
  /** The group has not said yet what the duties of a write are; otherwise PASSTHRU. */
  readonly groupSilent?: boolean;
}

export interface PublishedEntry extends BabEntry {
  readonly payload: Uint8Array | undefined;
}

export class DriverBench {
  readonly world: SimWorld;
  readonly node: SimNode;
  readonly disks: SimDisk[] = [];
  readonly pool: BabPool;
  readonly control: GroupControlView;
  readonly reader: BabReader;
  readonly maps: DeviceMap[];
  readonly facts: GroupMessage[] = [];
  readonly pmdMessages: PmdMessage[] = [];
  readonly failures: unknown[] = [];
  readonly pstore: HeatPstore;
  /** False: the group's mailbox is full. */
  groupListens = true;
  driver: Actor<DriverMessage> | undefined;
  readonly #options: Omit<DriverOptions, 'recovering'>;
  readonly #streams = new Map<number, SimStream>();
  readonly #direct: boolean;
  #process: SimProcess;
  #arenas: BenchArenas;
  #nextFd = 100;

  static async start(options: BenchOptions = {}): Promise<DriverBench> {
    const bench = new DriverBench(options);
    await bench.restart(false);
    if (options.groupSilent !== true) {
      bench.tell({ type: 'driver.duties', append: false, mark: false, token: 0 });
      bench.facts.length = 0;
    }
    return bench;
  }

  private constructor(options: BenchOptions) {
    const deviceBytes = options.deviceBytes ?? 4 * 2 ** 20;
    const deviceCount = options.devices ?? 1;
    this.world = new SimWorld(options.seed ?? 1);
    this.pstore = new HeatPstore(this.world);
    this.node = new SimNode(this.world, 'primary');
    this.#direct = options.direct ?? false;
    const logicalBlockBytes = options.logicalBlockBytes ?? 512;
    for (let index = 0; index < deviceCount; index++) {
      this.disks.push(this.node.addDisk(`/d${index}`, deviceBytes, { logicalBlockBytes }));
    }
    const maps = this.disks.map(() => new SharedArrayBuffer(DeviceMap.bytesFor(deviceBytes)));
    this.maps = maps.map((memory) => new DeviceMap(memory, deviceBytes));
    this.pool = BabPool.create({ bytes: options.babBytes ?? 64 * babChunkBytes });
    this.pool.promiseShare(0, options.shareBytes ?? 8 * babChunkBytes);
    const control = GroupControlView.create(deviceCount);
    this.control = new GroupControlView(control);
    this.reader = new BabReader(this.pool, control);
    this.#process = this.node.process();
    this.#arenas = new BenchArenas(this.#process);
    this.#options = {
      shared: {
        group: 0,
        poolSlot: 0,
        pool: this.pool.header,
        babMemories: this.pool.memories,
        control,
        maps,
      },
      devices: this.disks.map(({ path }, index) => ({
        name: `d${index}`,
        data: path,
        mirror: path,
        ...(this.#direct && { cache: 'direct' as const }),
      })),
      groupActor: 'g0/group',
      pmdActor: 'g0/pmd',
      ...(options.regionMin !== undefined && { regionMin: options.regionMin }),
      ...(options.hotTarget !== undefined && { hotTarget: options.hotTarget }),
    };
  }

  async restart(recovering = true): Promise<void> {
    this.driver = await this.world.settled(
      startDriver(this.#context(), { ...this.#options, recovering }),
    );
  }

  /** The thread dies; its I/O in flight still lands. Resolves when that is over (Rule 22). */
  async crash(): Promise<void> {
    this.driver = undefined;
    this.node.kill();
    this.#streams.clear();
    await this.world.until(
      () => this.disks.every((disk) => disk.holders === 0),
      10_000,
      'the I/O of the dead driver has ended',
    );
    this.#process = this.node.process();
    this.#arenas = new BenchArenas(this.#process);
  }

  /** As the group and the PMD get it. */
  get shared(): GroupShared {
    return this.#options.shared;
  }

  tell(message: DriverMessage): void {
    this.driver?.receive(message);
  }

  /** Normal mode: entries from sequence 1 on. */
  async normal(lease = 1_000_000): Promise<void> {
    this.tell({ type: 'driver.era', era, sequence: 1, lease });
    await this.duties(true, false, 1000);
  }

  async duties(append: boolean, mark: boolean, token: number): Promise<void> {
    this.tell({ type: 'driver.duties', append, mark, token });
    await this.fact('driver.graced', token);
  }

  /** Waits until the group is told this, and returns it. */
  async fact(type: GroupMessage['type'], token?: number): Promise<GroupMessage> {
    const matches = (fact: GroupMessage) =>
      fact.type === type && (token === undefined || ('token' in fact && fact.token === token));
    await this.world.until(() => this.facts.some(matches), 10_000, `${type} ${token ?? ''}`);
    return this.facts.find(matches)!;
  }

  told(type: GroupMessage['type']): number {
    return this.facts.filter((fact) => fact.type === type).length;
  }

  client(device = 'd0'): BenchClient {
    const fd = this.#nextFd++;
    const stream = new SimStream(this.world.clock, this.#arenas);
    this.#streams.set(fd, stream);
    this.tell({
      type: 'driver.connection',
      fd,
      device,
      structuredReplies: false,
      baseAllocation: false,
      leftover: new Uint8Array(0),
    });
    return new BenchClient(this.world, stream);
  }

  /** Entry number `count` of all; it is not durable yet. */
  entryAt(count: number): BabEntry {
    const entry = newBabEntry();
    this.reader.read(count, entry);
    return entry;
  }

  /** Everything published and not durable, in order, with its payload copied. */
  entries(): PublishedEntry[] {
    const entries: PublishedEntry[] = [];
    for (let index = 0; index < this.reader.pending; index++) {
      const entry = newBabEntry();
      this.reader.read(this.reader.durable + index, entry);
      const zero = (entry.flags & entryFlags.zero) !== 0;
      entries.push({ ...entry, payload: zero ? undefined : this.reader.payload(entry).slice() });
    }
    return entries;
  }

  /** What a mirror that was like `from` holds after all entries, applied in order. */
  mirrorAfter(entries: readonly PublishedEntry[], from: Uint8Array, device = 0): Uint8Array {
    const mirror = from.slice();
    for (const entry of entries) {
      if (entry.device !== device) continue;
      if (entry.payload === undefined) mirror.fill(0, entry.offset, entry.offset + entry.length);
      else mirror.set(entry.payload, entry.offset);
    }
    return mirror;
  }

  /** The secondary has so many more entries durably; rings as the PMD does, a moment later. */
  acknowledge(entries: number): void {
    this.reader.setDurable(this.reader.durable + Math.min(entries, this.reader.pending));
    if (!this.control.takeBell()) return;
    this.world.soon(1, 'driver.acked', () => this.tell({ type: 'driver.acked' }));
  }

  /** The secondary has everything. */
  acknowledgeAll(): void {
    this.reader.setDurable(this.reader.published);
  }

  #context(): ActorContext {
    const addresses: Record<string, Address<never>> = {
      'g0/group': mailbox(this.facts, () => this.groupListens),
      'g0/pmd': mailbox(this.pmdMessages, () => true),
      pstore: this.pstore.address(),
    };
    const process = this.#process;
    const alive = <Args extends unknown[]>(run: (...args: Args) => void) => {
      return (...args: Args) => {
        if (process.alive) run(...args);
      };
    };
    const { clock } = this.world;
    const quiet = { write: () => {}, with: () => quiet };
    return {
      id: 'g0/driver',
      clock: {
        now: () => clock.now(),
        wallNow: () => clock.wallNow(),
        after: (delayMs, fire) => clock.after(delayMs, alive(fire)),
        endOfTurn: (run) => clock.endOfTurn(alive(run)),
      },
      log: quiet,
      random: this.world.random,
      ports: this.#ports(),
      address: <Message>(id: string) => addresses[id] as Address<Message>,
      fail: (error) => {
        this.failures.push(error);
      },
      guard: (run) => alive(run),
      publish: () => {},
    };
  }

  #ports(): Ports {
    const process = this.#process;
    const arenas = this.#arenas;
    const open = process.open.bind(process);
    return {
      devices: Object.assign(process, {
        open,
        allocate: (byteCount: number) => arenas.allocate(byteCount),
        attach: (memory: SharedArrayBuffer, arena: number) => arenas.attachAs(memory, arena),
        release: (memory: ArenaMemory) => arenas.release(memory),
      }),
      streams: { adoptStream: (fd) => mortal(this.#streams.get(fd)!, process) },
      files: process.files,
      dialer: { dial: nobody },
      links: { setKeys: nobody, serve: nobody, onSession: nobody, close: nobody },
    };
  }
}

/** What its sockets still deliver, a thread that is gone does not hear. */
function mortal(stream: SimStream, process: SimProcess): ByteStream {
  const alive = (sink: CompletionSink): CompletionSink => ({
    completed: (tag, result) => {
      if (process.alive) sink.completed(tag, result);
    },
  });
  return {
    receive: (memory, sink, tag) => stream.receive(memory, alive(sink), tag),
    send: (memory, sink, tag) => stream.send(memory, alive(sink), tag),
    close: () => stream.close(),
  };
}

function mailbox<Message>(messages: Message[], listens: () => boolean): Address<Message> {
  return {
    id: 'bench',
    tell: (message) => {
      if (!listens()) return false;
      messages.push(message);
      return true;
    },
    ask: () => Promise.reject(new Error('nobody asks here')),
  };
}

function nobody(): never {
  throw new Error('a driver does not use this port');
}

/** Arena numbers as the simulated process gives them, seen by simulated streams. */
class BenchArenas extends Arenas {
  readonly #allocate: SimProcess['allocate'];
  readonly #attach: SimProcess['attach'];
  readonly #release: SimProcess['release'];
  readonly #bytes = new Map<number, Uint8Array>();

  constructor(process: SimProcess) {
    super();
    this.#allocate = process.allocate.bind(process);
    this.#attach = process.attach.bind(process);
    this.#release = process.release.bind(process);
  }

  override get liveCount(): number {
    return this.#bytes.size;
  }

  override allocate(byteCount: number): ArenaMemory {
    return this.#known(this.#allocate(byteCount));
  }

  attachAs(memory: SharedArrayBuffer, arena: number): ArenaMemory {
    return this.#known(this.#attach(memory, arena));
  }

  override release(memory: ArenaMemory): void {
    this.#bytes.delete(memory.arena);
    this.#release(memory);
  }

  override bytesOf(arena: number): Uint8Array {
    const bytes = this.#bytes.get(arena);
    if (bytes === undefined) throw new Error(`arena ${arena} is not allocated`);
    return bytes;
  }

  #known(memory: ArenaMemory): ArenaMemory {
    this.#bytes.set(memory.arena, memory.bytes);
    return memory;
  }
}

const read = 0;
const write = 1;
const flush = 3;
const trim = 4;
const writeZeroes = 6;
const fuaFlag = 1;

/** An NBD client that keeps many requests under way. */
export class BenchClient {
  readonly stream: SimStream;
  readonly #world: SimWorld;
  readonly #replies = new Map<bigint, Reply>();
  readonly #readLengths = new Map<bigint, number>();
  #nextCookie = 1n;

  constructor(world: SimWorld, stream: SimStream) {
    this.#world = world;
    this.stream = stream;
  }

  write(offset: number, payload: Uint8Array, fua = false): bigint {
    return this.#send({ command: write, offset, payload, flags: fua ? fuaFlag : 0 });
  }

  trim(offset: number, length: number): bigint {
    return this.#send({ command: trim, offset, length });
  }

  zero(offset: number, length: number): bigint {
    return this.#send({ command: writeZeroes, offset, length });
  }

  flush(): bigint {
    return this.#send({ command: flush, offset: 0, length: 0 });
  }

  read(offset: number, length: number): bigint {
    const cookie = this.#send({ command: read, offset, length });
    this.#readLengths.set(cookie, length);
    return cookie;
  }

  answered(cookie: bigint): boolean {
    for (const reply of parseReplies(this.stream.takeReplies(), this.#readLengths)) {
      this.#replies.set(reply.cookie, reply);
    }
    return this.#replies.has(cookie);
  }

  async reply(cookie: bigint): Promise<Reply> {
    await this.#world.until(() => this.answered(cookie), 10_000, `the reply to ${cookie}`);
    return this.#replies.get(cookie)!;
  }

  #send(fields: Omit<Parameters<typeof request>[0], 'cookie'>): bigint {
    const cookie = this.#nextCookie++;
    this.stream.clientWrites(request({ ...fields, cookie }));
    return cookie;
  }
}

export function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** Fast, unlike a deep comparison of millions of elements. */
export function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}

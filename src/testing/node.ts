/**
 * A simulated computer: its disks, its small files, its boots. Processes on it come and go
 * (`SimNode.process()`); disks and files stay. `kill` loses a process and keeps completed writes;
 * `powerCut` also loses what was not flushed and changes the boot id.
 */
import { strict as assert } from 'node:assert';
import { sharedArenasMax } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import type {
  ArenaMemory,
  BlockDevice,
  DeviceOpener,
  OpenOptions,
  SharedDevice,
} from '../ports/block-device.js';
import type { FileStore } from '../ports/file-store.js';
import { simDigest } from './digest.js';
import { busy, type DiskOperation, SimDevice, SimDisk, type SimDiskOptions } from './disk.js';
import { type FilesImage, SimFiles } from './store.js';
import type { SimWorld } from './world.js';

export class SimNode {
  readonly name: string;
  readonly world: SimWorld;
  readonly disks = new Map<string, SimDisk>();
  readonly files: SimFiles;
  boots = 1;
  /** Returns an errno to make an operation on the disk or file at this path fail. */
  fault: ((path: string, operation: DiskOperation) => number) | undefined;
  readonly #threads: SimProcess[] = [];

  constructor(world: SimWorld, name: string) {
    this.world = world;
    this.name = name;
    this.files = new SimFiles(world, () => `${name}-boot-${this.boots}`, this.disks);
  }

  addDisk(path: string, sizeBytes: number, options: SimDiskOptions = {}): SimDisk {
    const disk = new SimDisk(this.world, path, sizeBytes, options);
    disk.faultOfPath = (at, operation) => this.fault?.(at, operation) ?? 0;
    this.disks.set(path, disk);
    return disk;
  }

  disk(path: string): SimDisk {
    const disk = this.disks.get(path);
    assert.ok(disk, `${this.name} has no disk ${path}`);
    return disk;
  }

  /** Starts a process; an earlier one must have ended. */
  process(): SimProcess {
    assert.ok(this.#threads.length === 0, `${this.name} runs one process at a time`);
    return this.join(new SimProcess(this, new Descriptors()));
  }

  /** A further thread of the process that runs. */
  join(thread: SimProcess): SimProcess {
    this.#threads.push(thread);
    return thread;
  }

  /** kill -9: what completed stays; what was in flight may still land, then its lock is free. */
  kill(): void {
    const threads = this.#threads.splice(0);
    for (const thread of threads) thread.die();
    threads[0]?.descriptors.closeAll();
  }

  powerCut(): void {
    this.kill();
    for (const disk of this.disks.values()) disk.powerCut();
    this.files.powerCut();
    this.boots++;
  }

  /** What a snapshot of the virtual machine would hold. */
  snapshot(): NodeImage {
    const disks = new Map(
      [...this.disks].map(([path, disk]) => [path, { disk, bytes: disk.live.slice() }] as const),
    );
    return { disks, files: this.files.snapshot() };
  }

  /** Everything is as it was when the image was taken; no process runs (H8, H26). */
  restore(image: NodeImage): void {
    this.kill();
    for (const path of this.disks.keys()) if (!image.disks.has(path)) this.disks.delete(path);
    for (const [path, { disk, bytes }] of image.disks) {
      disk.powerCut();
      disk.restore(bytes);
      this.disks.set(path, disk);
    }
    this.files.restore(image.files);
    this.boots++;
  }

  /** Lifts every fault. */
  heal(): void {
    this.fault = undefined;
    this.files.fault = undefined;
    for (const disk of this.disks.values()) disk.heal();
  }
}

/** All that a computer keeps, at one instant. */
export interface NodeImage {
  readonly disks: ReadonlyMap<string, { readonly disk: SimDisk; readonly bytes: Uint8Array }>;
  readonly files: FilesImage;
}

/** Device handles on their way from one thread of a process to another. */
export class Descriptors {
  #nextFd = 3;
  readonly #handles = new Map<number, { disk: SimDisk; options: OpenOptions }>();

  add(disk: SimDisk, options: OpenOptions): number {
    // A shared handle holds the lock from the moment it exists.
    disk.holders++;
    const fd = this.#nextFd++;
    this.#handles.set(fd, { disk, options });
    return fd;
  }

  take(fd: number): { disk: SimDisk; options: OpenOptions } {
    const known = this.#handles.get(fd);
    assert.ok(known, 'a shared device is adopted exactly once, in its own process');
    this.#handles.delete(fd);
    known.disk.holders--;
    return known;
  }

  closeAll(): void {
    for (const { disk } of this.#handles.values()) {
      if (disk.holders > 0) disk.holders--;
    }
    this.#handles.clear();
  }
}

/** The DeviceOpener and FileStore of one thread of a process; the first one stands for both. */
export class SimProcess implements DeviceOpener {
  readonly node: SimNode;
  readonly descriptors: Descriptors;
  readonly files: FileStore;
  readonly digest = simDigest;
  alive = true;
  readonly #arenas = new Map<number, Uint8Array>();
  readonly #attached = new Map<number, number>();
  #nextArena = sharedArenasMax;
  readonly #devices = new Set<SimDevice>();

  constructor(node: SimNode, descriptors: Descriptors) {
    this.node = node;
    this.descriptors = descriptors;
    this.files = node.files.mortal(() => this.alive);
  }

  /** Another thread, with an I/O core of its own; it can die alone. */
  thread(): SimProcess {
    return this.node.join(new SimProcess(this.node, this.descriptors));
  }

  async open(options: OpenOptions): Promise<BlockDevice> {
    let disk = this.node.disks.get(options.path);
    if (disk === undefined) {
      if (options.createBytes === undefined) {
        throw new TdmfError('TDMF_DEVICE_MISSING', { path: options.path });
      }
      disk = this.node.addDisk(options.path, options.createBytes);
      this.node.files.created(options.path);
    }
    if (disk.holders > 0) throw busy(options.path);
    return this.#device(disk, options);
  }

  adopt(shared: SharedDevice): BlockDevice {
    const { disk, options } = this.descriptors.take(shared.fd);
    return this.#device(disk, options);
  }

  allocate(byteCount: number): ArenaMemory {
    const arena = this.#nextArena++;
    const bytes = new Uint8Array(new SharedArrayBuffer(byteCount));
    this.#arenas.set(arena, bytes);
    return { arena, bytes };
  }

  attach(memory: SharedArrayBuffer, arena: number): ArenaMemory {
    assert.ok(arena < sharedArenasMax);
    // The actors of several groups attach the same memory; it is known until the last releases it.
    const bytes = this.#arenas.get(arena) ?? new Uint8Array(memory);
    assert.ok(bytes.buffer === memory, `arena ${arena} is another memory`);
    this.#arenas.set(arena, bytes);
    this.#attached.set(arena, (this.#attached.get(arena) ?? 0) + 1);
    return { arena, bytes };
  }

  release(memory: ArenaMemory): void {
    const others = (this.#attached.get(memory.arena) ?? 1) - 1;
    this.#attached.set(memory.arena, others);
    if (others === 0) this.#arenas.delete(memory.arena);
  }

  die(): void {
    this.alive = false;
    for (const device of this.#devices) {
      device.dead = true;
      // The kernel closes the descriptors when the operations in flight are done (H22).
      void device.close().catch(() => undefined);
    }
  }

  /** Operations that a dead thread has left behind have not all ended. */
  get busy(): boolean {
    return this.#devices.size > 0;
  }

  /** The memory behind an arena number of this thread. */
  bytesOf(arena: number): Uint8Array {
    const bytes = this.#arenas.get(arena);
    assert.ok(bytes, `arena ${arena} is not known here`);
    return bytes;
  }

  #device(disk: SimDisk, options: OpenOptions): SimDevice {
    const lookup = (arena: number) => this.bytesOf(arena);
    const device: SimDevice = new SimDevice(disk, lookup, options, () => {
      return {
        fd: this.descriptors.add(disk, options),
        writable: options.access === 'readwrite',
        growable: options.growable === true,
        path: disk.path,
        sizeBytes: disk.sizeBytes,
        logicalBlockBytes: disk.logicalBlockBytes,
        direct: device.direct,
        alignmentBytes: device.alignmentBytes,
      };
    });
    const close = device.close.bind(device);
    device.close = async () => {
      await close();
      this.#devices.delete(device);
    };
    this.#devices.add(device);
    return device;
  }
}

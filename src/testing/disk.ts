/**
 * A simulated disk and the devices opened on it. Faults the system must survive:
 * completions in any order; a write that lands in two parts at two instants; a power cut that keeps
 * any subset of the unflushed sectors; errors on demand (a failed flush reports once and leaves the
 * pages clean, H21); operations of a dead process that land later (H22: zombies), until the disk's
 * lock is released.
 *
 * `live` is what a reader sees; `durable` is what a power cut leaves. Memory is read when the write
 * lands, not when it is submitted, so that memory given back too early shows up as wrong data.
 */
import { strict as assert } from 'node:assert';
import { sectorBytes } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import type { IoVector } from '../core/io-vector.js';
import type {
  BlockDevice,
  Extent,
  OpenOptions,
  SharedDevice,
  ZeroOptions,
} from '../ports/block-device.js';
import type { CompletionSink } from '../ports/completion.js';
import type { SimWorld } from './world.js';

export interface SimDiskOptions {
  readonly logicalBlockBytes?: number;
  /** Longest time of one operation. */
  readonly latencyMsMax?: number;
}

export const errno = { EIO: 5, EINVAL: 22, ENOSPC: 28, EBADF: 9 } as const;

export type DiskOperation = 'read' | 'write' | 'flush' | 'zero';

/** Whoever keeps a digest of a disk hears of every change. */
export interface DiskObserver {
  live(firstSector: number, sectorCount: number): void;
  durable(sector: number): void;
  all(): void;
}

export class SimDisk {
  readonly path: string;
  readonly world: SimWorld;
  readonly logicalBlockBytes: number;
  latencyMsMax: number;
  live: Uint8Array;
  durable: Uint8Array;
  /** Sectors of `live` that a power cut may lose. */
  readonly unflushed = new Set<number>();
  /** Returns an errno to make this operation fail. */
  fault: ((operation: DiskOperation, offset: number, length: number) => number) | undefined;
  /** Nothing completes before this time: the device hangs (H45). */
  hungUntil = 0;
  /** How many times longer everything takes than it should. */
  slowness = 1;
  /** The same for whatever lies at some path: files that come and go. */
  faultOfPath: ((path: string, operation: DiskOperation) => number) | undefined;
  /** A write that fails has changed its first part (H20). */
  tornFaults = false;
  /** Called when sectors of `live` changed: what was there before is gone. */
  landed: ((firstSector: number, sectorCount: number) => void) | undefined;
  /** Handles that share the one lock; 0 means free. */
  holders = 0;
  inFlight = 0;
  /** Another for every disk: a path may come to name another one. */
  readonly inode: number;
  /** Writes that landed so far, by whomever: what its times tell of a file. */
  landings = 0;
  /** Power cuts so far: what was in flight at a cut never lands afterwards. */
  powerCuts = 0;
  /** Grows with every change of `live`, of `durable`: what was read of them before is then stale. */
  liveVersion = 0;
  durableVersion = 0;
  /** Called with each range of `live` that changed, each sector of `durable`, and when all may have. */
  observer: DiskObserver | undefined;

  constructor(world: SimWorld, path: string, sizeBytes: number, options: SimDiskOptions = {}) {
    this.world = world;
    this.path = path;
    this.live = new Uint8Array(sizeBytes);
    this.durable = new Uint8Array(sizeBytes);
    this.logicalBlockBytes = options.logicalBlockBytes ?? sectorBytes;
    this.latencyMsMax = options.latencyMsMax ?? 2;
    this.inode = world.nextInode++;
  }

  get sizeBytes(): number {
    return this.live.length;
  }

  /** Lifts every fault. */
  heal(): void {
    this.fault = undefined;
    this.slowness = 1;
    this.hungUntil = 0;
  }

  failureOf(operation: DiskOperation, offset: number, length: number): number {
    return this.fault?.(operation, offset, length) || this.faultOfPath?.(this.path, operation) || 0;
  }

  grow(sizeBytes: number): void {
    const live = new Uint8Array(sizeBytes);
    live.set(this.live);
    const durable = new Uint8Array(sizeBytes);
    durable.set(this.durable);
    this.live = live;
    this.durable = durable;
    this.#changed();
  }

  /** The disk is as an older image of it was: a snapshot that was rolled back (H8, H26). */
  restore(image: Uint8Array): void {
    this.durable = image.slice();
    this.live = image.slice();
    this.unflushed.clear();
    this.#changed();
  }

  #changed(): void {
    this.liveVersion++;
    this.durableVersion++;
    this.observer?.all();
  }

  land(offset: number, bytes: Uint8Array | undefined, length: number): void {
    if (bytes === undefined) this.live.fill(0, offset, offset + length);
    else this.live.set(bytes, offset);
    this.landings++;
    const end = Math.ceil((offset + length) / sectorBytes);
    const first = Math.floor(offset / sectorBytes);
    for (let s = first; s < end; s++) this.unflushed.add(s);
    this.liveVersion++;
    this.observer?.live(first, end - first);
    this.landed?.(first, end - first);
  }

  makeDurable(sectors: Iterable<number>): void {
    for (const s of sectors) {
      const from = s * sectorBytes;
      this.durable.set(this.live.subarray(from, from + sectorBytes), from);
      this.unflushed.delete(s);
      this.observer?.durable(s);
    }
    this.durableVersion++;
  }

  /** Every unflushed sector is kept or lost by chance. */
  powerCut(): void {
    const random = this.world.random;
    for (const s of this.unflushed) {
      const from = s * sectorBytes;
      if (random.chance(1, 2)) {
        this.durable.set(this.live.subarray(from, from + sectorBytes), from);
      }
    }
    this.unflushed.clear();
    this.live = this.durable.slice();
    this.holders = 0;
    this.inFlight = 0;
    this.powerCuts++;
    this.#changed();
  }
}

/** Finds the bytes of arena memory; given by the opener that made the device. */
export type ArenaLookup = (arena: number) => Uint8Array;

export class SimDevice implements BlockDevice {
  readonly disk: SimDisk;
  readonly path: string;
  readonly logicalBlockBytes: number;
  readonly direct: boolean;
  readonly alignmentBytes: number;
  readonly #arenas: ArenaLookup;
  readonly #growable: boolean;
  readonly #share: () => SharedDevice;
  readonly #powerCuts: number;
  #open = true;
  #inFlight = 0;
  #closing: (() => void) | undefined;
  /** Set when the process died: completions are swallowed, but landed data stays (H22). */
  dead = false;

  constructor(
    disk: SimDisk,
    arenas: ArenaLookup,
    options: Pick<OpenOptions, 'cache' | 'growable'>,
    share: () => SharedDevice,
  ) {
    this.disk = disk;
    this.path = disk.path;
    this.logicalBlockBytes = disk.logicalBlockBytes;
    this.direct = options.cache === 'direct';
    this.alignmentBytes = this.direct ? disk.logicalBlockBytes : 1;
    this.#arenas = arenas;
    this.#growable = options.growable === true;
    this.#share = share;
    this.#powerCuts = disk.powerCuts;
    disk.holders++;
  }

  get sizeBytes(): number {
    return this.disk.sizeBytes;
  }

  read(memory: IoVector, offset: number, sink: CompletionSink, tag: number): void {
    const wanted = memory.totalBytes;
    this.#start('read', offset, wanted, sink, tag, () => {
      let at = offset;
      const end = Math.min(this.disk.sizeBytes, offset + wanted);
      this.#pieces(memory, (bytes) => {
        const n = Math.max(0, Math.min(bytes.length, end - at));
        bytes.set(this.disk.live.subarray(at, at + n));
        at += n;
      });
      return Math.max(0, end - offset);
    });
  }

  write(memory: IoVector, offset: number, fua: boolean, sink: CompletionSink, tag: number): void {
    const length = memory.totalBytes;
    const pieces: { arena: number; offset: number; length: number; at: number }[] = [];
    let at = offset;
    for (let i = 0; i < memory.count; i++) {
      pieces.push({
        arena: memory.arena,
        offset: memory.offsets[i]!,
        length: memory.lengths[i]!,
        at,
      });
      at += memory.lengths[i]!;
    }
    // The write lands in two parts, cut at a sector, at two instants.
    const cut = this.disk.world.random.below(Math.floor(length / sectorBytes) + 1) * sectorBytes;
    const land = (from: number, to: number) => {
      for (const p of pieces) {
        const begin = Math.max(p.at, offset + from);
        const end = Math.min(p.at + p.length, offset + to);
        if (begin >= end) continue;
        const start = p.offset + (begin - p.at);
        this.disk.land(begin, this.#arenas(p.arena).slice(start, start + end - begin), end - begin);
      }
    };
    this.#start(
      'write',
      offset,
      length,
      sink,
      tag,
      () => {
        land(cut, length);
        if (fua) this.disk.makeDurable(sectorsOf(offset, length));
        return length;
      },
      () => land(0, cut),
    );
  }

  flush(sink: CompletionSink, tag: number): void {
    const dirty = [...this.disk.unflushed];
    this.#start('flush', 0, 0, sink, tag, () => {
      this.disk.makeDurable(dirty.filter((s) => this.disk.unflushed.has(s)));
      return 0;
    });
  }

  zero(
    offset: number,
    length: number,
    options: ZeroOptions,
    sink: CompletionSink,
    tag: number,
  ): void {
    this.#start('zero', offset, length, sink, tag, () => {
      this.disk.land(offset, undefined, length);
      if (options.fua) this.disk.makeDurable(sectorsOf(offset, length));
      return 0;
    });
  }

  extentAt(offset: number): Promise<Extent> {
    return Promise.resolve({ length: this.sizeBytes - offset, hole: false });
  }

  share(): SharedDevice {
    return this.#share();
  }

  close(): Promise<void> {
    assert.ok(this.#open, `${this.path} is closed once`);
    this.#open = false;
    return new Promise((resolve) => {
      this.#closing = () => {
        if (this.#powered) this.disk.holders--;
        resolve();
      };
      if (this.#inFlight === 0) this.#closing();
    });
  }

  get #powered(): boolean {
    return this.disk.powerCuts === this.#powerCuts;
  }

  #pieces(memory: IoVector, each: (bytes: Uint8Array) => void): void {
    const bytes = this.#arenas(memory.arena);
    for (let i = 0; i < memory.count; i++) {
      const from = memory.offsets[i]!;
      each(bytes.subarray(from, from + memory.lengths[i]!));
    }
  }

  #start(
    operation: DiskOperation,
    offset: number,
    length: number,
    sink: CompletionSink,
    tag: number,
    finish: () => number,
    half?: () => void,
  ): void {
    assert.ok(this.#open, `no ${operation} on ${this.path} after close`);
    const world = this.disk.world;
    let failure = this.disk.failureOf(operation, offset, length);
    if (operation === 'write' || operation === 'zero') {
      if (offset + length > this.disk.sizeBytes) {
        if (this.#growable) this.disk.grow(offset + length);
        else failure = errno.ENOSPC;
      }
    }
    if (this.direct && (offset % this.alignmentBytes !== 0 || length % this.alignmentBytes !== 0)) {
      failure = errno.EINVAL;
    }
    this.#inFlight++;
    this.disk.inFlight++;
    const disk = this.disk;
    const drawn = world.random.below(Math.max(1, disk.latencyMsMax * 1000)) / 1000;
    const latency = Math.max(0, disk.hungUntil - world.now) + drawn * disk.slowness;
    if (half !== undefined && (failure === 0 || (this.disk.tornFaults && failure === errno.EIO))) {
      world.after(latency * (world.random.below(100) / 100), `${operation} half`, () => {
        if (this.#powered) half();
      });
    }
    world.after(latency, operation, () => {
      if (!this.#powered) return;
      const result = failure === 0 ? finish() : -failure;
      if (failure !== 0 && operation === 'flush') disk.unflushed.clear();
      this.#inFlight--;
      disk.inFlight--;
      if (!this.dead) sink.completed(tag, result);
      if (this.#inFlight === 0) this.#closing?.();
    });
  }
}

export function busy(path: string): TdmfError {
  return new TdmfError('TDMF_DEVICE_BUSY', { path });
}

function* sectorsOf(offset: number, length: number): Generator<number> {
  const end = Math.ceil((offset + length) / sectorBytes);
  for (let s = Math.floor(offset / sectorBytes); s < end; s++) yield s;
}

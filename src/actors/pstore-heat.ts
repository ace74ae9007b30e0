/**
 * The part of the pstore that drivers talk to: what is hot and what is dirty on every device of the
 * host. Changes of all groups that wait share one record of the log and one flush. Keeps: an image in
 * memory is what a restart would find, so it changes only after the flush (I6, H21); a change by a
 * driver that is gone is dropped (its successor has already been told what is hot); what cannot be
 * read is distrusted, never replaced by something older (Rule 28a). Bytes: core/pstore/heat-*.ts.
 */
import type { Crc32c } from '../core/checksum.js';
import { TdmfError } from '../core/errors.js';
import {
  type HeatGeometry,
  heatGeometry,
  imagePagesOf,
  sameGeometry,
} from '../core/pstore/geometry.js';
import { Heap } from '../core/pstore/heap.js';
import {
  decodeImage,
  encodeImage,
  fitsGeometry,
  HeatImage,
  type ImagePlace,
} from '../core/pstore/heat-image.js';
import {
  batchBytes,
  encodeLogRecord,
  findRecords,
  type HeatBatch,
  recordPages,
} from '../core/pstore/heat-log.js';
import { type LogEnd, recoverHeat, recoverLog } from '../core/pstore/heat-recovery.js';
import {
  logAckAt,
  logAckSlot,
  logHalfAt,
  logLayout,
  pstoreBytes,
  pstorePageBytes,
} from '../core/pstore/layout.js';
import { decodeAck, encodeAck } from '../core/pstore/slot.js';
import type { Extent } from '../core/pstore/slot-payload.js';
import type { Superblock } from '../core/pstore/superblock.js';
import type { DeviceCalls } from './device-calls.js';
import type { HeatAnswer, HeatChanges, HeatDevice, HeatDirt, HeatOpen } from './heat-messages.js';
import { changesFrom } from './heat-messages.js';
import { type PstorePlace, pstoreFailed } from './pstore-format.js';

/** The part of a slot that concerns us; the pstore owns it. */
export interface HeatSlot {
  readonly slot: number;
  extents: readonly Extent[];
  /** The slot on the disk names these extents. */
  extentsSaved: boolean;
}

interface Known {
  readonly place: ImagePlace;
  readonly extent: Extent;
  readonly image: HeatImage;
  /** Which of the two is newest on the disk, and its sequence. */
  current: number;
  saved: number;
  /** Why nothing of before is believed. */
  readonly damage: string | undefined;
}

interface Waiting {
  readonly asked: HeatChanges;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Group {
  /** Of the driver that counts. */
  readonly token: number;
  readonly devices: readonly HeatDevice[];
  readonly geometries: readonly HeatGeometry[];
}

/** On the disk, and durable with the next flush. */
interface Written {
  readonly pages: number;
  readonly batches: readonly HeatBatch[];
}

const EIO = 5;
const ENOSPC = 28;

export class PstoreHeat {
  readonly damage: string[] = [];
  readonly #calls: DeviceCalls;
  readonly #superblock: Superblock;
  readonly #crc32c: Crc32c;
  readonly #heap: Heap;
  readonly #slots: Map<number, HeatSlot>;
  readonly #groups = new Map<number, Group>();
  /** By slot and index of the device. */
  readonly #known = new Map<number, Known[]>();
  #queue: Waiting[] = [];
  /** In the record that is being written. */
  #taken: Waiting[] = [];
  #written: Written | undefined;
  #end: LogEnd = { cycle: 1, page: 0, number: 1 };
  #nextAllocation = 1;

  /** `slots`: by group, those that hold a record. */
  constructor(
    place: PstorePlace,
    calls: DeviceCalls,
    superblock: Superblock,
    crc32c: Crc32c,
    slots: Map<number, HeatSlot>,
  ) {
    this.#calls = calls;
    this.#superblock = superblock;
    this.#crc32c = crc32c;
    this.#slots = slots;
    const end = (place.capacityBytes ?? Number.MAX_SAFE_INTEGER) / pstorePageBytes;
    this.#heap = new Heap(pstoreBytes(superblock.slots) / pstorePageBytes, Math.floor(end));
  }

  /** @throws TDMF_PSTORE_FAILED */
  async load(): Promise<void> {
    const { nodeId, logPages } = this.#superblock;
    const halves = [];
    for (const half of [0, 1]) {
      const bytes = await this.#read(logHalfAt(half), logPages * pstorePageBytes);
      halves.push(findRecords(bytes, nodeId, this.#crc32c));
    }
    const ack = await this.#read(logAckAt, pstorePageBytes);
    const log = recoverLog(halves, decodeAck(ack, { nodeId, slot: logAckSlot }, this.#crc32c));
    this.#end = log.end;
    for (const [group, { slot, extents }] of this.#slots) {
      const known: Known[] = [];
      for (const [device, extent] of extents.entries()) {
        this.#heap.take(extent);
        this.#nextAllocation = Math.max(this.#nextAllocation, extent.allocation + 1);
        known.push(await this.#loadDevice(slot, device, extent, log.batches, log.damage));
        const { damage, image } = known.at(-1)!;
        if (damage !== undefined) {
          this.damage.push(`group ${group}, device ${image.name || device}: ${damage}`);
        }
      }
      this.#known.set(slot, known);
    }
    if (log.damage !== undefined) this.damage.push(log.damage);
    if (this.damage.length > 0) await this.#repair();
  }

  async #loadDevice(
    slot: number,
    device: number,
    extent: Extent,
    log: readonly HeatBatch[],
    logDamage: string | undefined,
  ): Promise<Known> {
    const { nodeId } = this.#superblock;
    const { allocation, page, pages } = extent;
    const place = { nodeId, slot, device, allocation };
    const images = [];
    for (const copy of [0, 1]) {
      const bytes = await this.#read(
        (page + copy * pages) * pstorePageBytes,
        pages * pstorePageBytes,
      );
      images.push(decodeImage(bytes, place, this.#crc32c));
    }
    const mine = log.filter(
      (batch) => batch.slot === slot && batch.device === device && batch.allocation === allocation,
    );
    const state = recoverHeat(images, mine, logDamage !== undefined);
    if (state.decision === 'newest') {
      const { image, index, saved } = state;
      return { place, extent, image, current: index, saved, damage: undefined };
    }
    const { image = new HeatImage('', heatGeometry(1)), row } = state;
    image.sequence += mine.length + 1;
    image.distrust();
    return { place, extent, image, current: 1, saved: -1, damage: logDamage ?? row };
  }

  /** Makes what was found out durable: both images of what is distrusted, and a log that is whole. */
  async #repair(): Promise<void> {
    const must = async (result: Promise<number>) => {
      const outcome = await result;
      if (outcome < 0) throw pstoreFailed(this.#calls.device.path, outcome);
    };
    for (const known of [...this.#known.values()].flat()) {
      if (known.damage !== undefined) await must(this.#writeImage(known, known.current));
    }
    await must(this.#checkpoint());
    // A record of the new cycle: from now on the old one does not count.
    await must(this.#writeRecord([]));
    await must(this.#calls.flush());
    this.settle(0);
  }

  /**
   * A driver begins: only its changes count from now on.
   * @throws TDMF_PSTORE_FULL before anything of the group is hot
   */
  open({ group, devices, regionMin }: HeatOpen): HeatAnswer {
    const token = (this.#groups.get(group)?.token ?? 0) + 1;
    const images = devices.map((device, index) => this.#imageOf(group, device, index));
    const geometries = devices.map(({ sizeBytes }) =>
      heatGeometry(sizeBytes, regionMin ?? undefined),
    );
    const fresh = geometries.filter((geometry, index) => !hasGeometry(images[index], geometry));
    if (!this.#heap.hasRoom(fresh.map(imagePagesOf))) {
      throw new TdmfError('TDMF_PSTORE_FULL', { path: this.#calls.device.path });
    }
    this.#groups.set(group, { token, devices, geometries });
    for (const gone of this.#queue.filter(({ asked }) => asked.group === group)) {
      gone.reject(new TdmfError('TDMF_ACTOR_GONE', { actor: `g${group}/driver` }));
    }
    this.#queue = this.#queue.filter(({ asked }) => asked.group !== group);
    return {
      token,
      devices: geometries.map((geometry, index) => ({
        ...geometry,
        hot: images[index]?.as(geometry).hot,
        kept: images[index]?.kept ?? 0,
      })),
    };
  }

  /** What may differ from the mirror, as far as it was made durable. */
  dirtOf(group: number, devices: readonly HeatDevice[]): HeatDirt {
    const images = devices.map((device, index) => this.#imageOf(group, device, index));
    const slot = this.#slots.get(group);
    const damage = slot === undefined ? [] : (this.#known.get(slot.slot) ?? []);
    const released = images.flatMap((image) => image?.released ?? []);
    return {
      devices: images.map((image) =>
        image === undefined
          ? undefined
          : { ...image.geometry, hot: image.hot.slice(), dirty: image.dirty.slice() },
      ),
      released,
      damage: damage.flatMap((one) => one.damage ?? []),
    };
  }

  get waits(): boolean {
    return this.#queue.length > 0;
  }

  /**
   * Answered when the changes are durable.
   * @throws TDMF_ACTOR_GONE, TDMF_PSTORE_FAILED, TDMF_INTERNAL
   */
  async change(asked: HeatChanges): Promise<void> {
    const group = this.#groups.get(asked.group);
    if (group?.token !== asked.token) {
      throw new TdmfError('TDMF_ACTOR_GONE', { actor: `g${asked.group}/driver` });
    }
    const fits = changesFrom(asked.changes).every(({ device, changes }) => {
      const geometry = group.geometries[device];
      return geometry !== undefined && changes.every((change) => fitsGeometry(change, geometry));
    });
    if (!fits || !this.#slots.has(asked.group)) {
      const what = fits ? 'heat of a group that is not stored' : 'heat beside its device';
      throw new TdmfError('TDMF_INTERNAL', { what });
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ asked, resolve, reject });
    });
  }

  /**
   * Writes what waits, as one record. The caller then saves the slots of the groups in `moved`,
   * flushes, and calls `settle`. A negative result is a failure.
   */
  async write(): Promise<{ readonly result: number; readonly moved: ReadonlySet<number> }> {
    const moved = new Set<number>();
    this.#take();
    if (this.#taken.length === 0) return { result: 0, moved };
    let result = await this.#makeRoom(moved);
    if (result >= 0) {
      const batches = this.#batchesOf(this.#taken);
      if (this.#end.page + recordPages(batches) > this.#superblock.logPages) {
        result = await this.#checkpoint();
      }
      if (result >= 0) result = await this.#writeRecord(batches);
    }
    return { result, moved };
  }

  /**
   * What was written is durable, or it failed with this error. `refused`: groups whose slots could
   * not be saved.
   */
  settle(result: number, refused: ReadonlySet<number> = new Set()): void {
    const taken = this.#taken;
    const written = this.#written;
    this.#taken = [];
    this.#written = undefined;
    if (result >= 0 && written !== undefined) {
      for (const { slot, device, changes, sequence, released } of written.batches) {
        const { image } = this.#known.get(slot)![device]!;
        image.apply(changes);
        image.sequence = sequence;
        image.released = released ?? image.released;
      }
      const { cycle, page, number } = this.#end;
      this.#end = { cycle, page: page + written.pages, number: number + 1 };
    }
    const { path } = this.#calls.device;
    for (const { asked, resolve, reject } of taken) {
      if (result < 0) reject(pstoreFailed(path, result));
      else if (refused.has(asked.group)) reject(pstoreFailed(path, -EIO));
      else resolve();
    }
  }

  /** Says on disk, after the fact, that the last record was durable; a later flush takes it along. */
  acknowledge(): Promise<number> {
    const place = { nodeId: this.#superblock.nodeId, slot: logAckSlot };
    return this.#calls.write(encodeAck(place, this.#end.number - 1, this.#crc32c), logAckAt);
  }

  /** The group is gone; its pages are free once its slot says so. */
  remove(group: number): void {
    const slot = this.#slots.get(group);
    if (slot === undefined) return;
    for (const extent of slot.extents) this.#heap.give(extent);
    this.#known.delete(slot.slot);
    this.#groups.delete(group);
  }

  /** As many as fit one record. */
  #take(): void {
    let bytes = logLayout.sizeBytes;
    while (this.#queue.length > 0) {
      const batches = changesFrom(this.#queue[0]!.asked.changes);
      bytes += batches.reduce((sum, batch) => sum + batchBytes(batch), 0);
      const full = bytes > this.#superblock.logPages * pstorePageBytes;
      if (full && this.#taken.length > 0) return;
      this.#taken.push(this.#queue.shift()!);
    }
  }

  /** Every group that changes something has images for the devices it has now. */
  async #makeRoom(moved: Set<number>): Promise<number> {
    for (const { asked } of this.#taken) {
      const { group } = asked;
      const slot = this.#slots.get(group)!;
      const { devices, geometries } = this.#groups.get(group)!;
      const fits = devices.every((device, index) =>
        hasGeometry(this.#imageOf(group, device, index), geometries[index]!),
      );
      if (!fits || slot.extents.length !== devices.length) {
        const result = await this.#allocate(slot, devices, geometries);
        if (result < 0) return result;
      }
      if (!slot.extentsSaved) moved.add(group);
    }
    return 0;
  }

  /**
   * Images of devices that are new say that everything may differ: a commit of the mirror will say
   * otherwise. Others keep what they say, in regions of another size.
   */
  async #allocate(
    slot: HeatSlot,
    devices: readonly HeatDevice[],
    geometries: readonly HeatGeometry[],
  ): Promise<number> {
    const before = this.#known.get(slot.slot) ?? [];
    const known: Known[] = [];
    const undo = (result: number) => {
      for (const one of known) if (!before.includes(one)) this.#heap.give(one.extent);
      return result;
    };
    for (const [device, { name, sizeBytes }] of devices.entries()) {
      const old = before[device];
      const geometry = geometries[device]!;
      const same = old?.image.name === name && old.image.geometry.sizeBytes === sizeBytes;
      if (same && hasGeometry(old.image, geometry)) {
        known.push(old);
        continue;
      }
      const image = same ? old.image.as(geometry) : new HeatImage(name, geometry);
      if (!same) image.distrust();
      const allocation = this.#nextAllocation++;
      const extent = this.#heap.allocate(imagePagesOf(image.geometry), allocation);
      if (extent === undefined) return undo(-ENOSPC);
      const { nodeId } = this.#superblock;
      const place = { nodeId, slot: slot.slot, device, allocation };
      const one: Known = { place, extent, image, current: 0, saved: 0, damage: undefined };
      known.push(one);
      for (const copy of [0, 1]) {
        const written = await this.#writeImage(one, copy);
        if (written < 0) return undo(written);
      }
    }
    const flushed = await this.#calls.flush();
    if (flushed < 0) return undo(flushed);
    for (const old of before) if (!known.includes(old)) this.#heap.give(old.extent);
    this.#known.set(slot.slot, known);
    slot.extents = known.map(({ extent }) => extent);
    slot.extentsSaved = false;
    return 0;
  }

  /** Requests of one device in one record follow each other. */
  #batchesOf(waiting: readonly Waiting[]): HeatBatch[] {
    const next = new Map<Known, number>();
    return waiting.flatMap(({ asked }) => {
      const { slot } = this.#slots.get(asked.group)!;
      const devices = this.#known.get(slot)!;
      return changesFrom(asked.changes).map(({ device, changes }): HeatBatch => {
        const known = devices[device]!;
        const sequence = (next.get(known) ?? known.image.sequence) + 1;
        next.set(known, sequence);
        const { allocation } = known.place;
        const released = asked.released ?? undefined;
        return { slot, device, allocation, sequence, released, changes };
      });
    });
  }

  /** Everything that the log says is made durable in the images; the other half begins. */
  async #checkpoint(): Promise<number> {
    const changed = [...this.#known.values()]
      .flat()
      .filter(({ saved, image }) => saved !== image.sequence);
    for (const known of changed) {
      const result = await this.#writeImage(known, 1 - known.current);
      if (result < 0) return result;
    }
    const flushed = await this.#calls.flush();
    if (flushed < 0) return flushed;
    for (const known of changed) {
      known.current = 1 - known.current;
      known.saved = known.image.sequence;
    }
    this.#end = { cycle: this.#end.cycle + 1, page: 0, number: this.#end.number };
    return 0;
  }

  #writeImage({ place, extent, image }: Known, copy: number): Promise<number> {
    const bytes = encodeImage(place, image, this.#crc32c);
    return this.#calls.write(bytes, (extent.page + copy * extent.pages) * pstorePageBytes);
  }

  #writeRecord(batches: readonly HeatBatch[]): Promise<number> {
    const { cycle, page, number } = this.#end;
    const { nodeId } = this.#superblock;
    const bytes = encodeLogRecord(nodeId, { cycle, number, batches }, this.#crc32c);
    this.#written = { pages: bytes.length / pstorePageBytes, batches };
    return this.#calls.write(bytes, logHalfAt(cycle % 2) + page * pstorePageBytes);
  }

  /** The image of this very device; another size or name is another device (Rule 33). */
  #imageOf(group: number, { name, sizeBytes }: HeatDevice, index: number): HeatImage | undefined {
    const slot = this.#slots.get(group);
    const image = slot && this.#known.get(slot.slot)?.[index]?.image;
    const same = image?.name === name && image.geometry.sizeBytes === sizeBytes;
    return same ? image : undefined;
  }

  /** A file that was never written so far reads as zeroes. */
  async #read(offset: number, length: number): Promise<Uint8Array> {
    const found = await this.#calls.read(offset, length);
    if (typeof found === 'number') throw pstoreFailed(this.#calls.device.path, found);
    const bytes = new Uint8Array(length);
    bytes.set(found);
    return bytes;
  }
}

function hasGeometry(image: HeatImage | undefined, geometry: HeatGeometry): boolean {
  return image !== undefined && sameGeometry(image.geometry, geometry);
}

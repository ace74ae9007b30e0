/**
 * Owns jGGG.own while mirrors are exported to applications: which blocks they write, durably before
 * they do (Rule 10b). Two maps in memory: `exact` knows every block that was written; `stored` is what
 * the file holds, whole regions, so that a busy application waits for a sync once per region and not
 * once per block. When a mirror is let go the exact map takes the place of the regions, and its write
 * mark says from which state on others are noticed (Rule 15c).
 *
 *   write ─► cover: stored has it? ─yes─► go on        no ─► file: region, flush ─► stored ─► go on
 */
import { mapBlockBytes } from '../core/constants.js';
import { ownName } from '../core/journal/names.js';
import {
  bitsSet,
  decodeOwnPage,
  encodeOwnPage,
  type OwnDevice,
  ownBitmaps,
  ownPageBytes,
} from '../core/journal/own-map.js';
import type { DeviceOpener } from '../ports/block-device.js';
import { DeviceCalls } from './device-calls.js';
import { deviceFailed } from './mirror.js';

/** Marked together: 64 bits, 4 MiB of the mirror. */
const regionMapBytes = 8;
const pageBytes = 4096;
const EIO = 5;

export interface OwnMapPlace {
  readonly opener: DeviceOpener;
  readonly directory: string;
  readonly group: number;
  /** Of this hand-over; a file of an earlier one is begun anew. */
  readonly since: number;
  readonly sizes: readonly number[];
}

export class OwnMapFile {
  readonly #place: OwnMapPlace;
  readonly #calls: DeviceCalls;
  readonly #offsets: readonly number[];
  readonly #lengths: readonly number[];
  readonly #devices: OwnDevice[];
  /** As the file shall be; the page of devices in front, then the bitmaps. */
  readonly #image: Uint8Array;
  readonly #stored: Uint8Array;
  readonly #exact: Uint8Array;
  readonly #dirty = new Set<number>();
  #waiting: ((errno: number) => void)[] = [];
  #storing: Promise<void> | undefined;

  private constructor(
    place: OwnMapPlace,
    calls: DeviceCalls,
    image: Uint8Array,
    devices: readonly OwnDevice[],
  ) {
    const { offsets, lengths } = ownBitmaps(place.sizes);
    this.#place = place;
    this.#calls = calls;
    this.#offsets = offsets;
    this.#lengths = lengths;
    this.#devices = [...devices];
    this.#image = image;
    this.#stored = image.slice();
    this.#exact = image.slice();
  }

  /** @throws TDMF_DEVICE_*, TDMF_JOURNAL_FULL */
  static async open(place: OwnMapPlace, marks: readonly string[]): Promise<OwnMapFile> {
    const { opener, directory, group, since, sizes } = place;
    const path = `${directory}/${ownName(group)}`;
    const device = await opener.open({
      path,
      access: 'readwrite',
      cache: 'writeback',
      createBytes: 0,
      growable: true,
    });
    const calls = new DeviceCalls(device, opener);
    try {
      const { fileBytes } = ownBitmaps(sizes);
      const read = await calls.read(0, fileBytes);
      if (typeof read === 'number') throw deviceFailed(path, 'read', -read);
      const page = decodeOwnPage(read, opener.digest.crc32c);
      const image = new Uint8Array(fileBytes);
      if (
        typeof page !== 'string' &&
        page.since === since &&
        page.devices.length === sizes.length
      ) {
        image.set(read.subarray(ownPageBytes), ownPageBytes);
        return new OwnMapFile(place, calls, image, page.devices);
      }
      const devices = sizes.map((sizeBytes, index) => ({
        sizeBytes,
        writeMark: marks[index] ?? '',
      }));
      const fresh = new OwnMapFile(place, calls, image, devices);
      // The bitmaps first: the page says that they mean something.
      await fresh.#write(ownPageBytes, image.slice(ownPageBytes));
      await fresh.#writePage();
      return fresh;
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  /**
   * The export holds the mirror from now on. Another mark than the one it was left with says that
   * somebody wrote: everything may have changed, and is marked, durably.
   */
  async hold(device: number, mark: string): Promise<void> {
    const left = this.#devices[device]!;
    if (left.writeMark !== '' && left.writeMark !== mark) {
      const from = this.#offsets[device]!;
      const bits = new Uint8Array(this.#lengths[device]!).fill(0xff);
      this.#exact.set(bits, from);
      await this.#replaceBits(from, bits);
    }
    this.#devices[device] = { ...left, writeMark: '' };
    await this.#writePage();
  }

  /**
   * Calls `then` when the range may be written, with 0, or with the errno that says why not: at once
   * when its regions are marked already, which is nearly always.
   */
  cover(device: number, offset: number, length: number, then: (errno: number) => void): void {
    const from = this.#offsets[device]!;
    const first = Math.floor(offset / mapBlockBytes);
    const last = Math.floor((offset + length - 1) / mapBlockBytes);
    let covered = true;
    for (let bit = first; bit <= last; bit++) {
      const at = from + (bit >> 3);
      this.#exact[at]! |= 1 << (bit & 7);
      if ((this.#stored[at]! & (1 << (bit & 7))) === 0) covered = false;
    }
    if (covered) {
      then(0);
      return;
    }
    const region = (bit: number) => Math.floor(bit / 8 / regionMapBytes) * regionMapBytes;
    const start = from + region(first);
    const end = from + Math.min(this.#lengths[device]!, region(last) + regionMapBytes);
    this.#image.fill(0xff, start, end);
    for (let page = Math.floor(start / pageBytes); page * pageBytes < end; page++) {
      this.#dirty.add(page);
    }
    this.#waiting.push(then);
    this.#kick();
  }

  /** Its last write is done and flushed: the blocks that were really written, and the mark. */
  async release(device: number, mark: string): Promise<void> {
    await this.#storing;
    const from = this.#offsets[device]!;
    await this.#replaceBits(from, this.#exact.slice(from, from + this.#lengths[device]!));
    this.#devices[device] = { ...this.#devices[device]!, writeMark: mark };
    await this.#writePage();
  }

  /** Bytes that the export has written, in whole blocks. */
  writtenBytes(device: number): number {
    const from = this.#offsets[device]!;
    const bits = this.#exact.subarray(from, from + this.#lengths[device]!);
    return Math.min(this.#place.sizes[device]!, bitsSet(bits) * mapBlockBytes);
  }

  async close(): Promise<void> {
    await this.#storing;
    await this.#calls.device.close();
  }

  #kick(): void {
    this.#storing ??= this.#store().finally(() => {
      this.#storing = undefined;
      if (this.#waiting.length > 0) this.#kick();
    });
  }

  /** Stores what is dirty now, with one flush for all that wait (group commit). */
  async #store(): Promise<void> {
    const served = this.#waiting.splice(0);
    const pages = Array.from(this.#dirty, (page) => {
      const at = page * pageBytes;
      return { page, at, bytes: this.#image.slice(at, at + pageBytes) };
    });
    this.#dirty.clear();
    let errno = 0;
    for (const { at, bytes } of pages) {
      if (errno === 0) errno = await this.#put(at, bytes);
    }
    if (errno === 0) errno = Math.max(0, -(await this.#calls.flush()));
    for (const { page, at, bytes } of pages) {
      if (errno === 0) this.#stored.set(bytes, at);
      else this.#dirty.add(page);
    }
    for (const then of served) then(errno);
  }

  async #replaceBits(from: number, bits: Uint8Array): Promise<void> {
    await this.#write(from, bits);
    this.#image.set(bits, from);
    this.#stored.set(bits, from);
  }

  #writePage(): Promise<void> {
    const { group, since, opener } = this.#place;
    const page = { group, since, devices: this.#devices };
    return this.#write(0, encodeOwnPage(page, opener.digest.crc32c));
  }

  /** Durable when it resolves. @throws TDMF_DEVICE_FAILED */
  async #write(at: number, bytes: Uint8Array): Promise<void> {
    const padded = new Uint8Array(Math.ceil(bytes.length / pageBytes) * pageBytes);
    padded.set(bytes);
    let errno = await this.#put(at, padded);
    if (errno === 0) errno = Math.max(0, -(await this.#calls.flush()));
    if (errno !== 0) throw deviceFailed(this.#calls.device.path, 'write', errno);
  }

  /** 0, or the errno. */
  async #put(at: number, bytes: Uint8Array): Promise<number> {
    const result = await this.#calls.write(bytes, at);
    if (result === bytes.length) return 0;
    return result < 0 ? -result : EIO;
  }
}

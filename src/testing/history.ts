/**
 * What the simulated applications did, and what became of it on the local disks: the truth that the
 * checkers compare everything with.
 *
 *   write:   issued at … answered at      (one clock that counts both kinds of instants)
 *   sector:  version 0, version 1, …      (in the order in which they landed on the local disk)
 *
 * A write whose answer was lost to a crash is never "answered": in or out, both are right. A power
 * cut of the primary takes sectors back; that is one more version, made by the cut itself.
 */
import { strict as assert } from 'node:assert';
import { sectorBytes } from '../core/constants.js';
import type { SimDisk } from './disk.js';
import { foreignValue, readValues, stamp, zeroValue } from './stamp.js';

const never = Number.POSITIVE_INFINITY;

/** What made a version: a write, or the cut that took one back. */
export interface Cause {
  readonly issuedAt: number;
  answeredAt: number;
}

export interface Write extends Cause {
  readonly id: number;
  readonly device: number;
  readonly firstSector: number;
  readonly sectorCount: number;
  readonly zero: boolean;
  /** 0, or the error it was answered with. */
  error: number;
  lost: boolean;
}

/** The life of one device's sectors. */
export class DeviceHistory {
  readonly index: number;
  readonly disk: SimDisk;
  readonly sectorCount: number;
  /** Per sector, oldest first: value, and who made it. */
  readonly values: number[][] = [];
  readonly causes: Cause[][] = [];
  /** Latest issue of all causes up to a version; earliest answer of those behind it is asked. */
  readonly issued: number[][] = [];
  /** The newest value of each sector. */
  readonly latest: Int32Array;
  /** Versions of each sector that a flush promised to keep. */
  readonly promised: Int32Array;
  /** A flush failed: what was written before may be lost, and a later flush does not mend it (H21). */
  flushFailedAt = -1;

  constructor(index: number, disk: SimDisk) {
    this.index = index;
    this.disk = disk;
    this.sectorCount = disk.sizeBytes / sectorBytes;
    this.latest = new Int32Array(this.sectorCount);
    this.promised = new Int32Array(this.sectorCount);
    readValues(disk.live, index, 0, this.latest);
    for (let sector = 0; sector < this.sectorCount; sector++) {
      this.values.push([this.latest[sector]!]);
      this.causes.push([beforeAll]);
      this.issued.push([beforeAll.issuedAt]);
    }
  }

  add(sector: number, value: number, cause: Cause): void {
    this.values[sector]!.push(value);
    this.causes[sector]!.push(cause);
    const issued = this.issued[sector]!;
    issued.push(Math.max(issued.at(-1)!, cause.issuedAt));
    this.latest[sector] = value;
  }

  /** The newest version of the sector. */
  lastOf(sector: number): number {
    return this.values[sector]!.length - 1;
  }

  /** The first answer to any write that made a version behind `version`. */
  answeredBehind(sector: number, version: number): number {
    const causes = this.causes[sector]!;
    let first = never;
    for (let index = version + 1; index < causes.length; index++) {
      first = Math.min(first, causes[index]!.answeredAt);
    }
    return first;
  }
}

const beforeAll: Cause = { issuedAt: -1, answeredAt: -1 };

export class History {
  readonly devices: DeviceHistory[] = [];
  readonly writes = new Map<number, Write>();
  /** Writes that may still reach the disk. */
  readonly #open = new Set<Write>();
  #clock = 0;
  #nextId = 1;
  #scratch = new Int32Array(0);
  answered = 0;

  /** Fills the disk with old data, and follows it from here on. `filledOf16`: how much is no hole. */
  addDevice(disk: SimDisk, filledOf16: number): DeviceHistory {
    const index = this.devices.length;
    const id = this.#nextId++;
    for (let at = 0; at < disk.sizeBytes; at += 4096) {
      if ((at / 4096 + index) % 16 >= filledOf16) continue;
      const end = Math.min(disk.sizeBytes, at + 4096);
      stamp(disk.live.subarray(at, end), index, at / sectorBytes, id);
    }
    disk.durable.set(disk.live);
    const device = new DeviceHistory(index, disk);
    this.devices.push(device);
    disk.landed = (first, count) => this.#landed(device, first, count);
    return device;
  }

  get now(): number {
    return this.#clock;
  }

  issue(device: number, firstSector: number, sectorCount: number, zero: boolean): Write {
    const write: Write = {
      id: this.#nextId++,
      device,
      firstSector,
      sectorCount,
      zero,
      issuedAt: ++this.#clock,
      answeredAt: never,
      error: 0,
      lost: false,
    };
    this.writes.set(write.id, write);
    this.#open.add(write);
    return write;
  }

  answer(write: Write, error: number): void {
    assert.equal(write.answeredAt, never, `write ${write.id} is answered once`);
    write.answeredAt = ++this.#clock;
    write.error = error;
    this.answered++;
    this.#open.delete(write);
    if (error === 0 && !write.zero) this.#mustHaveLanded(write);
  }

  /** An instant of the clock that is not a write's: a flush is issued, or answered. */
  tick(): number {
    return ++this.#clock;
  }

  /** The connection is gone: whether these happened, and will still happen, nobody knows. */
  lose(writes: Iterable<Write>): void {
    for (const write of writes) write.lost = true;
  }

  /** The I/O of the dead has ended: what has not landed by now never will. */
  settleLost(): void {
    for (const write of this.#open) if (write.lost) this.#open.delete(write);
  }

  /** A second zeroing of the same sectors at once could not be told from the first. */
  mayZero(device: number, firstSector: number, sectorCount: number): boolean {
    for (const write of this.#open) {
      if (!write.zero || write.device !== device) continue;
      if (write.firstSector >= firstSector + sectorCount) continue;
      if (firstSector < write.firstSector + write.sectorCount) return false;
    }
    return true;
  }

  /** What a flush that is issued now promises, once it is answered. */
  flushSnapshot(): Int32Array[] {
    return this.devices.map((device) => {
      const versions = new Int32Array(device.sectorCount);
      for (let sector = 0; sector < device.sectorCount; sector++) {
        const causes = device.causes[sector]!;
        let version = causes.length - 1;
        while (version > 0 && causes[version]!.answeredAt === never) version--;
        versions[sector] = version;
      }
      return versions;
    });
  }

  flushed(device: number, snapshot: Int32Array): void {
    const { promised, causes, flushFailedAt } = this.devices[device]!;
    for (let sector = 0; sector < promised.length; sector++) {
      if (causes[sector]![snapshot[sector]!]!.issuedAt <= flushFailedAt) continue;
      promised[sector] = Math.max(promised[sector]!, snapshot[sector]!);
    }
  }

  /** Its answer promised that the local disk keeps it (sync mode, Rule 19). */
  forced(write: Write): void {
    const { promised, causes, flushFailedAt } = this.devices[write.device]!;
    if (write.issuedAt <= flushFailedAt) return;
    const end = write.firstSector + write.sectorCount;
    for (let sector = write.firstSector; sector < end; sector++) {
      const version = causes[sector]!.lastIndexOf(write);
      promised[sector] = Math.max(promised[sector]!, version);
    }
  }

  flushFailed(disk: SimDisk): void {
    for (const device of this.devices) {
      if (device.disk === disk) device.flushFailedAt = ++this.#clock;
    }
  }

  /** The newest version of each sector that is older than anything issued from now on. */
  answeredVersions(device: number, first: number, count: number): readonly number[] {
    const { causes } = this.devices[device]!;
    return Array.from({ length: count }, (_, index) => {
      const known = causes[first + index]!;
      let version = known.length - 1;
      while (version > 0 && known[version]!.answeredAt === never) version--;
      return version;
    });
  }

  /** A read gives, of each sector, no version older than those that were answered before it. */
  checkRead(device: number, first: number, data: Uint8Array, before: readonly number[]): void {
    const { values, sectorCount } = this.devices[device]!;
    const read = new Int32Array(sectorCount);
    readValues(data, device, first, read);
    for (const [index, version] of before.entries()) {
      const value = read[first + index]!;
      assert.ok(
        values[first + index]!.lastIndexOf(value) >= version,
        `device ${device} sector ${first + index}: read ${value}, older than what was answered`,
      );
    }
  }

  /** The primary lost its power: sectors may have gone back (I10 says how far). */
  powerCut(): void {
    this.#wentBack(true);
  }

  /** The disks of the primary are as an older image of them: flushed or not, what came later is gone. */
  rolledBack(): void {
    this.#wentBack(false);
  }

  #wentBack(promisesKept: boolean): void {
    const cut: Cause = { issuedAt: ++this.#clock, answeredAt: this.#clock };
    for (const device of this.devices) {
      this.#scratchFor(device);
      readValues(device.disk.live, device.index, 0, this.#scratch);
      for (let sector = 0; sector < device.sectorCount; sector++) {
        const value = this.#scratch[sector]!;
        if (value === device.latest[sector]) continue;
        const kept = device.values[sector]!.lastIndexOf(value);
        assert.ok(kept >= 0, `device ${device.index} sector ${sector} was never ${value}`);
        assert.ok(
          !promisesKept || kept >= device.promised[sector]!,
          `I10: device ${device.index} sector ${sector} fell back to version ${kept}, ` +
            `but version ${device.promised[sector]!} was flushed`,
        );
        device.add(sector, value, cut);
      }
    }
    this.#open.clear();
  }

  #landed(device: DeviceHistory, first: number, count: number): void {
    this.#scratchFor(device);
    const { disk, index } = device;
    const bytes = disk.live.subarray(first * sectorBytes, (first + count) * sectorBytes);
    readValues(bytes, index, first, this.#scratch, count);
    for (let sector = first; sector < first + count; sector++) {
      const value = this.#scratch[sector]!;
      if (value === device.latest[sector]) continue;
      assert.notEqual(value, foreignValue, `rubbish on device ${index} sector ${sector}`);
      device.add(sector, value, this.#causeOf(index, sector, value));
    }
  }

  #causeOf(device: number, sector: number, value: number): Cause {
    if (value !== zeroValue) {
      const write = this.writes.get(value);
      assert.ok(write, `device ${device} sector ${sector}: write ${value} is known`);
      return write;
    }
    const zeroes = [...this.#open].filter(
      (write) =>
        write.zero &&
        write.device === device &&
        write.firstSector <= sector &&
        sector < write.firstSector + write.sectorCount,
    );
    assert.ok(zeroes.length > 0, `device ${device} sector ${sector} is zeroed on request only`);
    if (zeroes.length === 1) return zeroes[0]!;
    // One of them, nobody knows which: claim no more than is true of all.
    return { issuedAt: Math.min(...zeroes.map(({ issuedAt }) => issuedAt)), answeredAt: never };
  }

  /** What was answered well was on the disk before. */
  #mustHaveLanded(write: Write): void {
    const device = this.devices[write.device]!;
    for (let index = 0; index < write.sectorCount; index++) {
      const sector = write.firstSector + index;
      assert.ok(
        device.values[sector]!.includes(write.id),
        `write ${write.id} was answered and never reached sector ${sector} of ${write.device}`,
      );
    }
  }

  #scratchFor(device: DeviceHistory): void {
    if (this.#scratch.length < device.sectorCount) {
      this.#scratch = new Int32Array(device.sectorCount);
    }
  }
}

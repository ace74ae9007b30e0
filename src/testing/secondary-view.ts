/**
 * What lies on the secondary's disks, as a session that began now would find it: the record of the
 * mirror, what it may claim, and the value of every sector of the mirrors, with the journal over
 * them. Read straight from simulated disks with the product's formats, by nobody who runs there.
 *
 *   live     what a killed process leaves (page cache)
 *   durable  what a power cut leaves at the worst
 */
import { crc32c } from '../core/checksum.js';
import { metaName, pageName, segmentName } from '../core/journal/names.js';
import { type Standing, standingOf } from '../core/journal/recovery.js';
import { type ChainRange, decodeMeta, type MirrorRecord } from '../core/meta.js';
import { PositionPage } from '../core/position-page.js';
import { chainPieces, type Piece } from './chain-view.js';
import { journalDirectory, mirrorPath } from './cluster-options.js';
import type { SimDisk } from './disk.js';
import type { SimNode } from './node.js';
import { SectorValues } from './sector-values.js';

export type Survival = 'live' | 'durable';

export class SecondaryView {
  readonly #node: SimNode;
  readonly #group: number;
  readonly #devices: number;
  #metaBytes: Uint8Array | undefined;
  #record: MirrorRecord | undefined;
  readonly #metaPath: string;
  readonly #pagePath: string;
  #standing: KnownStanding | undefined;
  readonly #values: (SectorValues | undefined)[] = [];
  /** What the journals hold, as it was read last. */
  readonly #laid = new Map<Survival, LaidJournal>();

  constructor(node: SimNode, group: number, devices: number) {
    this.#node = node;
    this.#group = group;
    this.#devices = devices;
    this.#metaPath = `${journalDirectory}/${metaName(group)}`;
    this.#pagePath = `${journalDirectory}/${pageName(group)}`;
  }

  /** The record; undefined when there is none, or none that can be read. */
  get record(): MirrorRecord | undefined {
    const bytes = this.#node.files.files.get(this.#metaPath);
    if (bytes !== this.#metaBytes) {
      this.#metaBytes = bytes;
      const record = bytes === undefined ? 'none' : decodeMeta(bytes, crc32c);
      this.#record = typeof record === 'string' ? undefined : record;
    }
    return this.#record;
  }

  /** Where the mirror stands if the process dies now, and another one looks under this boot. */
  standing(): Standing | undefined {
    const { record } = this;
    const page = this.#node.files.pages.get(this.#pagePath);
    if (record === undefined || page === undefined) return undefined;
    const { boots } = this.#node;
    const known = this.#standing;
    // Asked after every event, and nearly always the same.
    if (known !== undefined && known.record === record && known.boots === boots) {
      if (known.page.sameAs(page.live)) return known.standing;
    }
    const boot = `secondary-boot-${boots}.${record.losses}`;
    const positions = new PositionPage(page.live, crc32c);
    const paged = positions.durable();
    const { era } = record;
    const durable = paged !== undefined && paged.era === era ? paged.sequence : undefined;
    const applied = era === undefined ? undefined : positions.applied(era, boot);
    const standing = standingOf(record, record.bootId === boot, durable, applied);
    this.#standing = { record, boots, page: new Words(page.live), standing };
    return standing;
  }

  /** The durable position that even a power cut leaves: of the record's era. */
  durable(): { readonly era: string; readonly sequence: number } | undefined {
    const { record } = this;
    const page = this.#node.files.pages.get(this.#pagePath);
    if (record?.era === undefined || page === undefined) return undefined;
    const paged = new PositionPage(page.durable, crc32c).durable();
    const { era } = record;
    const sequence = paged?.era === era ? Math.max(record.durable, paged.sequence) : record.durable;
    return { era, sequence };
  }

  mirror(device: number): SimDisk {
    return this.#node.disk(mirrorPath(this.#group, device));
  }

  /** The values of the mirror itself; not to be changed. */
  mirrorValues(survival: Survival): readonly Int32Array[] {
    return Array.from({ length: this.#devices }, (_, device) => {
      this.#values[device] ??= new SectorValues(this.mirror(device), device);
      return this.#values[device][survival];
    });
  }

  /** A copy of `mirror` with the whole committed journal laid over it. */
  withJournal(mirror: readonly Int32Array[], survival: Survival): readonly Int32Array[] {
    const chain = this.record?.chain;
    if (chain === undefined) return mirror;
    const values = mirror.map((one) => one.slice());
    for (const { device, first, values: laid } of this.#pieces(chain, survival)) {
      values[device]!.set(laid, first);
    }
    return values;
  }

  #pieces(chain: ChainRange, survival: Survival): readonly Piece[] {
    const disks = new Map<number, SimDisk>();
    let key = `${chain.first} ${chain.last}`;
    for (let segment = chain.first; segment <= chain.last; segment++) {
      const disk = this.#file(segment);
      if (disk === undefined) continue;
      disks.set(segment, disk);
      const version = survival === 'live' ? disk.liveVersion : disk.durableVersion;
      key += ` ${disk.inode}:${version}`;
    }
    const known = this.#laid.get(survival);
    if (known?.key === key) return known.pieces;
    const pieces = chainPieces(chain, (segment) => disks.get(segment)?.[survival]);
    this.#laid.set(survival, { key, pieces });
    return pieces;
  }

  #file(segment: number): SimDisk | undefined {
    for (const kind of ['c', 'i', 'p'] as const) {
      const name = segmentName(this.#group, segment, kind);
      const disk = this.#node.disks.get(`${journalDirectory}/${name}`);
      if (disk !== undefined) return disk;
    }
    return undefined;
  }
}

interface KnownStanding {
  readonly record: MirrorRecord;
  readonly boots: number;
  readonly page: Words;
  readonly standing: Standing;
}

/** A copy of some memory, to see whether it has changed. */
class Words {
  readonly #copy: Uint32Array;

  constructor(bytes: Uint8Array) {
    this.#copy = wordsOf(bytes).slice();
  }

  sameAs(bytes: Uint8Array): boolean {
    const words = wordsOf(bytes);
    for (let index = 0; index < words.length; index++) {
      if (words[index] !== this.#copy[index]) return false;
    }
    return true;
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

interface LaidJournal {
  /** The files of the chain and their contents. */
  readonly key: string;
  readonly pieces: readonly Piece[];
}

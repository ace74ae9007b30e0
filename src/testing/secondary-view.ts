/**
 * What lies on the secondary's disks, as a session that began now would find it: the record of the
 * mirror, what it may claim, and the value of every sector of the mirrors, with the journal over
 * them. Read straight from simulated disks with the product's formats, by nobody who runs there.
 *
 *   live     what a killed process leaves (page cache)
 *   durable  what a power cut leaves at the worst
 */
import { crc32c } from '../core/checksum.js';
import { frameHeaderBytes, sectorBytes, wireEntryBytes } from '../core/constants.js';
import { metaName, pageName, segmentName } from '../core/journal/names.js';
import { type Standing, standingOf } from '../core/journal/recovery.js';
import { segmentHeaderBytes } from '../core/journal/segment.js';
import { type CommittedJournal, decodeMeta, type MirrorRecord } from '../core/meta.js';
import { PositionPage } from '../core/position-page.js';
import { decodeEntry, emptyWireEntry, entryDataLength } from '../core/wire/entry.js';
import { decodeFrameHeader, emptyFrameHeader } from '../core/wire/frame.js';
import { journalDirectory, mirrorPath } from './cluster-options.js';
import type { SimDisk } from './disk.js';
import type { SimNode } from './node.js';
import { SectorValues } from './sector-values.js';
import { foreignValue, readValues, zeroValue } from './stamp.js';

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
  readonly #laid = new Map<string, LaidJournal>();

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

  /**
   * A copy of `mirror` with the committed journal laid over it: all of `.i`, then `.c` up to its
   * mark, or as far as it goes. Once applied, only `.c` counts.
   */
  withJournal(
    mirror: readonly Int32Array[],
    survival: Survival,
    upTo: 'mark' | 'end',
  ): readonly Int32Array[] {
    const journal = this.record?.journal;
    if (journal === undefined) return mirror;
    const values = mirror.map((one) => one.slice());
    if (!journal.applied) this.#layFile(values, survival, journal, 'i', Number.MAX_SAFE_INTEGER);
    const last = upTo === 'mark' ? journal.mark : Number.MAX_SAFE_INTEGER;
    this.#layFile(values, survival, journal, 'c', last);
    return values;
  }

  #layFile(
    values: readonly Int32Array[],
    survival: Survival,
    journal: CommittedJournal,
    kind: 'i' | 'c',
    last: number,
  ): void {
    const file = journal.files.find((one) => one.kind === kind)!;
    const name = segmentName(this.#group, file.segment, kind);
    const disk = this.#node.disks.get(`${journalDirectory}/${name}`);
    // Retired a moment ago: then the mirror has it all.
    if (disk === undefined) return;
    const version = survival === 'live' ? disk.liveVersion : disk.durableVersion;
    const end = kind === 'i' ? file.length : Number.MAX_SAFE_INTEGER;
    const key = `${name} ${survival}`;
    let laid = this.#laid.get(key);
    if (laid?.disk !== disk || laid.version !== version || laid.end !== end) {
      laid = { disk, version, end, pieces: readPieces(disk[survival], end, file.firstSequence) };
      this.#laid.set(key, laid);
    }
    for (const { sequence, device, first, values: laidValues } of laid.pieces) {
      if (sequence > last) return;
      values[device]!.set(laidValues, first);
    }
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
  readonly disk: SimDisk;
  readonly version: number;
  readonly end: number;
  readonly pieces: readonly Piece[];
}

/** One entry of a journal, as the values it would leave. */
interface Piece {
  readonly sequence: number;
  readonly device: number;
  readonly first: number;
  readonly values: Int32Array;
}

/** The entries of a segment in order, up to the first that is not whole or not the next. */
function readPieces(bytes: Uint8Array, endMax: number, firstSequence: number): Piece[] {
  const pieces: Piece[] = [];
  const end = Math.min(endMax, bytes.length);
  const header = emptyFrameHeader();
  let next = firstSequence;
  for (let at = segmentHeaderBytes; at < end; ) {
    if (decodeFrameHeader(bytes, at, header, crc32c) !== undefined) break;
    const payload = at + frameHeaderBytes;
    if (payload + header.payloadLength > bytes.length) break;
    if (crc32c(bytes, payload, header.payloadLength) !== header.payloadCrc) break;
    next = readFrame(pieces, bytes, payload, header.count, next);
    if (next < 0) break;
    at = payload + header.payloadLength;
  }
  return pieces;
}

/** The entries of one frame; the next sequence, or −1 when one is not the next. */
function readFrame(
  pieces: Piece[],
  bytes: Uint8Array,
  payload: number,
  count: number,
  next: number,
): number {
  const entry = emptyWireEntry();
  let data = payload + count * wireEntryBytes;
  for (let index = 0; index < count; index++) {
    decodeEntry(bytes, payload + index * wireEntryBytes, entry);
    if (entry.sequence !== next + index) return -1;
    const { device, sequence } = entry;
    const length = entryDataLength(entry);
    const first = Math.floor(entry.offset / sectorBytes);
    const values = new Int32Array(Math.ceil(entry.length / sectorBytes)).fill(zeroValue);
    if (entry.offset % sectorBytes !== 0) values.fill(foreignValue);
    else if (length > 0) {
      const shifted = new Int32Array(first + values.length);
      readValues(bytes.slice(data, data + length), device, first, shifted, values.length);
      values.set(shifted.subarray(first));
    }
    pieces.push({ sequence, device, first, values });
    data += length;
  }
  return next + count;
}

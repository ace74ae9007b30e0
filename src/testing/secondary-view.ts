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
import { foreignValue, readValues, zeroValue } from './stamp.js';

export type Survival = 'live' | 'durable';

export class SecondaryView {
  readonly #node: SimNode;
  readonly #group: number;
  readonly #devices: number;
  #metaBytes: Uint8Array | undefined;
  #record: MirrorRecord | undefined;

  constructor(node: SimNode, group: number, devices: number) {
    this.#node = node;
    this.#group = group;
    this.#devices = devices;
  }

  /** The record; undefined when there is none, or none that can be read. */
  get record(): MirrorRecord | undefined {
    const bytes = this.#node.files.files.get(`${journalDirectory}/${metaName(this.#group)}`);
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
    const page = this.#node.files.pages.get(`${journalDirectory}/${pageName(this.#group)}`);
    if (record === undefined || page === undefined) return undefined;
    const boot = `secondary-boot-${this.#node.boots}.${record.losses}`;
    const positions = new PositionPage(page.live, crc32c);
    const paged = positions.durable();
    const { era } = record;
    const durable = paged !== undefined && paged.era === era ? paged.sequence : undefined;
    const applied = era === undefined ? undefined : positions.applied(era, boot);
    return standingOf(record, record.bootId === boot, durable, applied);
  }

  /** The durable position that even a power cut leaves: of the record's era. */
  durable(): { readonly era: string; readonly sequence: number } | undefined {
    const { record } = this;
    const page = this.#node.files.pages.get(`${journalDirectory}/${pageName(this.#group)}`);
    if (record?.era === undefined || page === undefined) return undefined;
    const paged = new PositionPage(page.durable, crc32c).durable();
    const { era } = record;
    const sequence = paged?.era === era ? Math.max(record.durable, paged.sequence) : record.durable;
    return { era, sequence };
  }

  mirror(device: number): SimDisk {
    return this.#node.disk(mirrorPath(this.#group, device));
  }

  /** The values of the mirror itself. */
  mirrorValues(survival: Survival): Int32Array[] {
    return Array.from({ length: this.#devices }, (_, device) => {
      const bytes = this.mirror(device)[survival];
      const values = new Int32Array(bytes.length / sectorBytes);
      readValues(bytes, device, 0, values);
      return values;
    });
  }

  /**
   * Lays the committed journal over `values`: all of `.i`, then `.c` up to its mark, or as far as
   * it goes. Once applied, only `.c` counts.
   */
  layOver(values: readonly Int32Array[], survival: Survival, upTo: 'mark' | 'end'): void {
    const journal = this.record?.journal;
    if (journal === undefined) return;
    if (!journal.applied) this.#layFile(values, survival, journal, 'i', Number.MAX_SAFE_INTEGER);
    const last = upTo === 'mark' ? journal.mark : Number.MAX_SAFE_INTEGER;
    this.#layFile(values, survival, journal, 'c', last);
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
    const bytes = disk[survival];
    const end = kind === 'i' ? file.length : bytes.length;
    const header = emptyFrameHeader();
    let next = file.firstSequence;
    for (let at = segmentHeaderBytes; at < end && next <= last; ) {
      if (decodeFrameHeader(bytes, at, header, crc32c) !== undefined) return;
      const payload = at + frameHeaderBytes;
      if (payload + header.payloadLength > bytes.length) return;
      if (crc32c(bytes, payload, header.payloadLength) !== header.payloadCrc) return;
      next = layFrame(values, bytes, payload, header.count, next, last);
      if (next < 0) return;
      at = payload + header.payloadLength;
    }
  }
}

/** Lays the entries of one frame up to `last`; the next sequence, or −1 when it is not the next. */
function layFrame(
  values: readonly Int32Array[],
  bytes: Uint8Array,
  payload: number,
  count: number,
  next: number,
  last: number,
): number {
  const entry = emptyWireEntry();
  let data = payload + count * wireEntryBytes;
  let expected = next;
  for (let index = 0; index < count && expected <= last; index++) {
    decodeEntry(bytes, payload + index * wireEntryBytes, entry);
    if (entry.sequence !== expected) return -1;
    const length = entryDataLength(entry);
    const first = entry.offset / sectorBytes;
    const sectors = Math.ceil(entry.length / sectorBytes);
    const target = values[entry.device]!;
    if (length === 0) target.fill(zeroValue, first, first + sectors);
    else if (Number.isInteger(first)) {
      readValues(bytes.slice(data, data + length), entry.device, first, target, sectors);
    } else target.fill(foreignValue, Math.floor(first), Math.floor(first) + sectors);
    data += length;
    expected++;
  }
  return expected;
}

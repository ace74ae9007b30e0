/**
 * The journal of a mirror as the values it would leave: the files of the chain in their order, read from
 * simulated disks with the product's formats. A file that is gone ends it: it was retired a moment ago,
 * and the mirror has it all.
 */
import { crc32c } from '../core/checksum.js';
import { frameHeaderBytes, mapBlockBytes, sectorBytes, wireEntryBytes } from '../core/constants.js';
import { committedOf } from '../core/journal/chain.js';
import { decodeImagePage, imagePlaces, slotStates } from '../core/journal/image.js';
import { blocksPerPage, ImageTable, tablePageBytes } from '../core/journal/image-table.js';
import {
  decodeSegmentHeader,
  type SegmentHeader,
  segmentHeaderBytes,
} from '../core/journal/segment.js';
import type { ChainRange } from '../core/meta.js';
import { decodeEntry, emptyWireEntry, entryDataLength } from '../core/wire/entry.js';
import { decodeFrameHeader, emptyFrameHeader } from '../core/wire/frame.js';
import { entryFlags } from '../core/wire/messages.js';
import { foreignValue, readValues, zeroValue } from './stamp.js';

/** Sectors from `first` on of a device, in the order in which they are laid. */
export interface Piece {
  readonly device: number;
  readonly first: number;
  readonly values: Int32Array;
}

interface Found {
  readonly header: SegmentHeader;
  readonly bytes: Uint8Array;
}

export function chainPieces(
  range: ChainRange,
  bytesOf: (segment: number) => Uint8Array | undefined,
): Piece[] {
  const files: Found[] = [];
  for (let number = range.last; number >= range.first && number > 0; ) {
    const bytes = bytesOf(number);
    if (bytes === undefined || bytes.length === 0) break;
    const header = decodeSegmentHeader(bytes, 0, crc32c);
    if (typeof header === 'string') break;
    files.unshift({ header, bytes });
    if (number === range.first) break;
    number = header.previous;
  }
  return files.flatMap(({ header, bytes }, index) => {
    if (header.kind === 'i') return imagePieces(bytes);
    const committed = committedOf(header, files[index + 1]?.header);
    return entryPieces(bytes, header.firstSequence, committed);
  });
}

function imagePieces(bytes: Uint8Array): Piece[] {
  const page = decodeImagePage(bytes, crc32c);
  if (typeof page === 'string') return [];
  const { blocks, tables, slots } = imagePlaces(page.sizes);
  const table = new ImageTable(page.sizes.length);
  const pieces: Piece[] = [];
  for (const [device, count] of blocks.entries()) {
    for (let number = 0; number * blocksPerPage < count; number++) {
      const from = tables[device]! + number * tablePageBytes;
      table.decodePage(device, number, bytes.slice(from, from + tablePageBytes), 0);
    }
    for (let block = 0; block < count; block++) {
      const state = table.stateOf(device, block);
      if (state === slotStates.absent) continue;
      const size = Math.min(mapBlockBytes, page.sizes[device]! - block * mapBlockBytes);
      const from = slots[device]! + block * mapBlockBytes;
      const first = (block * mapBlockBytes) / sectorBytes;
      const values = new Int32Array(Math.ceil(size / sectorBytes)).fill(zeroValue);
      if (state !== slotStates.zero) {
        const data = bytes.slice(from, from + size);
        const shifted = new Int32Array(first + values.length);
        readValues(data, device, first, shifted, values.length);
        values.set(shifted.subarray(first));
      }
      if (state !== slotStates.part) pieces.push({ device, first, values });
      else {
        const sectors = table.sectorsOf(device, block);
        for (const [sector, value] of values.entries()) {
          if ((sectors[sector >> 3]! & (1 << (sector & 7))) === 0) continue;
          pieces.push({ device, first: first + sector, values: Int32Array.of(value) });
        }
      }
    }
  }
  return pieces;
}

/** The entries of a file in order, up to the first that is not whole or not the next. */
function entryPieces(bytes: Uint8Array, firstSequence: number, committed: number): Piece[] {
  const pieces: Piece[] = [];
  const last = committed < 0 ? Number.MAX_SAFE_INTEGER : committed;
  const header = emptyFrameHeader();
  let next = firstSequence;
  for (let at = segmentHeaderBytes; at < bytes.length && next <= last; ) {
    if (decodeFrameHeader(bytes, at, header, crc32c) !== undefined) break;
    const payload = at + frameHeaderBytes;
    if (payload + header.payloadLength > bytes.length) break;
    if (crc32c(bytes, payload, header.payloadLength) !== header.payloadCrc) break;
    next = readFrame(pieces, bytes, payload, header.count, next, last);
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
  last: number,
): number {
  const entry = emptyWireEntry();
  let data = payload + count * wireEntryBytes;
  let expected = next;
  for (let index = 0; index < count; index++) {
    decodeEntry(bytes, payload + index * wireEntryBytes, entry);
    const length = entryDataLength(entry);
    // The first frame of a file may begin with entries that were dealt with before it.
    const counts = entry.sequence >= next && entry.sequence <= last;
    if (counts) {
      if (entry.sequence !== expected) return -1;
      expected++;
    }
    if (counts && !(entry.flags & entryFlags.checkpoint)) {
      const { device } = entry;
      const first = Math.floor(entry.offset / sectorBytes);
      const values = new Int32Array(Math.ceil(entry.length / sectorBytes)).fill(zeroValue);
      if (entry.offset % sectorBytes !== 0) values.fill(foreignValue);
      else if (length > 0) {
        const shifted = new Int32Array(first + values.length);
        readValues(bytes.slice(data, data + length), device, first, shifted, values.length);
        values.set(shifted.subarray(first));
      }
      pieces.push({ device, first, values });
    }
    data += length;
  }
  return expected;
}

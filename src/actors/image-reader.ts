/**
 * Reads an `.i` file back: what it is about, which blocks it holds, whether they are what was written,
 * and, once it is committed, puts them onto the mirror (Rule 24: any number of times, always all of
 * them). Nothing is believed before its checksum; a slot that fails it is damage (Rule 25).
 */
import { mapBlockBytes, sectorBytes } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import { IoVector } from '../core/io-vector.js';
import {
  decodeImagePage,
  type ImagePage,
  imagePageBytes,
  imagePlaces,
  slotStates,
} from '../core/journal/image.js';
import { blocksPerPage, ImageTable, tablePageBytes } from '../core/journal/image-table.js';
import type { ArenaMemory, BlockDevice, DeviceOpener } from '../ports/block-device.js';
import { deviceCall } from './device-call.js';
import { slotCrc } from './journal-image.js';
import { deviceFailed, type Mirror } from './mirror.js';

const workers = 4;
const blocksPerRun = 16;
const runBytes = blocksPerRun * mapBlockBytes;

/** Consecutive blocks of one kind. */
interface Run {
  readonly device: number;
  readonly block: number;
  readonly count: number;
  readonly state: number;
}

export class ImageReader {
  readonly page: ImagePage;
  readonly table: ImageTable;
  readonly #opener: DeviceOpener;
  readonly #device: BlockDevice;

  private constructor(
    opener: DeviceOpener,
    device: BlockDevice,
    page: ImagePage,
    table: ImageTable,
  ) {
    this.#opener = opener;
    this.#device = device;
    this.page = page;
    this.table = table;
  }

  /** @throws TDMF_JOURNAL_DAMAGED; an image that was not closed has no checksum over its table */
  static async open(
    opener: DeviceOpener,
    device: BlockDevice,
    sizes: readonly number[],
  ): Promise<ImageReader> {
    const memory = opener.allocate(runBytes);
    try {
      const got = await read(device, memory, 0, 0, imagePageBytes);
      const { crc32c } = opener.digest;
      const page = decodeImagePage(memory.bytes.subarray(0, got), crc32c);
      if (typeof page === 'string') throw damaged(device, page);
      if (page.sizes.join() !== sizes.join()) throw damaged(device, 'it is about other devices');
      const table = new ImageTable(sizes.length);
      for (const index of sizes.keys()) await readTable(device, memory, page, table, index);
      if (page.closed && table.checksum(crc32c) !== page.tableCrc) {
        throw damaged(device, 'the checksum of its table is wrong');
      }
      return new ImageReader(opener, device, page, table);
    } finally {
      opener.release(memory);
    }
  }

  /** Looks at every slot. @throws TDMF_JOURNAL_DAMAGED */
  async verify(stopped: () => boolean): Promise<void> {
    await this.#each(stopped, async (run, memory, from) => {
      if (run.state !== slotStates.zero) await this.#load(run, memory, from);
    });
  }

  /** Puts all of it onto the mirror; flushing is the caller's. @throws TDMF_JOURNAL_DAMAGED */
  async apply(mirror: Mirror): Promise<void> {
    const { sizes } = this.page;
    await this.#each(
      () => mirror.stopped,
      async (run, memory, from) => {
        const { device, block, count, state } = run;
        const start = block * mapBlockBytes;
        const length = Math.min(sizes[device]!, start + count * mapBlockBytes) - start;
        if (state === slotStates.zero) {
          await mirror.zero(device, start, length, memory);
          return;
        }
        await this.#load(run, memory, from);
        if (state === slotStates.data) await mirror.put(device, start, memory, from, length);
        else {
          const sectors = this.table.sectorsOf(device, block);
          for (const { at, bytes } of piecesOf(sectors, length)) {
            await mirror.put(device, start + at, memory, from + at, bytes);
          }
        }
      },
    );
  }

  /** Several runs at a time, each with memory of its own. */
  async #each(
    stopped: () => boolean,
    visit: (run: Run, memory: ArenaMemory, from: number) => Promise<void>,
  ): Promise<void> {
    const memory = this.#opener.allocate(workers * runBytes);
    const runs = this.#runs();
    const work = async (worker: number) => {
      for (const run of runs) {
        if (stopped()) return;
        await visit(run, memory, worker * runBytes);
      }
    };
    const all = await Promise.allSettled(Array.from({ length: workers }, (_, n) => work(n)));
    this.#opener.release(memory);
    for (const one of all) if (one.status === 'rejected') throw one.reason;
  }

  *#runs(): Generator<Run, undefined> {
    const { table, page } = this;
    for (const device of page.sizes.keys()) {
      const blocks = Math.ceil(page.sizes[device]! / mapBlockBytes);
      for (const index of table.pagesOf(device)) {
        const end = Math.min(blocks, (index + 1) * blocksPerPage);
        for (let block = index * blocksPerPage; block < end; ) {
          const state = table.stateOf(device, block);
          const max = state === slotStates.part ? 1 : blocksPerRun;
          let count = 1;
          while (count < max && block + count < end) {
            if (table.stateOf(device, block + count) !== state) break;
            count += 1;
          }
          if (state !== slotStates.absent) yield { device, block, count, state };
          block += count;
        }
      }
    }
    return undefined;
  }

  /** The slots of a run, checked. */
  async #load(run: Run, memory: ArenaMemory, from: number): Promise<void> {
    const { device, block, count } = run;
    const { sizes } = this.page;
    const { crc32c } = this.#opener.digest;
    const start = block * mapBlockBytes;
    const length = Math.min(sizes[device]!, start + count * mapBlockBytes) - start;
    const at = imagePlaces(sizes).slots[device]! + start;
    const got = await read(this.#device, memory, from, at, length);
    memory.bytes.fill(0, from + got, from + length);
    for (let index = 0; index < count; index += 1) {
      const first = index * mapBlockBytes;
      const bytes = Math.min(mapBlockBytes, length - first);
      const all = run.state === slotStates.data;
      const sectors = all ? nothing : this.table.sectorsOf(device, block);
      const crc = slotCrc(crc32c, memory.bytes, from + first, bytes, all, sectors);
      if (crc !== this.table.crcOf(device, block + index)) {
        throw damaged(this.#device, `block ${block + index} of device ${device}`);
      }
    }
  }
}

/** Stretches of sectors that are there. */
export function* piecesOf(
  sectors: Uint8Array,
  length: number,
): Generator<{ at: number; bytes: number }> {
  const there = (sector: number) => (sectors[sector >> 3]! & (1 << (sector & 7))) !== 0;
  const count = Math.ceil(length / sectorBytes);
  for (let sector = 0; sector < count; ) {
    let end = sector;
    while (end < count && there(end)) end += 1;
    if (end > sector) {
      const at = sector * sectorBytes;
      yield { at, bytes: Math.min(end * sectorBytes, length) - at };
    }
    sector = Math.max(end, sector + 1);
  }
}

async function readTable(
  device: BlockDevice,
  memory: ArenaMemory,
  page: ImagePage,
  table: ImageTable,
  index: number,
): Promise<void> {
  const places = imagePlaces(page.sizes);
  const start = places.tables[index]!;
  const pages = Math.ceil(places.blocks[index]! / blocksPerPage);
  const end = Math.min(start + pages * tablePageBytes, device.sizeBytes);
  for (let at = start; at < end; ) {
    const extent = await device.extentAt(at);
    // The table of a large mirror is mostly a hole.
    if (extent.hole) {
      const next = Math.floor((at + extent.length - start) / tablePageBytes) * tablePageBytes;
      if (start + next > at) {
        at = start + next;
        continue;
      }
    }
    const got = await read(device, memory, 0, at, Math.min(runBytes, end - at));
    for (let offset = 0; offset + tablePageBytes <= got; offset += tablePageBytes) {
      const number = (at + offset - start) / tablePageBytes;
      if (!table.decodePage(index, number, memory.bytes, offset)) {
        throw damaged(device, `page ${number} of the table of device ${index}`);
      }
    }
    if (got < tablePageBytes) return;
    at += Math.floor(got / tablePageBytes) * tablePageBytes;
  }
}

async function read(
  device: BlockDevice,
  memory: ArenaMemory,
  from: number,
  at: number,
  length: number,
): Promise<number> {
  const vector = new IoVector(1).single(memory.arena, from, length);
  const result = await deviceCall((sink) => device.read(vector, at, sink, 0));
  if (result < 0) throw deviceFailed(device.path, 'read', -result);
  return result;
}

function damaged(device: BlockDevice, what: string): TdmfError {
  return new TdmfError('TDMF_JOURNAL_DAMAGED', { path: device.path, what });
}

const nothing = new Uint8Array(0);

/**
 * Brings a committed journal onto the mirror (Rule 24): all of `.i`, then `.c` from s0 to the mark,
 * flush, "applied" durable; then the tail of `.c`, entries that were acknowledged from the journal
 * while that went on. Every step may be repeated from the start after a crash. Used right after a
 * commit and at the start of a session that finds one; a failure never discards the journal (H24).
 */
import { frameEntriesMax } from '../core/constants.js';
import type { FrameRing } from '../core/engine/frame-ring.js';
import { isTdmfError, TdmfError } from '../core/errors.js';
import { segmentName } from '../core/journal/names.js';
import { segmentHeaderBytes } from '../core/journal/segment.js';
import type { CommittedJournal, JournalFile } from '../core/meta.js';
import { frameKinds } from '../core/wire/messages.js';
import type { ArenaMemory, BlockDevice, DeviceOpener } from '../ports/block-device.js';
import type { FileStore } from '../ports/file-store.js';
import type { JournalWriter } from './journal.js';
import { JournalReader, walkEntries } from './journal-replay.js';
import type { Mirror } from './mirror.js';
import type { RmdRecord } from './rmd-record.js';

export interface ReplayPlace {
  readonly opener: DeviceOpener;
  readonly files: FileStore;
  readonly directory: string;
  readonly group: number;
  readonly ring: FrameRing;
  readonly memory: ArenaMemory;
  readonly mirror: Mirror;
  readonly record: RmdRecord;
  /** Agreed size of each device. */
  readonly sizes: readonly number[];
  /** Resolves when something progressed and memory or room may be free. */
  readonly progress: () => Promise<void>;
  /** Whether entries are recorded in the position page as they complete. */
  readonly recording: (on: boolean) => void;
}

/** Reads one file front to back and gives its frames to the mirror. */
export class Feeder {
  offset = segmentHeaderBytes;
  /** Number of the next record of the file. */
  next: number;
  readonly #place: ReplayPlace;
  readonly #reader: JournalReader;
  readonly #path: string;
  readonly #kind: number;

  constructor(
    place: ReplayPlace,
    device: BlockDevice,
    file: Pick<JournalFile, 'kind' | 'firstSequence'>,
  ) {
    this.#place = place;
    this.#reader = new JournalReader(place.opener, device);
    this.#path = device.path;
    this.#kind = file.kind === 'i' ? frameKinds.blocks : frameKinds.entries;
    this.next = file.firstSequence;
  }

  /**
   * Feeds frames up to byte `end` of the file, entries above `upTo` excepted: the frame that holds the
   * next of those is where a later call begins. Resolves when all is accepted, not when it is applied.
   */
  async feed(end: number, upTo: number): Promise<void> {
    const { ring, memory, mirror, sizes, progress } = this.#place;
    const lane = this.#kind === frameKinds.blocks ? mirror.blocks : mirror.entries;
    while (this.offset < end && this.next <= upTo) {
      const frame = await this.#reader.frameAt(this.offset, end, this.#kind, this.next, sizes);
      if (typeof frame === 'string') {
        const what = `no whole record at byte ${this.offset}`;
        throw new TdmfError('TDMF_JOURNAL_DAMAGED', { path: this.#path, what });
      }
      let placed = -1;
      for (;;) {
        if (mirror.stopped) throw new TdmfError('TDMF_RMD_FAILED', { why: 'the mirror stopped' });
        placed = lane.room >= frameEntriesMax ? this.#reader.place(ring, memory.bytes) : -1;
        if (placed >= 0) break;
        await progress();
      }
      const problem = mirror.accept(placed, upTo);
      ring.release(placed);
      if (problem !== undefined) {
        throw new TdmfError('TDMF_JOURNAL_DAMAGED', { path: this.#path, what: problem });
      }
      mirror.pump();
      if (frame.last > upTo) return;
      this.offset += frame.bytes;
      this.next = frame.last + 1;
    }
  }

  close(): void {
    this.#reader.close();
  }
}

/**
 * All of `.i`, `.c` up to the mark, flush, "applied" durable. Returns the feeder of `.c`, which stands
 * at the tail. @throws TDMF_DEVICE_FAILED; the journal then stays what it is
 */
export async function applyCommitted(
  place: ReplayPlace,
  journal: CommittedJournal,
  i: BlockDevice,
  c: BlockDevice,
): Promise<Feeder> {
  const { mirror, record } = place;
  const blocks = journal.files.find(({ kind }) => kind === 'i')!;
  const entries = journal.files.find(({ kind }) => kind === 'c')!;
  place.recording(false);
  mirror.blocks.begin(blocks.firstSequence - 1);
  const first = new Feeder(place, i, blocks);
  try {
    await first.feed(blocks.length, Number.MAX_SAFE_INTEGER);
  } finally {
    first.close();
  }
  await idle(mirror);
  mirror.entries.begin(journal.s0 - 1);
  const feeder = new Feeder(place, c, entries);
  try {
    await feeder.feed(entries.length, journal.mark);
    await idle(mirror);
    const error = await mirror.flush();
    if (error !== undefined) {
      await record.distrust();
      throw error;
    }
    await record.save({ state: 'coherent', journal: { ...journal, applied: true } });
  } catch (error) {
    feeder.close();
    throw error;
  }
  beginTail(place, journal.era, journal.mark);
  return feeder;
}

/**
 * Feeds the tail of `.c` while it still grows. True: all that was received is fed, nothing is being
 * appended, and the caller may send entries to the mirror itself from this very turn. False: the
 * mirror stopped.
 */
export async function feedTail(
  place: ReplayPlace,
  feeder: Feeder,
  c: JournalWriter,
): Promise<boolean> {
  while (!place.mirror.stopped) {
    if (feeder.next <= c.appended) await feeder.feed(c.length, Number.MAX_SAFE_INTEGER);
    else if (c.idle) return true;
    else await place.progress();
  }
  return false;
}

/** Entries of the tail count from here: recorded one by one, as those that come over the link. */
function beginTail(place: ReplayPlace, era: string, position: number): void {
  const { record, mirror } = place;
  record.page.guard(era, record.bootId, position);
  mirror.entries.begin(position);
  place.recording(true);
}

/**
 * At the start of a session: finishes what an earlier one committed. Afterwards the record has no
 * journal, and says where the mirror stands; a damaged journal leaves it `incoherent` (Rule 25).
 * Returns what was damaged.
 */
export async function recoverJournal(place: ReplayPlace): Promise<TdmfError | undefined> {
  const { record } = place;
  const { journal } = record.record;
  if (journal === undefined) return undefined;
  const opened: BlockDevice[] = [];
  try {
    for (const file of journal.files) opened.push(await openFile(place, file));
    const tail = await checkFiles(place, journal, opened);
    await replay(place, journal, opened, tail);
    return undefined;
  } catch (error) {
    if (!isTdmfError(error) || error.code !== 'TDMF_JOURNAL_DAMAGED') throw error;
    const { era, history } = record.record;
    await record.save({
      state: 'incoherent',
      refreshId: '',
      era: undefined,
      history: era === undefined ? history : [era, ...history].slice(0, 16),
      journal: undefined,
      reach: 0,
      clean: true,
    });
    return error;
  } finally {
    await Promise.all(opened.map((device) => device.close()));
  }
}

async function openFile(place: ReplayPlace, file: JournalFile): Promise<BlockDevice> {
  const path = `${place.directory}/${segmentName(place.group, file.segment, file.kind)}`;
  try {
    return await place.opener.open({
      path,
      access: 'readwrite',
      cache: 'writeback',
      growable: true,
    });
  } catch (error) {
    if (isTdmfError(error) && error.code === 'TDMF_DEVICE_MISSING') {
      throw new TdmfError('TDMF_JOURNAL_DAMAGED', { path, what: 'it is missing' });
    }
    throw error;
  }
}

/** Checks both files wholly before anything is applied; the end of the tail of `.c`. */
async function checkFiles(
  place: ReplayPlace,
  journal: CommittedJournal,
  opened: readonly BlockDevice[],
): Promise<{ readonly last: number; readonly end: number }> {
  let tail = { last: journal.mark, end: 0 };
  const { record } = place;
  const durable = record.standing().durable ?? 0;
  const ordered = record.record.bootId === record.bootId;
  for (const [index, file] of journal.files.entries()) {
    const device = opened[index]!;
    const reader = new JournalReader(place.opener, device);
    try {
      const what = await reader.check(place.group, journal, file);
      if (what !== undefined)
        throw new TdmfError('TDMF_JOURNAL_DAMAGED', { path: device.path, what });
      if (file.kind === 'c') {
        tail = await walkEntries(reader, device.path, file, durable, ordered, place.sizes);
      }
    } finally {
      reader.close();
    }
  }
  return tail;
}

async function replay(
  place: ReplayPlace,
  journal: CommittedJournal,
  opened: readonly BlockDevice[],
  tail: { readonly last: number; readonly end: number },
): Promise<void> {
  const { record, mirror } = place;
  const standing = record.standing();
  const i = opened[journal.files.findIndex(({ kind }) => kind === 'i')]!;
  const c = opened[journal.files.findIndex(({ kind }) => kind === 'c')]!;
  let feeder: Feeder;
  // Before "applied" nothing but the journal was ever written: what comes out is exact. After it the
  // mirror may be ahead of the tail, which only this boot's position page can tell (Rules 7a, 27).
  let exact = true;
  let from = journal.mark;
  if (journal.applied) {
    exact = !standing.rewound;
    from = exact
      ? Math.max(journal.mark, record.page.applied(journal.era, record.bootId) ?? 0)
      : from;
    feeder = new Feeder(place, c, journal.files.find(({ kind }) => kind === 'c')!);
    beginTail(place, journal.era, from);
  } else {
    feeder = await applyCommitted(place, journal, i, c);
  }
  try {
    if (from < tail.last) await feeder.feed(tail.end, tail.last);
    await idle(mirror);
  } finally {
    feeder.close();
  }
  const error = await mirror.flush();
  if (error !== undefined) {
    await record.distrust();
    throw error;
  }
  const durable = Math.max(from, tail.last);
  const clean = exact ? { clean: true } : {};
  await record.save({ journal: undefined, durable, ...clean });
  for (const { path } of [i, c]) await place.files.remove(path);
  await place.files.syncDirectory(place.directory);
}

/** Waits until all that was accepted is on the mirror. */
async function idle(mirror: Mirror): Promise<void> {
  await mirror.idle();
  if (mirror.stopped) throw new TdmfError('TDMF_RMD_FAILED', { why: 'the mirror stopped' });
}

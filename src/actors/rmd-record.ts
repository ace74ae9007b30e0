/**
 * Owns jGGG.meta and the position page of one mirror while a session runs: reads them, writes them,
 * and knows under which boot they were written. Writes of the record go one after another; each is
 * durable when its promise resolves. What to write is decided elsewhere.
 */
import { metaName, pageName } from '../core/journal/names.js';
import { type Standing, standingOf } from '../core/journal/recovery.js';
import {
  barredMax,
  type ChainRange,
  decodeMeta,
  emptyRecord,
  encodeMeta,
  historyMax,
  type MirrorRecord,
  type MirrorStamp,
} from '../core/meta.js';
import { PositionPage, positionPageBytes } from '../core/position-page.js';
import type { Digest } from '../ports/block-device.js';
import type { DurablePage, FileStore } from '../ports/file-store.js';

/** The record; a damaged one is an unknown mirror that nobody owns. */
export async function readRecord(
  files: FileStore,
  digest: Digest,
  directory: string,
  group: number,
): Promise<{ readonly record: MirrorRecord; readonly damage: string | undefined }> {
  const bytes = await files.read(`${directory}/${metaName(group)}`);
  if (bytes === undefined) return { record: emptyRecord(group), damage: undefined };
  const record = decodeMeta(bytes, digest.crc32c);
  if (typeof record !== 'string') return { record, damage: undefined };
  return { record: { ...emptyRecord(group), state: 'unknown' }, damage: record };
}

/** Where the mirror stands while no session runs; nothing is made or changed. */
export async function readStanding(
  files: FileStore,
  digest: Digest,
  directory: string,
  group: number,
): Promise<Standing> {
  const { record } = await readRecord(files, digest, directory, group);
  const bytes = await files.read(`${directory}/${pageName(group)}`);
  const page = new Uint8Array(positionPageBytes);
  page.set(bytes?.subarray(0, positionPageBytes) ?? []);
  return standingBy(record, new PositionPage(page, digest.crc32c), await files.bootId());
}

function standingBy(record: MirrorRecord, page: PositionPage, boot: string): Standing {
  const { era } = record;
  const bootId = bootIdOf(record, boot);
  const paged = page.durable();
  const pageDurable = paged !== undefined && paged.era === era ? paged.sequence : undefined;
  const applied = era === undefined ? undefined : page.applied(era, bootId);
  return standingOf(record, record.bootId === bootId, pageDurable, applied);
}

function bootIdOf({ losses }: MirrorRecord, boot: string): string {
  return `${boot}.${losses}`;
}

/** Writes a record while no session runs; durable when it resolves. */
export function saveRecord(
  files: FileStore,
  digest: Digest,
  directory: string,
  record: MirrorRecord,
): Promise<void> {
  const bytes = encodeMeta(record, digest.crc32c);
  return files.replace(`${directory}/${metaName(record.group)}`, bytes);
}

/** Bars the last known launch of the PMD (Rule 50), when no session runs that could do it. */
export async function barLastLaunch(
  files: FileStore,
  digest: Digest,
  directory: string,
  group: number,
): Promise<void> {
  const { record } = await readRecord(files, digest, directory, group);
  if (record.launch === '') return;
  await saveRecord(files, digest, directory, { ...record, barred: withBarred(record) });
}

/**
 * The operator lets another primary have the mirror (Rule 34): it is nobody's, and the launch that had
 * it last stays away. Only while no session runs. Returns who had it.
 */
export async function releaseOwner(
  files: FileStore,
  digest: Digest,
  directory: string,
  group: number,
): Promise<string> {
  const { record } = await readRecord(files, digest, directory, group);
  const { ownerNodeId, launch } = record;
  if (ownerNodeId === '') return '';
  const barred = launch === '' ? record.barred : withBarred(record);
  await saveRecord(files, digest, directory, { ...record, ownerNodeId: '', barred });
  return ownerNodeId;
}

export function withBarred(record: MirrorRecord): readonly string[] {
  const others = record.barred.filter((launch) => launch !== record.launch);
  return [record.launch, ...others].slice(0, barredMax);
}

/** What a commit record says. */
export interface Commit extends Partial<MirrorRecord> {
  readonly era: string;
  readonly mark: number;
  readonly chain: ChainRange;
}

/** The commit record (Rule 24): from here on the mirror is (era, mark) for everybody. */
export function saveCommit(record: RmdRecord, commit: Commit): Promise<void> {
  const { era, mark, ...change } = commit;
  return record.save({
    ...change,
    refreshId: '',
    reach: 0,
    era,
    durable: mark,
    base: { era, sequence: mark },
    history: historyWith(record.record),
    image: undefined,
    // A smart refresh leaves a mirror that was closed cleanly as it is; from here on it is written
    // (Rule 27). Under a checkpoint it is not, until that ends.
    ...(record.record.checkpoint === 'off' && { clean: false }),
  });
}

/**
 * The journal, or what the record says of it, is not what was written (Rule 25): the mirror is
 * incoherent, without a position, and only a refresh mends it. The files stay for who wants to look.
 */
export function saveDamage(record: RmdRecord): Promise<void> {
  // Under a checkpoint the mirrors stay with whoever has them, whatever became of the journal.
  const { checkpoint } = record.record;
  return record.save({
    checkpoint: checkpoint === 'on' ? 'on' : 'off',
    state: 'incoherent',
    refreshId: '',
    era: undefined,
    history: historyWith(record.record),
    chain: undefined,
    image: undefined,
    reach: 0,
    clean: true,
  });
}

function historyWith({ era, history }: MirrorRecord): readonly string[] {
  return era === undefined ? history : [era, ...history].slice(0, historyMax);
}

export class RmdRecord {
  readonly page: PositionPage;
  /** The mirrors as they are now; recorded when they are first changed. */
  readonly mirrors: readonly MirrorStamp[];
  readonly #files: FileStore;
  readonly #digest: Digest;
  readonly #path: string;
  readonly #durablePage: DurablePage;
  readonly #boot: string;
  #record: MirrorRecord;
  #distrusted = false;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    files: FileStore,
    digest: Digest,
    path: string,
    durablePage: DurablePage,
    boot: string,
    record: MirrorRecord,
    mirrors: readonly MirrorStamp[],
  ) {
    this.#files = files;
    this.#digest = digest;
    this.#path = path;
    this.#durablePage = durablePage;
    this.page = new PositionPage(durablePage.bytes, digest.crc32c);
    this.#boot = boot;
    this.#record = record;
    this.mirrors = mirrors;
  }

  static async open(
    files: FileStore,
    digest: Digest,
    directory: string,
    group: number,
    mirrors: readonly MirrorStamp[],
  ): Promise<RmdRecord> {
    const { record } = await readRecord(files, digest, directory, group);
    const page = await files.openPage(`${directory}/${pageName(group)}`);
    // A process that was killed between its store and its sync left a position that a power cut would
    // take back; what a session tells the primary must stay.
    await page.sync();
    const boot = await files.bootId();
    const path = `${directory}/${metaName(group)}`;
    return new RmdRecord(files, digest, path, page, boot, record, mirrors);
  }

  get record(): MirrorRecord {
    return this.#record;
  }

  /** Names the boot, and changes when a flush failed: the page cache is not what it was (H21). */
  get bootId(): string {
    return bootIdOf(this.#record, this.#boot);
  }

  /** Where the mirror stands now, from what is on disk. */
  standing(): Standing {
    return standingBy(this.#record, this.page, this.#boot);
  }

  /**
   * The record is about other mirrors than these, of which nobody knows what they hold. Not durable:
   * a path that is corrected finds everything as it was, until a refresh claims these.
   */
  disown(): void {
    this.#record = {
      ...this.#record,
      state: 'unknown',
      refreshId: '',
      era: undefined,
      base: undefined,
      history: historyWith(this.#record),
      chain: undefined,
      image: undefined,
      reach: 0,
      clean: true,
    };
  }

  /** Durable when it resolves; `record` shows the change at once. */
  save(change: Partial<MirrorRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change };
    const bytes = encodeMeta(this.#record, this.#digest.crc32c);
    const saving = this.#saving.then(() => this.#files.replace(this.#path, bytes));
    this.#saving = saving.catch(() => undefined);
    return saving;
  }

  /** Everything up to `sequence` is durable on the mirror or in the journal: says so, durably. */
  async saveDurable(era: string, sequence: number): Promise<void> {
    this.page.setDurable(era, sequence);
    await this.#durablePage.sync();
  }

  /**
   * A flush failed (H21): nothing since the last good one counts. The page is told first, in one
   * store, so that it holds even if the record cannot be written.
   */
  async distrust(): Promise<void> {
    if (this.#distrusted) return;
    this.#distrusted = true;
    this.page.forget();
    await this.save({ losses: this.#record.losses + 1, clean: false });
  }

  async close(): Promise<void> {
    await this.#saving;
    await this.#durablePage.close();
  }
}

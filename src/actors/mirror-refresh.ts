/**
 * A refresh on the mirror side (R1–R10). Full: phase a goes straight to the mirror, which says so durably
 * before its first block (Rule 12.2). Smart and checksum: all blocks go to an image (`.i`), and the
 * mirror stays what it is. Phase b: blocks to the image, entries from s0 on to `.c`; the commit makes
 * both the end of the chain (Rules 4, 24). An image outlives the link, so that what was acknowledged
 * stays acknowledged (R10); the `.c` of an attempt does not.
 *
 *   begin ─► phase a ─phaseB─► phase b ─mark─► commit ─► stream
 *              ▲───── abortB ─────┘
 */
import { TdmfError } from '../core/errors.js';
import { imagePlaces } from '../core/journal/image.js';
import { ImageTable } from '../core/journal/image-table.js';
import { segmentName } from '../core/journal/names.js';
import { noEra, type SegmentHeader } from '../core/journal/segment.js';
import type { Mark, PhaseB, RefreshBegin } from '../core/wire/messages.js';
import { ImageReader } from './image-reader.js';
import type { ChainFile } from './journal-chain.js';
import { ImageFile } from './journal-image.js';
import { JournalStream } from './journal-stream.js';
import type { MirrorCore } from './mirror-core.js';
import { broken, gap } from './mirror-errors.js';
import { removeStray } from './mirror-strays.js';
import { saveCommit } from './rmd-record.js';
import { SegmentFile } from './segment-file.js';

export class MirrorRefresh {
  image: ImageFile | undefined;
  readonly #core: MirrorCore;
  readonly #message: RefreshBegin;
  /** Last running number of a block record, and of the last one before phase b. */
  #lastBlock = 0;
  #blocksBefore = 0;
  #stream: JournalStream | undefined;
  #files: ChainFile[] = [];
  #mark: Mark | undefined;
  #committing: Promise<void> | undefined;
  /** The commit record is written: the files of the attempt are the chain's. */
  #recorded = false;
  readonly #committed: (mark: number) => void;

  private constructor(core: MirrorCore, message: RefreshBegin, committed: (mark: number) => void) {
    this.#core = core;
    this.#message = message;
    this.#committed = committed;
    core.onProgress = () => this.#tryCommit();
  }

  /**
   * The stream before has ended and everything of it is done. `kept`: what earlier sessions of this
   * refresh acknowledged is still there.
   */
  static async begin(
    core: MirrorCore,
    message: RefreshBegin,
    committed: (mark: number) => void,
  ): Promise<{ readonly refresh: MirrorRefresh; readonly kept: boolean }> {
    const full = message.refresh === 'full';
    if (core.checkpointed && message.refresh !== 'smart') {
      throw new TdmfError('TDMF_CHECKPOINT_ON');
    }
    const refresh = new MirrorRefresh(core, message, committed);
    const kept = full ? await refresh.#beginFull() : await refresh.#beginJournaled();
    core.era = undefined;
    core.direct = false;
    return { refresh, kept };
  }

  get refreshId(): string {
    return this.#message.refreshId;
  }

  get inPhaseB(): boolean {
    return this.#stream !== undefined;
  }

  /** Takes a frame of blocks, with the caller's hold. False: no room now. */
  takeBlocks(frame: number, first: number, last: number): boolean {
    const { blocks, options } = this.#core;
    if (first !== this.#lastBlock + 1) throw gap(first, this.#lastBlock);
    if (this.image !== undefined) this.image.append(frame, last);
    else {
      const lane = blocks!;
      if (lane.apply.room < last - first + 1) return false;
      const problem = lane.accept(frame, Number.MAX_SAFE_INTEGER);
      options.ring.release(frame);
      if (problem !== undefined) throw broken(problem, first);
      lane.pump();
    }
    this.#lastBlock = last;
    this.#checkBlocks();
    return true;
  }

  /** Takes a frame of entries of phase b, with the caller's hold. */
  takeEntries(frame: number, first: number, last: number): boolean {
    const stream = this.#stream;
    if (stream === undefined) throw broken('entries in phase a', first);
    if (first !== stream.received + 1) throw gap(first, stream.received);
    stream.append(frame, last);
    return true;
  }

  /** From here on blocks go to `.i`, entries from s0 on to `.c` (R5). */
  async phaseB(message: PhaseB): Promise<void> {
    const core = this.#core;
    if (this.inPhaseB) throw broken('phaseB in phase b');
    await core.mirror?.idle();
    await this.image?.settle();
    this.#blocksBefore = this.#lastBlock;
    this.image ??= await this.#makeImage();
    const { group } = core.place;
    const header: SegmentHeader = {
      group,
      kind: 'c',
      segment: await core.place.nextSegment(),
      refreshId: this.refreshId,
      era: message.era,
      firstSequence: message.s0,
      previous: this.image.header.segment,
      from: undefined,
    };
    this.#files = [];
    const stream = await JournalStream.create(core.place, header, {
      ...core.streamEvents(),
      rolled: async (segment) => {
        if (this.#committing !== undefined) {
          await this.#committing;
          await core.chain.name(segment);
        } else this.#files.push(segment);
      },
    });
    // Without space a refresh ends; it never goes on in another way (Rule 44).
    stream.patient = false;
    this.#files.push(stream.segment);
    this.#stream = stream;
    this.#mark = undefined;
    core.attempt = stream;
    core.era = message.era;
    core.durable = message.s0 - 1;
    core.journalFlush.policy.begin(core.durable, core.durable, core.context.clock.now());
  }

  /** R6: `blocks` records were sent since the last phaseB. */
  mark(message: Mark): void {
    const stream = this.#stream;
    if (stream === undefined) throw broken('mark in phase a');
    if (this.#mark !== undefined) throw broken('a second mark');
    if (message.mark < this.#files[0]!.header.firstSequence - 1) throw broken('mark below s0');
    this.#mark = message;
    this.#checkBlocks();
    this.#tryCommit();
  }

  /** Forgets the entries of the attempt; its blocks stay (R9). */
  async abortB(what = 'abortB'): Promise<void> {
    if (this.#committing !== undefined) {
      // It crossed the commit on the wire. Which of the two it was, the next handshake shows (R10).
      throw new TdmfError('TDMF_RMD_FAILED', { why: `${what} came during the commit` });
    }
    if (!this.inPhaseB) throw broken(`${what} in phase a`);
    await this.#dropStream();
    await this.image?.settle();
    this.#core.era = undefined;
  }

  /** The refresh is over without a commit (4.3): the image is set aside. */
  async end(): Promise<void> {
    if (this.inPhaseB) await this.abortB('refreshEnd');
    await this.#core.mirror?.idle();
    await this.image?.close();
    this.#core.onProgress = () => undefined;
  }

  /** What may be acknowledged of the blocks: on the mirror, or in the image. */
  get blocksDone(): number {
    return this.image?.appended ?? this.#core.blocks!.apply.applied;
  }

  /** Last sequence of the entries of phase b. */
  get received(): number {
    return this.#stream?.received ?? 0;
  }

  /** The session ends: nothing more is taken, nothing is under way when it resolves. */
  async close(): Promise<void> {
    await this.#committing?.catch(() => undefined);
    this.#core.onProgress = () => undefined;
    // Committed, it is the chain's, and closed with it.
    if (!this.#recorded) await this.#dropStream();
    await this.image?.close();
  }

  async #beginFull(): Promise<boolean> {
    const core = this.#core;
    const { record, options } = core;
    const { refreshId } = this;
    const before = record.record;
    const again = before.state === 'incoherent' && before.refreshId === refreshId;
    const here = again && before.bootId === record.bootId;
    const image = here ? await this.#findImage() : undefined;
    const segment = image === undefined ? undefined : before.image;
    const state = 'incoherent';
    await core.claim({ state, refreshId, reach: 0, image: segment });
    // The primary shows what it heard last, and must not call a mirror coherent that is not (I18).
    if (before.state !== state) options.events.stateChanged(state);
    await removeStray(core.place, record.record);
    await core.mirrorFlush.settle();
    this.image = image;
    core.blocks!.apply.begin(0);
    core.mirrorFlush.policy.begin(0, 0, core.context.clock.now());
    // An image that was there and is damaged held blocks that the mirror does not have.
    return here && (before.image === undefined || image !== undefined);
  }

  async #beginJournaled(): Promise<boolean> {
    const core = this.#core;
    const { record } = core;
    const found = await this.#findImage();
    if (found !== undefined) {
      this.image = found;
      await core.claim({ clean: record.record.clean });
      return true;
    }
    await core.claim({ clean: record.record.clean, image: undefined });
    await removeStray(core.place, record.record);
    this.image = await this.#makeImage();
    return false;
  }

  /** The image of an earlier session of this refresh, whole and of this boot (R10). */
  async #findImage(): Promise<ImageFile | undefined> {
    const { place, record } = this.#core;
    const { opener, directory, group, sizes } = place;
    const { image } = record.record;
    if (image === undefined || image.refreshId !== this.refreshId) return undefined;
    const path = `${directory}/${segmentName(group, image.segment, 'i')}`;
    const file = new SegmentFile(opener, path);
    try {
      const device = await file.hold();
      const reader = await ImageReader.open(opener, device, sizes);
      const { header, bootId, closed } = reader.page;
      const itself = header.segment === image.segment && header.refreshId === this.refreshId;
      if (!itself || bootId !== record.bootId) return undefined;
      if (!closed) await reader.verify(() => this.#core.stopped);
      const parts = { header, bootId, file, table: reader.table };
      const found = new ImageFile(place, parts, this.#imageEvents());
      await found.opened();
      this.#core.tell('refresh.journaled');
      return found;
    } catch (error) {
      this.#core.context.log.write('warn', 'the blocks of an earlier session cannot be used', {
        group,
        path,
        why: error instanceof Error ? error.message : String(error),
      });
      return undefined;
    }
  }

  async #makeImage(): Promise<ImageFile> {
    const core = this.#core;
    const { place, record, context } = core;
    const { opener, files, directory, group, sizes } = place;
    const segment = await place.nextSegment();
    const path = `${directory}/${segmentName(group, segment, 'i')}`;
    const device = await opener.open({
      path,
      access: 'readwrite',
      cache: 'writeback',
      createBytes: imagePlaces(sizes).fileBytes,
      growable: true,
    });
    const header: SegmentHeader = {
      group,
      kind: 'i',
      segment,
      refreshId: this.refreshId,
      era: noEra,
      firstSequence: 0,
      previous: 0,
      from: undefined,
    };
    const file = new SegmentFile(opener, path, device);
    const table = new ImageTable(sizes.length);
    const parts = { header, bootId: record.bootId, file, table };
    const image = new ImageFile(place, parts, this.#imageEvents());
    try {
      await image.opened();
      await files.syncDirectory(directory);
      await record.save({ image: { refreshId: this.refreshId, segment } });
    } catch (error) {
      context.log.write('error', 'no image for the refresh', { group, path });
      await image.close();
      throw error;
    }
    image.begin(this.#lastBlock);
    core.tell('refresh.journaled');
    return image;
  }

  #imageEvents(): { appended(): void; failed(error: TdmfError): void } {
    return {
      appended: () => this.#core.progressed(),
      failed: (error) => this.#core.fail(error),
    };
  }

  #checkBlocks(): void {
    const sent = this.#lastBlock - this.#blocksBefore;
    const said = this.#mark?.blocks ?? sent;
    if (sent > said) throw broken(`${sent} blocks, the mark says ${said}`);
  }

  #tryCommit(): void {
    const mark = this.#mark;
    const { image } = this;
    const stream = this.#stream;
    if (mark === undefined || image === undefined || stream === undefined) return;
    if (this.#committing !== undefined || this.#core.stopped) return;
    if (image.appended - this.#blocksBefore < mark.blocks) return;
    if (stream.appended < mark.mark) return;
    // Rule 24, in its order: mirror flushed → files and directory → commit record → `committed` →
    // apply → flush → the record says so. A crash between two steps restarts at the right one.
    const committing = this.#commit(mark, image, stream);
    this.#committing = committing;
    committing.catch((error: unknown) => this.#core.fail(error));
  }

  async #commit(mark: Mark, image: ImageFile, stream: JournalStream): Promise<void> {
    const core = this.#core;
    const { record, chain, options, place } = core;
    const { events } = options;
    await core.flushMirrors();
    const from = chain.end;
    const previous = chain.files.at(-1)?.header.segment ?? 0;
    const era = core.era!;
    await image.seal({ era, previous, from });
    const error = await stream.flush();
    if (error !== undefined) throw error;
    await place.files.syncDirectory(place.directory);
    if (core.stopped) return;
    const files = [{ header: image.header, file: image.file }, ...this.#files];
    const covered = this.#message.union || this.#message.refresh !== 'smart';
    const own = covered && !core.checkpointed ? ({ own: 'none', ownSince: 0 } as const) : {};
    const before = record.record.state;
    const state = core.checkpointed ? before : 'recoverable';
    await chain.commit(files, stream, (range) =>
      saveCommit(record, { era, mark: mark.mark, chain: range, state, ...own }),
    );
    this.#recorded = true;
    stream.patient = true;
    core.attempt = undefined;
    core.durable = Math.max(core.durable, mark.mark);
    await record.saveDurable(era, core.durable);
    await image.close();
    if (core.stopped) return;
    core.onProgress = () => undefined;
    this.#stream = undefined;
    core.tell('refresh.committed');
    this.#committed(mark.mark);
    events.committed(this.refreshId, era, mark.mark);
    if (state !== before) events.stateChanged(state);
    events.acked();
    if (core.checkpointed) await this.#underCheckpoint();
    core.startApplier();
  }

  /** What the journal holds is not to be applied: its files say so by their names (MD#26). */
  async #underCheckpoint(): Promise<void> {
    await this.#core.chain.rename('c', 'p');
  }

  async #dropStream(): Promise<void> {
    const core = this.#core;
    const stream = this.#stream;
    this.#stream = undefined;
    this.#mark = undefined;
    core.attempt = undefined;
    if (stream === undefined) return;
    await core.journalFlush.settle();
    await stream.close();
    for (const { file } of this.#files.splice(0)) await core.place.files.remove(file.path);
    await core.place.files.syncDirectory(core.place.directory);
  }
}

/**
 * A checkpoint on the mirror side (Rules 15a–15d, 37). On: the mirrors hold everything up to the marker,
 * flushed; the `.p` file is there; the record says so; the mirrors are given back. From there on entries
 * only lengthen the journal. Off: main lets go of the mirrors, every one of them is locked, the files
 * are renamed, the record says *replaying*, and the chain goes to the mirror as after any commit.
 *
 * The record decides after a crash: *on* – nothing was written to a mirror, and nothing is; *replaying* –
 * the chain is applied from its start.
 */
import { isTdmfError, TdmfError } from '../core/errors.js';
import type { MirrorRecord } from '../core/meta.js';
import type { MirrorCore } from './mirror-core.js';
import { type FoundChanges, findOwnChanges } from './own-changes.js';
import { failedOf } from './rmd-admission.js';

/** File times move in steps: a write in the step of the mark would not be seen (Rule 15c). */
const markSettleMs = 20;

export class MirrorCheckpoint {
  readonly #core: MirrorCore;
  /** While -off: the last file that was received under the checkpoint. */
  #replaysTo = 0;
  #sequence = 0;

  constructor(core: MirrorCore) {
    this.#core = core;
    this.#sequence = core.record.record.checkpointSequence;
    core.onRetired = (segment) => {
      if (this.#replaysTo > 0 && segment >= this.#replaysTo) void this.#ended();
    };
  }

  /** The marker arrived, and all before it is accepted. Entries after it may follow when it resolves. */
  async on(sequence: number): Promise<void> {
    const core = this.#core;
    const { record, chain, options, context } = core;
    const { events } = options;
    const era = core.era!;
    await core.settle();
    await core.flushMirrors();
    await record.saveDurable(era, sequence - 1);
    core.durable = Math.max(core.durable, sequence - 1);
    if (core.stopped) return;
    if (record.record.state !== 'coherent') {
      const state = record.record.state;
      core.beginDirect({ era, sequence }, sequence);
      await record.saveDurable(era, sequence);
      events.checkpoint('failed', sequence, new TdmfError('TDMF_CHECKPOINT_STATE', { state }));
      return;
    }
    const { devices } = core.mirror!;
    await core.releaseMirrors();
    core.direct = false;
    await new Promise<void>((resolve) => {
      context.clock.after(markSettleMs, resolve);
    });
    const { files } = context.ports;
    const marks = await Promise.all(devices.map(({ path }) => files.writeMark(path)));
    const stamps = record.mirrors.map((stamp, index) => ({ ...stamp, writeMark: marks[index]! }));
    const change = {
      checkpoint: 'on',
      checkpointSequence: sequence,
      durable: sequence,
      clean: true,
      mirrors: stamps,
      ownSince: Math.max(1, Math.floor(context.clock.wallNow())),
    } as const;
    this.#sequence = sequence;
    await chain.openTail('p', { era, sequence }, { change });
    await record.saveDurable(era, sequence);
    core.beginJournal({ era, sequence });
    core.tell('checkpoint.effective');
    events.checkpoint('on', sequence);
  }

  /** The operator takes it off. It says `failed`, and stays on, when the mirrors cannot be had. */
  async off(): Promise<void> {
    const core = this.#core;
    const { record, options, chain } = core;
    const { events } = options;
    if (record.record.checkpoint === 'off') {
      events.checkpoint('off', this.#sequence);
      return;
    }
    if (record.record.checkpoint === 'replaying') return;
    try {
      await options.releaseMirrors();
      core.takeMirrors(await options.openMirrors());
    } catch (error) {
      const why = isTdmfError(error) ? error : failedOf(error);
      events.checkpoint('failed', this.#sequence, why);
      return;
    }
    const { files, devices } = core.context.ports;
    const { directory } = options;
    const mirrors = core.mirror!.devices.map(({ path }) => path);
    const place = { files, digest: devices.digest, directory, mirrors };
    const changed = await findOwnChanges(place, record.record);
    const position = chain.end;
    const tail = chain.tail !== undefined;
    if (tail) {
      const error = await core.flushTail();
      if (error !== undefined) throw error;
      await chain.closeTail();
    }
    await chain.rename('p', 'c');
    this.#replaysTo = chain.files.at(-1)?.header.segment ?? 0;
    await record.save({
      checkpoint: 'replaying',
      mirrors: record.mirrors,
      bootId: record.bootId,
      clean: false,
      ...stateAfter(changed),
    });
    core.tell('checkpoint.released');
    if (changed.changes !== 'none') events.stateChanged('unknown');
    this.#publish(changed);
    if (tail && position !== undefined) {
      // What comes from here on is no part of the checkpoint: it ends when all before is applied.
      await chain.openTail('c', position, { fresh: true });
      core.beginJournal(position);
    }
    // A journal that was damaged is gone, and there is nothing to apply.
    if (this.#replaysTo === 0) {
      core.tell('chain.over');
      await this.#ended();
    }
    core.startApplier();
  }

  /** A session that finds -off begun: it ends when the chain is on the mirror. */
  async finish(): Promise<void> {
    await this.#ended();
  }

  async #ended(): Promise<void> {
    const core = this.#core;
    const { record, options } = core;
    const sequence = this.#sequence;
    this.#replaysTo = 0;
    this.#sequence = 0;
    await record.save({ checkpoint: 'off', checkpointSequence: 0 });
    options.events.checkpoint('off', sequence);
  }

  #publish({ changes, bytes }: FoundChanges): void {
    const { context, options } = this.#core;
    if (changes === 'none') return;
    const { group } = options;
    context.publish('mirror.modified', { group, changes, bytes });
  }
}

/** Rule 15c: what others wrote is known, or nobody knows what the mirror holds. */
export function stateAfter({ changes }: FoundChanges): Partial<MirrorRecord> {
  return changes === 'none' ? { own: 'none', ownSince: 0 } : { own: changes, state: 'unknown' };
}

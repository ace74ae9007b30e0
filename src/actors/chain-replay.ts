/**
 * Brings everything the journal holds onto the mirrors when no session of a primary runs: for reco, also
 * under a checkpoint, which ends by it. It opens and locks the mirrors (somebody who has one of them
 * refuses it), replays, flushes, and hands everything back before it resolves (Rules 15d, 22, 29). It
 * decides nothing about eras: `after` does, while the mirrors are still held.
 */
import { journalSegmentBytes } from '../core/constants.js';
import { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError } from '../core/errors.js';
import type { Standing } from '../core/journal/recovery.js';
import { changedMirror } from '../core/meta.js';
import type { BlockDevice } from '../ports/block-device.js';
import type { ActorContext } from './actor.js';
import { ChainApplier, isDamage } from './chain-applier.js';
import { JournalChain } from './journal-chain.js';
import type { JournalPlace } from './journal-place.js';
import { Mirror } from './mirror.js';
import { stateAfter } from './mirror-checkpoint.js';
import { findOwnChanges } from './own-changes.js';
import { type MirrorConfig, openMirror, stampMirrors } from './rmd-admission.js';
import { RmdRecord, saveDamage } from './rmd-record.js';

export interface ReplaySteps {
  /** The mirrors are held, nothing was changed yet: `record.save({ reco: 'pending' })`. */
  before?(record: RmdRecord): Promise<void>;
  /** Everything is on the mirrors, flushed; they are still held: `record.save(withOwnEra(…))`. */
  after?(record: RmdRecord, standing: Standing): Promise<void>;
}

export interface ReplayOutcome {
  readonly standing: Standing;
  /** The journal was damaged (Rule 25): the mirror is incoherent, without a position. */
  readonly damage: TdmfError | undefined;
}

/**
 * Main has ended the session of the group before (Rule 22). A failure discards nothing, and the same
 * may be done again (H24). @throws TDMF_RMD_MIRROR, TDMF_RMD_OTHER_MIRROR, TDMF_DEVICE_FAILED
 */
export async function replayChain(
  context: ActorContext,
  config: MirrorConfig,
  steps: ReplaySteps = {},
): Promise<ReplayOutcome> {
  const { devices: opener, files } = context.ports;
  const opened: BlockDevice[] = [];
  const closers: (() => Promise<unknown>)[] = [];
  try {
    for (const { mirror, cache } of config.devices) {
      opened.push(await openMirror(opener, mirror, cache));
    }
    const stamps = await stampMirrors({ config, files, devices: opener }, []);
    const { group, journal: directory } = config;
    const record = await RmdRecord.open(files, opener.digest, directory, group, stamps);
    closers.push(() => record.close());
    const changed = changedMirror(record.record.mirrors, stamps);
    if (changed !== undefined) {
      throw new TdmfError('TDMF_RMD_OTHER_MIRROR', { path: config.devices[changed]!.mirror });
    }
    await steps.before?.(record);
    const sizes = opened.map(
      ({ sizeBytes }, index) => record.record.mirrors[index]?.sizeBytes || sizeBytes,
    );
    const devices = opened.splice(0);
    let failure: unknown;
    const place = { context, opener, files, directory, group, sizes };
    const replay = new Replay(place, record, devices, (error) => {
      failure ??= error;
    });
    closers.push(() => replay.close());
    const damage = await replay.run();
    if (failure !== undefined) throw failure;
    await replay.flush();
    const { position, rewound } = record.standing();
    // What was applied under this boot is durable now; a mirror that may be ahead stays in its window.
    if (position !== undefined && !rewound) await record.save({ durable: position, clean: true });
    await steps.after?.(record, record.standing());
    return { standing: record.standing(), damage };
  } finally {
    await Promise.all(opened.map((device) => device.close()));
    for (const close of closers.toReversed()) await close();
  }
}

type Place = Omit<JournalPlace, 'ring' | 'memory' | 'segmentBytes' | 'nextSegment'>;

class Replay {
  readonly #place: Place;
  readonly #record: RmdRecord;
  readonly #mirror: Mirror;
  readonly #chain: JournalChain;
  readonly #applier: ChainApplier;
  #failed = false;

  constructor(
    place: Place,
    record: RmdRecord,
    devices: readonly BlockDevice[],
    failed: (error: unknown) => void,
  ) {
    this.#place = place;
    this.#record = record;
    const fail = (error: unknown) => {
      this.#failed = true;
      this.#applier.notify();
      failed(error);
    };
    this.#mirror = new Mirror(place.context, place.opener, devices, {
      progressed: () => this.#applier.notify(),
      failed: fail,
    });
    // Nothing is appended here: the chain is read only.
    const memory = { arena: 0, bytes: new Uint8Array(0) };
    const ring = new FrameRing(0, 1, 64);
    const nextSegment = () => Promise.reject(new TdmfError('TDMF_INTERNAL', { what: 'a replay' }));
    const journal = { ...place, ring, memory, segmentBytes: journalSegmentBytes, nextSegment };
    const ignored = () => undefined;
    this.#chain = new JournalChain(journal, record, {
      appended: ignored,
      full: ignored,
      failed: fail,
    });
    this.#applier = new ChainApplier({
      opener: place.opener,
      chain: this.#chain,
      record,
      sizes: place.sizes,
      events: {
        hold: ignored,
        drained: ignored,
        retired: ignored,
        stateChanged: ignored,
        flushTail: () => Promise.resolve(undefined),
        failed: fail,
      },
    });
  }

  /** What was damaged, if anything; nothing of a damaged journal reaches the mirror. */
  async run(): Promise<TdmfError | undefined> {
    const record = this.#record;
    const chain = this.#chain;
    let over = false;
    try {
      await chain.load();
      await chain.verify(() => this.#failed);
      await this.#endCheckpoint();
      over = chain.empty;
      if (over) return undefined;
      if (record.record.state === 'coherent') await record.save({ state: 'recoverable' });
      this.#applier.start(this.#mirror);
      await this.#applier.settled();
      over = chain.empty;
      return undefined;
    } catch (error) {
      if (!isDamage(error)) throw error;
      await saveDamage(record);
      over = true;
      return error;
    } finally {
      // The mirrors are held, and what the checkpoint kept from them is there, or lost.
      if (over && record.record.checkpoint !== 'off') {
        await record.save({ checkpoint: 'off', checkpointSequence: 0 });
      }
    }
  }

  /** @throws TDMF_DEVICE_FAILED; nothing since the last good flush counts then (H21) */
  async flush(): Promise<void> {
    await this.#mirror.idle();
    const error = await this.#mirror.flush();
    if (error === undefined) return;
    await this.#record.distrust();
    throw error;
  }

  async close(): Promise<void> {
    this.#mirror.stop();
    await this.#applier.stop();
    await this.#mirror.close();
    this.#applier.close();
  }

  /** Rule 15d: reco performs -off first, in the same order. */
  async #endCheckpoint(): Promise<void> {
    const record = this.#record;
    if (record.record.checkpoint === 'off') return;
    const { files, opener, directory } = this.#place;
    const mirrors = this.#mirror.devices.map(({ path }) => path);
    const found = await findOwnChanges(
      { files, digest: opener.digest, directory, mirrors },
      record.record,
    );
    await this.#chain.rename('p', 'c');
    if (record.record.checkpoint === 'on') {
      await record.save({ checkpoint: 'replaying', clean: false, ...stateAfter(found) });
    }
  }
}

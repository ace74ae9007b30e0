/**
 * Brings everything the journal holds onto the mirrors when no session of a primary runs: for reco, and
 * for a checkpoint that ends on the secondary alone. It opens and locks the mirrors (somebody who has
 * one of them mounted refuses it), replays, flushes, and hands everything back before it resolves
 * (Rules 22, 29). It decides nothing about eras: `after` does, while the mirrors are still held.
 */
import { framePayloadMax, linkWindowBytes } from '../core/constants.js';
import { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError } from '../core/errors.js';
import type { Standing } from '../core/journal/recovery.js';
import { changedMirror } from '../core/meta.js';
import type { BlockDevice } from '../ports/block-device.js';
import type { ActorContext } from './actor.js';
import { Mirror } from './mirror.js';
import { recoverJournal } from './mirror-replay.js';
import { type MirrorConfig, openMirror, stampMirrors } from './rmd-admission.js';
import { RmdRecord } from './rmd-record.js';

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

const framesMax = 8192;

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
  const closers: (() => Promise<void>)[] = [];
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
    const memory = opener.allocate(
      Math.ceil((linkWindowBytes + 2 * framePayloadMax) / 4096) * 4096,
    );
    closers.push(async () => opener.release(memory));
    const alignment = Math.max(64, ...opened.map(({ alignmentBytes }) => alignmentBytes));
    const ring = new FrameRing(memory.bytes.length, framesMax, alignment);
    const waiters: (() => void)[] = [];
    const wake = () => {
      for (const resolve of waiters.splice(0)) resolve();
    };
    let failure: TdmfError | undefined;
    let recording = false;
    const devices = opened.splice(0);
    const mirror = new Mirror(context, opener, devices, ring, memory, {
      record: (applied) => {
        if (recording) record.page.setApplied(applied);
      },
      progressed: wake,
      failed: (error) => {
        failure = error;
        wake();
      },
    });
    closers.push(() => mirror.close());
    const place = {
      opener,
      files,
      directory,
      group,
      ring,
      memory,
      mirror,
      record,
      sizes,
      progress: () =>
        new Promise<void>((resolve) => {
          waiters.push(resolve);
        }),
      recording: (on: boolean) => {
        recording = on;
      },
    };
    const damage = await recoverJournal(place).catch((error: unknown) => {
      throw failure ?? error;
    });
    await mirror.idle();
    const error = await mirror.flush();
    if (error !== undefined) {
      await record.distrust();
      throw error;
    }
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

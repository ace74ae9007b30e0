/**
 * From a HELLO to a mirror side that is ready: admission (rmd-admission.ts), the end of an earlier
 * session, the mirrors locked, the record read, what others wrote judged, receive memory, and the
 * journal brought onto the mirror. Whatever fails on the way leaves nothing open.
 */
import {
  admissionLimitMs,
  framePayloadMax,
  journalSegmentBytes,
  linkWindowBytes,
} from '../core/constants.js';
import { FrameRing } from '../core/engine/frame-ring.js';
import { TdmfError } from '../core/errors.js';
import type { Standing } from '../core/journal/recovery.js';
import { changedMirror } from '../core/meta.js';
import { protocolVersion } from '../core/wire/frame.js';
import { features, type Hello, type Welcome } from '../core/wire/messages.js';
import { hashSeed } from '../core/wire/session.js';
import type { ArenaMemory, BlockDevice } from '../ports/block-device.js';
import type { ActorContext } from './actor.js';
import type { MirrorSessionEvents } from './mirror-core.js';
import { MirrorSession } from './mirror-session.js';
import { type FoundChanges, findOwnChanges, rememberedChanges } from './own-changes.js';
import type { RmdOptions } from './rmd.js';
import { type AdmissionPlace, checkHello, openMirrors, stampMirrors } from './rmd-admission.js';
import { RmdRecord } from './rmd-record.js';

/** What a session has opened, to be closed in the end. */
export interface OpenedSide {
  readonly side: MirrorSession;
  readonly record: RmdRecord;
  readonly memory: ArenaMemory;
  readonly ring: FrameRing;
  readonly own: FoundChanges;
}

const framesMax = 8192;

/** Everything that may be refused, and the end of an earlier session. @throws TDMF_RMD_* */
export async function admit(
  context: ActorContext,
  options: RmdOptions,
  hello: Hello,
): Promise<AdmissionPlace> {
  const { group, supervisor, session, nodeId, home } = options;
  const { devices, files } = context.ports;
  const place: AdmissionPlace = { config: options, nodeId, home, files, devices };
  await checkHello(place, hello);
  // The earlier session of a mirror that hangs ends when its last I/O does, and nobody knows when.
  const admitted = context.address(supervisor).ask({ kind: 'rmd.admit', group, session });
  await within(context, admitted, admissionLimitMs);
  // It may have changed what was checked: its owner, what it bars.
  await checkHello(place, hello);
  return place;
}

/** Opens and locks what the session needs; nothing is changed. @throws TDMF_RMD_*, TDMF_DEVICE_* */
export async function openSide(
  context: ActorContext,
  options: RmdOptions,
  place: AdmissionPlace,
  hello: Hello,
  events: MirrorSessionEvents,
): Promise<OpenedSide> {
  const { group, journal, connection } = options;
  const { devices: opener, files } = context.ports;
  const sizes = hello.devices.map(({ sizeBytes }) => sizeBytes);
  const mirrors = await stampMirrors(place, sizes);
  const record = await RmdRecord.open(files, opener.digest, journal, group, mirrors);
  let devices: BlockDevice[] | undefined;
  let memory: ArenaMemory | undefined;
  try {
    const changed = changedMirror(record.record.mirrors, mirrors);
    if (changed !== undefined) {
      // What the record promises is about another object. Only an order to overwrite may go on (H33).
      const path = options.devices[changed]!.mirror;
      const smart = hello.refreshKind === 'smart' || hello.refreshKind === 'back';
      if (hello.refreshId === undefined || smart)
        throw new TdmfError('TDMF_RMD_OTHER_MIRROR', { path });
      record.disown();
    }
    // Under a checkpoint the mirrors belong to others (Rule 15a).
    if (record.record.checkpoint !== 'on') devices = await openMirrors(place, hello);
    const own = await judgeOwn(context, options, record);
    const windowBytes = options.windowBytes ?? linkWindowBytes;
    const alignment = Math.max(64, ...(devices ?? []).map((device) => device.alignmentBytes), 4096);
    // A window of whole frames, and what lies between them; many small frames pause the link.
    const sizeBytes = windowBytes + 2 * framePayloadMax;
    memory = opener.allocate(Math.ceil(sizeBytes / 4096) * 4096);
    const ring = new FrameRing(memory.bytes.length, framesMax, alignment);
    const { supervisor, session } = options;
    const side = new MirrorSession(context, {
      group,
      directory: journal,
      hello,
      devices,
      openMirrors: () => openMirrors(place, hello),
      releaseMirrors: () =>
        context.address(supervisor).ask({ kind: 'rmd.releaseMirrors', group, session }),
      record,
      ring,
      memory,
      events,
      segmentBytes: options.segmentBytes ?? journalSegmentBytes,
      hashSeed: hashSeed(connection.sessionSecret),
    });
    return { side, record, memory, ring, own };
  } catch (error) {
    await Promise.all((devices ?? []).map((device) => device.close()));
    if (memory !== undefined) opener.release(memory);
    await record.close();
    throw error;
  }
}

/** Where the mirror stands, as the primary hears it. */
export function welcomeOf(
  options: RmdOptions,
  hello: Hello,
  opened: OpenedSide,
  standing: Standing,
): Welcome {
  const { record, own } = opened;
  const { era, refreshId, base, history, checkpoint } = record.record;
  const at = (sequence: number | undefined) =>
    era === undefined || sequence === undefined ? undefined : { era, sequence };
  const { changes, bytes, since } = own;
  return {
    kind: 'welcome',
    protocol: protocolVersion,
    features: hello.features & features.lz4,
    version: options.version,
    nodeId: options.nodeId,
    bootId: record.bootId,
    state: standing.state,
    refreshId: refreshId === '' ? undefined : refreshId,
    position: at(standing.position),
    durable: at(standing.durable),
    base,
    history: [...history],
    windowBytes: options.windowBytes ?? linkWindowBytes,
    checkpoint: checkpoint === 'on' ? 'on' : 'off',
    own: { changes, bytes, since: changes === 'none' ? 0 : since },
  };
}

/** What others wrote: judged once, when the mirror comes back from them; remembered from then on. */
async function judgeOwn(
  context: ActorContext,
  options: RmdOptions,
  record: RmdRecord,
): Promise<FoundChanges> {
  const { files, devices } = context.ports;
  const mirrors = options.devices.map(({ mirror }) => mirror);
  const place = { files, digest: devices.digest, directory: options.journal, mirrors };
  const { record: now } = record;
  if (now.checkpoint === 'on') return { changes: 'none', bytes: 0, since: 0, bitmaps: [] };
  const out = now.mirrors.some(({ writeMark }) => writeMark !== '');
  if (!out) return rememberedChanges(place, now);
  const found = await findOwnChanges(place, now);
  if (found.changes !== now.own) await record.save({ own: found.changes });
  return found;
}

async function within<T>(context: ActorContext, work: Promise<T>, limitMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const limit = context.clock.after(
      limitMs,
      context.guard(() => reject(new TdmfError('TDMF_RMD_BUSY', { seconds: limitMs / 1000 }))),
    );
    work.then(resolve, reject).finally(() => limit.cancel());
  });
}

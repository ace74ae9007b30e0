/**
 * `jGGG.meta`: what the secondary knows about one mirror, in one page that is replaced atomically.
 * Whose it is, in which state, up to which position, which journal files are committed but not yet on
 * the mirror, and who else may have written to it. The durable position moves faster than this file:
 * the position page carries it on (core/position-page.ts), and the greater of the two counts while
 * their eras agree. Bytes are in docs/journal.md. It decides nothing; core/journal/recovery.ts does.
 */
import { assert } from './assert.js';
import { getU32, getU64, putU32, putU64 } from './bytes.js';
import type { Crc32c } from './checksum.js';
import { devicesPerGroupMax } from './constants.js';
import { eraBytes, getEra, getText, idBytes, putEra, putText } from './fixed-text.js';
import { layout } from './layout.js';
import type { WirePosition } from './wire/messages.js';

export const mirrorStates = ['never', 'coherent', 'recoverable', 'incoherent', 'unknown'] as const;
export type RecordedState = (typeof mirrorStates)[number];

export const historyMax = 16;
export const barredMax = 16;
export const writeMarkBytes = 48;
export const metaBytes = 8192;
/**
 * Version log.
 *  1  first.
 */
export const metaVersion = 1;

/** The committed journal files, by number: each says which one comes before it (Rule 15d). */
export interface ChainRange {
  readonly first: number;
  readonly last: number;
}

/** The `.i` file of a refresh that is not committed (R10). */
export interface OpenImage {
  readonly refreshId: string;
  readonly segment: number;
}

/** Which object a mirror is (H33): another path, or another file behind the path, is another mirror. */
export interface MirrorStamp {
  /** CRC32C of the path in s###.cfg. */
  readonly path: number;
  /** 0: not known, as of a block device. */
  readonly inode: number;
  readonly bornMs: number;
  /** What the primary and this side agreed on; nothing beyond is ever written (I20). 0: nothing. */
  readonly sizeBytes: number;
  /**
   * `FileStore.writeMark` when the mirror was handed to others (checkpoint, reco): another one, or
   * none, says that somebody wrote to it (Rule 15c). Empty while the mirror is ours.
   */
  readonly writeMark: string;
}

/** `pending`: reco has begun; `done`: the mirror belongs to applications until reco -d (Rule 29). */
export const recoStates = ['none', 'pending', 'done'] as const;
export type RecoState = (typeof recoStates)[number];

/** `replaying`: -off has begun, the journal is on its way to the mirror (Rule 15a). */
export const checkpointStates = ['off', 'on', 'replaying'] as const;
export type CheckpointRecord = (typeof checkpointStates)[number];

/** What others wrote to the mirror: nothing, the blocks of jGGG.own, or nobody knows what. */
export const ownStates = ['none', 'known', 'unknown'] as const;
export type OwnState = (typeof ownStates)[number];

export interface MirrorRecord {
  readonly group: number;
  readonly ownerNodeId: string;
  readonly state: RecordedState;
  /** The unfinished refresh of `incoherent`; empty in a Rule 7b window and after damage. */
  readonly refreshId: string;
  readonly era: string | undefined;
  /** Of `era`: everything up to here was durable when this was written. */
  readonly durable: number;
  readonly base: WirePosition | undefined;
  readonly history: readonly string[];
  /** Launches that killrmd barred, and the last one seen (Rule 50). */
  readonly barred: readonly string[];
  readonly launch: string;
  /**
   * While there is one nothing reaches the mirror but what the chain holds durably, so that replaying
   * it from its start is exact whatever crashed.
   */
  readonly chain: ChainRange | undefined;
  readonly image: OpenImage | undefined;
  /** The last session closed after a flush of everything applied. */
  readonly clean: boolean;
  /** Boot under which the mirror was last written, and how often a flush lost data since (H21). */
  readonly bootId: string;
  readonly losses: number;
  /** While `incoherent` without a refresh: coherent again when durable up to here (Rule 7b). */
  readonly reach: number;
  /** What was last written; empty when nothing was. */
  readonly mirrors: readonly MirrorStamp[];
  readonly reco: RecoState;
  readonly checkpoint: CheckpointRecord;
  /** Sequence of the marker of that checkpoint, in the era of then; 0: none. */
  readonly checkpointSequence: number;
  readonly own: OwnState;
  /** Milliseconds since 1970: when others could first write to the mirror; 0: never. */
  readonly ownSince: number;
  /** The backfresh that this mirror was last the source of; its write marks are of then. */
  readonly backfreshId: string;
}

export const metaLayout = layout({
  id: 'journal-meta',
  sizeBytes: metaBytes,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: '`TDMM`: 54 44 4d 4d' },
    { offset: 4, size: 4, type: 'u32', name: 'version', meaning: 'version of this layout, see the log' },
    { offset: 8, size: 4, type: 'u32', name: 'group', meaning: 'logical group' },
    { offset: 12, size: 1, type: 'u8', name: 'state', meaning: '0 never, 1 coherent, 2 recoverable, 3 incoherent, 4 unknown' },
    { offset: 13, size: 1, type: 'u8', name: 'clean', meaning: '1: closed after a flush' },
    { offset: 14, size: 1, type: 'u8', name: 'historyCount', meaning: 'eras in `history`' },
    { offset: 15, size: 1, type: 'u8', name: 'barredCount', meaning: 'launches in `barred`' },
    { offset: 16, size: 1, type: 'u8', name: 'mirrorCount', meaning: 'records in `mirrors`' },
    { offset: 17, size: 1, type: 'u8', name: 'reco', meaning: '0 none, 1 pending, 2 done' },
    { offset: 18, size: 1, type: 'u8', name: 'checkpoint', meaning: '0 off, 1 on, 2 replaying' },
    { offset: 19, size: 1, type: 'u8', name: 'own', meaning: 'writes of others: 0 none, 1 known, 2 unknown' },
    { offset: 20, size: 4, type: 'u32', name: 'losses', meaning: 'failed flushes so far' },
    { offset: 24, size: 8, type: 'u64', name: 'durable', meaning: 'durable position in `era`' },
    { offset: 32, size: 8, type: 'u64', name: 'baseSequence', meaning: 'last position known equal to the primary' },
    { offset: 40, size: 8, type: 'u64', name: 'reach', meaning: 'end of a Rule 7b window, or 0' },
    { offset: 48, size: 8, type: 'u64', name: 'chainFirst', meaning: 'first journal file that is needed; 0: none' },
    { offset: 56, size: 8, type: 'u64', name: 'chainLast', meaning: 'last one' },
    { offset: 64, size: 8, type: 'u64', name: 'imageSegment', meaning: '`.i` file of a refresh that is not committed; 0: none' },
    { offset: 72, size: 8, type: 'u64', name: 'checkpointSequence', meaning: 'marker of the checkpoint, or 0' },
    { offset: 80, size: 8, type: 'u64', name: 'ownSince', meaning: 'when others could first write, in ms since 1970; 0: never' },
    { offset: 88, size: 8, type: 'reserved', name: 'reservedA', meaning: 'zero' },
    { offset: 96, size: 16, type: 'bytes', name: 'era', meaning: 'era of `durable`; zeroes: none' },
    { offset: 112, size: 16, type: 'bytes', name: 'baseEra', meaning: 'era of the base; zeroes: none' },
    { offset: 128, size: 64, type: 'bytes', name: 'owner', meaning: 'node id of the primary' },
    { offset: 192, size: 64, type: 'bytes', name: 'bootId', meaning: 'boot under which the mirror was last written' },
    { offset: 256, size: 64, type: 'bytes', name: 'launch', meaning: 'last launch of the PMD' },
    { offset: 320, size: 64, type: 'bytes', name: 'refreshId', meaning: 'unfinished refresh of an incoherent mirror' },
    { offset: 384, size: 64, type: 'bytes', name: 'imageRefreshId', meaning: 'refresh of the `.i` file' },
    { offset: 448, size: 256, type: 'bytes', name: 'history', meaning: '16 older eras, newest first' },
    { offset: 704, size: 1024, type: 'bytes', name: 'barred', meaning: '16 barred launches, newest first' },
    { offset: 1728, size: 5120, type: 'bytes', name: 'mirrors', meaning: '64 records `mirror-stamp`' },
    { offset: 6848, size: 64, type: 'bytes', name: 'backfreshId', meaning: 'backfresh that the mirror was last the source of' },
    { offset: 6912, size: 1276, type: 'reserved', name: 'reservedB', meaning: 'zero' },
    { offset: 8188, size: 4, type: 'u32', name: 'crc', meaning: 'CRC32C of the bytes before' },
  ],
});

export const mirrorStampLayout = layout({
  id: 'mirror-stamp',
  sizeBytes: 80,
  // biome-ignore format: one field a line reads as a table
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'path', meaning: 'CRC32C of the path in `s###.cfg`' },
    { offset: 4, size: 4, type: 'reserved', name: 'reserved', meaning: 'zero' },
    { offset: 8, size: 8, type: 'u64', name: 'inode', meaning: 'number of the file; 0: not known' },
    { offset: 16, size: 8, type: 'u64', name: 'bornMs', meaning: 'when it was made, in ms since 1970; 0: not known' },
    { offset: 24, size: 8, type: 'u64', name: 'sizeBytes', meaning: 'agreed size; 0: none yet' },
    { offset: 32, size: 48, type: 'bytes', name: 'writeMark', meaning: 'of the file when it was handed to others' },
  ],
});

/** An era of this side's own begins where the mirror stands: reco's R (Rule 9a). */
export function withOwnEra(
  record: MirrorRecord,
  era: string,
  position: WirePosition | undefined,
): MirrorRecord {
  const before = record.era ?? position?.era;
  const history = before === undefined ? record.history : [before, ...record.history];
  return {
    ...record,
    era,
    durable: 0,
    base: position ?? record.base,
    history: history.slice(0, historyMax),
    chain: undefined,
    image: undefined,
    reach: 0,
    clean: true,
  };
}

const magic = 0x4d4d4454;
const at = metaLayout.at;
const stampAt = mirrorStampLayout.at;

/** The record of a mirror that nobody ever refreshed. */
export function emptyRecord(group: number): MirrorRecord {
  return {
    group,
    ownerNodeId: '',
    state: 'never',
    refreshId: '',
    era: undefined,
    durable: 0,
    base: undefined,
    history: [],
    barred: [],
    launch: '',
    chain: undefined,
    image: undefined,
    clean: true,
    bootId: '',
    losses: 0,
    reach: 0,
    mirrors: [],
    reco: 'none',
    checkpoint: 'off',
    checkpointSequence: 0,
    own: 'none',
    ownSince: 0,
    backfreshId: '',
  };
}

/** The first mirror that is not the one that was written, or undefined (H33). */
export function changedMirror(
  written: readonly MirrorStamp[],
  now: readonly MirrorStamp[],
): number | undefined {
  if (written.length === 0) return undefined;
  const differs = (one: number, other: number) => one !== 0 && other !== 0 && one !== other;
  const index = now.findIndex(({ path, inode, bornMs }, position) => {
    const before = written[position];
    if (before === undefined || before.path !== path) return true;
    return differs(before.inode, inode) || differs(before.bornMs, bornMs);
  });
  return index < 0 ? undefined : index;
}

export function encodeMeta(record: MirrorRecord, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(metaBytes);
  assert(record.history.length <= historyMax, 'history is bounded');
  assert(record.barred.length <= barredMax, 'barred launches are bounded');
  assert(record.mirrors.length <= devicesPerGroupMax, 'mirrors are bounded');
  putU32(bytes, at.magic, magic);
  putU32(bytes, at.version, metaVersion);
  putU32(bytes, at.group, record.group);
  bytes[at.state] = mirrorStates.indexOf(record.state);
  bytes[at.clean] = record.clean ? 1 : 0;
  bytes[at.historyCount] = record.history.length;
  bytes[at.barredCount] = record.barred.length;
  bytes[at.mirrorCount] = record.mirrors.length;
  bytes[at.reco] = recoStates.indexOf(record.reco);
  bytes[at.checkpoint] = checkpointStates.indexOf(record.checkpoint);
  bytes[at.own] = ownStates.indexOf(record.own);
  putU64(bytes, at.checkpointSequence, record.checkpointSequence);
  putU64(bytes, at.ownSince, record.ownSince);
  putU32(bytes, at.losses, record.losses);
  putU64(bytes, at.durable, record.durable);
  putEra(bytes, at.era, record.era);
  putEra(bytes, at.baseEra, record.base?.era);
  putU64(bytes, at.baseSequence, record.base?.sequence ?? 0);
  putU64(bytes, at.reach, record.reach);
  putText(bytes, at.owner, idBytes, record.ownerNodeId);
  putText(bytes, at.bootId, idBytes, record.bootId);
  putText(bytes, at.launch, idBytes, record.launch);
  putText(bytes, at.refreshId, idBytes, record.refreshId);
  for (const [index, era] of record.history.entries()) {
    putEra(bytes, at.history + index * eraBytes, era);
  }
  for (const [index, launch] of record.barred.entries()) {
    putText(bytes, at.barred + index * idBytes, idBytes, launch);
  }
  for (const [index, stamp] of record.mirrors.entries()) {
    const position = at.mirrors + index * mirrorStampLayout.sizeBytes;
    putU32(bytes, position + stampAt.path, stamp.path);
    putU64(bytes, position + stampAt.inode, stamp.inode);
    putU64(bytes, position + stampAt.bornMs, stamp.bornMs);
    putU64(bytes, position + stampAt.sizeBytes, stamp.sizeBytes);
    putText(bytes, position + stampAt.writeMark, writeMarkBytes, stamp.writeMark);
  }
  putU64(bytes, at.chainFirst, record.chain?.first ?? 0);
  putU64(bytes, at.chainLast, record.chain?.last ?? 0);
  putU64(bytes, at.imageSegment, record.image?.segment ?? 0);
  putText(bytes, at.backfreshId, idBytes, record.backfreshId);
  putText(bytes, at.imageRefreshId, idBytes, record.image?.refreshId ?? '');
  putU32(bytes, at.crc, crc32c(bytes, 0, at.crc));
  return bytes;
}

/** The record, or what is wrong with the bytes, in words. */
export function decodeMeta(bytes: Uint8Array, crc32c: Crc32c): MirrorRecord | string {
  if (bytes.length !== metaBytes) return 'length of the record';
  if (getU32(bytes, at.magic) !== magic) return 'magic of the record';
  if (getU32(bytes, at.crc) !== crc32c(bytes, 0, at.crc)) return 'checksum of the record';
  const version = getU32(bytes, at.version);
  if (version !== metaVersion) return `version ${version} of the record`;
  const state = mirrorStates[bytes[at.state]!];
  const historyCount = bytes[at.historyCount]!;
  const barredCount = bytes[at.barredCount]!;
  const mirrorCount = bytes[at.mirrorCount]!;
  const reco = recoStates[bytes[at.reco]!];
  const checkpoint = checkpointStates[bytes[at.checkpoint]!];
  const own = ownStates[bytes[at.own]!];
  if (state === undefined) return 'state of the record';
  if (reco === undefined || checkpoint === undefined || own === undefined) {
    return 'states of the record';
  }
  if (historyCount > historyMax || barredCount > barredMax) return 'counts of the record';
  if (mirrorCount > devicesPerGroupMax) return 'counts of the record';
  const text = (offset: number) => getText(bytes, offset, idBytes) ?? '';
  const baseEra = getEra(bytes, at.baseEra);
  const first = getU64(bytes, at.chainFirst);
  const segment = getU64(bytes, at.imageSegment);
  return {
    group: getU32(bytes, at.group),
    ownerNodeId: text(at.owner),
    state,
    refreshId: text(at.refreshId),
    era: getEra(bytes, at.era),
    durable: getU64(bytes, at.durable),
    base:
      baseEra === undefined
        ? undefined
        : { era: baseEra, sequence: getU64(bytes, at.baseSequence) },
    history: range(historyCount, (index) => getEra(bytes, at.history + index * eraBytes) ?? ''),
    barred: range(barredCount, (index) => text(at.barred + index * idBytes)),
    launch: text(at.launch),
    chain: first === 0 ? undefined : { first, last: getU64(bytes, at.chainLast) },
    image: segment === 0 ? undefined : { refreshId: text(at.imageRefreshId), segment },
    clean: bytes[at.clean] === 1,
    bootId: text(at.bootId),
    losses: getU32(bytes, at.losses),
    reach: getU64(bytes, at.reach),
    mirrors: range(mirrorCount, (index) => {
      const position = at.mirrors + index * mirrorStampLayout.sizeBytes;
      return {
        path: getU32(bytes, position + stampAt.path),
        inode: getU64(bytes, position + stampAt.inode),
        bornMs: getU64(bytes, position + stampAt.bornMs),
        sizeBytes: getU64(bytes, position + stampAt.sizeBytes),
        writeMark: getText(bytes, position + stampAt.writeMark, writeMarkBytes) ?? '',
      };
    }),
    reco,
    checkpoint,
    checkpointSequence: getU64(bytes, at.checkpointSequence),
    own,
    ownSince: getU64(bytes, at.ownSince),
    backfreshId: text(at.backfreshId),
  };
}

function range<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

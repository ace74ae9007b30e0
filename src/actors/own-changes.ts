/**
 * What others wrote to the mirrors since they were handed out (reco, a checkpoint): the blocks that our
 * own export has tracked in jGGG.own, or "nobody knows" when a mirror was also written around it (Rule
 * 15c). Read when the mirror is to follow its primary again; nothing is changed here. A question that
 * cannot be answered is answered with `unknown`, never with `none` (I5, I18).
 */
import { dirtBytesMax, mapBlockBytes } from '../core/constants.js';
import { ownName } from '../core/journal/names.js';
import { bitsSet, decodeOwnPage, type OwnPage, ownBitmaps } from '../core/journal/own-map.js';
import type { MirrorRecord } from '../core/meta.js';
import type { Dirt, OwnChanges } from '../core/wire/messages.js';
import type { Digest } from '../ports/block-device.js';
import type { FileStore } from '../ports/file-store.js';

export interface OwnPlace {
  readonly files: FileStore;
  readonly digest: Digest;
  /** The journal directory. */
  readonly directory: string;
  /** The mirrors as s###.cfg names them. */
  readonly mirrors: readonly string[];
}

export interface FoundChanges extends OwnChanges {
  /** For each device one bit for each `mapBlockBytes`, lowest first; empty unless `known`. */
  readonly bitmaps: readonly Uint8Array[];
}

const nothing: FoundChanges = { changes: 'none', bytes: 0, since: 0, bitmaps: [] };

export async function findOwnChanges(place: OwnPlace, record: MirrorRecord): Promise<FoundChanges> {
  const { ownSince: since, own, group } = record;
  if (since === 0) return nothing;
  const unknown: FoundChanges = { changes: 'unknown', bytes: 0, since, bitmaps: [] };
  if (own === 'unknown') return unknown;
  const file = await place.files.read(`${place.directory}/${ownName(group)}`);
  const page = file === undefined ? undefined : decodeOwnPage(file, place.digest.crc32c);
  if (typeof page === 'string') return unknown;
  const tracked = page !== undefined && page.since === since ? page : undefined;
  // A page of an earlier time says nothing about this one.
  if (await writtenAround(place, record, tracked)) return unknown;
  if (tracked === undefined) return { ...nothing, since };
  return countBits(file!, tracked, since) ?? unknown;
}

/**
 * What was found when the mirror began to follow its primary again: since then this side itself writes,
 * and write marks say nothing.
 */
export async function rememberedChanges(
  place: Pick<OwnPlace, 'files' | 'digest' | 'directory'>,
  record: MirrorRecord,
): Promise<FoundChanges> {
  const { ownSince: since, own, group } = record;
  if (own === 'none') return nothing;
  const unknown: FoundChanges = { changes: 'unknown', bytes: 0, since, bitmaps: [] };
  if (own === 'unknown') return unknown;
  const file = await place.files.read(`${place.directory}/${ownName(group)}`);
  const page = file === undefined ? undefined : decodeOwnPage(file, place.digest.crc32c);
  if (page === undefined || typeof page === 'string' || page.since !== since) return unknown;
  return countBits(file!, page, since) ?? unknown;
}

/** The blocks as messages for the primary (Rule 10b). */
export function* dirtOf({ bitmaps }: FoundChanges): Generator<Dirt> {
  for (const [device, bits] of bitmaps.entries()) {
    for (let at = 0; at < bits.length; at += dirtBytesMax) {
      const some = bits.slice(at, at + dirtBytesMax);
      if (some.some((byte) => byte !== 0)) {
        yield { kind: 'dirt', device, firstBlock: at * 8, bits: some };
      }
    }
  }
}

/** Whether a mirror bears another write mark than the last owner left on it. */
async function writtenAround(
  { files, mirrors }: OwnPlace,
  record: MirrorRecord,
  tracked: OwnPage | undefined,
): Promise<boolean> {
  for (const [index, path] of mirrors.entries()) {
    const left = tracked?.devices[index];
    // A tdmfd that died while clients were connected left no mark: nobody else had the lock then.
    if (left?.writeMark === '') continue;
    const mark = left?.writeMark ?? record.mirrors[index]?.writeMark ?? '';
    if (mark === '' || (await files.writeMark(path)) !== mark) return true;
  }
  return false;
}

function countBits(file: Uint8Array, page: OwnPage, since: number): FoundChanges | undefined {
  const sizes = page.devices.map(({ sizeBytes }) => sizeBytes);
  const { offsets, lengths } = ownBitmaps(sizes);
  const bitmaps: Uint8Array[] = [];
  let bytes = 0;
  for (const [index, offset] of offsets.entries()) {
    const bits = file.subarray(offset, offset + lengths[index]!);
    if (bits.length < lengths[index]!) return undefined;
    bytes += Math.min(sizes[index]!, bitsSet(bits) * mapBlockBytes);
    bitmaps.push(bits);
  }
  return bytes === 0 ? { ...nothing, since } : { changes: 'known', bytes, since, bitmaps };
}

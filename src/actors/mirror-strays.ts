/**
 * Files of the group in the journal directory that nothing refers to any more: journals of attempts
 * that were never committed (Rule 24), what a replacement of the record left half done. Never a file of
 * the chain, nor the image of an open refresh; and nothing of a mirror whose record is damaged.
 */
import { metaName, ownName, segmentsOf } from '../core/journal/names.js';
import type { MirrorRecord } from '../core/meta.js';
import type { FileStore } from '../ports/file-store.js';

export interface StrayPlace {
  readonly files: FileStore;
  readonly directory: string;
  readonly group: number;
}

/** What is removed is worth nothing; the chain is listed by `chain`, where it is known. */
export async function removeStray(
  place: StrayPlace,
  record: MirrorRecord,
  chain: readonly number[] = [],
): Promise<void> {
  const { files, directory, group } = place;
  const names = (await files.list(directory)) ?? [];
  const range = record.chain;
  const stray = segmentsOf(group, names).filter(({ segment }) => {
    if (segment === record.image?.segment) return false;
    if (chain.length > 0) return !chain.includes(segment);
    return range === undefined || segment < range.first || segment > range.last;
  });
  const replaced = [metaName(group), ownName(group)];
  const half = names.filter(
    (name) => name.endsWith('.new') && replaced.some((one) => name.startsWith(`${one}.`)),
  );
  if (stray.length === 0 && half.length === 0) return;
  for (const { name } of stray) await files.remove(`${directory}/${name}`);
  for (const name of half) await files.remove(`${directory}/${name}`);
  await files.syncDirectory(directory);
}

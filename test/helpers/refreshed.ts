/** A secondary whose mirror is coherent at (era, 0), all zeroes: as after a refresh of an empty disk. */
import { crc32c } from '../../src/core/checksum.js';
import { emptyRecord, encodeMeta } from '../../src/core/meta.js';
import { metaPath, type Secondary } from './secondary.js';

export const era = 'a'.repeat(32);

export async function coherent(secondary: Secondary): Promise<void> {
  const bootId = `${await secondary.node.files.bootId()}.0`;
  const record = {
    ...emptyRecord(7),
    state: 'coherent',
    era,
    bootId,
    ownerNodeId: 'node-a',
  } as const;
  secondary.node.files.files.set(metaPath, encodeMeta(record, crc32c));
}

/** A secondary whose coherent mirror was handed to applications by reco, and what they did to it. */
import { type FoundChanges, findOwnChanges } from '../../src/actors/own-changes.js';
import { crc32c } from '../../src/core/checksum.js';
import { emptyRecord, encodeMeta, type MirrorRecord } from '../../src/core/meta.js';
import { simDigest } from '../../src/testing/digest.js';
import { recoOf } from './recoverable.js';
import { era } from './refreshed.js';
import { journalDirectory, metaPath, type Secondary } from './secondary.js';

const text = new TextEncoder();

export async function handedOut(secondary: Secondary): Promise<void> {
  const bootId = `${await secondary.node.files.bootId()}.0`;
  const mirrors = [...secondary.node.disks.values()].map(({ path, inode, live }) => {
    const bytes = text.encode(path);
    const stamp = { path: crc32c(bytes, 0, bytes.length), inode, bornMs: 0 };
    return { ...stamp, sizeBytes: live.length, writeMark: '' };
  });
  const record: MirrorRecord = {
    ...emptyRecord(7),
    ...{ era, bootId, mirrors },
    state: 'coherent',
    ownerNodeId: 'node-a',
  };
  secondary.node.files.files.set(metaPath, encodeMeta(record, crc32c));
  await recoOf(secondary).ask({ kind: 'reco.run', force: false });
}

export async function changesOf(secondary: Secondary): Promise<FoundChanges> {
  const place = {
    files: secondary.process.files,
    digest: simDigest,
    directory: journalDirectory,
    mirrors: ['/m0'],
  };
  const finding = findOwnChanges(place, secondary.record!);
  await secondary.world.settled(finding);
  return finding;
}

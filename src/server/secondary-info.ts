/** A secondary group as `info` shows it: from its session's RMD, and from the files beside it. */
import type { SessionStatus } from '../actors/link-host.js';
import type { MirrorState } from '../actors/messages.js';
import { type FoundChanges, findOwnChanges } from '../actors/own-changes.js';
import type { RmdStatus } from '../actors/rmd.js';
import { readRecord, readStanding } from '../actors/rmd-record.js';
import type { GroupConfig } from '../config/group-config.js';
import { groupDigits, type Home } from '../config/home.js';
import { TdmfError } from '../core/errors.js';
import { emptyRecord, type MirrorRecord } from '../core/meta.js';
import type { OwnChangesInfo, SecondaryInfo } from '../info.js';
import { atomicFiles } from '../io/atomic-files.js';
import type { Digest } from '../ports/block-device.js';
import type { MirrorExports } from './mirror-exports.js';
import { type Problem, problemOf } from './problem.js';

export interface SecondaryInfoPlace {
  readonly home: Home;
  readonly digest: Digest;
  readonly mirrors: Pick<MirrorExports, 'nameOf'>;
}

export async function secondaryInfo(
  config: GroupConfig,
  refused: Problem | null,
  session: SessionStatus | undefined,
  place: SecondaryInfoPlace,
): Promise<SecondaryInfo> {
  const { home, digest, mirrors } = place;
  const { group } = config;
  const rmd = session?.rmd as RmdStatus | undefined;
  const connected = rmd !== undefined && rmd.phase !== 'handshake' && rmd.phase !== 'ended';
  const journal = home.resolve(config.secondary.journal);
  const record = await recordOf(journal, group, digest);
  const flagged = (await atomicFiles.read(home.groupFile('s.off', group))) !== undefined;
  const off = flagged || record.reco !== 'none';
  return {
    group,
    role: 'secondary',
    note: config.note,
    rmd: !off && connected ? rmd.rmd : 'OFF',
    connection: connected ? 'CONNECTED' : 'NOT_CONNECTED',
    mirrorState: connected ? shown(rmd.mirrorState) : await recorded(journal, group, digest),
    checkpoint: record.checkpoint === 'on',
    // A flag whose record is gone still keeps every primary away.
    reco: record.reco === 'none' && flagged ? 'pending' : record.reco,
    ownChanges: await ownChanges(config, record, journal, digest),
    primary: config.primary.host,
    secondary: `${config.secondary.host}:${config.secondary.port}`,
    journal,
    problem: off ? handedOver(group) : refused,
    devices: config.devices.map(({ name, mirror }) => {
      const exported = mirrors.nameOf(group, name);
      const uri =
        exported === undefined ? null : `nbd+unix:///${exported}?socket=${home.nbdSocket}`;
      return { name, mirror, uri };
    }),
  };
}

/** A group whose s###.cfg cannot be used. */
export function secondaryNotReadable(group: number, problem: Problem): SecondaryInfo {
  return {
    group,
    role: 'secondary',
    note: '',
    rmd: 'OFF',
    connection: 'NOT_CONNECTED',
    mirrorState: 'unknown',
    checkpoint: false,
    reco: 'none',
    ownChanges: null,
    primary: '?',
    secondary: '?',
    journal: '?',
    problem,
    devices: [],
  };
}

function handedOver(group: number): Problem {
  return problemOf(new TdmfError('TDMF_RMD_OFF', { group: groupDigits(group) }));
}

async function recordOf(journal: string, group: number, digest: Digest): Promise<MirrorRecord> {
  const read = await readRecord(atomicFiles, digest, journal, group).catch(() => undefined);
  return read?.record ?? emptyRecord(group);
}

async function ownChanges(
  config: GroupConfig,
  record: MirrorRecord,
  directory: string,
  digest: Digest,
): Promise<OwnChangesInfo | null> {
  if (record.ownSince === 0) return null;
  const mirrors = config.devices.map(({ mirror }) => mirror);
  const found: Pick<FoundChanges, 'changes' | 'bytes'> = await findOwnChanges(
    { files: atomicFiles, digest, directory, mirrors },
    record,
  ).catch(() => ({ changes: 'unknown', bytes: 0 }) as const);
  const { changes, bytes } = found;
  return { changes, bytes, since: new Date(record.ownSince).toISOString() };
}

/**
 * I18: what the next session would find, which after a power cut is less than the record says; and
 * nothing when it cannot be read.
 */
async function recorded(journal: string, group: number, digest: Digest): Promise<MirrorState> {
  const standing = await readStanding(atomicFiles, digest, journal, group).catch(() => undefined);
  return standing === undefined ? 'unknown' : shown(standing.state);
}

function shown(state: string): MirrorState {
  return state === 'coherent' || state === 'recoverable' || state === 'incoherent'
    ? state
    : 'unknown';
}

/** A secondary group as `info` shows it: from its session's RMD, or from the files when there is none. */
import type { SessionStatus } from '../actors/link-host.js';
import type { MirrorState } from '../actors/messages.js';
import type { RmdStatus } from '../actors/rmd.js';
import { readStanding } from '../actors/rmd-record.js';
import type { GroupConfig } from '../config/group-config.js';
import { groupDigits, type Home } from '../config/home.js';
import { TdmfError } from '../core/errors.js';
import type { SecondaryInfo } from '../info.js';
import { atomicFiles } from '../io/atomic-files.js';
import type { Digest } from '../ports/block-device.js';
import { type Problem, problemOf } from './problem.js';

export async function secondaryInfo(
  config: GroupConfig,
  refused: Problem | null,
  session: SessionStatus | undefined,
  home: Home,
  digest: Digest,
): Promise<SecondaryInfo> {
  const rmd = session?.rmd as RmdStatus | undefined;
  const connected = rmd !== undefined && rmd.phase !== 'handshake' && rmd.phase !== 'ended';
  const journal = home.resolve(config.secondary.journal);
  const off = await atomicFiles.read(home.groupFile('s.off', config.group));
  return {
    group: config.group,
    role: 'secondary',
    note: config.note,
    rmd: off === undefined && connected ? rmd.rmd : 'OFF',
    connection: connected ? 'CONNECTED' : 'NOT_CONNECTED',
    mirrorState: connected ? shown(rmd.mirrorState) : await recorded(journal, config.group, digest),
    primary: config.primary.host,
    secondary: `${config.secondary.host}:${config.secondary.port}`,
    journal,
    problem: off === undefined ? refused : handedOver(config.group),
    devices: config.devices.map(({ name, mirror }) => ({ name, mirror })),
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

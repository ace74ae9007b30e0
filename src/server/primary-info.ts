/** A primary group as `info` shows it, from its shared counters and its group actor's status. */
import type { GroupStatus } from '../actors/group-status.js';
import { syncStatus } from '../actors/group-tunables.js';
import type { GroupConfig } from '../config/group-config.js';
import type { Home } from '../config/home.js';
import type { BabPool } from '../core/bab/pool.js';
import { DeviceMap } from '../core/bitmap/device-map.js';
import { sectorBytes } from '../core/constants.js';
import type { DivergenceInfo, PrimaryInfo } from '../info.js';
import type { StartedGroup } from './primary-groups.js';
import { type Problem, withRemedy } from './problem.js';

const nothing = { entries: 0, bytes: 0, sectors: 0, percent: 0 };
const noRates = { readKbps: 0, writeKbps: 0, actualNetKbps: 0, effectiveNetKbps: 0 };

export function notStarted(
  config: GroupConfig,
  home: Home,
  pstore: string,
  problem: Problem | null,
): PrimaryInfo {
  return {
    ...configured(config, pstore),
    started: false,
    divergence: null,
    checkpoint: false,
    mode: 'PASSTHRU',
    connection: 'ACCUMULATE',
    problem,
    mirrorState: 'unknown',
    mirrorStateAgeSeconds: null,
    unverified: false,
    bab: nothing,
    lag: { entries: 0, bytes: 0, seconds: 0 },
    refresh: null,
    rates: noRates,
    devices: config.devices.map((device) => ({
      ...deviceNames(config, device, home),
      sizeSectors: 0,
      reads: 0,
      sectorsRead: 0,
      writes: 0,
      sectorsWritten: 0,
      babEntries: 0,
      babSectors: 0,
      dirtyBytes: 0,
    })),
  };
}

/** A group whose file cannot be read is shown all the same, with the reason: nothing disappears. */
export function notReadable(group: number, pstore: string, problem: Problem): PrimaryInfo {
  return {
    group,
    role: 'primary',
    note: '',
    started: false,
    mode: 'PASSTHRU',
    connection: 'ACCUMULATE',
    problem,
    divergence: null,
    checkpoint: false,
    mirrorState: 'unknown',
    mirrorStateAgeSeconds: null,
    unverified: false,
    primary: '?',
    secondary: '?',
    pstore,
    sync: syncStatus({}, false),
    bab: nothing,
    lag: { entries: 0, bytes: 0, seconds: 0 },
    refresh: null,
    rates: noRates,
    devices: [],
  };
}

/** `status` is undefined while the group's actors are being restarted. */
export function primaryInfo(
  group: StartedGroup,
  status: GroupStatus | undefined,
  pool: BabPool,
  home: Home,
  pstore: string,
  now: { readonly monotonicMs: number; readonly wallMs: number },
): PrimaryInfo {
  const { config, shared, sizes, view } = group;
  const snapshot = view.snapshot();
  const share = pool.usedChunks(shared.poolSlot) / pool.chunkCount;
  const sum = (field: 'sectorsRead' | 'sectorsWritten') =>
    snapshot.devices.reduce((total, device) => total + device[field], 0) * sectorBytes;
  const rates = group.rates.sample(now.monotonicMs, {
    read: sum('sectorsRead'),
    written: sum('sectorsWritten'),
    netActual: snapshot.linkBytesSent,
    netEffective: snapshot.dataBytesSent,
  });
  const kb = (bytesPerSecond: number) => Math.round(bytesPerSecond / 1024);
  const oldest = snapshot.oldestAt === undefined ? 0 : (now.wallMs - snapshot.oldestAt) / 1000;
  return {
    ...configured(config, pstore),
    ...(status !== undefined && { sync: status.sync }),
    started: true,
    divergence: divergenceOf(status),
    checkpoint: status?.checkpoint === 'on',
    mode: status?.mode ?? 'PASSTHRU',
    connection: status?.connection ?? 'ACCUMULATE',
    problem: shownProblem(status),
    mirrorState: status?.mirrorState ?? 'unknown',
    mirrorStateAgeSeconds: status?.mirrorStateAgeSeconds ?? null,
    unverified: status?.unverified ?? false,
    bab: {
      entries: snapshot.entries,
      bytes: snapshot.bytes,
      sectors: snapshot.sectors,
      percent: Math.round(share * 100),
    },
    lag: { entries: snapshot.entries, bytes: snapshot.bytes, seconds: Math.max(0, oldest) },
    refresh: status?.refresh
      ? {
          kind: status.refresh.kind,
          doneBytes: status.refresh.doneBytes,
          totalBytes: status.refresh.totalBytes,
          bytesPerSecond: Math.round(status.refresh.rate),
          etaSeconds: status.refresh.etaSeconds,
        }
      : null,
    rates: {
      readKbps: kb(rates.read),
      writeKbps: kb(rates.written),
      actualNetKbps: kb(rates.netActual),
      effectiveNetKbps: kb(rates.netEffective),
    },
    devices: config.devices.map((device, index) => {
      const counters = snapshot.devices[index];
      const size = sizes[index] ?? 0;
      const map = shared.maps[index];
      return {
        ...deviceNames(config, device, home),
        sizeSectors: size / sectorBytes,
        reads: counters?.reads ?? 0,
        sectorsRead: counters?.sectorsRead ?? 0,
        writes: counters?.writes ?? 0,
        sectorsWritten: counters?.sectorsWritten ?? 0,
        babEntries: counters?.babEntries ?? 0,
        babSectors: counters?.babSectors ?? 0,
        dirtyBytes: map === undefined ? 0 : new DeviceMap(map, size).dirtyBytes,
      };
    }),
  };
}

function divergenceOf(status: GroupStatus | undefined): DivergenceInfo | null {
  if (!status?.divergence) return null;
  const { code, hereBytes, thereBytes, since } = status.divergence;
  return { code, hereBytes, thereBytes, since: since === 0 ? null : new Date(since).toISOString() };
}

function shownProblem(status: GroupStatus | undefined): Problem | null {
  if (status === undefined) return restarting;
  const problem = status.reasons[0] ?? status.problem;
  return problem === null ? null : withRemedy(problem);
}

const restarting = withRemedy({
  code: 'TDMF_ACTOR_GONE',
  message: 'the actors of the group are being restarted',
});

function configured(config: GroupConfig, pstore: string) {
  return {
    group: config.group,
    role: 'primary' as const,
    note: config.note,
    primary: config.primary.host,
    secondary: `${config.secondary.host}:${config.secondary.port}`,
    pstore,
    sync: syncStatus(config.tunables, false),
  };
}

function deviceNames(config: GroupConfig, device: GroupConfig['devices'][number], home: Home) {
  return {
    name: device.name,
    data: device.data,
    mirror: `${config.secondary.host}:${device.mirror}`,
    uri: `nbd+unix:///g${config.group}/${device.name}?socket=${home.nbdSocket}`,
  };
}

/** Groups as tdmfd would show them, for tests of what is made of them. */
import type { PrimaryInfo, SecondaryInfo, TdmfInfo } from '../../src/info.js';

export function primaryOf(change: Partial<PrimaryInfo> = {}): PrimaryInfo {
  return {
    group: 0,
    role: 'primary',
    note: '',
    started: true,
    mode: 'NORMAL',
    connection: 'CONNECTED',
    problem: null,
    checkpoint: false,
    divergence: null,
    mirrorState: 'coherent',
    mirrorStateAgeSeconds: null,
    unverified: false,
    primary: 'pumbaa',
    secondary: 'kali:575',
    pstore: '/var/lib/tdmf/pstore',
    sync: { mode: 'async', depth: 1, timeoutSeconds: 30, degraded: false },
    bab: { entries: 0, bytes: 0, sectors: 0, percent: 0 },
    lag: { entries: 0, bytes: 0, seconds: 0 },
    refresh: null,
    rates: { readKbps: 0, writeKbps: 0, actualNetKbps: 0, effectiveNetKbps: 0 },
    devices: [
      {
        name: 'F',
        data: '/dev/f',
        mirror: 'kali:/dev/h',
        sizeSectors: 2_104_448,
        uri: 'nbd+unix:///g0/F?socket=/s',
        reads: 152,
        sectorsRead: 1945,
        writes: 25,
        sectorsWritten: 200,
        babEntries: 0,
        babSectors: 0,
        dirtyBytes: 0,
      },
    ],
    ...change,
  };
}

export function secondaryOf(change: Partial<SecondaryInfo> = {}): SecondaryInfo {
  return {
    group: 0,
    role: 'secondary',
    note: '',
    rmd: 'MIRRORING',
    connection: 'CONNECTED',
    mirrorState: 'coherent',
    checkpoint: false,
    reco: 'none',
    ownChanges: null,
    primary: 'pumbaa',
    secondary: 'kali:575',
    journal: '/srv/journal',
    problem: null,
    devices: [{ name: 'F', mirror: '/dev/h', uri: null }],
    ...change,
  };
}

export function infoOf(...groups: TdmfInfo['groups']): TdmfInfo {
  const bytes = 67_108_864;
  return {
    schema: 'tdmf.info/1',
    version: '0.1.0',
    bab: { requestedBytes: bytes, actualBytes: bytes, usedBytes: 0 },
    groups,
  };
}

/**
 * What TDMF says of itself: the structure that `status()` of the library returns, `tdmfctl info
 * --json` prints and the console shows. One model, three faces (design.md 2.4, schema tdmf.info/1).
 * Plain data; sizes in bytes unless named sectors (512).
 */
import type { MirrorState } from './actors/messages.js';

export type Mode = 'PASSTHRU' | 'NORMAL' | 'TRACKING' | 'REFRESH' | 'BACKFRESH';
export type Connection = 'CONNECTED' | 'ACCUMULATE' | 'NOT_CONNECTED';

export interface TdmfInfo {
  readonly schema: 'tdmf.info/1';
  readonly version: string;
  readonly bab: {
    readonly requestedBytes: number;
    readonly actualBytes: number;
    readonly usedBytes: number;
  };
  readonly groups: readonly GroupInfo[];
}

export type GroupInfo = PrimaryInfo | SecondaryInfo;

export interface PrimaryInfo {
  readonly group: number;
  readonly role: 'primary';
  readonly note: string;
  readonly started: boolean;
  readonly mode: Mode;
  readonly connection: Connection;
  /** Why the connection is not there, or why the secondary refused. */
  readonly problem: ProblemInfo | null;
  readonly checkpoint: boolean;
  /** What each side has that the other has not, where an operator must decide; as last heard. */
  readonly divergence: DivergenceInfo | null;
  /** The last one heard of, and how long ago when not connected. */
  readonly mirrorState: MirrorState;
  readonly mirrorStateAgeSeconds: number | null;
  readonly unverified: boolean;
  readonly primary: string;
  readonly secondary: string;
  readonly pstore: string;
  readonly sync: {
    readonly mode: 'async' | 'near-sync' | 'sync';
    readonly depth: number;
    readonly timeoutSeconds: number;
    /** Writes do not wait although they should: the secondary did not answer in time. */
    readonly degraded: boolean;
  };
  readonly bab: {
    readonly entries: number;
    readonly bytes: number;
    readonly sectors: number;
    readonly percent: number;
  };
  readonly lag: { readonly entries: number; readonly bytes: number; readonly seconds: number };
  readonly refresh: RefreshInfo | null;
  readonly rates: {
    readonly readKbps: number;
    readonly writeKbps: number;
    readonly actualNetKbps: number;
    readonly effectiveNetKbps: number;
  };
  readonly devices: readonly DeviceInfo[];
}

export interface DivergenceInfo {
  /** TDMF_LINEAGE_*: why nothing is done by itself. */
  readonly code: string;
  readonly hereBytes: number;
  /** Null: nobody knows. */
  readonly thereBytes: number | null;
  /** When the mirror left the primary's history; null: it did not. */
  readonly since: string | null;
}

/** What is wrong, and what to do about it. */
export interface ProblemInfo {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export interface RefreshInfo {
  readonly kind: 'full' | 'smart' | 'checksum' | 'back';
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  readonly etaSeconds: number | null;
}

export interface DeviceInfo {
  readonly name: string;
  readonly data: string;
  /** `host:path` */
  readonly mirror: string;
  readonly sizeSectors: number;
  readonly uri: string;
  readonly reads: number;
  readonly sectorsRead: number;
  readonly writes: number;
  readonly sectorsWritten: number;
  readonly babEntries: number;
  readonly babSectors: number;
  readonly dirtyBytes: number;
}

export interface SecondaryInfo {
  readonly group: number;
  readonly role: 'secondary';
  readonly note: string;
  readonly rmd: 'MIRRORING' | 'JOURNALING' | 'MIRRORING_AND_JOURNALING' | 'OFF';
  readonly connection: Connection;
  readonly mirrorState: MirrorState;
  /** A snapshot is open to applications, until it is taken off. */
  readonly checkpoint: boolean;
  /** reco handed the mirror to applications, or was broken off (`pending`): no RMD is admitted. */
  readonly reco: 'none' | 'pending' | 'done';
  /** What others changed on the mirror since it was handed out. */
  readonly ownChanges: OwnChangesInfo | null;
  readonly primary: string;
  readonly secondary: string;
  readonly journal: string;
  /** Why the last session was refused, or why s###.cfg cannot be used. */
  readonly problem: ProblemInfo | null;
  readonly devices: readonly MirrorDeviceInfo[];
}

export interface OwnChangesInfo {
  /** `unknown`: written around our export, nobody knows where. */
  readonly changes: 'none' | 'known' | 'unknown';
  readonly bytes: number;
  readonly since: string;
}

export interface MirrorDeviceInfo {
  readonly name: string;
  readonly mirror: string;
  /** The NBD export, while the mirror is handed out; null otherwise. */
  readonly uri: string | null;
}

/**
 * The control messages of the link, as one union. They travel as msgpack in control frames
 * (docs/protocol.md); `P→S` and `S→P` say which way. Decoded values are validated before use, sizes
 * are bounded before decoding. Numbers of kinds are never reused.
 */

export interface WirePosition {
  readonly era: string;
  readonly sequence: number;
}

/** P→S, the first frame: who I am and what I know (at most `firstFramePayloadMax`). */
export interface Hello {
  readonly kind: 'hello';
  readonly protocol: number;
  readonly features: number;
  readonly version: string;
  readonly role: 'primary';
  readonly nodeId: string;
  readonly loopback: boolean;
  /** Names this launch of the PMD (Rule 50). */
  readonly launch: string;
  readonly heartbeatMs: number;
  readonly devices: readonly WireDevice[];
  readonly era: string;
  readonly s0: number;
  /** Last sequence stamped in `era`, last released, highest ever sent, and the lease. */
  readonly stamped: number;
  readonly released: number;
  readonly sentMax: number;
  readonly lease: number;
  /** Of the refresh or backfresh that is open, and its kind. */
  readonly refreshId: string | undefined;
  readonly refreshKind: WireRefreshKind | 'back' | undefined;
  /** Why this session: to mirror, or to bring the data home (BACKFRESH). */
  readonly purpose: 'mirror' | 'backfresh';
}

export type WireRefreshKind = 'full' | 'smart' | 'checksum';

export interface WireDevice {
  readonly name: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
}

/** S→P: the mirror is open and mine; this is where it stands. */
export interface Welcome {
  readonly kind: 'welcome';
  readonly protocol: number;
  readonly features: number;
  readonly version: string;
  readonly nodeId: string;
  /** Changes with every boot of the secondary. */
  readonly bootId: string;
  readonly state: 'never' | 'coherent' | 'recoverable' | 'incoherent' | 'unknown';
  /** Set while `incoherent` because of an unfinished refresh. */
  readonly refreshId: string | undefined;
  /** Where to resume: `applied` under the same boot, `durable` after another (Rule 7a). */
  readonly position: WirePosition | undefined;
  readonly durable: WirePosition | undefined;
  readonly base: WirePosition | undefined;
  readonly history: readonly string[];
  /** Bytes the primary may have under way (credit). */
  readonly windowBytes: number;
  readonly checkpoint: 'off' | 'on';
  /**
   * What others wrote to the mirror since `position`: nothing, `own.bytes` in blocks that are known
   * (Rule 10b: they come as `dirt`), or nobody knows what.
   */
  readonly own: OwnChanges;
}

export interface OwnChanges {
  readonly changes: 'none' | 'known' | 'unknown';
  readonly bytes: number;
  /** Milliseconds since 1970: when the mirror left the primary's history; 0: it did not. */
  readonly since: number;
}

/** S→P: no, and why; the connection ends. `code` is a TDMF_RMD_* or TDMF_LINK_* code. */
export interface Refused {
  readonly kind: 'refused';
  readonly code: string;
  readonly details: Readonly<Record<string, string | number>>;
}

/** P→S: entries of `era` follow from `from` on (Rule 8b: `from` is exactly the next). */
export interface Resume {
  readonly kind: 'resume';
  readonly era: string;
  readonly from: number;
  /** Until this position is reached the mirror is incoherent (Rule 7b); 0 when not ahead. */
  readonly sentMax: number;
}

/**
 * P→S: a refresh begins or goes on. Full: the mirror is `incoherent` durably before READY (Rule
 * 12.2). Smart and checksum: blocks go to `.i` from the beginning, the mirror stays what it is.
 */
export interface RefreshBegin {
  readonly kind: 'refreshBegin';
  readonly refreshId: string;
  readonly refresh: WireRefreshKind;
  /** S sends what it knows to be changed on its own side, as `dirt`, before READY (Rule 10b). */
  readonly union: boolean;
}

/** S→P */
export interface RefreshReady {
  readonly kind: 'refreshReady';
  readonly refreshId: string;
  /** Everything acknowledged of this refresh in earlier sessions is still there (R10). */
  readonly kept: boolean;
}

/** S→P: blocks of a device that changed on this side, one bit each from `firstBlock` on. */
export interface Dirt {
  readonly kind: 'dirt';
  readonly device: number;
  readonly firstBlock: number;
  /** Lowest bit first; at most `dirtBytesMax`. */
  readonly bits: Uint8Array;
}

/**
 * P→S: compare (Rule 17). XXH3-128 of blocks in a row from `offset` on (`mapBlockBytes` each, the last
 * of the device shorter), seeded per session. At most `hashBatchesMax` are under way.
 */
export interface Hashes {
  readonly kind: 'hashes';
  readonly batch: number;
  readonly device: number;
  readonly offset: number;
  /** 16 bytes a block, at most `hashBlocksMax` of them. */
  readonly hashes: Uint8Array;
}

/**
 * S→P: which blocks of `batch` differ, one bit each. S compares its logical view: `.i` of this refresh
 * over the committed chain over the mirror. In a backfresh the differing blocks follow as BLOCKS.
 */
export interface Differs {
  readonly kind: 'differs';
  readonly batch: number;
  readonly bits: Uint8Array;
}

/**
 * P→S: the mirror, which stands exactly at `from`, goes on in `era` from `s0` (Rule 8b). `adopt`: the
 * operator says so, whatever it holds; it is `unknown` (UNVERIFIED) then, and `from` is not compared.
 */
export interface EraHandOver {
  readonly kind: 'era';
  readonly from: WirePosition | undefined;
  readonly era: string;
  readonly s0: number;
  readonly adopt: boolean;
}

/** S→P: the record says so durably; entries of `era` may follow. */
export interface EraTaken {
  readonly kind: 'eraTaken';
  readonly era: string;
}

/** P→S: the mirror is the source now. S has replayed its chain and flushed before READY (Rule 30). */
export interface BackfreshBegin {
  readonly kind: 'backfreshBegin';
  readonly refreshId: string;
  /** S sends its own changes as `dirt` first. */
  readonly union: boolean;
}

/** P→S: apply the journal, the mirror follows again (Rule 15a). */
export interface CheckpointOff {
  readonly kind: 'checkpointOff';
}

/** S→P: how a checkpoint went; `sequence` is the marker's. */
export interface CheckpointState {
  readonly kind: 'checkpointState';
  readonly state: 'off' | 'on' | 'failed';
  readonly sequence: number;
  /** Why it failed, or why it could not be taken off. */
  readonly code: string | undefined;
  readonly details: Readonly<Record<string, string | number>>;
}

/** S→P: the operator of the secondary asks; the primary carries it out (`-on`, `-off`). */
export interface CheckpointWanted {
  readonly kind: 'checkpointWanted';
  readonly on: boolean;
}

/** P→S: the answer, when it is no. */
export interface CheckpointRefused {
  readonly kind: 'checkpointRefused';
  readonly on: boolean;
  readonly code: string;
  readonly details: Readonly<Record<string, string | number>>;
}

/** P→S: from here on blocks go to `.i`, entries ≥ s0 of `era` to `.c` (R5). */
export interface PhaseB {
  readonly kind: 'phaseB';
  readonly refreshId: string;
  readonly era: string;
  readonly s0: number;
}

/** P→S: the commit mark (R6): `blocks` block records were sent in phase b. */
export interface Mark {
  readonly kind: 'mark';
  readonly refreshId: string;
  readonly mark: number;
  readonly blocks: number;
}

/** S→P: the commit record is durable (Rule 24). */
export interface Committed {
  readonly kind: 'committed';
  readonly refreshId: string;
  readonly era: string;
  readonly mark: number;
}

/** P→S: forget this attempt's journals, back to phase a (R9). */
export interface AbortB {
  readonly kind: 'abortB';
  readonly refreshId: string;
}

/** P→S: the refresh is over without a commit (killrefresh); the mirror stays as it is. */
export interface RefreshEnd {
  readonly kind: 'refreshEnd';
  readonly refreshId: string;
}

/** P→S: make everything received so far durable as soon as possible (`flushWanted`, Rule 39). */
export interface FlushWanted {
  readonly kind: 'flushWanted';
  readonly sequence: number;
}

/** Both ways: the last words. */
export interface Bye {
  readonly kind: 'bye';
  readonly code: string;
  readonly details: Readonly<Record<string, string | number>>;
}

/** S→P: the state of the mirror changed (4.2). */
export interface StateChanged {
  readonly kind: 'stateChanged';
  readonly state: Welcome['state'];
}

export type ControlMessage =
  | Hello
  | Welcome
  | Refused
  | Resume
  | RefreshBegin
  | RefreshReady
  | Dirt
  | Hashes
  | Differs
  | EraHandOver
  | EraTaken
  | BackfreshBegin
  | CheckpointOff
  | CheckpointState
  | CheckpointWanted
  | CheckpointRefused
  | PhaseB
  | Mark
  | Committed
  | AbortB
  | RefreshEnd
  | FlushWanted
  | StateChanged
  | Bye;

/** What an ENTRIES or BLOCKS frame says of one piece; 48 bytes each, before the data. */
export interface WireEntry {
  /** Of the era (ENTRIES), or the running number of the refresh record (BLOCKS), from 1. */
  sequence: number;
  /** ENTRIES: start when everything up to here is complete (correctness.md 5). BLOCKS: 0. */
  dep: number;
  device: number;
  flags: number;
  offset: number;
  length: number;
}

/** Flags of a WireEntry. */
export const entryFlags = {
  /** No payload: the range reads as zeroes. */
  zero: 1,
  /** With zero: the space may be given back. */
  mayUnmap: 2,
  /** The same application write goes on in the next entry. */
  continues: 4,
  /** No payload and no range: the checkpoint becomes effective here (Rule 15b). Only in ENTRIES. */
  checkpoint: 8,
} as const;

/** Frame kinds. Control frames carry one ControlMessage; the rest are fixed binary. */
/** Bits of `features`: what a side can do beyond the version. Used when both said it. */
export const features = { lz4: 1 } as const;

export const frameKinds = {
  control: 1,
  entries: 2,
  blocks: 3,
  ack: 4,
  heartbeat: 5,
} as const;

/** S→P, binary: cumulative positions. Acks of an older session never arrive: one session, one TLS. */
export interface Ack {
  received: number;
  applied: number;
  durable: number;
  /** Refresh records that are on the mirror (phase a) or in `.i` (phase b). */
  blocks: number;
  /** Payload bytes of data frames whose memory is free again: the credit given back. */
  freedBytes: number;
}

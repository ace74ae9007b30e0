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
  readonly refreshId: string | undefined;
}

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

/** P→S: a refresh begins or goes on; the mirror is `incoherent` durably before READY (Rule 12.2). */
export interface RefreshBegin {
  readonly kind: 'refreshBegin';
  readonly refreshId: string;
  readonly refresh: 'full';
}

/** S→P */
export interface RefreshReady {
  readonly kind: 'refreshReady';
  readonly refreshId: string;
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
} as const;

/** Frame kinds. Control frames carry one ControlMessage; the rest are fixed binary. */
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

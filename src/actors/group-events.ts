/**
 * What a group tells the operator: every event and its payload, plain data, published through
 * `ActorContext.publish`. Each one also has `group`, `at` and `sequence` (EventStamp). Part of
 * TdmfEvents (src/events.ts). Names: noun.verb in the past tense; no field is called `kind`, `type`,
 * `seq` or `ts`, which belong to the event log's own line.
 */
import type { GroupCause } from '../machines/group-mode.js';
import type { Connection } from '../machines/refusals.js';
import type { MirrorState, Position, RefreshKind } from './messages.js';

/** The manual's words, as `info` prints them. */
export type ModeWord = 'PASSTHRU' | 'NORMAL' | 'TRACKING' | 'REFRESH' | 'BACKFRESH';

export interface EventStamp {
  readonly group: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Counts the events of this group since it was started, from 1. */
  readonly sequence: number;
}

export interface GroupEventPayloads {
  /** The new mode is durable (I6). */
  'mode.changed': { readonly from: ModeWord; readonly to: ModeWord; readonly cause: GroupCause };
  'link.changed': {
    readonly from: Connection;
    readonly to: Connection;
    readonly peer: string | undefined;
    /** Why the connection is not there. */
    readonly code: string | undefined;
    readonly message: string | undefined;
  };
  /** Why there is no connection: lost, refused by the RMD, nobody there. Once until it changes. */
  'link.failed': {
    readonly code: string;
    readonly message: string;
    readonly remedy: string;
    readonly peer: string | undefined;
  };
  /** What the lineage table says of a session that does not just go on, and what to do about it. */
  'lineage.decided': {
    readonly row: string;
    readonly code: string;
    readonly message: string;
    readonly remedy: string;
    /** What others wrote to the mirror, and since when (ms since 1970; 0: nothing is known). */
    readonly ownBytes: number;
    readonly ownSince: number;
  };
  'mirror.stateChanged': { readonly from: MirrorState; readonly to: MirrorState };
  'refresh.started': { readonly refreshId: string; readonly refresh: RefreshKind };
  'refresh.progressed': {
    readonly refreshId: string;
    readonly doneBytes: number;
    readonly totalBytes: number;
  };
  /** The mirror was equal at this position. */
  'refresh.finished': {
    readonly refreshId: string;
    readonly position: Position | undefined;
    readonly seconds: number;
  };
  /** The refresh that was asked for would not find every difference (MD 13, row 6). */
  'refresh.upgraded': {
    readonly refreshId: string;
    readonly from: RefreshKind;
    readonly to: RefreshKind;
    readonly why: string;
  };
  /** It ended in TRACKING and goes on after `retryInMs` (MD 12). */
  'refresh.retrying': {
    readonly refreshId: string;
    readonly cause: GroupCause;
    readonly failures: number;
    readonly retryInMs: number;
  };
  'refresh.failed': { readonly refreshId: string | undefined; readonly code: string };
  'refresh.killed': { readonly refreshId: string | undefined };
  /** An attempt of phase b was given up (R9); the refresh goes on after `retryInMs`. */
  'refresh.aborted': {
    readonly refreshId: string;
    readonly cause: GroupCause;
    readonly attempt: number;
    readonly retryInMs: number;
  };
  /** Rule 43b: writes come faster than the link takes them. */
  'refresh.notConverging': {
    readonly refreshId: string;
    readonly writeBytesPerSecond: number;
    readonly linkBytesPerSecond: number;
  };
  'backfresh.started': { readonly refreshId: string; readonly compareAll: boolean };
  'backfresh.progressed': {
    readonly refreshId: string;
    readonly doneBytes: number;
    readonly totalBytes: number;
  };
  /** Both sides are equal, at this position of the mirror. */
  'backfresh.finished': { readonly refreshId: string; readonly position: Position | undefined };
  /** It goes on by itself, but for TDMF_GROUP_BUSY and TDMF_PSTORE_FAILED: then it never began. */
  'backfresh.failed': { readonly refreshId: string | undefined; readonly code: string };
  /** killbackfresh: `written` means that the local devices are neither old nor new (MD 18). */
  'backfresh.killed': { readonly refreshId: string; readonly written: boolean };
  /** NORMAL by override goes on in a new era; `verified`: the two sides were equal (row 11). */
  'mirror.adopted': { readonly era: string; readonly verified: boolean };
  /** Effective on the secondary, or over. */
  'checkpoint.changed': { readonly on: boolean };
  'checkpoint.failed': { readonly on: boolean; readonly code: string; readonly message: string };
  /** T2: the last write that went into the BAB; later ones are tracked. */
  'bab.overflowed': { readonly position: Position };
  /** H48: the secondary refused this entry twice; it and all later ones are tracked. */
  'bab.poisoned': { readonly position: Position };
  /** Not stopped cleanly: PASSTHRU until the operator gives launchrefresh -f. */
  'group.uncleanStart': { readonly was: ModeWord; readonly code: string; readonly remedy: string };
  /** Rule 33: local devices changed while the group was stopped. */
  /** Rule 54c: the group has run on this home, and the pstore has no record of it. */
  'group.forgotten': { readonly code: string; readonly remedy: string };
  'group.unverified': { readonly changes: readonly string[] };
  /** Rule 40: a write waited SYNCMODETIMEOUT; so many were answered, and none waits for now. */
  'sync.timedOut': { readonly waited: number };
  /** The secondary has caught up, after so long: writes wait for it again. */
  'sync.restored': { readonly seconds: number };
  'device.failed': {
    readonly device: string;
    readonly operation: string;
    readonly errno: number;
  };
  /** Once per series of failures; state goes on in memory and is tried again. */
  'pstore.failed': { readonly code: string; readonly message: string };
}

export type GroupEvents = {
  readonly [Name in keyof GroupEventPayloads]: GroupEventPayloads[Name] & EventStamp;
};

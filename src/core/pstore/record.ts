/**
 * The record of a primary group: everything about it that must survive a crash (I6), and how it may
 * change. Plain data; a change gives a new record. Lineage follows correctness.md 6: an era ends
 * whenever writes were not appended (Rule 8a), and `base` moves only by a commit of the mirror.
 */
import { sequenceLeaseStep } from '../constants.js';
import type { TunableValue } from '../tunables.js';

export type { TunableValue } from '../tunables.js';

export const groupModes = ['passthru', 'normal', 'tracking', 'refresh', 'backfresh'] as const;
/** The manual's modes. What `info` prints in capitals. */
export type GroupMode = (typeof groupModes)[number];

/** Whether the map knows of every change since `base`: yes, perhaps, no (Rules 10c, 28a, 33). */
export const mapContinuities = ['continuous', 'unproven', 'broken'] as const;
export type MapContinuity = (typeof mapContinuities)[number];

/** Eras kept in `chain`, and in `history` (correctness.md 6). */
export const erasKeptMax = 16;

/** The `sequence`-th write of era `era`. */
export interface RecordPosition {
  readonly era: string;
  readonly sequence: number;
}

/** What a device looked like when the group stopped (Rule 33). */
export interface DeviceStamp {
  readonly name: string;
  readonly sizeBytes: number;
  /** Of a regular file; 0 when unknown, as for a block device: then it is not compared. */
  readonly mtimeMs: number;
}

export const recordedKinds = ['full', 'smart', 'checksum', 'back'] as const;
export type RecordedKind = (typeof recordedKinds)[number];

/** The refresh or backfresh that is open; in TRACKING one that goes on later. */
export interface RecordedRefresh {
  readonly id: string;
  readonly kind: RecordedKind;
  /** An operator asked for it: it may do what nothing automatic may (I19). */
  readonly ordered: boolean;
}

/** How far a backfresh is: everything before the cursor is on the local devices, flushed. */
export interface RecordedBackfresh {
  readonly cursor: { readonly device: number; readonly offset: number };
  /** The union of both dirts is not known: every block is compared (Rule 30). */
  readonly compareAll: boolean;
}

/** Bounds of an era that is over (Rule 26): no sequence above `stamped` was ever given. */
export interface RecordedEra {
  readonly era: string;
  readonly released: number;
  readonly stamped: number;
}

/** `incoherent`: a backfresh has overwritten a part of them (H30). */
export const localStates = ['ok', 'incoherent'] as const;
export type LocalState = (typeof localStates)[number];

export const checkpointStates = ['off', 'pending', 'on'] as const;
export type CheckpointState = (typeof checkpointStates)[number];

export interface GroupRecord {
  readonly group: number;
  readonly mode: GroupMode;
  /** The last thing a clean stop writes; gone before the first write of the next start. */
  readonly clean: boolean;
  /** Whether a PMD shall run: a restart launches it again (MD 34). */
  readonly pmdLaunched: boolean;
  /**
   * Names that launch (Rule 50): a restart of ours is the same launch, so that killrmd on the secondary
   * stays in force until the operator launches anew.
   */
  readonly launch: string | undefined;
  readonly era: string;
  /** Last stamped write of `era`; exact after a clean stop. */
  readonly sequence: number;
  /** No write of `era` has a higher number (Rule 8c). */
  readonly lease: number;
  /** The secondary had everything of `era` up to here durable (Rule 26). */
  readonly released: number;
  /** The last point known equal to the mirror; undefined: never refreshed. */
  readonly base: RecordPosition | undefined;
  /** Eras since `base`, oldest first, without the present one. */
  readonly chain: readonly string[];
  /** Older eras, oldest first. */
  readonly history: readonly string[];
  readonly map: MapContinuity;
  /** Every block may differ, whatever the pstore has hot or dirty: a full or checksum refresh, damage. */
  readonly mapAll: boolean;
  /** Names the file with the map as a clean stop left it, until the next start (Rule 31). */
  readonly savedMap: string | undefined;
  /** Bounds of the eras of `base` and `chain`, oldest first, where known. */
  readonly past: readonly RecordedEra[];
  readonly refresh: RecordedRefresh | undefined;
  readonly backfresh: RecordedBackfresh | undefined;
  readonly localState: LocalState;
  readonly checkpoint: CheckpointState;
  /** NORMAL by override (row 11): the mirror may be taken as it is at the next connection. */
  readonly adopting: boolean;
  /** The operator must be told that nobody has proven the mirror equal. */
  readonly unverified: boolean;
  readonly tunables: Readonly<Record<string, TunableValue>>;
  readonly devices: readonly DeviceStamp[];
}

/** A group that was never started: PASSTHRU, and its map knows nothing (Rule 10c). */
export function firstRecord(
  group: number,
  era: string,
  devices: readonly DeviceStamp[],
  tunables: Readonly<Record<string, TunableValue>>,
): GroupRecord {
  return {
    group,
    mode: 'passthru',
    clean: false,
    pmdLaunched: false,
    launch: undefined,
    era,
    sequence: 0,
    lease: sequenceLeaseStep,
    released: 0,
    base: undefined,
    chain: [],
    history: [],
    map: 'broken',
    mapAll: true,
    savedMap: undefined,
    past: [],
    refresh: undefined,
    backfresh: undefined,
    localState: 'ok',
    checkpoint: 'off',
    adopting: false,
    unverified: false,
    tunables,
    devices,
  };
}

/**
 * Numbers begin at 1 in every era, under a lease of its own. Of the era that ends the lease is the
 * bound until the driver has said how far it came.
 */
export function withNewEra(record: GroupRecord, era: string): GroupRecord {
  const { released, lease } = record;
  const { base } = record;
  const known = base?.era === record.era;
  const chain = base === undefined || known ? record.chain : [...record.chain, record.era];
  const older = chain.slice(0, Math.max(0, chain.length - erasKeptMax));
  const history = base === undefined ? [record.era] : older;
  return {
    ...record,
    era,
    sequence: 0,
    lease: sequenceLeaseStep,
    released: 0,
    chain: chain.slice(-erasKeptMax),
    history: [...record.history, ...history].slice(-erasKeptMax),
    past: withPast(record.past, { era: record.era, released, stamped: lease }),
  };
}

/** Replaces what is known of that era, or adds it. */
export function withPast(past: readonly RecordedEra[], ended: RecordedEra): readonly RecordedEra[] {
  const known = past.some(({ era }) => era === ended.era);
  const all = known ? past.map((one) => (one.era === ended.era ? ended : one)) : [...past, ended];
  return all.slice(-(erasKeptMax + 1));
}

/** The mirror committed: it is equal to the local devices at `base` (R8). */
export function withCommit(record: GroupRecord, base: RecordPosition): GroupRecord {
  const before = record.base === undefined ? [] : [record.base.era];
  const history = [...record.history, ...before, ...record.chain];
  return {
    ...record,
    base,
    chain: [],
    history: history.filter((era) => era !== base.era).slice(-erasKeptMax),
    past: record.past.filter(({ era }) => era === base.era),
    map: 'continuous',
    adopting: false,
    unverified: false,
  };
}

/**
 * A backfresh has made both sides equal where the mirror stands (Rule 30). What was here before is
 * older than that, so its eras are history, and the new one begins at the mirror's position.
 */
export function withEqual(record: GroupRecord, base: RecordPosition, era: string): GroupRecord {
  const equal = withCommit(record, base);
  return {
    ...equal,
    era,
    sequence: 0,
    lease: sequenceLeaseStep,
    released: 0,
    history: [...equal.history, record.era].filter((one) => one !== base.era).slice(-erasKeptMax),
    mapAll: false,
    refresh: undefined,
    backfresh: undefined,
    localState: 'ok',
  };
}

/** The next step of the lease, above `sequence`. */
export function withLease(record: GroupRecord, sequence: number): GroupRecord {
  return { ...record, lease: Math.max(record.lease, sequence + sequenceLeaseStep) };
}

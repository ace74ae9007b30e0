/**
 * What the actors of one logical group say to each other. Plain data, msgpack-able, rare: one
 * message per change of situation, never per write. The group actor decides (its mode machine), the
 * driver and the PMD carry out and report facts in the past tense. Positions and duties live in the
 * group's shared control block (core/bab/layout.ts); messages only point at them.
 *
 *   main ──ask──► group ◄──facts── driver     (driver and group share a host thread)
 *                   │ ▲
 *                   ▼ └──facts── pmd ══link══ rmd
 */
import type { SharedDevice } from '../ports/block-device.js';

/** 32 hex digits. */
export type Era = string;

/** A position in history (H8): the `sequence`-th write of era `era`. */
export interface Position {
  readonly era: Era;
  readonly sequence: number;
}

export type RefreshKind = 'full' | 'smart' | 'checksum';

export type DriverMessage =
  /**
   * Change the duties of writes that start from now on (T1). When a duty was added, `driver.graced`
   * follows once every write that started without it has completed locally (Rule 3, R2, R4).
   */
  | { type: 'driver.duties'; append: boolean; mark: boolean; token: number }
  /** The next write appended is number `sequence` of this era; only valid while append is off. */
  | { type: 'driver.era'; era: Era; sequence: number; lease: number }
  /** Sequence numbers up to here are durable in the pstore (Rule 8c). */
  | { type: 'driver.lease'; lease: number }
  /**
   * Set every bit of the maps (Rule 12: full refresh). `compare`: nothing is known to differ, nothing
   * is proven equal (Rule 17); otherwise what is marked is sent.
   */
  | { type: 'driver.markAll'; compare: boolean; token: number }
  /** Report the last stamped sequence once every write now in flight has completed (R6). */
  | { type: 'driver.mark'; token: number }
  /**
   * The secondary committed (R8): clear the maps and drop the mark duty in one turn, if append was
   * never interrupted since `driver.graced` with `graceToken`; otherwise keep them.
   */
  | { type: 'driver.commit'; token: number; graceToken: number }
  /** A client negotiated; the descriptor belongs to the driver from now on. */
  | {
      type: 'driver.connection';
      fd: number;
      device: string;
      structuredReplies: boolean;
      baseAllocation: boolean;
      leftover: Uint8Array;
    }
  /** Flush the local devices, then report (tdmfsync). */
  | { type: 'driver.flush'; token: number }
  /** Stamp a checkpoint marker as the next entry (Rule 15b); only while append is on. */
  | { type: 'driver.marker'; token: number }
  /**
   * Every entry of the BAB becomes marks, appending ends (T2 without an overflow): `clear BAB`, H11.
   * `driver.cleared` when the maps have it.
   */
  | { type: 'driver.clearBab'; token: number }
  /**
   * BACKFRESH owns the local devices (Rule 30): refuse clients from now on, or admit them again. Shut:
   * answered with `driver.door` `open: false` when no I/O is in flight, or at once with `open: true`
   * when a client is connected: then nothing has changed.
   */
  | { type: 'driver.door'; open: boolean; token: number }
  /**
   * A backfresh ended: the local devices are equal to the mirror. Clears the maps (I21: the other
   * side's word), answered with `driver.committed`; only while the door is shut.
   */
  | { type: 'driver.equal'; token: number }
  /** SYNCMODE, SYNCMODEDEPTH, SYNCMODETIMEOUT (I2, I3); depth 0 is async. */
  | { type: 'driver.sync'; depth: number; timeoutMs: number }
  /** `durable` has moved while writers wait for it; sent by the PMD only when the control block asks. */
  | { type: 'driver.acked' };

export type PmdMessage =
  /** Connect and stay connected. `nonce` names this launch (Rule 50). */
  | { type: 'pmd.launch'; nonce: string }
  | { type: 'pmd.kill' }
  /** Lineage of the primary, for the handshake; replaces what the PMD knew. */
  | { type: 'pmd.lineage'; lineage: PrimaryLineage }
  /** New entries are published; only sent when the control block says that the PMD sleeps. */
  | { type: 'pmd.wake' }
  /** Everything published so far is in the map: forget it (Rule 12.3). The driver does not append. */
  | { type: 'pmd.drop'; token: number }
  /** Grace has passed, the map is durable: run phase a of this refresh whenever connected. */
  | { type: 'pmd.refresh'; refreshId: string; kind: RefreshKind; union: boolean }
  /** BACKFRESH: the local devices are ours alone; make them equal to the mirror (Rule 30). */
  | { type: 'pmd.backfresh'; refreshId: string; compareAll: boolean; cursor: BackfreshCursor }
  /** The backfresh is over: by its end (`hand over to era`), or killed. */
  | { type: 'pmd.backfreshEnd'; refreshId: string; handOver: EraHandOver | undefined }
  /** NORMAL by override: offer the era that is appended now to the mirror, see EraHandOver. */
  | { type: 'pmd.adoptMirror'; adopt: boolean }
  | { type: 'pmd.checkpointOff' }
  /** The answer to `checkpoint.wanted`, when it is no. */
  | { type: 'pmd.checkpointRefused'; on: boolean; code: string; details: WireDetails }
  /** Append is on and graced: freeze the rest, send it for `.i`, and entries ≥ s0 for `.c` (R4, R5). */
  | { type: 'pmd.phaseB'; refreshId: string; era: Era; s0: number }
  /** R6: the commit mark. */
  | { type: 'pmd.mark'; refreshId: string; mark: number }
  /** R9 or killrefresh: forget phase b; put what is not committed back into todo. */
  | { type: 'pmd.abort'; refreshId: string; again: boolean }
  /** Ask the secondary to flush through everything published (tdmfsync). */
  | { type: 'pmd.flush' }
  /**
   * The driver ended, or another one began: close the local devices held so far, then adopt these
   * (none: wait for more). `pmd.devicesClosed` follows, and until then the lock is held (H22).
   */
  | { type: 'pmd.devices'; devices: SharedDevices }
  /** A tunable of the link was set (tdmfset). */
  | {
      type: 'pmd.tunables';
      chunkSizeKb: number;
      chunkDelayMs: number;
      compression: boolean;
      /** REFRESHRATE; 0: no limit of the operator's. */
      refreshRateKb: number;
    };

export type GroupMessage =
  | { type: 'driver.overflowed'; sequence: number }
  | { type: 'driver.graced'; token: number; sequence: number }
  | { type: 'driver.markedAll'; token: number }
  | { type: 'driver.marked'; token: number; sequence: number }
  | { type: 'driver.committed'; token: number; cleared: boolean }
  | { type: 'driver.leaseLow'; sequence: number }
  | { type: 'driver.markerStamped'; token: number; sequence: number }
  | { type: 'driver.cleared'; token: number }
  | { type: 'driver.door'; token: number; open: boolean }
  /**
   * Writers no longer wait for the secondary, or do again (I2, Rule 40). `waited`: how many were
   * answered without it.
   */
  | { type: 'driver.syncDegraded'; degraded: boolean; waited: number }
  | { type: 'driver.flushed'; token: number; errorCode: string | undefined }
  | { type: 'driver.ioFailed'; device: string; operation: string; errno: number }
  /** A write was answered with EIO, because the pstore could not mark its region hot (Rule 28b). */
  | { type: 'driver.heatFailed'; code: string; message: string }
  | { type: 'link.connecting' }
  | { type: 'link.connected'; peer: string; mirrorState: MirrorState; checkpoint: 'off' | 'on' }
  /**
   * What the lineage table says of this session (correctness.md 6), after `link.connected`. `drain`:
   * `pmd.drained` follows when everything appended before is durable over there (R1).
   */
  | {
      type: 'link.decided';
      row: string;
      action: 'resume' | 'era' | 'refresh' | 'smart' | 'checksum' | 'wait';
      drain: boolean;
      code: string | undefined;
      ownBytes: number;
      ownSince: number;
    }
  /** The table refuses or waits: how far the two sides are apart; before `link.refused`. */
  | ({ type: 'lineage.diverged'; row: string; code: string } & Divergence)
  | { type: 'pmd.drained' }
  | { type: 'link.lost'; code: string; message: string; retryInMs: number }
  /** The secondary or the lineage table refused; the PMD tries again only when `retryInMs` > 0. */
  | { type: 'link.refused'; code: string; message: string; retryInMs: number }
  | { type: 'pmd.dropped'; token: number }
  | { type: 'pmd.stopped' }
  /** The devices of before `pmd.devices` are closed. */
  | { type: 'pmd.devicesClosed' }
  /** The secondary refused the same entry twice: it must go to the map, with all later ones (H48). */
  | { type: 'pmd.poisoned'; era: Era; sequence: number }
  | { type: 'mirror.stateChanged'; mirrorState: MirrorState }
  | { type: 'refresh.progressed'; refreshId: string; doneBytes: number; totalBytes: number }
  /** Rule 43a holds: phase b may begin. */
  | { type: 'refresh.converged'; refreshId: string }
  /** The last read of the frozen rest has completed (R6). */
  | { type: 'refresh.frozenRead'; refreshId: string; era: Era }
  | { type: 'refresh.committed'; refreshId: string; position: Position }
  /** The link broke in phase b, or the RMD gave this attempt up: back to phase a (R9). */
  | { type: 'refresh.phaseBLost'; refreshId: string }
  | {
      type: 'refresh.notConverging';
      refreshId: string;
      writeBytesPerSecond: number;
      linkBytesPerSecond: number;
    }
  | { type: 'refresh.failed'; refreshId: string; code: string; message: string }
  /** Everything before the cursor is on the local devices, flushed. */
  | {
      type: 'backfresh.progressed';
      refreshId: string;
      doneBytes: number;
      totalBytes: number;
      cursor: BackfreshCursor;
    }
  /** All of it is local and flushed; the mirror stands at `position`. */
  | { type: 'backfresh.finished'; refreshId: string; position: Position }
  | { type: 'backfresh.failed'; refreshId: string; code: string; message: string }
  /**
   * The answer to a `pmd.backfreshEnd` without hand-over (killbackfresh): no write of this backfresh is
   * in flight any more. `writtenBytes`: to the local devices since `pmd.backfresh`.
   */
  | { type: 'backfresh.ended'; refreshId: string; writtenBytes: number }
  /** The mirror took the era of `pmd.backfreshEnd` or `pmd.adoptMirror`. */
  | { type: 'pmd.eraTaken'; era: Era }
  | {
      type: 'checkpoint.changed';
      state: 'off' | 'on' | 'failed';
      sequence: number;
      code: string | undefined;
      details: WireDetails;
    }
  | { type: 'checkpoint.wanted'; on: boolean };

/** What each side has changed and the other has not, for whoever must decide (I19). */
export interface Divergence {
  readonly hereBytes: number;
  /** Null: nobody knows. */
  readonly thereBytes: number | null;
  /** Milliseconds since 1970: when the mirror left the primary's history; 0: it did not. */
  readonly since: number;
}

/** What fills the holes of an error's message, as the link carries it. */
export type WireDetails = Readonly<Record<string, string | number>>;

/** Where a backfresh goes on: the device, and the byte offset in it. */
export interface BackfreshCursor {
  readonly device: number;
  readonly offset: number;
}

export interface EraHandOver {
  readonly from: Position;
  readonly era: Era;
  readonly s0: number;
}

/** `coherent`, `recoverable`, `incoherent` or `unknown` (correctness.md 4.2). */
export type MirrorState = 'coherent' | 'recoverable' | 'incoherent' | 'unknown';

/** What the primary tells about its data in the handshake (correctness.md 6). */
export interface PrimaryLineage {
  readonly nodeId: string;
  readonly era: Era;
  /** First sequence of this era that is or was in the BAB. */
  readonly s0: number;
  readonly lease: number;
  readonly base: Position | undefined;
  readonly chain: readonly Era[];
  readonly history: readonly Era[];
  readonly map: 'continuous' | 'unproven' | 'broken';
  readonly dirty: boolean;
  readonly appending: boolean;
  /** Bounds of the eras of `base` and `chain`, where known (rows 6e, 7). */
  readonly past: readonly PastEra[];
  /** The refresh or backfresh that is open. */
  readonly refreshId: string | undefined;
  readonly refreshKind: RefreshKind | 'back' | undefined;
  /**
   * What an operator ordered and is not done: the table's "operator may" holds for it (I19). `normal`:
   * override state normal, row 11: the mirror may be taken as it is.
   */
  readonly order: RefreshKind | 'back' | 'normal' | undefined;
}

/** An era that is over: no sequence above `stamped` was ever given. */
export interface PastEra {
  readonly era: Era;
  readonly released: number;
  readonly stamped: number;
}

export interface GroupDevice {
  readonly name: string;
  readonly data: string;
  readonly mirror: string;
  readonly cache?: 'direct' | 'writeback';
}

/** How the parts of a started primary group are made known to its actors. */
export interface GroupShared {
  readonly group: number;
  /** Slot of the group in the BAB pool's accounts. */
  readonly poolSlot: number;
  readonly pool: SharedArrayBuffer;
  readonly babMemories: readonly SharedArrayBuffer[];
  /** Control block: duties, cursors, in-flight slots, statistics. */
  readonly control: SharedArrayBuffer;
  /** One per device: the persisted superset P and `todo`, 1 bit per `mapBlockBytes`. */
  readonly maps: readonly SharedArrayBuffer[];
}

/** A local device as the PMD gets it from the driver, for refresh reads (same description, H22). */
export type SharedDevices = readonly SharedDevice[];

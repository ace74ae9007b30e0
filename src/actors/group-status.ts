/**
 * The state of a group as a plain snapshot, for `info`, the library and the console. Built on
 * demand, never a view of live objects. I18: what is shown is what a restart would find, but for
 * TRACKING, which is shown at once, because it claims less.
 */
import type { GroupMode, GroupRecord } from '../core/pstore/record.js';
import type { CheckpointLeaf } from '../machines/group-mode-leaves.js';
import type { Connection } from '../machines/refusals.js';
import type { ModeWord } from './group-events.js';
import type { SyncStatus } from './group-tunables.js';
import type { Divergence, MirrorState, Position } from './messages.js';
import type { RefreshStatus } from './refresh-meter.js';

export interface Problem {
  readonly code: string;
  readonly message: string;
}

export interface GroupStatus {
  readonly group: number;
  readonly mode: ModeWord;
  /** Where in the mode, for instance `refresh.phaseA`; for people who look closer. */
  readonly situation: string;
  readonly connection: Connection;
  readonly peer: string | undefined;
  readonly pmdLaunched: boolean;
  /** Why the connection is not there, or why the secondary refused. */
  readonly problem: Problem | null;
  /** The last one heard of. */
  readonly mirrorState: MirrorState;
  /** How long ago, when not connected; null when connected or never heard of. */
  readonly mirrorStateAgeSeconds: number | null;
  readonly refresh: RefreshStatus | null;
  readonly era: string;
  readonly position: Position;
  readonly lease: number;
  readonly base: Position | undefined;
  readonly map: GroupRecord['map'];
  /** Every block may differ. */
  readonly mapAll: boolean;
  readonly unverified: boolean;
  /** How far the two sides are apart, where an operator must decide; as last heard. */
  readonly divergence: (Divergence & { readonly code: string }) | null;
  /** `on`: effective on the secondary. */
  readonly checkpoint: GroupRecord['checkpoint'];
  /** Where the checkpoint is on its way on or off. */
  readonly checkpointSituation: CheckpointLeaf;
  readonly tunables: GroupRecord['tunables'];
  readonly sync: SyncStatus;
  /** What the operator should know, most important first. */
  readonly reasons: readonly Problem[];
}

export function modeWord(mode: GroupMode): ModeWord {
  return mode.toUpperCase() as ModeWord;
}

/** The mode that is shown: the durable one, or TRACKING. */
export function shownMode(machine: GroupMode, durable: GroupMode): GroupMode {
  return machine === 'tracking' ? machine : durable;
}

/** `{ refresh: { preparing: 'saving' } }` → `refresh.preparing.saving`. */
export function leafOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const [name, inner] = Object.entries(value as Record<string, unknown>)[0]!;
  return `${name}.${leafOf(inner)}`;
}

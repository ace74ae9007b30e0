/** What a PMD is started with, and the tunables it knows (CHUNKSIZE in KB, CHUNKDELAY in ms). */
import { chunkSizeDefaultKb } from '../core/constants.js';
import type { GroupShared, SharedDevices } from './messages.js';

export interface PmdOptions {
  readonly shared: GroupShared;
  readonly group: number;
  /** `secret` is the group's key, base64. */
  readonly target: { readonly host: string; readonly port: number; readonly secret: string };
  /** Handles from the driver, for refresh reads, in the order of the group. */
  readonly devices: SharedDevices;
  readonly deviceNames: readonly string[];
  readonly nodeId: string;
  readonly loopback: boolean;
  readonly version: string;
  readonly tunables: PmdTunables & { readonly tcpWindowBytes: number };
  readonly groupActor: string;
}

export type PmdTunables = Readonly<Record<string, string | number | boolean>>;

export interface ChunkTunables {
  readonly chunkBytes: number;
  readonly chunkDelayMs: number;
}

/** Values were checked when they were set; what is missing or no number has its default. */
export function chunkTunables(tunables: PmdTunables): ChunkTunables {
  const sizeKb = Number(tunables['CHUNKSIZE']) || chunkSizeDefaultKb;
  const delayMs = Number(tunables['CHUNKDELAY']) || 0;
  return { chunkBytes: Math.max(1, sizeKb) * 1024, chunkDelayMs: Math.max(0, delayMs) };
}

/** What a PMD is started with. Sizes and names stand while the driver, and its devices, are away. */
import type { GroupShared, SharedDevices } from './messages.js';

export interface PmdOptions {
  readonly shared: GroupShared;
  readonly group: number;
  /** `secret` is the group's key, base64. */
  readonly target: { readonly host: string; readonly port: number; readonly secret: string };
  /** In the order of the group. */
  readonly deviceList: readonly PmdDevice[];
  /** Handles from the driver, for refresh reads; others may come with `pmd.devices`. */
  readonly devices: SharedDevices;
  readonly nodeId: string;
  readonly loopback: boolean;
  readonly version: string;
  readonly tunables: PmdTunables;
  readonly groupActor: string;
  readonly driverActor: string;
}

export interface PmdDevice {
  readonly name: string;
  readonly sizeBytes: number;
  /** The logical block (H16). */
  readonly blockBytes: number;
}

export interface ChunkTunables {
  /** CHUNKSIZE, CHUNKDELAY and COMPRESSION of the manual, REFRESHRATE. */
  readonly chunkSizeKb: number;
  readonly chunkDelayMs: number;
  readonly compression: boolean;
  readonly refreshRateKb: number;
}

export interface PmdTunables extends ChunkTunables {
  readonly tcpWindowBytes: number;
}

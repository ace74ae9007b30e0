/**
 * What a simulated pair of hosts looks like: sizes, limits, speeds. Plain data, so that a seed can
 * draw it and a failure can print it.
 */
import type { TunableValues } from '../core/tunables.js';
import type { SimLinkOptions } from './pipe.js';

export interface ClusterOptions {
  readonly groups: number;
  /** Of every group, in bytes; whole sectors. */
  readonly deviceBytes: readonly number[];
  /** How much of the old data is no hole, in sixteenths. */
  readonly filledOf16: number;
  readonly logicalBlockBytes: number;
  /** Devices without a page cache: aligned I/O only (H16). */
  readonly direct: boolean;
  readonly babBytes: number;
  /** The receive memory of an RMD. */
  readonly windowBytes: number;
  readonly chunkSizeKb: number;
  readonly chunkDelayMs: number;
  /** Others, by the manual's names: sync mode, compression, the rate of refreshes. */
  readonly tunables: TunableValues;
  /** Longest time of one disk operation. */
  readonly diskMs: number;
  readonly mirrorMs: number;
  /** Longest way of a message from actor to actor. */
  readonly messageMs: number;
  readonly network: Partial<SimLinkOptions>;
  /** Size of a region of the write intent, and how many stay hot. */
  readonly regionBytes: number;
  readonly hotTarget: number;
  /** Pages of a half of the pstore's log; with few of them it is often full. */
  readonly logPages: number;
  /** How long a clean stop drains (Rule 31). */
  readonly drainOnStopMs: number;
}

export const smallCluster: ClusterOptions = {
  groups: 1,
  deviceBytes: [256 * 1024],
  filledOf16: 12,
  logicalBlockBytes: 512,
  direct: false,
  babBytes: 2 * 1024 * 1024,
  windowBytes: 2 * 1024 * 1024,
  chunkSizeKb: 64,
  chunkDelayMs: 0,
  tunables: {},
  diskMs: 1,
  mirrorMs: 1,
  messageMs: 0.2,
  network: {},
  regionBytes: 64 * 1024,
  hotTarget: 4,
  logPages: 16,
  drainOnStopMs: 5_000,
};

export const primaryAddress = { host: 'primary', port: 575 } as const;
export const secondaryAddress = { host: 'secondary', port: 575 } as const;
export const journalDirectory = '/journal';
export const pstorePath = '/pstore';

export const dataPath = (group: number, device: number): string => `/data/g${group}d${device}`;
export const mirrorPath = (group: number, device: number): string => `/mirror/g${group}d${device}`;
export const deviceName = (device: number): string => `d${device}`;

/** The key of a group's link. */
export function secretOf(group: number): string {
  const bytes = new Uint8Array(32).fill(group + 1);
  return btoa(String.fromCharCode(...bytes));
}

/**
 * `tdmf.cfg`: the settings of a host. All optional; an absent file means the defaults. Parsing is
 * strict: an unknown or wrong setting is named with its line, never ignored.
 */
import { z } from 'zod';
import { babDefaultBytes, hotRegionsTarget, regionBytesMin } from '../core/constants.js';
import { parseConfig } from './parse.js';

export const hostConfigSchema = z.strictObject({
  /** BAB in MB (manual: `tdmfinit -b`). */
  bab: z
    .number()
    .int()
    .min(1)
    .max(1024 * 1024)
    .default(babDefaultBytes / 2 ** 20),
  /** The link listener's port; the manual's 575 is privileged on Linux. */
  port: z.number().int().min(1).max(65535).default(575),
  /** The address the link listener binds to. */
  address: z.string().default('0.0.0.0'),
  /** TCP window in KB; 0 leaves it to the kernel. */
  tcpWindow: z.number().int().min(0).default(0),
  console: z
    .strictObject({ port: z.number().int().min(0).max(65535).default(8575) })
    .default({ port: 8575 }),
  io: z.enum(['auto', 'uring', 'threads']).default('auto'),
  /** Host threads for actors. */
  hosts: z.union([z.literal('auto'), z.number().int().min(1).max(64)]).default('auto'),
  /** Seconds a checkpoint hook may take before it is killed and counts as failed. */
  hookTimeout: z
    .number()
    .int()
    .min(1)
    .max(24 * 60 * 60)
    .default(60),
  /** Size of the regions that are marked hot before they are written to (MB). */
  hotRegionMb: z
    .number()
    .int()
    .min(1)
    .max(1024 * 1024)
    .refine((value) => Number.isInteger(Math.log2(value)), 'a power of two')
    .default(regionBytesMin / 2 ** 20),
  /** Regions of a group that stay hot; more when they cannot cool. */
  hotRegions: z.number().int().min(8).max(262_144).default(hotRegionsTarget),
  /** The host's pstore; relative to the home. */
  pstore: z.string().min(1).default('pstore'),
});

/** MD 1: at most half of the memory; the manual's 192 MB were a limit of NT's kernel pool. */
export function babMbMax(memoryBytes: number): number {
  return Math.max(1, Math.floor(memoryBytes / 2 ** 21));
}

export type HostConfig = z.infer<typeof hostConfigSchema>;

/** @throws TDMF_CONFIG_INVALID naming file, line and problem. */
export function parseHostConfig(text: string, file: string): HostConfig {
  return parseConfig(hostConfigSchema, text, file);
}

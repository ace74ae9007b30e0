/**
 * What the handshake knows of the devices it can offer: plain facts, looked up by name. The daemon
 * makes the catalogue from its groups; the handshake only reads it. Export names are
 * `g<group>/<device>` (design.md 2.2), which nothing here depends on.
 */
import { transmissionFlags } from './constants.js';

export interface ExportInfo {
  readonly name: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** True only if a FLUSH on one connection covers the completed writes of all of them. */
  readonly canMultiConn: boolean;
  /** False where the device cannot do it with the content of H32 (zeroes). */
  readonly canTrim: boolean;
  /** Powers of two, 1 ≤ min ≤ 65536, max(min, 512) ≤ preferred; max ≥ preferred. */
  readonly blockMin: number;
  readonly blockPreferred: number;
  readonly blockMax: number;
  readonly description: string;
  /** Set when the export is known but cannot be used now: a sentence for the client's user. */
  readonly unavailable?: string;
}

export interface ExportCatalogue {
  list(): readonly ExportInfo[];
  /** The empty name is the default export, if the catalogue has one. */
  find(name: string): ExportInfo | undefined;
}

/**
 * "Transmission flags" of the specification. FAST_ZERO is not offered: nobody can promise that a
 * zero is faster than a write. DF goes with structured replies.
 */
export function transmissionFlagsOf(info: ExportInfo, structuredReplies: boolean): number {
  const flags = transmissionFlags;
  let bits = flags.hasFlags | flags.sendFlush | flags.sendFua;
  if (info.readOnly) bits |= flags.readOnly;
  else bits |= flags.sendWriteZeroes | (info.canTrim ? flags.sendTrim : 0);
  if (info.canMultiConn) bits |= flags.canMultiConn;
  if (structuredReplies) bits |= flags.sendDf;
  return bits;
}

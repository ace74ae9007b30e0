/**
 * Whether an operation on a device is allowed, for the adapter that has no addon to check it. Answers
 * with the −errno of the port's contract, or 0: size (I20), alignment (H16), access.
 */
import type { IoVector } from '../core/io-vector.js';
import type { SharedDevice } from '../ports/block-device.js';
import { eBadFile, eInvalid, eNoSpace } from './errno.js';

export function refuseRange(
  facts: SharedDevice,
  kind: 'read' | 'write',
  offset: number,
  length: number,
): number {
  if (kind === 'write' && !facts.writable) return eBadFile;
  if (!(Number.isSafeInteger(offset) && offset >= 0)) return eInvalid;
  if (!(Number.isSafeInteger(length) && length >= 0)) return eInvalid;
  if (!alignedTo(facts, offset) || !alignedTo(facts, length)) return eInvalid;
  if (!Number.isSafeInteger(offset + length)) return eInvalid;
  if (!facts.growable && offset + length > facts.sizeBytes) {
    return kind === 'read' ? eInvalid : eNoSpace;
  }
  return 0;
}

/** Arenas start at a multiple of 4096, so that offsets in them stand for addresses. */
export function alignedMemory(facts: SharedDevice, memory: IoVector): boolean {
  for (let piece = 0; piece < memory.count; piece++) {
    if (!alignedTo(facts, memory.offsets[piece]!)) return false;
    if (!alignedTo(facts, memory.lengths[piece]!)) return false;
  }
  return true;
}

export function alignedTo(facts: SharedDevice, value: number): boolean {
  return value % facts.alignmentBytes === 0;
}

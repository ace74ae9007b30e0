/**
 * Short texts in records of fixed layout: ids as UTF-8 padded with zero bytes, eras as their 16 raw
 * bytes. Used by jGGG.meta, the position page and journal segments. Reading is total: bytes that are
 * no valid text give undefined, and the record counts as damaged.
 */
import { assert } from './assert.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Bytes of an id (node, launch, refresh, boot) in a record. */
export const idBytes = 64;
export const eraBytes = 16;

export function putText(into: Uint8Array, at: number, size: number, text: string): void {
  const bytes = encoder.encode(text);
  assert(bytes.length <= size, 'a text fits its field');
  into.fill(0, at, at + size);
  into.set(bytes, at);
}

export function getText(bytes: Uint8Array, at: number, size: number): string | undefined {
  let end = at;
  while (end < at + size && bytes[end] !== 0) end += 1;
  try {
    // A copy, because TextDecoder takes no view of shared memory on every platform.
    return decoder.decode(bytes.slice(at, end));
  } catch {
    return undefined;
  }
}

/** 32 hex digits, or undefined, which is sixteen zero bytes. */
export function putEra(into: Uint8Array, at: number, era: string | undefined): void {
  into.fill(0, at, at + eraBytes);
  if (era === undefined) return;
  assert(/^[0-9a-f]{32}$/.test(era), 'an era is 32 hex digits');
  for (let index = 0; index < eraBytes; index += 1) {
    into[at + index] = Number.parseInt(era.slice(2 * index, 2 * index + 2), 16);
  }
}

export function getEra(bytes: Uint8Array, at: number): string | undefined {
  let hex = '';
  let some = 0;
  for (let index = 0; index < eraBytes; index += 1) {
    const byte = bytes[at + index]!;
    some |= byte;
    hex += byte.toString(16).padStart(2, '0');
  }
  return some === 0 ? undefined : hex;
}

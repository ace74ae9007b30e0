/**
 * The acknowledgement of the secondary: five cumulative numbers, 40 bytes, sent often and therefore
 * not msgpack. Only `durable` lets the primary release anything (I4). A decoded ack is consistent in
 * itself; that it does not run backwards or ahead of what was sent is the primary's to check.
 */
import { assert } from '../assert.js';
import { getU64, putU64 } from '../bytes.js';
import { layout } from '../layout.js';
import type { Ack } from './messages.js';

export const ackBytes = 40;

export const ackLayout = layout({
  id: 'ack',
  sizeBytes: ackBytes,
  fields: [
    { offset: 0, size: 8, type: 'u64', name: 'received', meaning: 'last sequence received' },
    { offset: 8, size: 8, type: 'u64', name: 'applied', meaning: 'last sequence on the mirror' },
    {
      offset: 16,
      size: 8,
      type: 'u64',
      name: 'durable',
      meaning: 'last sequence that survives a power loss',
    },
    {
      offset: 24,
      size: 8,
      type: 'u64',
      name: 'blocks',
      meaning: 'refresh records on the mirror (phase a) or in `.i` (phase b)',
    },
    {
      offset: 32,
      size: 8,
      type: 'u64',
      name: 'freedBytes',
      meaning: 'payload bytes of data frames whose memory is free again',
    },
  ],
});

const at = ackLayout.at;

export function emptyAck(): Ack {
  return { received: 0, applied: 0, durable: 0, blocks: 0, freedBytes: 0 };
}

export function encodeAck(into: Uint8Array, position: number, ack: Readonly<Ack>): void {
  assert(position + ackBytes <= into.length, 'the ack fits its memory');
  putU64(into, position + at.received, ack.received);
  putU64(into, position + at.applied, ack.applied);
  putU64(into, position + at.durable, ack.durable);
  putU64(into, position + at.blocks, ack.blocks);
  putU64(into, position + at.freedBytes, ack.freedBytes);
}

/** Returns what is wrong, in words, or undefined. */
export function decodeAck(bytes: Uint8Array, position: number, into: Ack): string | undefined {
  into.received = getU64(bytes, position + at.received);
  into.applied = getU64(bytes, position + at.applied);
  into.durable = getU64(bytes, position + at.durable);
  into.blocks = getU64(bytes, position + at.blocks);
  into.freedBytes = getU64(bytes, position + at.freedBytes);
  if (into.received < 0 || into.blocks < 0 || into.freedBytes < 0) return 'ack number';
  // Durable may run ahead of applied: entries in the `.c` journal are durable before they are applied.
  if (into.applied < 0 || into.applied > into.received) return 'ack applied ahead of received';
  if (into.durable < 0 || into.durable > into.received) return 'ack durable ahead of received';
  return undefined;
}

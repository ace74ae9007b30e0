/**
 * What travels in a ring: [to, kind, id, body] as msgpack. `to` is the key of one incarnation of an
 * actor, never its name, so that a message to an ended actor cannot reach its successor (I16).
 * Key 0 is main's runtime itself.
 */
import { assert } from '../core/assert.js';
import { decodeMessage, encodeMessage } from './codec.js';

export const envelopeKinds = {
  tell: 0,
  ask: 1,
  answer: 2,
  error: 3,
  /** An actor published an event: body [type, payload]. */
  event: 4,
  /** An actor failed: id is its key, body its error as plain data. */
  failure: 5,
} as const;

export type EnvelopeKind = (typeof envelopeKinds)[keyof typeof envelopeKinds];

export interface Envelope {
  readonly to: number;
  readonly kind: number;
  readonly id: number;
  readonly body: unknown;
}

export const runtimeKey = 0;

export const encodeEnvelope = (
  to: number,
  kind: EnvelopeKind,
  id: number,
  body: unknown,
): Uint8Array => encodeMessage([to, kind, id, body]);

export function decodeEnvelope(bytes: Uint8Array, length: number): Envelope {
  const value = decodeMessage(bytes, length);
  assert(Array.isArray(value) && value.length === 4, 'a ring carries envelopes');
  const [to, kind, id, body] = value as [number, number, number, unknown];
  return { to, kind, id, body };
}

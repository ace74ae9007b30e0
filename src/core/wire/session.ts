/**
 * What both sides derive from the secret they export from their TLS session: the nonce that every
 * frame of one direction carries, and the seed of the hashes of a comparison. The two directions
 * differ, so a frame reflected to its sender is refused (H34), and an acknowledgement of an older
 * session is not believed (Rule 26); nobody else can make two blocks that hash alike (Rule 17).
 *
 *   secret │ nonce of P (8) │ nonce of S (8) │ hash seed (8) │ not used (8) │
 */
import { assert } from '../assert.js';
import { getU32 } from '../bytes.js';

export interface SessionNonce {
  readonly low: number;
  readonly high: number;
}

/** Who sends the frames that carry the nonce. */
export type Sender = 'primary' | 'secondary';

export function sessionNonce(sessionSecret: Uint8Array, sender: Sender): SessionNonce {
  return halvesAt(sessionSecret, sender === 'primary' ? 0 : 8);
}

/** Seed of the XXH3-128 of `hashes`, the same on both sides. */
export function hashSeed(sessionSecret: Uint8Array): SessionNonce {
  return halvesAt(sessionSecret, 16);
}

function halvesAt(sessionSecret: Uint8Array, at: number): SessionNonce {
  assert(sessionSecret.length === 32, 'the session secret has 32 bytes');
  return { low: getU32(sessionSecret, at), high: getU32(sessionSecret, at + 4) };
}

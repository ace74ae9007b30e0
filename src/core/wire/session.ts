/**
 * The nonce that every frame of one direction of one TLS session carries: taken from the secret
 * both sides export from the session. The two directions differ, so a frame reflected to its sender
 * is refused (H34), and an acknowledgement of an older session is not believed (Rule 26).
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
  assert(sessionSecret.length === 32, 'the session secret has 32 bytes');
  const at = sender === 'primary' ? 0 : 8;
  return { low: getU32(sessionSecret, at), high: getU32(sessionSecret, at + 4) };
}

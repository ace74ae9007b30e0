/**
 * What both ends of the link say to OpenSSL: TLS 1.3 and nothing older, an external pre-shared key
 * with fresh Diffie-Hellman (`psk_dhe_ke`: OpenSSL's default, and the only mode it offers unless told
 * otherwise), no certificates, no session tickets, so no early data and no resumption (H38). SHA-384
 * suites cannot be used with Node's PSK callbacks. Loopback is no exception.
 */
import { constants, createHmac } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Hmac } from '../core/psk.js';

export const tlsParameters = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
  // No authority is trusted: a certificate, whoever signed it, authenticates nobody here.
  ca: [] as string[],
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

export const hmacSha256: Hmac = (key, text) => createHmac('sha256', key).update(text).digest();

/** 32 bytes that only the two ends of this very session have. */
export function sessionSecretOf(socket: TLSSocket): Uint8Array {
  return socket.exportKeyingMaterial(32, 'EXPORTER-tdmf-session', Buffer.alloc(0));
}

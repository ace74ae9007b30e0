/**
 * What Node and OpenSSL say about a link, as the codes of the error table. A wrong key and an
 * unknown identity come out alike (H38). Nothing secret is in any message: OpenSSL's texts name
 * routines, and are left out.
 */
import { linkHandshakeMs } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import type { LinkClosed } from '../ports/link.js';

const unreachable = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'EACCES',
  'EPERM',
]);

/** Alerts with which a peer rejects a pre-shared key, or has none for us. */
const keyAlerts = new Set([
  'ERR_SSL_SSLV3_ALERT_ILLEGAL_PARAMETER',
  'ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR',
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY',
  'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
  // The peer shows a certificate instead of the key.
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'ERR_TDMF_CERTIFICATE',
]);

export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return 'unknown';
  return String(error.code);
}

/** Why an attempt to connect failed. */
export function dialFailed(error: unknown, host: string, port: number): TdmfError {
  const code = codeOf(error);
  const peer = `${host}:${port}`;
  if (unreachable.has(code)) return new TdmfError('TDMF_LINK_REFUSED', { host, port, errno: code });
  if (keyAlerts.has(code)) return new TdmfError('TDMF_LINK_KEY', { peer });
  if (code === 'ETIMEDOUT' || code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return dialTimedOut(peer);
  if (code.startsWith('ERR_SSL_')) return new TdmfError('TDMF_LINK_PROTOCOL', { what: code });
  return new TdmfError('TDMF_LINK_LOST', { peer, why: code });
}

export function dialTimedOut(peer: string): TdmfError {
  return new TdmfError('TDMF_LINK_TIMEOUT', { peer, seconds: linkHandshakeMs / 1000 });
}

/** Why an open connection ended; without an error, the peer ended it. */
export function lostBecause(error: unknown, peer: string): LinkClosed {
  const why = error === undefined ? 'the peer closed it' : codeOf(error);
  const { code, message } = new TdmfError('TDMF_LINK_LOST', { peer, why });
  return { code, message };
}

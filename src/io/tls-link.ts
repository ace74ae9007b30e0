/**
 * The primary's way to its secondary: TCP, then TLS 1.3 with the group's key (H38, I13). One attempt
 * per call, with a time limit; when to try again is decided by machines/link. A peer that
 * authenticates itself in any other way than with the key, a certificate included, is refused.
 */
import { connect, type TLSSocket } from 'node:tls';
import { linkHandshakeMs } from '../core/constants.js';
import { TdmfError } from '../core/errors.js';
import { pskIdentity } from '../core/psk.js';
import type { DialTarget, LinkConnection, LinkDialer } from '../ports/link.js';
import { dialFailed, dialTimedOut } from './link-errors.js';
import { TlsConnection } from './tls-connection.js';
import { hmacSha256, sessionSecretOf, tlsParameters } from './tls-parameters.js';

/** A half-open connection is also noticed by heartbeats, long before this. */
export const keepAliveMs = 10_000;

export const tlsDialer: LinkDialer = {
  dial(target, signal) {
    return new Promise((resolve, reject) => attempt(target, signal, resolve, reject));
  },
};

function attempt(
  target: DialTarget,
  signal: AbortSignal,
  resolve: (connection: LinkConnection) => void,
  reject: (error: TdmfError) => void,
): void {
  const { host, port } = target;
  if (signal.aborted) {
    reject(new TdmfError('TDMF_LINK_CLOSED'));
    return;
  }
  const socket = connect(connectOptions(target));
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveMs);

  const settle = (): void => {
    clearTimeout(timer);
    signal.removeEventListener('abort', giveUp);
    socket.off('error', fail);
    socket.off('close', close);
  };
  const stop = (error: TdmfError): void => {
    settle();
    // Whatever the socket still has to say about its end, the attempt is over.
    socket.on('error', () => undefined);
    socket.destroy();
    reject(error);
  };
  const fail = (error: Error): void => stop(dialFailed(error, host, port));
  const close = (): void => fail(new Error('closed during the handshake'));
  const giveUp = (): void => stop(new TdmfError('TDMF_LINK_CLOSED'));
  const timer = setTimeout(() => stop(dialTimedOut(`${host}:${port}`)), linkHandshakeMs);
  signal.addEventListener('abort', giveUp);
  socket.on('error', fail);
  socket.on('close', close);
  socket.once('secureConnect', () => {
    if (!keyWasUsed(socket)) {
      stop(new TdmfError('TDMF_LINK_KEY', { peer: `${host}:${port}` }));
      return;
    }
    settle();
    const peer = `${socket.remoteAddress ?? host}:${socket.remotePort ?? port}`;
    resolve(new TlsConnection(socket, peer, sessionSecretOf(socket)));
  });
}

function connectOptions({ host, port, key }: DialTarget) {
  return {
    ...tlsParameters,
    host,
    port,
    pskCallback: () => ({ identity: pskIdentity(key, hmacSha256), psk: key }),
    checkServerIdentity: () =>
      Object.assign(new Error('the peer shows a certificate'), { code: 'ERR_TDMF_CERTIFICATE' }),
  };
}

/** With a pre-shared key there is no certificate, and OpenSSL counts the session as resumed. */
function keyWasUsed(socket: TLSSocket): boolean {
  return socket.isSessionReused() && Object.keys(socket.getPeerCertificate()).length === 0;
}

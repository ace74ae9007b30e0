/**
 * The file of a unix socket: may a server be made there, and who may use it. A socket file outlives
 * a killed server, so one that nobody answers on is removed; one that answers, or anything that is
 * not a socket, is left alone.
 */
import { chmodSync } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { TdmfError } from '../core/errors.js';

/** sockaddr_un holds 108 bytes with the zero at the end; longer paths would be cut silently. */
const socketPathBytesMax = 107;

/** Removes a stale socket. @throws TDMF_NBD_SOCKET when the path is not free to use. */
export async function prepareSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > socketPathBytesMax) {
    throw refusal(path, `its path is longer than ${socketPathBytesMax} bytes`);
  }
  let isSocket: boolean;
  try {
    isSocket = (await lstat(path)).isSocket();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  if (!isSocket) throw refusal(path, 'it is not a socket');
  const answer = await probe(path);
  if (answer === 'ECONNREFUSED') await unlink(path);
  else if (answer === '') throw refusal(path, 'another process listens on it');
  else if (answer !== 'ENOENT') throw refusal(path, answer);
}

/** Only the owner and the group may connect. */
export function protectSocket(path: string): void {
  chmodSync(path, 0o660);
}

/** The errno of a connection attempt; empty when somebody answered. */
function probe(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve('');
    });
    socket.once('error', (error) => resolve(codeOf(error)));
  });
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}

function refusal(path: string, why: string): TdmfError {
  return new TdmfError('TDMF_NBD_SOCKET', { path, why });
}

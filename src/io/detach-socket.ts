/**
 * Takes the descriptor out of a socket that node:net accepted, so that a ByteStream can adopt it. The
 * listener must have been made with `pauseOnConnect`, or bytes may already have been read. Afterwards
 * the node:net socket is gone and the connection lives on under the returned descriptor.
 */
import type { Socket } from 'node:net';
import { assert } from '../core/assert.js';
import { native } from './native.js';

export function detachSocket(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } | null };
  assert(handle !== null && handle.fd >= 0, 'only an open socket can be detached');
  const fd = native.dupFd(handle.fd);
  socket.destroy();
  return fd;
}

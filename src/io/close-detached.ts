/**
 * Closes a descriptor that was taken out of a socket for somebody who is not there any more: a group
 * that stopped between a client's handshake and its first request, a host that is just restarted.
 * Such a descriptor belongs to nobody (dupFd), and closeFd closes only what this environment owns.
 */
import { native } from './native.js';

export function closeDetached(fd: number): Promise<void> {
  native.adoptFd(fd);
  return native.closeFd(fd);
}

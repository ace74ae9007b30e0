/** A program that serves NBD on descriptor 3, as systemd and libnbd start one (LISTEN_FDS). */
import { startNbdServer } from './nbd-server.js';

const server = await startNbdServer({ fd: 3, info: { sizeBytes: 2 ** 20 } });
process.on('SIGTERM', () => {
  void server.close();
});

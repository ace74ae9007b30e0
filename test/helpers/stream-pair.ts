/** Two ends of a fresh connection over a Unix socket, as descriptors that nobody owns yet. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { native } from '../../src/io/native.js';
import { detachByDup } from '../../src/io/nbd-door.js';

export async function streamPair(socketPath: string): Promise<[number, number]> {
  const server = createServer({ pauseOnConnect: true });
  server.listen(socketPath);
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ path: socketPath, onread: nothing });
  client.pause();
  await once(client, 'connect');
  const [socket] = await accepted;
  const ends: [number, number] = [
    detachByDup(native.dupFd)(client),
    detachByDup(native.dupFd)(socket),
  ];
  server.close();
  await once(server, 'close');
  return ends;
}

// A socket that is read by nobody: its bytes belong to whoever adopts the descriptor.
const nothing = { buffer: new Uint8Array(1), callback: () => false };

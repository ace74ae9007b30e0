/** The door with real sockets: who gets in, who is turned away, and what is handed over. */
import { once } from 'node:events';
import { existsSync, renameSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import {
  descriptorOf,
  type NbdConnection,
  type NbdDoor,
  type NbdDoorLimits,
  openNbdDoor,
} from '../../../src/io/nbd-door.js';
import type { Log } from '../../../src/ports/log.js';
import {
  CMD,
  catalogue,
  exportInfo,
  infoData,
  OPT,
  option,
  request,
  u32,
} from '../../helpers/nbd-bytes.js';
import { TurnClock } from '../../helpers/turn-clock.js';

interface World {
  readonly path: string;
  readonly door: NbdDoor;
  readonly clock: TurnClock;
  readonly connections: NbdConnection[];
  readonly log: string[];
  /** Resolves with the next connection that is handed over. */
  next(): Promise<NbdConnection>;
  client(): Promise<Client>;
}

/** A raw client that collects what it is sent. */
class Client {
  readonly socket: Socket;
  received: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.socket = connect({ path });
    this.socket.on('data', (bytes: Buffer) => {
      this.received = Buffer.concat([this.received, bytes]);
    });
    this.socket.on('error', () => {});
  }

  async until(length: number): Promise<Buffer> {
    while (this.received.length < length) await once(this.socket, 'data');
    return this.received;
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close');
  }
}

const directories: string[] = [];
const sockets = new Set<Socket>();

async function temporaryPath(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tdmf-door-'));
  directories.push(directory);
  return join(directory, 'nbd.sock');
}

test.after.always(async () => {
  for (const socket of sockets) socket.destroy();
  for (const directory of directories) await rm(directory, { recursive: true });
});

/** A copy of the descriptor needs native code; keeping the socket has the same effect here. */
function detach(socket: Socket): number {
  sockets.add(socket.removeAllListeners());
  return descriptorOf(socket);
}

function ignore(_connection: NbdConnection): void {}

async function openWorld(limits: Partial<NbdDoorLimits> = {}, at?: string): Promise<World> {
  const path = at ?? (await temporaryPath());
  const clock = new TurnClock();
  const connections: NbdConnection[] = [];
  const messages: string[] = [];
  const log: Log = {
    write: (_level, message, fields) => messages.push(`${message} ${JSON.stringify(fields)}`),
    with: () => log,
  };
  let arrived = ignore;
  const infos = Array.from({ length: 200 }, (_, index) => exportInfo({ name: `g${index}/d0` }));
  const door = await openNbdDoor(
    { socketPath: path, exports: catalogue(...infos), detach, clock, log, limits },
    (connection) => {
      connections.push(connection);
      arrived(connection);
    },
  );
  return {
    path,
    door,
    clock,
    connections,
    log: messages,
    next: () =>
      new Promise((resolve) => {
        arrived = resolve;
      }),
    client: async () => {
      const client = new Client(path);
      await once(client.socket, 'connect');
      return client;
    },
  };
}

const go = Buffer.concat([u32(3), option(OPT.GO, infoData('g7/d0'))]);

test('a finished handshake is handed over, with the bytes behind it', async (t) => {
  const world = await openWorld();
  const client = await world.client();
  const first = request({ command: CMD.READ, length: 512 });
  const arrived = world.next();
  client.socket.write(Buffer.concat([go, first]));
  const connection = await arrived;
  t.like(connection, { exportName: 'g7/d0', structuredReplies: false, metaContexts: [] });
  t.deepEqual(Buffer.from(connection.leftover), first);
  t.true(connection.fd > 2);
  // Greeting, one NBD_REP_INFO, one NBD_REP_ACK: sent before the hand-over.
  t.is((await client.until(18 + 32 + 20)).length, 70);
  await world.door.close();
  t.false(client.socket.closed);
  client.socket.destroy();
});

test('bytes that arrive in pieces are as good', async (t) => {
  const world = await openWorld();
  const client = await world.client();
  const arrived = world.next();
  for (const byte of go) {
    client.socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.is((await arrived).leftover.length, 0);
  client.socket.destroy();
  await world.door.close();
});

test('a client that sends too much behind its handshake is turned away (I12)', async (t) => {
  const world = await openWorld({ leftoverBytesMax: 1000 });
  const client = await world.client();
  client.socket.write(Buffer.concat([go, Buffer.alloc(1001)]));
  await client.closed();
  t.is(world.connections.length, 0);
  await world.door.close();
});

test('a malformed handshake closes that connection only', async (t) => {
  const world = await openWorld();
  const good = await world.client();
  const bad = await world.client();
  await good.until(18);
  bad.socket.write('GET / HTTP/1.1\r\n\r\n');
  await bad.closed();
  const arrived = world.next();
  good.socket.write(go);
  t.is((await arrived).exportName, 'g7/d0');
  good.socket.destroy();
  await world.door.close();
});

test('ABORT is acknowledged, then closed', async (t) => {
  const world = await openWorld();
  const client = await world.client();
  client.socket.write(Buffer.concat([u32(3), option(OPT.ABORT)]));
  await client.closed();
  t.is(client.received.length, 18 + 20);
  await world.door.close();
});

test('a handshake that takes too long is turned away (I12)', async (t) => {
  const world = await openWorld({ handshakeMs: 5000 });
  const client = await world.client();
  await client.until(18);
  await world.clock.run();
  t.is(world.clock.now(), 5000);
  await client.closed();
  t.true(world.log.some((line) => line.includes('timed out')));
  await world.door.close();
});

test('the time limit ends with the handshake', async (t) => {
  const world = await openWorld();
  const client = await world.client();
  const arrived = world.next();
  client.socket.write(go);
  await arrived;
  await world.clock.run();
  t.is(world.clock.now(), 0);
  t.false(client.socket.closed);
  client.socket.destroy();
  await world.door.close();
});

test('only so many handshakes run at once, and a place becomes free again (I12)', async (t) => {
  const world = await openWorld({ handshakesMax: 2 });
  const first = await world.client();
  const second = await world.client();
  await first.until(18);
  await second.until(18);
  const third = await world.client();
  await third.closed();
  t.is(third.received.length, 0);
  first.socket.destroy();
  await first.closed();
  let fourth: Client;
  do {
    fourth = await world.client();
    await Promise.race([fourth.until(18), fourth.closed()]);
  } while (fourth.received.length === 0);
  t.is(fourth.received.length, 18);
  await world.door.close();
});

test('a client that asks for long lists gets them as fast as it reads (I12)', async (t) => {
  const world = await openWorld({ unsentBytesMax: 20_000 });
  const client = await world.client();
  client.socket.write(Buffer.concat([u32(3), option(OPT.LIST)]));
  const ackAt = async (from: number): Promise<number> => {
    // NBD_REP_ACK of NBD_OPT_LIST: option 3, type 1, no data.
    const ack = Buffer.concat([u32(OPT.LIST), u32(1), u32(0)]);
    while (client.received.indexOf(ack, from) < 0) await once(client.socket, 'data');
    return client.received.indexOf(ack, from) + ack.length;
  };
  const listBytes = (await ackAt(18)) - 18;
  client.socket.pause();
  const lists = Array.from({ length: 300 }, () => option(OPT.LIST));
  client.socket.write(Buffer.concat([...lists, option(OPT.ABORT)]));
  client.socket.resume();
  await client.closed();
  t.is(client.received.length, 18 + 301 * listBytes + 20);
  await world.door.close();
});

test('the socket file is for owner and group, and goes with the door', async (t) => {
  const world = await openWorld();
  t.is(statSync(world.path).mode & 0o777, 0o660);
  const client = await world.client();
  await client.until(18);
  await world.door.close();
  await client.closed();
  t.false(existsSync(world.path));
});

test('a socket file that nobody listens on is replaced', async (t) => {
  const world = await openWorld();
  const stale = await temporaryPath();
  // A server that is killed leaves its file: bind one, and take its listener away from the file.
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen({ path: `${stale}.old` }, resolve);
  });
  renameSync(`${stale}.old`, stale);
  await new Promise((resolve) => {
    server.close(resolve);
  });
  t.true(existsSync(stale));
  const second = await openWorld({}, stale);
  t.is((await (await second.client()).until(18)).length, 18);
  await second.door.close();
  await world.door.close();
});

test('a socket that somebody listens on, or no socket at all, is left alone', async (t) => {
  const world = await openWorld();
  const busy = await t.throwsAsync(openWorld({}, world.path), { code: 'TDMF_NBD_SOCKET' });
  t.regex(busy.message, /another process listens/);
  t.is((await (await world.client()).until(18)).length, 18);
  await world.door.close();

  const file = await temporaryPath();
  await writeFile(file, 'precious');
  const notSocket = await t.throwsAsync(openWorld({}, file), { code: 'TDMF_NBD_SOCKET' });
  t.regex(notSocket.message, /not a socket/);
  t.true(existsSync(file));

  const long = `${file}${'x'.repeat(100)}`;
  const tooLong = await t.throwsAsync(openWorld({}, long), { code: 'TDMF_NBD_SOCKET' });
  t.regex(tooLong.message, /longer than 107/);

  const nowhere = join(file, 'nbd.sock');
  await t.throwsAsync(openWorld({}, nowhere), { code: 'TDMF_NBD_SOCKET' });
});

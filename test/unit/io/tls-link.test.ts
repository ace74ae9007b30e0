/** What only real TLS can show: what a stranger sees, and what a stranger can do. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ConnectionOptions,
  connect as connectTls,
  createServer as createTlsServer,
} from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { isTdmfError } from '../../../src/core/errors.js';
import { pskIdentity } from '../../../src/core/psk.js';
import { openLinkDoor } from '../../../src/io/link-door.js';
import { codeOf } from '../../../src/io/link-errors.js';
import { tlsDialer } from '../../../src/io/tls-link.js';
import { hmacSha256, tlsParameters } from '../../../src/io/tls-parameters.js';
import type { LinkConnection } from '../../../src/ports/link.js';
import { keyOf, LinkEnd, secretOf } from '../../../src/testing/contracts/link.js';
import {
  keepSocket,
  type RealLinkOptions,
  realLinkWorld,
  until,
} from '../../helpers/link-world.js';
import { LoopClock } from '../../helpers/loop-clock.js';

const never = new AbortController().signal;

async function openWorld(t: ExecutionContext, options: RealLinkOptions = {}) {
  const world = await realLinkWorld(options);
  const sessions: LinkEnd[] = [];
  world.server.setKeys([{ group: 1, secret: secretOf(1) }]);
  world.server.onSession(({ connection }) => sessions.push(new LinkEnd(connection)));
  t.teardown(async () => {
    const reason = { code: 'TDMF_LINK_CLOSED', message: 'the test is over' };
    for (const { connection } of sessions) connection.close(reason);
    await until(() => sessions.every((end) => end.closed.length === 1), 'all sessions end');
    await world.close();
  });
  const dial = (key = keyOf(1)): Promise<LinkConnection> =>
    tlsDialer.dial({ ...world.place, key, tcpWindowBytes: 0 }, never);
  return { ...world, sessions, dial };
}

/** Unlike `once`, an error on the way is no failure. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
  });
}

/** A TCP server for one test. */
async function listen(t: ExecutionContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** Connects through a recorder and gives every byte that the server sent. */
async function answerTo(t: ExecutionContext, port: number, identity: string, key: Uint8Array) {
  const answer: Buffer[] = [];
  const recorder = createServer((near) => {
    const far = connectTcp(port, '127.0.0.1');
    near.on('error', () => far.destroy()).pipe(far);
    far.on('error', () => near.destroy()).pipe(near);
    far.on('data', (chunk: Buffer) => answer.push(chunk));
  });
  const through = await listen(t, recorder);
  const socket = connectTls({
    ...tlsParameters,
    host: '127.0.0.1',
    port: through,
    pskCallback: () => ({ identity, psk: key }),
  });
  let code = 'none';
  socket.on('error', (error) => {
    code = codeOf(error);
  });
  await closed(socket);
  return { code, bytes: Buffer.concat(answer).toString('hex') };
}

async function refusal(attempt: Promise<LinkConnection>): Promise<string> {
  try {
    new LinkEnd(await attempt).connection.close({ code: 'TDMF_LINK_CLOSED', message: 'test' });
    return 'connected';
  } catch (error) {
    return isTdmfError(error) ? error.code : String(error);
  }
}

test('a wrong key and an unknown identity look alike on the wire (H38, I13)', async (t) => {
  const { place, sessions } = await openWorld(t);
  const known = pskIdentity(keyOf(1), hmacSha256);
  const wrongKey = await answerTo(t, place.port, known, keyOf(2));
  const unknown = await answerTo(t, place.port, pskIdentity(keyOf(2), hmacSha256), keyOf(2));
  const nonsense = await answerTo(t, place.port, 'group 1', keyOf(2));
  t.deepEqual(unknown, wrongKey);
  t.deepEqual(nonsense, wrongKey);
  // One fatal alert, and nothing else.
  t.regex(wrongKey.bytes, /^15030[13]000202..$/);
  t.is(sessions.length, 0);
});

test('a client hello offers the key with fresh Diffie-Hellman only, and no early data (H38)', async (t) => {
  let hello: Buffer | undefined;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (chunk: Buffer) => {
      hello = chunk;
      socket.destroy();
    });
  });
  const port = await listen(t, server);
  const target = { host: '127.0.0.1', port, key: keyOf(1), tcpWindowBytes: 0 };
  t.is(await refusal(tlsDialer.dial(target, never)), 'TDMF_LINK_LOST');
  const hex = hello!.toString('hex');
  // psk_key_exchange_modes (45): one mode, 1 = psk_dhe_ke.
  t.true(hex.includes('002d00020101'));
  t.false(hex.includes('002a0000'), 'no early_data extension');
  t.true(hello!.includes(pskIdentity(keyOf(1), hmacSha256)));
});

const strangerGetsNothing = test.macro(async (t, options: ConnectionOptions, alert: RegExp) => {
  const { place, sessions, server } = await openWorld(t);
  const socket = connectTls({ ...tlsParameters, ...options, ...place });
  let code = '';
  socket.on('error', (error) => {
    code = codeOf(error);
  });
  await closed(socket);
  t.regex(code, alert);
  await until(() => server.handshakes === 0, 'the handshake is over');
  t.is(sessions.length, 0);
});
test('a client without a key gets nothing', strangerGetsNothing, {}, /HANDSHAKE_FAILURE/);
test(
  'a client with an older TLS gets nothing',
  strangerGetsNothing,
  {
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.2',
    ciphers: 'ALL',
    pskCallback: () => ({ identity: pskIdentity(keyOf(1), hmacSha256), psk: keyOf(1) }),
  },
  /PROTOCOL_VERSION/,
);

test('a session ticket is no way in without the key', async (t) => {
  const { place, sessions } = await openWorld(t);
  const first = connectTls({
    ...tlsParameters,
    ...place,
    pskCallback: () => ({ identity: pskIdentity(keyOf(1), hmacSha256), psk: keyOf(1) }),
  });
  const [ticket] = (await once(first, 'session')) as [Buffer];
  first.destroy();
  await until(() => sessions[0]?.closed.length === 1, 'the first session is over');
  const second = connectTls({ ...tlsParameters, ...place, session: ticket });
  const error: unknown = await once(second, 'error').then(([reason]: unknown[]) => reason);
  t.regex(codeOf(error), /^ERR_SSL_/);
  t.is(sessions.length, 1);
});

test('a server with a certificate instead of the key is refused', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tdmf-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const files = ['-keyout', keyFile, '-out', certFile];
  const made = spawnSync('openssl', [
    'req',
    '-x509',
    ...curve,
    '-nodes',
    '-subj',
    '/CN=127.0.0.1',
    ...files,
  ]);
  if (made.error !== undefined) {
    t.pass('no openssl here');
    return;
  }
  const server = createTlsServer({ key: readFileSync(keyFile), cert: readFileSync(certFile) });
  server.on('tlsClientError', () => undefined);
  const port = await listen(t, server);
  const target = { host: '127.0.0.1', port, key: keyOf(1), tcpWindowBytes: 0 };
  t.is(await refusal(tlsDialer.dial(target, never)), 'TDMF_LINK_KEY');
});

test('a peer that is no TLS server, or hangs up, is told apart from a wrong key', async (t) => {
  const answer = async (serve: (socket: Socket) => void): Promise<string> => {
    const server = createServer((socket) => serve(socket.on('error', () => undefined)));
    const port = await listen(t, server);
    const target = { host: '127.0.0.1', port, key: keyOf(1), tcpWindowBytes: 0 };
    return refusal(tlsDialer.dial(target, never));
  };
  t.is(
    await answer((socket) => socket.end('220 mail.example ESMTP\r\n'.repeat(9))),
    'TDMF_LINK_PROTOCOL',
  );
  t.is(await answer((socket) => socket.destroy()), 'TDMF_LINK_LOST');
});

test('a connection that says nothing, or too little, is ended by the clock (Rule 38)', async (t) => {
  const { place, server, lines } = await openWorld(t, { handshakeMs: 200 });
  const silent = connectTcp(place.port, place.host);
  const slow = connectTcp(place.port, place.host, () =>
    slow.write(Buffer.from('1603010200', 'hex')),
  );
  for (const socket of [silent, slow]) socket.on('error', () => undefined).resume();
  await until(() => server.handshakes === 2, 'both are being waited for');
  await Promise.all([closed(silent), closed(slow)]);
  await until(() => server.handshakes === 0, 'nobody is waited for');
  t.true(lines.some((line) => line.includes('ERR_TLS_HANDSHAKE_TIMEOUT')));
});

test('300 strangers do not disturb a session, and are few at any time (I11, I12)', async (t) => {
  const limits = { handshakeMs: 1000, handshakesMax: 40, handshakesPerAddressMax: 30 };
  const { place, server, sessions, dial, lines } = await openWorld(t, limits);
  const good = new LinkEnd(await dial());
  await until(() => sessions.length === 1, 'the good session is there');
  const strangers: Socket[] = [];
  let most = 0;
  for (let index = 0; index < 300; index += 1) {
    const socket = connectTcp(place.port, place.host, () => {
      if (index % 3 !== 0) socket.write(randomBytes(1 + ((index * 7) % 600)));
    });
    strangers.push(socket.on('error', () => undefined).resume());
    if (index % 10 === 0) {
      const before = sessions[0]!.bytes;
      good.connection.send(Uint8Array.of(index));
      await until(() => sessions[0]!.bytes === before + 1, 'a byte gets through');
    }
    most = Math.max(most, server.handshakes);
  }
  t.true(most <= 30, `${most} handshakes at once`);
  await Promise.all(strangers.filter((socket) => !socket.closed).map(closed));
  await until(() => server.handshakes === 0, 'no stranger is left');
  t.is(sessions.length, 1);
  t.is(sessions[0]!.closed.length, 0);
  t.true(lines.length < 12, `${lines.length} lines of log`);
  const late = new LinkEnd(await dial());
  await until(() => sessions.length === 2, 'a new good one gets in');
  t.is(late.closed.length, 0);
});

test('connections that arrive too fast are closed at the door (Rule 38)', async (t) => {
  const arrivals = { all: { burst: 100, perSecond: 1 }, perAddress: { burst: 5, perSecond: 0.1 } };
  const { place, lines, server } = await openWorld(t, { arrivals, handshakeMs: 100 });
  const sockets = Array.from({ length: 20 }, () => connectTcp(place.port, place.host));
  await Promise.all(sockets.map((socket) => closed(socket.on('error', () => undefined).resume())));
  t.is(lines.filter((line) => line.includes('at the door')).length, 1);
  await until(() => server.handshakes === 0, 'nobody is waited for');
});

test('no key, secret or identity is in any log line or error (I13)', async (t) => {
  const { lines, dial, server, place } = await openWorld(t, { handshakeMs: 100 });
  server.setKeys([
    { group: 1, secret: secretOf(1) },
    { group: 2, secret: secretOf(3) },
    { group: 3, secret: secretOf(3) },
    { group: 4, secret: secretOf(4).slice(1) },
  ]);
  const errors: string[] = [];
  for (const key of [keyOf(2), keyOf(3), keyOf(5)]) {
    await dial(key).catch((error: Error) => {
      errors.push(`${error.message} ${error.stack} ${JSON.stringify(error)}`);
    });
  }
  const silent = connectTcp(place.port, place.host).on('error', () => undefined);
  await closed(silent.resume());
  t.is(errors.length, 3);
  t.true(lines.length >= 3);
  const said = [...lines, ...errors].join('\n');
  for (let group = 1; group <= 5; group += 1) {
    const key = Buffer.from(keyOf(group));
    const secrets = [
      secretOf(group).slice(1, 20),
      key.toString('hex').slice(0, 20),
      pskIdentity(key, hmacSha256),
    ];
    for (const secret of secrets) t.false(said.includes(secret));
  }
});

test('a busy port and a strange address are told by their codes', async (t) => {
  const { door } = await openWorld(t);
  const open = (address: string, port: number) =>
    openLinkDoor(
      {
        address,
        port,
        dupFd: (fd) => fd,
        detach: keepSocket,
        clock: new LoopClock(),
        log: { write: () => undefined, with: () => t.fail() },
      },
      () => undefined,
    );
  await t.throwsAsync(open('127.0.0.1', door.port), { code: 'TDMF_PORT_BUSY' });
  await t.throwsAsync(open('192.0.2.1', 0), { code: 'TDMF_PORT_DENIED' });
});

test('shared memory goes over the link as it is', async (t) => {
  const { sessions, dial } = await openWorld(t);
  const near = new LinkEnd(await dial());
  const memory = new Uint8Array(new SharedArrayBuffer(300_000)).fill(9);
  let back = 0;
  for (let index = 0; index < 3; index += 1) {
    near.connection.send(memory.subarray(index * 100_000, (index + 1) * 100_000), () => {
      back += 1;
    });
  }
  await until(() => sessions[0]?.bytes === 300_000 && back === 3, 'all arrives');
  t.true(sessions[0]!.content().every((byte) => byte === 9));
});

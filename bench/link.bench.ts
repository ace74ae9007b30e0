/**
 * The link alone: frames of 256 KiB over real TLS on the loopback interface, from one thread to
 * another, split and checksummed into an arena as the RMD does it. What it measures is the ceiling of
 * a refresh on one connection: encryption and checksums on both sides, without devices.
 *
 *   node dist/bench/link.bench.js [--quick]
 */
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { Crc32c } from '../src/core/checksum.js';
import { frameHeaderBytes, wireEntryBytes } from '../src/core/constants.js';
import { encodeEntry } from '../src/core/wire/entry.js';
import { frameKinds } from '../src/core/wire/messages.js';
import { sessionNonce } from '../src/core/wire/session.js';
import { FrameSplitter } from '../src/core/wire/splitter.js';
import { FrameWriter } from '../src/core/wire/writer.js';
import { LinkHost } from '../src/io/link-host.js';
import { native } from '../src/io/native.js';
import { descriptorOf } from '../src/io/nbd-door.js';
import { tlsDialer } from '../src/io/tls-link.js';

interface Input {
  readonly port: number;
  readonly frames: number;
}

const crc32c: Crc32c = (bytes, offset, length, seed) => native.crc32c(bytes, offset, length, seed);
const dataBytes = 256 * 1024;
const key = new Uint8Array(32).fill(7);
const hello = { kind: 'flushWanted', sequence: 1 } as const;

/** The secondary's side: counts frames, and tells how long they took from the first to the last. */
function receive(frames: number): void {
  const host = new LinkHost();
  host.setKeys([{ group: 1, secret: Buffer.from(key).toString('base64') }]);
  host.onSession(({ connection }) => {
    const arena = new Uint8Array(new SharedArrayBuffer(2 * dataBytes));
    let startedAt = 0;
    let count = 0;
    const nonce = sessionNonce(connection.sessionSecret, 'primary');
    const splitter = new FrameSplitter(
      {
        begin: ({ kind }) =>
          kind === frameKinds.blocks ? { bytes: arena, offset: 4096 - wireEntryBytes } : undefined,
        frame: ({ kind }) => {
          if (kind !== frameKinds.blocks) startedAt = performance.now();
          else count += 1;
          if (count < frames) return;
          parentPort?.postMessage(performance.now() - startedAt, []);
          connection.close({ code: 'TDMF_LINK_CLOSED', message: 'measured' });
        },
        malformed: (error) => {
          throw error;
        },
      },
      { sender: 'primary', nonce, crc32c },
    );
    connection.handlers = {
      data: (chunk) => splitter.push(chunk),
      drained: () => undefined,
      closed: () => server.close(),
    };
  });
  // The accepted socket keeps its descriptor: nothing here can copy one.
  const kept: Socket[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    kept.push(socket);
    host.serve(descriptorOf(socket));
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    parentPort?.postMessage(port, []);
  });
}

/** The primary's side: header and table from one buffer, data straight from shared memory. */
async function send({ port, frames }: Input): Promise<void> {
  const target = { host: '127.0.0.1', port, key, tcpWindowBytes: 0 };
  const connection = await tlsDialer.dial(target, new AbortController().signal);
  const writer = new FrameWriter(sessionNonce(connection.sessionSecret, 'primary'), crc32c);
  const data = new Uint8Array(new SharedArrayBuffer(dataBytes)).fill(0xa5);
  let count = 0;
  const pump = (): void => {
    for (let more = true; more && count < frames; ) {
      count += 1;
      const head = new Uint8Array(frameHeaderBytes + wireEntryBytes);
      const offset = count * dataBytes;
      const entry = { sequence: count, dep: 0, device: 0, flags: 0, offset, length: dataBytes };
      encodeEntry(head, frameHeaderBytes, entry);
      const table = crc32c(head, frameHeaderBytes, wireEntryBytes, 0);
      const crc = crc32c(data, 0, dataBytes, table);
      writer.dataHeader(head, 0, frameKinds.blocks, 1, wireEntryBytes + dataBytes, crc);
      connection.send(head);
      more = connection.send(data);
    }
  };
  connection.handlers = { data: () => undefined, drained: pump, closed: () => undefined };
  connection.send(writer.control(hello));
  pump();
}

/** One run on two fresh threads; MB (10⁶ bytes) of data a second. */
export function measureLink(frames: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const file = fileURLToPath(import.meta.url);
    const receiver = new Worker(file, { workerData: { port: 0, frames } });
    let sender: Worker | undefined;
    receiver.on('error', reject);
    receiver.on('message', (value: number) => {
      if (sender === undefined) {
        sender = new Worker(file, { workerData: { port: value, frames } });
        sender.on('error', reject);
        return;
      }
      void Promise.all([receiver.terminate(), sender.terminate()]).then(() =>
        resolve((frames * dataBytes) / 1e6 / (value / 1000)),
      );
    });
  });
}

if (isMainThread && process.argv[1] === fileURLToPath(import.meta.url)) {
  const frames = process.argv.includes('--quick') ? 400 : 4000;
  const rates: number[] = [];
  const cpuBefore = process.cpuUsage();
  for (let round = 0; round < 3; round += 1) rates.push(await measureLink(frames));
  const { user, system } = process.cpuUsage(cpuBefore);
  const nsPerByte = ((user + system) * 1000) / (3 * frames * dataBytes);
  const median = rates.toSorted((a, b) => a - b)[1] ?? 0;
  process.stdout.write(
    `link: 256 KiB frames over loopback TLS, thread to thread: ${median.toFixed(0)} MB/s ` +
      `(${rates.map((rate) => rate.toFixed(0)).join(', ')}); ${nsPerByte.toFixed(2)} ns of CPU a byte, ` +
      'both ends together\n',
  );
} else if (!isMainThread) {
  const input = workerData as Input;
  if (input.port === 0) receive(input.frames);
  else await send(input);
}

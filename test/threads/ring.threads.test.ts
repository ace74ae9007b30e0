import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { ringMemoryBytes } from '../../src/core/ring/layout.js';
import { RingReader } from '../../src/core/ring/reader.js';
import { RingWriter } from '../../src/core/ring/writer.js';
import { Bell, BellKeeper, bellMemory } from '../../src/runtime/doorbell.js';

/** Bytes of message `n`: its length and its content follow from the number. */
function message(n: number, into: Uint8Array): Uint8Array {
  const bytes = into.subarray(0, (n * 37) % into.length);
  bytes.fill(n & 0xff);
  if (bytes.length >= 4) new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, n);
  return bytes;
}

for (const capacityBytes of [256, 4096, 65_536]) {
  test(`messages pass through two rings of ${capacityBytes} bytes and back, whole and in order`, async (t) => {
    const count = 100_000;
    const bells = bellMemory(2);
    const there = new SharedArrayBuffer(ringMemoryBytes(capacityBytes));
    const back = new SharedArrayBuffer(ringMemoryBytes(capacityBytes));
    const writer = new RingWriter(there);
    const reader = new RingReader(back);
    const partner = new Bell(bells, 1);
    const buffers = [new Uint8Array(60), new Uint8Array(60)] as const;
    const worker = new Worker(new URL('./fixtures/ring-echo.js', import.meta.url), {
      workerData: { bells, there, back, count },
    });
    const exited = new Promise((resolve) => {
      worker.once('exit', resolve);
    });
    let sent = 0;
    let received = 0;
    let wrong = 0;
    let refused = 0;
    await new Promise<void>((resolve) => {
      const serve = (): void => {
        do {
          keeper.look();
          while (sent < count && writer.write(message(sent, buffers[0]))) sent++;
          if (sent < count) {
            refused++;
            writer.starve();
          }
          for (let bytes = reader.read(); bytes !== undefined; bytes = reader.read()) {
            if (Buffer.compare(bytes, message(received, buffers[1])) !== 0) wrong++;
            received++;
          }
          reader.release();
          partner.ring();
          if (received === count) {
            keeper.close();
            resolve();
            return;
          }
        } while (!keeper.sleep());
      };
      const keeper = new BellKeeper(bells, 0, serve);
      serve();
    });
    t.is(wrong, 0);
    t.true(refused > 0, 'back-pressure was met');
    t.is(await exited, 0);
    t.is(new Bell(bells, 0).insured + new Bell(bells, 1).insured, 0);
  });
}

test('the bench of the ring runs', async (t) => {
  const bench = fileURLToPath(new URL('../../bench/ring.bench.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [bench, '--quick']);
  t.regex(stdout, /^ratio +\d/m);
});

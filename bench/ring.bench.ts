/**
 * Messages from one thread to another: the ring as the runtime uses it (msgpack envelopes, one bell
 * per turn) against a MessagePort with the same object, both in one run, so that their ratio means
 * something on any machine. Then the time of one hand-over there and back.
 *
 *   node dist/bench/ring.bench.js [--quick]
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { ringMemoryBytes } from '../src/core/ring/layout.js';
import { Bell, BellKeeper, bellMemory } from '../src/runtime/doorbell.js';
import { encodeEnvelope, envelopeKinds } from '../src/runtime/envelope.js';
import { Inbound } from '../src/runtime/inbound.js';
import { Outbound } from '../src/runtime/outbound.js';

type Way = 'port' | 'ring';

interface Input {
  readonly way: Way;
  readonly count: number;
  readonly rounds: number;
  readonly bells: SharedArrayBuffer;
  readonly there: SharedArrayBuffer;
  readonly back: SharedArrayBuffer;
}

const capacityBytes = 256 * 1024;
const batch = 64;
const sample = (n: number) => ({ type: 'bab.appended', sequence: n, group: 7, bytes: 4096 });
const envelope = (n: number): Uint8Array => encodeEnvelope(1, envelopeKinds.tell, 0, sample(n));

function follow({ way, count, rounds, bells, there, back }: Input): void {
  let received = 0;
  if (way === 'port') {
    parentPort?.on('message', (message) => {
      received++;
      if (received >= count) parentPort?.postMessage(message);
      if (received === count + rounds) parentPort?.close();
    });
    parentPort?.postMessage('ready');
    return;
  }
  const inbound = new Inbound(0, there, new Bell(bells, 0));
  const outbound = new Outbound(back, new Bell(bells, 0));
  const scratch = new Uint8Array(capacityBytes);
  const serve = (): void => {
    do {
      keeper.look();
      while (
        inbound.drain(scratch, () => {
          received++;
          if (received >= count) outbound.tell(envelope(received), undefined);
          return true;
        })
      );
      outbound.flush();
      if (received === count + rounds) keeper.close();
    } while (!keeper.sleep());
  };
  const keeper = new BellKeeper(bells, 1, serve);
  serve();
  parentPort?.postMessage('ready');
}

async function measure(way: Way, count: number, rounds: number): Promise<[number, number]> {
  const input: Input = {
    way,
    count,
    rounds,
    bells: bellMemory(2),
    there: new SharedArrayBuffer(ringMemoryBytes(capacityBytes)),
    back: new SharedArrayBuffer(ringMemoryBytes(capacityBytes)),
  };
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: input });
  const exited = new Promise((resolve) => {
    worker.once('exit', resolve);
  });
  let answered: () => void = () => undefined;
  const answer = (): Promise<void> =>
    new Promise((resolve) => {
      answered = resolve;
    });
  worker.on('message', () => answered());
  await answer();
  const outbound = new Outbound(input.there, new Bell(input.bells, 1));
  const inbound = new Inbound(1, input.back, new Bell(input.bells, 1));
  const scratch = new Uint8Array(capacityBytes);
  const serve = (): void => {
    do {
      keeper.look();
      while (
        inbound.drain(scratch, () => {
          answered();
          return true;
        })
      );
    } while (!keeper.sleep());
  };
  const keeper = new BellKeeper(input.bells, 0, serve);
  serve();

  const send = (n: number): boolean => {
    if (way === 'ring') return outbound.tell(envelope(n), undefined);
    worker.postMessage(sample(n));
    return true;
  };
  const begun = performance.now();
  const last = answer();
  for (let n = 0; n < count; ) {
    // A message that did not fit is sent again, as an actor would after `writable`.
    if (send(n)) n++;
    else await nextTurn();
    if (n % batch === 0) outbound.flush();
  }
  outbound.flush();
  await last;
  const perSecond = (count / (performance.now() - begun)) * 1000;

  const roundsBegun = performance.now();
  for (let n = 0; n < rounds; n++) {
    const one = answer();
    send(n);
    outbound.flush();
    await one;
  }
  const roundTripUs = ((performance.now() - roundsBegun) / rounds) * 1000;
  await exited;
  keeper.close();
  return [perSecond, roundTripUs];
}

async function run(): Promise<void> {
  const quick = process.argv.includes('--quick');
  const count = quick ? 5_000 : 300_000;
  const rounds = quick ? 200 : 20_000;
  const [portRate, portTrip] = await measure('port', count, rounds);
  const [ringRate, ringTrip] = await measure('ring', count, rounds);
  const line = (name: string, rate: number, trip: number): string =>
    `${name}  ${Math.round(rate / 1000)} k messages/s  round trip ${trip.toFixed(1)} us\n`;
  process.stdout.write(line('MessagePort', portRate, portTrip));
  process.stdout.write(line('ring       ', ringRate, ringTrip));
  process.stdout.write(`ratio        ${(ringRate / portRate).toFixed(2)}\n`);
}

if (isMainThread) await run();
else follow(workerData as Input);

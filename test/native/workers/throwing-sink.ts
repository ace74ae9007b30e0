/** A worker whose sink throws at the first of eight completions; it counts how many still come. */
import { parentPort, workerData } from 'node:worker_threads';
import { IoVector } from '../../../src/core/io-vector.js';
import { openIo } from '../../../src/io/open-io.js';

const { kind, path } = workerData as { kind: 'uring' | 'threads'; path: string };
const io = openIo(kind);
const device = await io.open({ path, access: 'readwrite', createBytes: 65536 });
const { arena } = io.allocate(4096);
const vector = new IoVector(1).single(arena, 0, 4096);
const uncaught: string[] = [];
process.on('uncaughtException', (error) => uncaught.push(error.message));
let completed = 0;
const sink = {
  completed(tag: number) {
    completed++;
    if (tag === 0) throw new Error('a bug in a sink');
  },
};
for (let index = 0; index < 8; index++) device.write(vector, index * 4096, false, sink, index);
await io.close();
setImmediate(() => setImmediate(() => parentPort?.postMessage({ completed, uncaught })));

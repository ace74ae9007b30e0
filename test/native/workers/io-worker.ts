/**
 * A worker with an I/O core of its own. `work`: writes, reads back and compares, then ends by itself.
 * `hang`: leaves 64 operations in flight, a receive that never ends among them, and says so.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { IoVector } from '../../../src/core/io-vector.js';
import { openIo } from '../../../src/io/open-io.js';
import { Outcomes } from '../../../src/testing/contracts/outcomes.js';

interface Task {
  readonly kind: 'uring' | 'threads';
  readonly role: 'work' | 'hang' | 'open';
  readonly path: string;
  readonly seed: number;
  readonly socket?: number;
  readonly shared?: SharedArrayBuffer;
}

const task = workerData as Task;
const io = openIo(task.kind);
const outcomes = new Outcomes();

if (task.role === 'open') {
  // An open that is under way when the worker ends.
  void io.open({ path: task.path, access: 'readwrite', createBytes: 1 << 20 });
  parentPort?.postMessage('opening');
} else {
  const device = await io.open({ path: task.path, access: 'readwrite', createBytes: 1 << 20 });
  const memory = io.allocate(1 << 20);
  memory.bytes.fill(task.seed, 0, 1 << 19);
  const vector = new IoVector(1);
  const half = 1 << 19;

  if (task.role === 'work') {
    for (let round = 0; round < 20; round++) {
      const at = round * 4096;
      await Promise.all(
        [0, 1, 2, 3].map((index) =>
          outcomes.of((s, t) =>
            device.write(
              vector.single(memory.arena, index * 4096, 4096),
              at + index * 65536,
              index === 3,
              s,
              t,
            ),
          ),
        ),
      );
      await outcomes.of((s, t) => device.read(vector.single(memory.arena, half, 4096), at, s, t));
    }
    const equal = memory.bytes.subarray(half, half + 4096).every((byte) => byte === task.seed);
    await io.close();
    parentPort?.postMessage(equal ? 'equal' : 'different');
  } else {
    if (task.shared !== undefined) io.attach(task.shared, 2);
    const stream = io.adoptStream(task.socket!);
    void outcomes.of((s, t) => stream.receive(vector.single(memory.arena, half, 4096), s, t));
    for (let index = 0; index < 63; index++) {
      void outcomes.of((s, t) =>
        device.write(vector.single(memory.arena, index * 4096, 4096), index * 8192, true, s, t),
      );
    }
    // Told from an immediate behind the one that submits: now all 64 are in flight.
    setImmediate(() => parentPort?.postMessage('in flight'));
  }
}

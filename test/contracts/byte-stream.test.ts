/** The byte-stream contract on both real adapters, over Unix sockets that node:net accepted. */
import { openIo } from '../../src/io/open-io.js';
import { byteStreamContract } from '../../src/testing/contracts/byte-stream.js';
import { runContract } from '../helpers/run-contract.js';
import { makeScratch } from '../helpers/scratch.js';
import { streamPair } from '../helpers/stream-pair.js';

for (const kind of ['uring', 'threads'] as const) {
  runContract(
    kind,
    byteStreamContract(async () => {
      const scratch = await makeScratch();
      const io = openIo(kind);
      const [near, far] = await streamPair(scratch.path('s'));
      return {
        opener: io,
        ends: [io.adoptStream(near), io.adoptStream(far)],
        teardown: async () => {
          await io.close();
          await scratch.remove();
        },
      };
    }),
  );
}

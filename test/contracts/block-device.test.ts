/** The block-device contract on both real adapters, with and without the page cache. */
import { constants } from 'node:os';
import { openIo } from '../../src/io/open-io.js';
import { blockDeviceContract } from '../../src/testing/contracts/block-device.js';
import { runContract } from '../helpers/run-contract.js';
import { makeScratch } from '../helpers/scratch.js';

for (const kind of ['uring', 'threads'] as const) {
  for (const cache of ['writeback', 'direct'] as const) {
    runContract(
      `${kind}, ${cache} file`,
      blockDeviceContract(async () => {
        const scratch = await makeScratch();
        const io = openIo(kind);
        return {
          opener: io,
          options: { path: scratch.path('data'), access: 'readwrite', cache, createBytes: 4 << 20 },
          growable: {
            path: scratch.path('journal'),
            access: 'readwrite',
            cache,
            createBytes: 0,
            growable: true,
          },
          missingPath: scratch.path('missing'),
          errno: constants.errno,
          teardown: async () => {
            await io.close();
            await scratch.remove();
          },
        };
      }),
    );
  }
}

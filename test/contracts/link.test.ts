/** The link's promises, kept alike by real TLS and by the simulated network. */
import test from 'ava';
import { linkContract } from '../../src/testing/contracts/link.js';
import { SimNetwork } from '../../src/testing/link.js';
import { SimWorld } from '../../src/testing/world.js';
import { realLinkWorld } from '../helpers/link-world.js';

for (const { name, run } of linkContract(realLinkWorld)) {
  test.serial(`TLS: ${name}`, async (t) => {
    await t.notThrowsAsync(run());
  });
}

for (const seed of [1, 2, 3, 4, 5]) {
  for (const { name, run } of linkContract(() => simulated(seed))) {
    test(`simulated, seed ${seed}: ${name}`, async (t) => {
      await t.notThrowsAsync(run());
    });
  }
}

async function simulated(seed: number) {
  const world = new SimWorld(seed);
  const network = new SimNetwork(world, {
    jitterMs: world.random.below(5),
    chunkBytesMax: 1 + world.random.below(100_000),
    windowBytes: 1 + world.random.below(2_000_000),
    bytesPerMs: world.random.below(2) * 100_000,
  });
  const primary = network.endpoint('primary');
  const secondary = network.endpoint('secondary');
  const place = { host: 'secondary', port: 575 };
  secondary.listen(place.host, place.port);
  return {
    dialer: primary.dialer,
    server: secondary.server,
    place,
    nowhere: { host: 'secondary', port: 1 },
    until: async (done: () => boolean, what: string) => {
      // A case may count turns: the world goes on even when nothing else is due.
      let beats = 0;
      const beat = (): void => {
        beats += 1;
        if (beats < 10_000) world.after(0.1, 'beat', beat);
      };
      beat();
      await world.until(done, 60_000, what);
      beats = 10_000;
    },
    close: () => Promise.resolve(),
  };
}

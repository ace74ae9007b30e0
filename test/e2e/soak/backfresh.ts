/**
 * The way home under fire: the primary dies with writes that never arrived, reco, days on the
 * secondary, reco -d, launchbackfresh over a slow link, and `kill -9` of either side while it runs.
 * In the end both images are what the secondary had when its applications stopped (H10, H30).
 */
import { randomFillSync } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { succeed } from '../../helpers/daemon.js';
import { Chance, moment } from '../helpers/chance.js';
import { NbdDevice } from '../helpers/nbd-device.js';
import { Pair } from '../helpers/pair.js';
import { StampWriter } from '../helpers/stamp-writer.js';
import { type Soak, whenProgram } from './program.js';

const deviceBytes = 32 * 2 ** 20;

export const backfresh: Soak = async (scope, { rounds, seed, tell }) => {
  const chance = new Chance(seed);
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes } });
  await pair.begin();
  const { local, mirror } = pair.devices[0]!;
  let kills = 0;
  for (let round = 0; round < rounds; round++) {
    const device = await NbdDevice.open(pair.primary.home);
    const writer = new StampWriter({ device, chance, bytes: deviceBytes, perSecond: 1000 });
    writer.run();
    await moment(chance.between(100, 600));
    // What is written from here on never arrives.
    pair.proxy.refusing = true;
    pair.proxy.cut();
    await moment(chance.between(0, 300));
    await pair.primary.stop('SIGKILL');
    device.close();

    await pair.secondary.control('killrmd', '-g', '0');
    await pair.secondary.control('reco', '-g', '0', '--yes');
    damage(mirror, chance);
    const kept = pair.secondary.path('kept.img');
    await succeed('cp', [mirror, kept]);
    await pair.secondary.control('reco', '-g', '0', '-d', '--yes');

    pair.proxy.refusing = false;
    pair.proxy.bytesPerSecond = 4e6;
    await pair.primary.start();
    await pair.primary.control('launchbackfresh', '-g', '0', '--yes');
    for (let again = chance.below(3); again > 0; again--) {
      await moment(chance.between(0, 1500));
      const side = chance.happens(0.5) ? 'primary' : 'secondary';
      await pair[side].stop('SIGKILL');
      await pair[side].start();
      kills++;
    }
    pair.proxy.bytesPerSecond = Infinity;
    await pair.normal(120_000);
    await pair.drained();
    for (const image of [local, mirror]) await succeed('cmp', [image, kept]);
    tell(`round ${round + 1}: home`);
  }
  return [
    {
      'ways home': rounds,
      'kill -9 meanwhile': kills,
      'both as the secondary had it': rounds,
      'ordered by hand': pair.orders,
    },
  ];
};

/** What applications wrote on the secondary. */
function damage(path: string, chance: Chance): void {
  const file = openSync(path, 'r+');
  for (let i = 0; i < 200; i++) {
    const bytes = 4096 * (1 + chance.below(8));
    const offset = chance.below((deviceBytes - bytes) / 4096) * 4096;
    writeSync(file, randomFillSync(Buffer.alloc(bytes)), 0, bytes, offset);
  }
  closeSync(file);
}

await whenProgram(import.meta.filename, 20, backfresh);

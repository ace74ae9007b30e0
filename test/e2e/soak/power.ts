/**
 * Power cuts: the files of one side (images, journal, pstore, everything) are on a disk whose write
 * cache is volatile; tdmfd and the disk lose their power at a random moment, while a writer with FUA
 * in every fourth write goes on. Then the machine boots (another boot id) and tdmfd starts.
 *
 * Of the primary: what FUA acknowledged is on the local image, and every block holds something that
 * was written (I10). Of both: NORMAL again, drained, both images equal (I4, I5, Rules 18, 27).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { succeed, TestHost } from '../../helpers/daemon.js';
import { Chance, moment } from '../helpers/chance.js';
import { NbdDevice } from '../helpers/nbd-device.js';
import { Pair } from '../helpers/pair.js';
import type { Scope } from '../helpers/scope.js';
import { StampWriter } from '../helpers/stamp-writer.js';
import { VolatileDisk } from '../helpers/volatile-disk.js';
import { type Figures, quantile, type Soak, type SoakOptions, whenProgram } from './program.js';

const deviceBytes = 24 * 2 ** 20;
const diskBytes = 256 * 2 ** 20;

/** `rounds` cuts of the secondary, then as many of the primary. */
export const power: Soak = async (scope, options) => [
  await cutsOf('secondary', scope, options),
  await cutsOf('primary', scope, options),
];

export const powerOfSecondary: Soak = async (scope, options) => [
  await cutsOf('secondary', scope, options),
];
export const powerOfPrimary: Soak = async (scope, options) => [
  await cutsOf('primary', scope, options),
];

async function cutsOf(
  side: 'primary' | 'secondary',
  scope: Scope,
  { rounds, seed, tell }: SoakOptions,
): Promise<Figures> {
  const chance = new Chance(seed);
  const disk = await VolatileDisk.create(scope, diskBytes);
  const directory = join(disk.path, 'tdmf');
  mkdirSync(directory);
  const host = await TestHost.create(64, { directory, wrap: disk.wrap });
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes }, [side]: host });
  // What the operator put there long ago; what the product writes from now on is its own affair.
  await succeed('sync', ['-f', disk.path]);
  await pair.begin();
  const device = await NbdDevice.open(pair.primary.home);
  scope.defer(() => device.close());
  const writer = new StampWriter({
    device,
    chance,
    bytes: deviceBytes,
    perSecond: 1500,
    fuaShare: 0.25,
  });
  const { local } = pair.devices[0]!;
  const waits: number[] = [];
  for (let round = 0; round < rounds; round++) {
    writer.run();
    await moment(chance.between(100, 2000));
    const killed = pair[side].stop('SIGKILL');
    disk.cut();
    await killed;
    await moment(chance.between(0, 300));
    await disk.on();
    const lost = side === 'primary' ? writer.adopt(local) : [];
    if (lost.length > 0) {
      throw new Error(`cut ${round}: ${lost.length} wrong: ${lost.slice(0, 5).join('; ')}`);
    }
    const back = performance.now();
    await pair[side].start();
    await pair.normal();
    waits.push((performance.now() - back) / 1000);
    await writer.pause();
    await pair.normal();
    await pair.drained();
    await pair.equal();
    const wrong = writer.wrongIn(local);
    if (wrong.length > 0) {
      throw new Error(`cut ${round}: ${wrong.length} wrong: ${wrong.slice(0, 5).join('; ')}`);
    }
    tell(`${side} ${round + 1}: NORMAL after ${waits.at(-1)?.toFixed(1)} s`);
  }
  device.close();
  return {
    'power of': side,
    cuts: disk.cuts,
    'writes checked': writer.count,
    'lost FUA writes': 0,
    'equal images': rounds,
    'ordered by hand': pair.orders,
    'to NORMAL, median s': quantile(waits, 0.5).toFixed(1),
  };
}

await whenProgram(import.meta.filename, 20, power);

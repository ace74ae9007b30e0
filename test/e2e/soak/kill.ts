/**
 * `kill -9`, primary and secondary in turn, at random moments, while fio and a writer with a memory
 * use the devices; sometimes a second one while the group is on its way back. After each round:
 * NORMAL, drained, both images equal, and every block holds the last write that was acknowledged.
 */
import { Chance, moment } from '../helpers/chance.js';
import { Fio } from '../helpers/fio.js';
import { NbdDevice } from '../helpers/nbd-device.js';
import { Pair } from '../helpers/pair.js';
import { StampWriter } from '../helpers/stamp-writer.js';
import { type Figures, quantile, type Soak, whenProgram } from './program.js';

const deviceBytes = 48 * 2 ** 20;

export const kill: Soak = async (scope, { rounds, seed, tell }) => {
  const chance = new Chance(seed);
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes, d1: deviceBytes } });
  await pair.begin();
  const fio = await Fio.start(scope, pair.primary, 'd0', deviceBytes);
  const device = await NbdDevice.open(pair.primary.home, 'g0/d1');
  scope.defer(() => device.close());
  const writer = new StampWriter({ device, chance, bytes: deviceBytes, perSecond: 800 });
  const waits: number[] = [];
  let kills = 0;
  const killed = async (side: 'primary' | 'secondary') => {
    kills++;
    await pair[side].stop('SIGKILL');
    await moment(chance.between(0, 300));
    await pair[side].start();
  };
  for (let round = 0; round < rounds; round++) {
    fio.resume();
    writer.run();
    await moment(chance.between(100, 1500));
    const side = round % 2 === 0 ? 'primary' : 'secondary';
    await killed(side);
    const again = chance.happens(1 / 3);
    if (again) {
      await moment(chance.between(0, 1500));
      await killed(chance.happens(0.5) ? 'primary' : 'secondary');
    }
    const back = performance.now();
    await pair.normal(120_000);
    waits.push((performance.now() - back) / 1000);
    fio.pause();
    await writer.pause();
    // nbdkit's retry filter waits for a second before it asks again.
    await pair.quiet(1500);
    if (fio.failure !== undefined) throw new Error(fio.failure);
    // What another kill or an overflow made of it meanwhile.
    await pair.normal(120_000);
    await pair.drained();
    await pair.equal();
    const wrong = writer.wrongIn(pair.devices[1]!.local);
    if (wrong.length > 0) throw new Error(`${wrong.length} lost: ${wrong.slice(0, 5).join('; ')}`);
    tell(`${round + 1}: ${side}${again ? ' and again' : ''}, ${waits.at(-1)?.toFixed(1)} s`);
  }
  const figures: Figures = {
    rounds,
    'kill -9': kills,
    'writes checked': writer.count,
    'equal images': rounds,
    'lost acknowledged writes': 0,
    'ordered by hand': pair.orders,
    'to NORMAL, median s': quantile(waits, 0.5).toFixed(1),
    'max s': Math.max(...waits).toFixed(1),
  };
  return [figures];
};

await whenProgram(import.meta.filename, 100, kill);

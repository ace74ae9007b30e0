/**
 * One writer, two devices: A[n], then B[n], each after the other's completion. Whatever is cut and
 * when, on the recovered mirror A.n − B.n is 0 or 1, and everything before is there: the last write
 * of a device stands where it was written, the ones before behind it, without a gap (I1).
 *
 * Three kinds of cut: the link is reset and the secondary killed while it is away; the secondary is
 * killed while it applies; the primary is killed. What is judged is the mirror's files while nobody
 * runs on the secondary; when its own state says that a journal must be replayed first, reco does it.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { Chance, moment } from '../helpers/chance.js';
import { NbdDevice } from '../helpers/nbd-device.js';
import { Pair } from '../helpers/pair.js';
import { stamped } from '../helpers/stamp-writer.js';
import { type Soak, whenProgram } from './program.js';

const slots = 512;
const slotBytes = 8192;

export const order: Soak = async (scope, { rounds, seed, tell }) => {
  const chance = new Chance(seed);
  const bytes = slots * slotBytes;
  const pair = await Pair.create(scope, { devices: { a: bytes, b: bytes } });
  await pair.begin();
  const a = await NbdDevice.open(pair.primary.home, 'g0/a');
  const b = await NbdDevice.open(pair.primary.home, 'g0/b');
  scope.defer(() => a.close());
  scope.defer(() => b.close());
  const pen: Pen = { n: 0, answered: 0, ended: false, paced: true };
  scope.defer(() => {
    pen.ended = true;
  });
  const writing = alternate(a, b, pen);
  let one = 0;
  let judged = 0;
  let states = '';
  for (let round = 0; round < rounds; round++) {
    // Mostly at a rate that the BAB holds while the secondary is away; sometimes it overflows.
    pen.paced = !chance.happens(1 / 5);
    await moment(chance.between(30, 400));
    const way = round % 3;
    if (way === 0) {
      pair.proxy.refusing = true;
      pair.proxy.cut();
      await moment(chance.between(0, 50));
    } else if (way === 2) {
      await pair.primary.stop('SIGKILL');
      await moment(chance.between(0, 50));
    }
    await pair.secondary.stop('SIGKILL');
    const [first, second] = pair.devices.map(({ mirror }) => lastOf(mirror));
    const difference = first!.n - second!.n;
    if ((difference !== 0 && difference !== 1) || first!.gap || second!.gap) {
      throw new Error(
        `round ${round}: A ${JSON.stringify(first)}, B ${JSON.stringify(second)}, primary ` +
          `answered ${pen.answered}`,
      );
    }
    judged++;
    one += difference;
    pair.proxy.refusing = false;
    await pair.secondary.start();
    if (way === 2) await pair.primary.start();
    await pair.normal();
    states = `${difference}${states}`.slice(0, 60);
    if (round % 20 === 19) tell(`${round + 1}: A.n − B.n ${states}, n ${pen.n}`);
  }
  pen.ended = true;
  await writing;
  await pair.drained();
  await pair.equal();
  const pairs = pen.n;
  return [
    {
      cuts: rounds,
      judged,
      'A.n − B.n = 0': judged - one,
      'A.n − B.n = 1': one,
      'other differences or gaps': 0,
      'pairs written': pairs,
      'ordered by hand': pair.orders,
    },
  ];
};

interface Pen {
  n: number;
  answered: number;
  ended: boolean;
  paced: boolean;
}

async function alternate(a: NbdDevice, b: NbdDevice, pen: Pen): Promise<void> {
  while (!pen.ended) {
    pen.n++;
    for (const device of [a, b]) {
      await device.write((pen.n % slots) * slotBytes, stamped(pen.n, pen.n, slotBytes));
    }
    pen.answered = pen.n;
    if (pen.paced) await moment(1);
  }
}

/** The highest stamp, and whether a slot behind it has not what was written there before. */
function lastOf(path: string): { n: number; gap: string } {
  const image = Buffer.alloc(slots * slotBytes);
  const file = openSync(path, 'r');
  readSync(file, image, 0, image.length, 0);
  closeSync(file);
  const numbers = Array.from({ length: slots }, (_, slot) => image.readDoubleLE(slot * slotBytes));
  const n = Math.max(...numbers);
  let gap = '';
  for (let behind = 1; behind < slots && n - behind > 0; behind++) {
    const expected = n - behind;
    const slot = expected % slots;
    const found = image.subarray(slot * slotBytes, (slot + 1) * slotBytes);
    if (!found.equals(stamped(expected, expected, slotBytes))) {
      gap ||= `${numbers[slot]} where ${expected} was written before ${n}`;
    }
  }
  return { n, gap };
}

await whenProgram(import.meta.filename, 200, order);

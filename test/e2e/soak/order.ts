/**
 * One writer, two devices: A[n], then B[n], each after the other's completion. Whatever is cut and
 * when, on the recovered mirror A.n − B.n is 0 or 1, and everything before is there: the last write
 * of a device stands where it was written, the ones before behind it, without a gap (I1).
 *
 * What is cut: the link, the secondary's process, the primary's process too; in NORMAL, and on the way
 * back to it. In NORMAL the mirror's files are judged as they lie when nobody runs on the secondary;
 * otherwise, and now and then anyway, reco recovers the mirror first, and the operator's words bring
 * the group back.
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
  const seen = { zero: 0, one: 0, raw: 0, recovered: 0, 'not NORMAL': 0 };
  const judge = async (round: number) => {
    const [first, second] = pair.devices.map(({ mirror }) => lastOf(mirror));
    const difference = first!.n - second!.n;
    if ((difference !== 0 && difference !== 1) || first!.gap || second!.gap) {
      const story = await pair.story();
      const found = `A ${JSON.stringify(first)}, B ${JSON.stringify(second)}`;
      throw new Error(`cut ${round}: ${found}, primary answered ${pen.answered}\n${story}`);
    }
    if (difference === 0) seen.zero++;
    else seen.one++;
  };
  for (let round = 0; round < rounds; round++) {
    // Mostly at a rate that the BAB holds while the secondary is away; sometimes it overflows.
    pen.paced = !chance.happens(1 / 4);
    if (chance.happens(3 / 4)) await pair.normal();
    await moment(chance.between(30, 400));
    const { mode, mirrorState } = await pair.primary.primary();
    const normal = mode === 'NORMAL' && mirrorState === 'coherent';
    if (!normal) seen['not NORMAL']++;
    const way = chance.below(4);
    if (way !== 0) {
      pair.proxy.refusing = true;
      pair.proxy.cut();
      await moment(chance.between(0, 50));
    }
    if (way === 1) await pair.primary.stop('SIGKILL');
    await pair.secondary.stop('SIGKILL');
    const recover = !normal || way === 2;
    if (!recover) {
      seen.raw++;
      await judge(round);
      await pair.secondary.start();
    } else {
      seen.recovered++;
      pair.proxy.refusing = true;
      await pair.secondary.start();
      await pair.secondary.control('reco', '-g', '0', '--yes');
      await judge(round);
      await pair.secondary.control('reco', '-g', '0', '-d', '--yes');
    }
    if (way === 1) await pair.primary.start();
    pair.proxy.refusing = false;
    if (recover) {
      // A refresh that was under way is of a mirror that is another one now.
      await pair.primary.attempt('killrefresh', '-g', '0');
      await pair.primary.attempt('killpmd', '-g', '0');
      await pair.primary.control('launchrefresh', '-g', '0', '--yes');
    }
    if (round % 10 === 9) tell(`${round + 1}: ${JSON.stringify(seen)}, n ${pen.n}`);
  }
  await pair.normal();
  pen.ended = true;
  await writing;
  await pair.drained();
  await pair.equal();
  const pairs = pen.n;
  return [
    {
      cuts: rounds,
      'as it lay': seen.raw,
      'after reco': seen.recovered,
      'not in NORMAL': seen['not NORMAL'],
      'A.n − B.n = 0': seen.zero,
      'A.n − B.n = 1': seen.one,
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

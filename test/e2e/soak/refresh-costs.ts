/**
 * What the ways back to NORMAL cost on a device of 2 GiB: bytes on the wire, both ways, and time.
 * Full, smart with 1 % of the blocks dirty, checksum of equal images and of images that differ in
 * 1 %. The blocks that differ lie at random places; nobody writes meanwhile. `--rounds` is the size in
 * units of 64 MiB.
 */
import { randomFillSync } from 'node:crypto';
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { Chance } from '../helpers/chance.js';
import { NbdDevice } from '../helpers/nbd-device.js';
import { Pair } from '../helpers/pair.js';
import { type Figures, type Soak, whenProgram } from './program.js';

const unitBytes = 64 * 2 ** 20;
const blockBytes = 65_536;

export const refreshCosts: Soak = async (scope, { rounds, seed, tell }) => {
  const chance = new Chance(seed);
  const bytes = rounds * unitBytes;
  const pair = await Pair.create(scope, { devices: { d0: bytes } });
  const { local, mirror } = pair.devices[0]!;
  fill(local, bytes);
  await pair.begin({ refresh: false });
  const some = Math.max(1, Math.round(bytes / blockBytes / 100));
  const rows: Figures[] = [];
  const measured = async (name: string, differing: number, ...words: string[]) => {
    const before = pair.proxy.bytes;
    const began = performance.now();
    // In TRACKING the connection alone is enough.
    await pair.primary.control('launchpmd', '-g', '0');
    if (words.length > 0) await pair.primary.control('launchrefresh', ...words, '-g', '0');
    await pair.normal(600_000);
    const seconds = (performance.now() - began) / 1000;
    const wire = pair.proxy.bytes - before;
    await pair.drained();
    await pair.equal();
    await pair.primary.control('killpmd', '-g', '0');
    tell(`${name}: ${seconds.toFixed(2)} s, ${(wire / 1e6).toFixed(2)} MB`);
    rows.push({
      refresh: name,
      'device MiB': bytes / 2 ** 20,
      'differing MiB': ((differing * blockBytes) / 2 ** 20).toFixed(1),
      'on the wire MB': (wire / 1e6).toFixed(2),
      seconds: seconds.toFixed(2),
    });
  };
  await measured('full', bytes / blockBytes, '-f');

  // TRACKING by the operator's word, so that the map and nothing else knows what changed.
  await pair.primary.control('override', '-g', '0', 'state', 'tracking');
  const device = await NbdDevice.open(pair.primary.home);
  scope.defer(() => device.close());
  const fresh = randomFillSync(Buffer.alloc(blockBytes));
  for (let i = 0; i < some; i++) {
    await device.write(chance.below(bytes / blockBytes) * blockBytes, fresh);
  }
  await measured('smart, 1 % dirty', some);
  await measured('checksum, equal', 0, '-c');
  // Behind the product's back: only a comparison can find it.
  damage(mirror, bytes, some, chance);
  await measured('checksum, 1 % differs', some, '-c');
  return rows;
};

function fill(path: string, bytes: number): void {
  const file = openSync(path, 'r+');
  const unit = Buffer.alloc(unitBytes);
  for (let offset = 0; offset < bytes; offset += unitBytes) {
    writeSync(file, randomFillSync(unit), 0, unitBytes, offset);
  }
  fsyncSync(file);
  closeSync(file);
}

function damage(path: string, bytes: number, blocks: number, chance: Chance): void {
  const file = openSync(path, 'r+');
  for (let i = 0; i < blocks; i++) {
    const offset = chance.below(bytes / blockBytes) * blockBytes;
    writeSync(file, randomFillSync(Buffer.alloc(blockBytes)), 0, blockBytes, offset);
  }
  fsyncSync(file);
  closeSync(file);
}

await whenProgram(import.meta.filename, 32, refreshCosts);

/**
 * The primary is killed and never comes back. On the secondary: killrmd, reco, and the mirror is
 * mounted where it lies: ext4 replays its log and is clean, and an application's file holds the
 * numbers that were acknowledged as durable. In sync mode all of them; else a prefix: 1 to k without
 * a gap (I1, I2). Every other round is in sync mode.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, succeed } from '../../helpers/daemon.js';
import { Chance, moment } from '../helpers/chance.js';
import { ended } from '../helpers/fio.js';
import { mountExport, mountImage } from '../helpers/mounts.js';
import { Pair } from '../helpers/pair.js';
import { Scope } from '../helpers/scope.js';
import { fileLoad } from './judges.js';
import { quantile, type Soak, type SoakOptions, whenProgram } from './program.js';

const deviceBytes = 64 * 2 ** 20;
const app = join(import.meta.dirname, '../helpers/fsync-app.js');

interface Lost {
  readonly acknowledged: number;
  readonly found: number;
}

export const reco: Soak = async (scope, options) => {
  const found = { sync: [] as Lost[], async: [] as Lost[] };
  for (let round = 0; round < options.rounds; round++) {
    const mode = round % 2 === 0 ? 'async' : 'sync';
    const own = new Scope();
    scope.defer(() => own.end());
    try {
      found[mode].push(await lose(own, mode, new Chance(options.seed + round), options));
    } finally {
      await own.end();
    }
  }
  return (['async', 'sync'] as const).map((mode) => ({
    mode,
    rounds: found[mode].length,
    'e2fsck -fn clean, mounted': found[mode].length,
    'fsyncs acknowledged': found[mode].reduce((sum, one) => sum + one.acknowledged, 0),
    'acknowledged and not found, median': quantile(
      found[mode].map((one) => Math.max(0, one.acknowledged - one.found)),
      0.5,
    ),
    'max ': Math.max(0, ...found[mode].map((one) => one.acknowledged - one.found)),
  }));
};

async function lose(
  scope: Scope,
  mode: 'sync' | 'async',
  chance: Chance,
  { tell }: SoakOptions,
): Promise<Lost> {
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes } });
  await pair.begin();
  if (mode === 'sync') await pair.primary.control('set', '-g', '0', 'SYNCMODE=Y');
  const device = await mountExport(scope, pair.primary.uri(), ['mkfs.ext4', '-q', '-F']);
  await pair.drained();
  // Slower than the application: what async mode may lose, and sync mode must wait for, is under way.
  pair.proxy.bytesPerSecond = mode === 'async' ? chance.between(0.3e6, 3e6) : 4e6;
  const writer = spawn(process.execPath, [app, join(device.path, 'log')], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  scope.defer(() => ended(writer));
  let told = '';
  writer.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text;
  });
  const files = spawn('sh', ['-c', fileLoad, device.path], { stdio: 'ignore' });
  scope.defer(() => ended(files));
  await eventually(async () => told.length > 20, 'the application is promised something');
  await moment(chance.between(200, 2500));

  await pair.primary.stop('SIGKILL');
  // Its fsync fails now: what it has told until then is all that it was promised.
  await eventually(async () => writer.exitCode !== null, 'the application has seen the end');
  await ended(files);
  const acknowledged = Number(told.trim().split('\n').at(-1));

  await pair.secondary.control('killrmd', '-a');
  await pair.secondary.control('reco', '-a');
  const { mirror } = pair.devices[0]!;
  const mounted = await mountImage(scope, mirror);
  const numbers = readFileSync(join(mounted.path, 'log'), 'utf8').split('\n');
  // The last line may be torn: its fsync had not come back.
  numbers.pop();
  await mounted.release();
  await succeed('e2fsck', ['-fn', mirror]);
  const gap = numbers.findIndex((number, index) => number !== String(index + 1));
  if (gap >= 0) throw new Error(`${mode}: '${numbers[gap]}' in the place of ${gap + 1}`);
  const found = numbers.length;
  tell(`${mode}: ${acknowledged} acknowledged, ${found} found`);
  if (mode === 'sync' && found < acknowledged) {
    throw new Error(`sync: ${acknowledged} were acknowledged, only ${found} are there`);
  }
  return { acknowledged, found };
}

await whenProgram(import.meta.filename, 20, reco);

/**
 * Consistency as others judge it: PostgreSQL on ext4 and a busy xfs, each on a device of one group,
 * used without a pause; the secondary is killed at random moments, and what its mirrors hold then is
 * copied and opened. ext4 and xfs must replay their logs and be clean; PostgreSQL must recover, with
 * equal balances (four tables), intact indexes and page checksums.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { succeed } from '../../helpers/daemon.js';
import { Chance, moment } from '../helpers/chance.js';
import { ended } from '../helpers/fio.js';
import { mountExport, mountImage } from '../helpers/mounts.js';
import { Pair } from '../helpers/pair.js';
import { Postgres, socketsFor } from '../helpers/postgres.js';
import { Scope } from '../helpers/scope.js';
import { type Soak, whenProgram } from './program.js';

const ext4Bytes = 192 * 2 ** 20;
/** mkfs.xfs refuses less. */
const xfsBytes = 300 * 2 ** 20;

export const judges: Soak = async (scope, { rounds, seed, tell }) => {
  const chance = new Chance(seed);
  const devices = { ext4: ext4Bytes, xfs: xfsBytes };
  const pair = await Pair.create(scope, { devices, babMb: 256 });
  await pair.begin();
  const ext4 = await mountExport(scope, pair.primary.uri(0, 'ext4'), ['mkfs.ext4', '-q', '-F']);
  const xfs = await mountExport(scope, pair.primary.uri(0, 'xfs'), ['mkfs.xfs', '-q', '-f']);
  const sockets = await socketsFor(scope);
  const postgres = new Postgres(join(ext4.path, 'data'), sockets);
  await postgres.create();
  scope.defer(() => postgres.stop('immediate'));
  const transfers = postgres.transfers(scope);
  const files = spawn('sh', ['-c', fileLoad, xfs.path], { stdio: 'ignore' });
  scope.defer(() => ended(files));
  await pair.normal();
  let committed = 0;
  for (let round = 0; round < rounds; round++) {
    await moment(chance.between(200, 2000));
    await pair.normal();
    await moment(chance.between(0, 500));
    await pair.secondary.stop('SIGKILL');
    const copies = pair.devices.map(({ name, mirror }) => ({
      name,
      mirror,
      copy: pair.secondary.path(`${name}.copy`),
    }));
    for (const { mirror, copy } of copies) await succeed('cp', ['--sparse=always', mirror, copy]);
    await pair.secondary.start();
    const own = new Scope();
    try {
      const found = await judgeExt4(own, copies[0]!.copy);
      if (found < committed) throw new Error(`${found} transfers after ${committed}: it went back`);
      committed = found;
      await judgeXfs(own, copies[1]!.copy);
    } finally {
      await own.end();
    }
    tell(`cut ${round + 1}: ${committed} transfers, ext4 and xfs clean`);
  }
  await ended(transfers);
  await ended(files);
  return [
    {
      cuts: rounds,
      'ext4 clean': rounds,
      'xfs clean': rounds,
      'PostgreSQL recovered, balances, amcheck, checksums': rounds,
      'transfers at the last cut': committed,
      'ordered by hand': pair.orders,
    },
  ];
};

/** Files come, grow, are made durable, get other names and go. */
export const fileLoad = `
cd "$0" || exit 1
i=0
while :; do
  i=$((i + 1))
  d=d$((i % 7)); mkdir -p $d
  head -c $((i * 997 % 60000 + 1)) /dev/urandom > $d/f$((i % 40)).new
  [ $((i % 5)) = 0 ] && sync $d/f$((i % 40)).new
  mv $d/f$((i % 40)).new $d/f$((i % 40))
  [ $((i % 11)) = 0 ] && rm -rf d$((i % 3))
  [ $((i % 13)) = 0 ] && truncate -s $((i % 30000)) $d/f$((i % 40))
done`;

/** The transfers that the image's database knows. */
export async function judgeExt4(scope: Scope, image: string): Promise<number> {
  const mounted = await mountImage(scope, image);
  const data = join(mounted.path, 'data');
  const own = new Scope();
  const judge = new Postgres(data, await socketsFor(own));
  try {
    await judge.start();
    own.defer(() => judge.stop());
    return await judge.judge();
  } finally {
    await own.end();
    await judge.checksums();
    await mounted.release();
    await succeed('e2fsck', ['-fn', image]);
  }
}

async function judgeXfs(scope: Scope, image: string): Promise<void> {
  // Its log is replayed by a mount; the origin is mounted, too, with the same UUID.
  const mounted = await mountImage(scope, image, 'nouuid');
  await mounted.release();
  await succeed('xfs_repair', ['-n', image]);
}

await whenProgram(import.meta.filename, 10, judges);

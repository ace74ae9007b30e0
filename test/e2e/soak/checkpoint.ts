/**
 * A checkpoint as its user meets it: PostgreSQL works on the primary without a pause; `checkpoint -on`
 * from one side or the other; both sides show it (figure 3.12); on the secondary the mirror is mounted
 * through its own export, PostgreSQL recovers there, is judged, and is written to. `-off`: the journal
 * is applied; a refresh then overwrites what was written on the secondary, and both are equal.
 */
import { join } from 'node:path';
import { eventually } from '../../helpers/daemon.js';
import { mountExport } from '../helpers/mounts.js';
import { Pair } from '../helpers/pair.js';
import { Postgres, socketsFor } from '../helpers/postgres.js';
import { Scope } from '../helpers/scope.js';
import { type Soak, whenProgram } from './program.js';

const deviceBytes = 192 * 2 ** 20;

export const checkpoint: Soak = async (scope, { rounds, tell }) => {
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes }, babMb: 256 });
  await pair.begin();
  const device = await mountExport(scope, pair.primary.uri(), ['mkfs.ext4', '-q', '-F']);
  const postgres = new Postgres(join(device.path, 'data'), await socketsFor(scope));
  await postgres.create();
  scope.defer(() => postgres.stop('immediate'));
  postgres.transfers(scope);
  let before = 0;
  let wireBytes = 0;
  for (let round = 0; round < rounds; round++) {
    const side = round % 2 === 0 ? pair.primary : pair.secondary;
    await pair.normal();
    const count = () => postgres.sql('select count(*) from pgbench_history').then(Number);
    const atOn = await count();
    await side.control('checkpoint', '-g', '0', '-on');
    await eventually(async () => (await pair.mirrorSide())?.rmd === 'JOURNALING', 'JOURNALING');
    const shown = await pair.primary.control('info', '-g', '0');
    if (!/Checkpoint State\.+ On/.test(shown)) throw new Error(`no checkpoint in:\n${shown}`);

    const own = new Scope();
    try {
      const snapshot = await mountExport(own, pair.secondary.uri(), []);
      const judge = new Postgres(join(snapshot.path, 'data'), await socketsFor(own));
      await judge.start();
      const stop = new Scope();
      own.defer(() => stop.end());
      stop.defer(() => judge.stop());
      const found = await judge.judge();
      const later = await count();
      if (found < before || found > later) throw new Error(`${found} transfers: not of this time`);
      before = found;
      await judge.sql('create table mine as select generate_series(1, 1000) as n');
      await stop.end();
      await judge.checksums();
      await eventually(async () => (await count()) > later, 'the primary works on');
      tell(`checkpoint ${round + 1}: ${atOn} transfers before, ${found} in the snapshot`);
    } finally {
      await own.end();
    }
    await side.control('checkpoint', '-g', '0', '-off');
    await eventually(async () => (await pair.mirrorSide())?.rmd === 'MIRRORING', 'MIRRORING');
    const wire = pair.proxy.bytes;
    await pair.primary.control('launchrefresh', '-g', '0');
    await pair.normal(120_000);
    wireBytes += pair.proxy.bytes - wire;
  }
  await postgres.stop('fast');
  await device.release();
  await pair.drained();
  await pair.equal();
  return [
    {
      checkpoints: rounds,
      'shown by info': rounds,
      'PostgreSQL opened, judged, written to': rounds,
      'transfers in the last': before,
      'MB on the wire after each': (wireBytes / rounds / 1e6).toFixed(1),
      'equal at the end': 1,
    },
  ];
};

await whenProgram(import.meta.filename, 6, checkpoint);

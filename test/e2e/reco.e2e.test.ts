/**
 * The manual's recovery on the secondary, with a primary that comes back in between and does not stop
 * trying (H9): its old data never reaches the mirror, whatever is typed where.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { SecondaryInfo } from '../../src/info.js';
import { eventually, succeed, type TestHost } from '../helpers/daemon.js';
import { Pair } from './helpers/pair.js';
import { Scope } from './helpers/scope.js';

const deviceBytes = 8 * 2 ** 20;

/** Writes a pattern through an export. */
async function fill(uri: string, pattern: number, offset: number, length: number): Promise<void> {
  const command = `write -P ${pattern} ${offset} ${length}`;
  await succeed('qemu-io', ['-f', 'raw', '-c', command, '-c', 'flush', uri]);
}

function byteAt(path: string, offset: number): number {
  return readFileSync(path)[offset]!;
}

async function side(host: TestHost): Promise<SecondaryInfo> {
  const { groups } = await host.info();
  const found = groups.find(({ role }) => role === 'secondary');
  if (found?.role !== 'secondary') throw new Error('no secondary group');
  return found;
}

/** The primary is refused, in whatever words fit; other troubles of its group may stand before it. */
async function refusedWith(pair: Pair, codes: readonly string[]): Promise<void> {
  await eventually(
    async () => {
      const { stdout } = await pair.primary.attempt('events', '--since', '0', '--json');
      return stdout.split('\n').some((line) => {
        const { type, code } = JSON.parse(line === '' ? '{}' : line) as Record<string, string>;
        return type === 'link.failed' && codes.includes(code ?? '');
      });
    },
    `one of ${codes.join(', ')} on the primary`,
  );
}

test('H9: killrmd, reco, days on the secondary, reco -d: the old primary never overwrites them', async (t) => {
  const scope = new Scope();
  t.teardown(() => scope.end());
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes } });
  const { primary, secondary } = pair;
  const { mirror } = pair.devices[0]!;
  await pair.begin();
  await fill(primary.uri(), 0x11, 0, 65_536);
  await pair.drained();
  await primary.stop('SIGKILL');

  // The manual, "Recovering on the Secondary System".
  await secondary.control('killrmd', '-a');
  const told = await secondary.control('reco', '-a');
  t.regex(told, /group 0: the mirror is yours \(coherent\)/);
  t.true(existsSync(join(secondary.home, 's000.off')));
  const out = await side(secondary);
  t.like(out, { rmd: 'OFF', reco: 'done', mirrorState: 'coherent', checkpoint: false });
  t.is(out.devices[0]?.uri, secondary.uri());
  t.regex(
    await secondary.control('info'),
    /Checkpoint State\.+ Off\n {2}Handed over \(reco\)\.+ Yes/,
  );
  await fill(secondary.uri(), 0x22, 65_536, 65_536);
  await eventually(
    async () => (await side(secondary)).ownChanges?.changes === 'known',
    'what was written through the export is known',
  );
  t.is((await side(secondary)).ownChanges?.bytes, 65_536);

  // The old primary boots, and its PMD tries for ever.
  await primary.start();
  await primary.attempt('launchpmd', '-a');
  await refusedWith(pair, ['TDMF_RMD_OFF']);
  const killedTooLate = await secondary.attempt('killrmd', '-a');
  t.is(killedTooLate.code, 0);
  t.is(byteAt(mirror, 65_536), 0x22);

  // The manual, "What to do After a Recovery": clients first.
  const client = await secondary.attempt('reco', '-g', '0', '-d', '--yes');
  t.is(client.code, 0, client.stderr);
  t.regex(
    client.stdout,
    /64 KiB were changed on the mirror since .*\n.*launchbackfresh brings it home/,
  );
  t.false(existsSync(join(secondary.home, 's000.off')));
  await primary.attempt('killpmd', '-a');
  await primary.control('launchpmd', '-a');
  await refusedWith(pair, ['TDMF_LINEAGE_NEWER', 'TDMF_LINEAGE_SPLIT', 'TDMF_LINEAGE_UNVERIFIED']);
  t.deepEqual([byteAt(mirror, 0), byteAt(mirror, 65_536)], [0x11, 0x22], 'nothing was overwritten');
});

test('reco is idempotent, refuses what is in use, and survives tdmfd', async (t) => {
  const scope = new Scope();
  t.teardown(() => scope.end());
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes } });
  const { secondary } = pair;
  await secondary.start();
  const never = await secondary.attempt('reco', '-g', '0');
  t.is(never.code, 4);
  t.regex(never.stderr, /the mirror is never: it was never refreshed\. .*reco --force/);
  const forced = await secondary.attempt('reco', '-g', '0', '--force');
  t.is(forced.code, 4, 'what may be damaged needs --yes');
  t.regex(forced.stderr, /nobody knows that the mirror is a state.*Say --yes/);
  t.regex(await secondary.control('reco', '-d'), /the mirror was not handed out/);
  t.is((await secondary.attempt('reco', '-g', '7')).code, 2);
  await secondary.stop();

  await pair.begin();
  await fill(pair.primary.uri(), 0x33, 0, 4096);
  await pair.drained();
  await secondary.control('reco', '0');
  t.regex(await secondary.control('reco', '-g', '0'), /handed over before/);
  await secondary.stop('SIGKILL');
  await secondary.start();
  t.like(await side(secondary), { reco: 'done', rmd: 'OFF' });
  t.regex(await succeed('nbdinfo', ['--list', secondary.uri().replace('/g0/d0', '/')]), /"g0\/d0"/);
  await refusedWith(pair, ['TDMF_RMD_OFF']);
  await succeed('qemu-io', ['-f', 'raw', '-c', 'read -P 0x33 0 4096', secondary.uri()]);
  const { stderr } = await secondary.attempt('reco', '-d');
  t.regex(stderr, /reco -d without -g: all groups/);
  t.like(await side(secondary), { reco: 'none', ownChanges: { changes: 'none' } });
  t.not(
    (
      await succeed('nbdinfo', ['--list', secondary.uri().replace('/g0/d0', '/')]).catch(String)
    ).includes('"g0/d0"'),
    true,
  );
});

test('Rule 15c: a mirror that was mounted as a file is noticed', async (t) => {
  const scope = new Scope();
  t.teardown(() => scope.end());
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes } });
  const { secondary } = pair;
  await pair.begin();
  await pair.primary.stop();
  await secondary.control('reco', '-a');
  const { mirror } = pair.devices[0]!;
  writeFileSync(mirror, Buffer.alloc(512, 0x44), { flag: 'r+' });
  const told = await secondary.control('reco', '-d', '-a');
  t.regex(told, /the mirror was changed since .*, nobody knows where/);
});

test('Rule 50: killrmd keeps the primary away until killpmd and launchpmd', async (t) => {
  const scope = new Scope();
  t.teardown(() => scope.end());
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes } });
  const { primary, secondary } = pair;
  await pair.begin();
  await secondary.control('killrmd', '-g', '0');
  await refusedWith(pair, ['TDMF_RMD_BARRED']);
  t.is((await primary.primary()).connection, 'ACCUMULATE');
  await secondary.stop();
  await secondary.start();
  await primary.control('killpmd', '-g', '0');
  await primary.control('launchpmd', '-g', '0');
  await pair.normal();
});

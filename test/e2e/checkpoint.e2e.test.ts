/**
 * A checkpoint on real hosts: a snapshot that can be read and written while the primary goes on, from
 * either side, with hooks that work and hooks that do not, and back to NORMAL (MD 26–29, Rules 15a–15d).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { SecondaryInfo } from '../../src/info.js';
import { eventually, succeed, type TestHost } from '../helpers/daemon.js';
import { Pair } from './helpers/pair.js';
import { Scope } from './helpers/scope.js';

const deviceBytes = 8 * 2 ** 20;
const block = 65_536;

async function begun(scope: Scope): Promise<Pair> {
  const pair = await Pair.create(scope, { devices: { d0: deviceBytes } });
  await pair.begin();
  await fill(pair.primary.uri(), 0x11, 0);
  await pair.drained();
  return pair;
}

/** One block through an export. */
async function fill(uri: string, pattern: number, at: number): Promise<void> {
  const command = `write -P ${pattern} ${at * block} ${block}`;
  await succeed('qemu-io', ['-f', 'raw', '-c', command, '-c', 'flush', uri]);
}

async function reads(uri: string, pattern: number, at: number): Promise<void> {
  await succeed('qemu-io', ['-f', 'raw', '-c', `read -P ${pattern} ${at * block} ${block}`, uri]);
}

async function side({ secondary }: Pair): Promise<SecondaryInfo> {
  const { groups } = await secondary.info();
  const found = groups.find(({ role }) => role === 'secondary');
  if (found?.role !== 'secondary') throw new Error('no secondary group');
  return found;
}

async function isOn(pair: Pair, on: boolean): Promise<void> {
  await eventually(
    async () => {
      const [here, there] = [await pair.state(), await side(pair)];
      return here?.checkpoint === on && there.checkpoint === on;
    },
    `the checkpoint is ${on ? 'on' : 'off'} on both sides`,
  );
}

function hook(host: TestHost, name: string, script: string): void {
  const path = join(host.home, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

/** A client that stays until it is told to go. */
async function client(scope: Scope, uri: string): Promise<ChildProcess> {
  const running = spawn('qemu-io', ['-f', 'raw', uri], { stdio: ['pipe', 'pipe', 'ignore'] });
  scope.defer(() => running.kill('SIGKILL'));
  running.stdin.write('read 0 512\n');
  await once(running.stdout, 'data');
  return running;
}

test('on, used by applications, off: what they wrote is all that has to be refreshed', async (t) => {
  const scope = new Scope();
  t.teardown(() => scope.end());
  const pair = await begun(scope);
  const { primary, secondary } = pair;
  await primary.control('checkpoint', '-g', '0', '-on');
  await isOn(pair, true);
  t.regex(await primary.control('info', '-g', '0'), /^ {2}Checkpoint State\.+ On$/m, 'figure 3.12');
  t.regex(await secondary.control('info', '-g', '0'), /^ {2}Checkpoint State\.+ On$/m);
  t.is((await side(pair)).rmd, 'JOURNALING');

  await fill(primary.uri(), 0x22, 0);
  await fill(primary.uri(), 0x22, 5);
  await reads(secondary.uri(), 0x11, 0);
  await reads(secondary.uri(), 0, 5);
  await fill(secondary.uri(), 0x33, 9);
  await reads(secondary.uri(), 0x33, 9);

  const busy = await client(scope, secondary.uri());
  const refused = await primary.attempt('checkpoint', '-g', '0', '-off');
  t.is(refused.code, 4, refused.stderr);
  t.regex(refused.stderr, /the mirror still has 1 NBD connections/);
  await isOn(pair, true);
  busy.kill('SIGTERM');
  await once(busy, 'exit');
  await eventually(
    async () => (await primary.attempt('checkpoint', '-g', '0', '-off')).code === 0,
    'the checkpoint is taken off',
  );
  await isOn(pair, false);
  await primary.control('launchrefresh', '-g', '0', '--yes', '--wait');
  await pair.normal();
  await pair.drained();
  await pair.equal();
});

test('from the secondary; untouched, it needs no refresh afterwards, whoever is killed meanwhile', async (t) => {
  const scope = new Scope();
  t.teardown(() => scope.end());
  const pair = await begun(scope);
  const { primary, secondary } = pair;
  await secondary.control('checkpoint', '-g', '0', '-on');
  await isOn(pair, true);
  await fill(primary.uri(), 0x44, 3);
  await secondary.stop('SIGKILL');
  await fill(primary.uri(), 0x45, 4);
  await secondary.start();
  await isOn(pair, true);
  await reads(secondary.uri(), 0, 3);
  await eventually(async () => (await pair.state())?.connection === 'CONNECTED', 'connected');
  await secondary.control('checkpoint', '-g', '0', '-off');
  await isOn(pair, false);
  await pair.normal();
  await pair.drained();
  await pair.equal();
  t.is(pair.orders, 0, 'no refresh had to be ordered');
});

test('hooks run on their sides; one that fails keeps things as they are', async (t) => {
  const scope = new Scope();
  t.teardown(() => scope.end());
  const pair = await begun(scope);
  const { primary, secondary } = pair;
  hook(primary, 'cp_pre_on_000', 'echo the database is busy; exit 7');
  const refused = await primary.attempt('checkpoint', '-g', '0', '-on');
  t.is(refused.code, 4, refused.stderr);
  t.regex(refused.stderr, /cp_pre_on_000 failed: .*exit code 7, saying: the database is busy/);
  await isOn(pair, false);

  hook(primary, 'cp_pre_on_000', 'echo pre_on $TDMF_ROLE $TDMF_GROUP >> "$TDMF_HOME/ran"');
  hook(primary, 'cp_post_on_p000', 'echo post_on $TDMF_ROLE >> "$TDMF_HOME/ran"');
  hook(secondary, 'cp_post_on_000', 'echo post_on $TDMF_ROLE >> "$TDMF_HOME/ran"; exit 1');
  hook(secondary, 'cp_pre_off_000', 'exit 9');
  await primary.control('checkpoint', '-g', '0', '-on');
  await isOn(pair, true);
  const ran = (host: TestHost) => {
    const path = join(host.home, 'ran');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  await eventually(
    async () => ran(primary) === 'pre_on primary 0\npost_on primary\n',
    'hooks here',
  );
  await eventually(async () => ran(secondary) === 'post_on secondary\n', 'hooks there');
  t.regex(await secondary.control('events', '--since', '0'), /hook\.failed .*file:cp_post_on_000/);

  const kept = await primary.attempt('checkpoint', '-g', '0', '-off');
  t.is(kept.code, 4, kept.stderr);
  t.regex(kept.stderr, /cp_pre_off_000 failed/);
  await isOn(pair, true);
  hook(secondary, 'cp_pre_off_000', 'echo pre_off $TDMF_ROLE >> "$TDMF_HOME/ran"');
  await primary.control('checkpoint', '-g', '0', '-off');
  await isOn(pair, false);
  t.is(ran(secondary), 'post_on secondary\npre_off secondary\n');
});

test('the primary is lost during a checkpoint: -off says so, reco hands out all that arrived', async (t) => {
  const scope = new Scope();
  t.teardown(() => scope.end());
  const pair = await begun(scope);
  const { primary, secondary } = pair;
  await primary.control('checkpoint', '-g', '0', '-on');
  await isOn(pair, true);
  await fill(primary.uri(), 0x55, 2);
  await pair.drained();
  await primary.stop('SIGKILL');
  const gone = async () => (await side(pair)).connection === 'NOT_CONNECTED';
  await eventually(gone, 'the session is over');
  const alone = await secondary.attempt('checkpoint', '-g', '0', '-off');
  t.is(alone.code, 4);
  t.regex(alone.stderr, /the primary is not connected.*reco hands the mirror out/);
  await secondary.control('reco', '-a');
  t.like(await side(pair), { checkpoint: false, reco: 'done', mirrorState: 'coherent' });
  await reads(secondary.uri(), 0x11, 0);
  await reads(secondary.uri(), 0x55, 2);
});

/** What an operator does to the files of a secondary, and what becomes of the mirror then. */
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { eventually, succeed, TestHost } from '../helpers/daemon.js';

const deviceBytes = 4 * 2 ** 20;

interface Pair {
  readonly host: TestHost;
  readonly local: string;
  readonly mirror: string;
}

/** A host that is both ends of group 0, in NORMAL. */
async function normal(t: ExecutionContext): Promise<Pair> {
  const host = await TestHost.create();
  t.teardown(() => host.remove());
  const local = host.image('local.img', deviceBytes);
  const mirror = host.image('mirror.img', deviceBytes);
  await host.control(
    ...['config', 'add-group', '0', '--primary', '127.0.0.1'],
    ...['--secondary', `127.0.0.1:${host.port}`, '--journal', host.path('journal')],
    ...['--device', `d0=${local}:${mirror}`],
  );
  await host.start();
  await host.control('start', '0');
  await refresh(host);
  return { host, local, mirror };
}

async function refresh(host: TestHost): Promise<void> {
  await host.control('launchrefresh', '-f', '0');
  await host.control('wait', '0', '--for', 'normal', '--timeout', '60');
}

async function problem(host: TestHost, code: string): Promise<void> {
  await eventually(async () => (await host.primary()).problem?.code === code, code);
}

async function writeSome(host: TestHost, what: string): Promise<void> {
  await succeed('qemu-io', ['-f', 'raw', '-c', what, host.uri()]);
}

test('a pstore that was made anew is another primary: adopt on the secondary, then launchrefresh -f', async (t) => {
  const { host, local, mirror } = await normal(t);
  await writeSome(host, 'write -P 5 0 1M');
  await host.control('sync', '0');
  await host.stop();
  rmSync(`${host.home}/pstore`);
  await host.control('init', '--port', String(host.port));
  await host.start();
  await host.control('launchpmd', '0');
  await problem(host, 'TDMF_RMD_OWNED');
  await host.control('launchrefresh', '-f', '0');
  await problem(host, 'TDMF_RMD_OWNED');
  await host.control('adopt', '-g', '0');
  await host.control('wait', '0', '--for', 'normal', '--timeout', '60');
  await writeSome(host, 'write -P 6 1M 1M');
  await host.control('sync', '0');
  await succeed('cmp', [local, mirror]);
  const unknown = await host.attempt('adopt', '-g', '9');
  t.regex(unknown.stderr, /no such group/);
});

test('another mirror path ends the session, and is no mirror until a full refresh fills it (H33)', async (t) => {
  const { host, local, mirror } = await normal(t);
  await writeSome(host, 'write -P 5 0 1M');
  await host.control('sync', '0');
  const other = host.image('other.img', deviceBytes);
  const file = `${host.home}/s000.cfg`;
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(mirror, other));
  await problem(host, 'TDMF_RMD_OTHER_MIRROR');
  t.not((await host.primary()).connection, 'CONNECTED');
  await refresh(host);
  await host.control('sync', '0');
  await succeed('cmp', [local, other]);
});

test('an s###.cfg that leads nowhere stops no other group (I11)', async (t) => {
  const { host } = await normal(t);
  symlinkSync('/nowhere', `${host.home}/s007.cfg`);
  await host.control('killpmd', '0');
  await host.control('launchpmd', '0');
  await host.control('wait', '0', '--for', 'connected', '--timeout', '30');
  await host.stop();
  await host.start();
  await host.control('wait', '0', '--for', 'connected', '--timeout', '30');
  t.regex(host.log, /secondary\.configInvalid/);
});

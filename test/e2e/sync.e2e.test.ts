/** Sync mode and `set` with real processes: durable there before the answer, and what a dead link does. */
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { eventually, succeed, TestHost } from '../helpers/daemon.js';
import { LinkProxy } from '../helpers/link-proxy.js';

const deviceBytes = 32 * 2 ** 20;

interface World {
  readonly host: TestHost;
  readonly proxy: LinkProxy;
  readonly local: string;
  readonly mirror: string;
}

async function normal(): Promise<World> {
  const host = await TestHost.create();
  const proxy = await LinkProxy.to(host.port);
  const local = host.image('a.img', deviceBytes);
  const mirror = host.image('b.img', deviceBytes);
  const secondary = `127.0.0.1:${proxy.port}`;
  const group = ['config', 'add-group', '0', '--primary', '127.0.0.1', '--secondary', secondary];
  const device = ['--journal', host.path('journal'), '--device', `d0=${local}:${mirror}`];
  await host.control(...group, ...device);
  await host.start();
  await host.control('start', '-g', '0');
  await host.control('launchpmd', '-g', '0');
  await host.control('wait', '-g', '0', '--for', 'connected', '--timeout', '30');
  await host.control('launchrefresh', '-f', '-g', '0');
  await host.control('wait', '-g', '0', '--for', 'normal', '--timeout', '60');
  return { host, proxy, local, mirror };
}

const write = (host: TestHost, at: number, length: number, value: number) =>
  succeed('qemu-io', ['-f', 'raw', '-c', `write -P ${value} ${at} ${length}`, host.uri()]);

test('set shows, sets and refuses; the setting is in force at once and survives a restart', async (t) => {
  const { host, proxy } = await normal();
  t.teardown(async () => {
    await proxy.close();
    await host.remove();
  });
  const all = await host.control('set', '-g', '0');
  t.regex(all, /^CHUNKSIZE=256\nCHUNKDELAY=0\nCOMPRESSION=N\n/);
  t.is(await host.control('set', '-g', '0', 'SYNCMODE'), 'SYNCMODE=N\n');
  t.is(await host.control('set', '-g', '0', 'SYNCMODE=on', 'SYNCMODEDEPTH=4'), '');
  t.is(await host.control('set', '0', 'SYNCHMODE'), 'SYNCMODE=Y\n');
  t.like((await host.primary()).sync, { mode: 'near-sync', depth: 4, timeoutSeconds: 30 });

  const refused = await host.attempt('set', '-g', '0', 'SYNCMODEDEPTH=0');
  t.is(refused.code, 2);
  t.regex(refused.stderr, /^tdmfctl: group 0: SYNCMODEDEPTH=0: must be a whole number from 1 to/);
  const misnamed = await host.attempt('set', '-g', '0', 'syncmode=Y');
  t.is(misnamed.code, 2);
  t.regex(misnamed.stderr, /names are case-sensitive: SYNCMODE\b/);

  await host.stop();
  await host.start();
  await host.control('wait', '-g', '0', '--for', 'normal', '--timeout', '60');
  t.like((await host.primary()).sync, { mode: 'near-sync', depth: 4, degraded: false });
  // A group that does not run has its tunables in the pstore all the same.
  await host.control('stop', '-g', '0');
  await host.control('set', '-g', '0', 'SYNCMODEDEPTH=1');
  const json = JSON.parse(await host.control('set', '-g', '0', '--json')) as {
    groups: readonly { tunables: unknown }[];
  };
  t.like(json.groups[0]!.tunables, { SYNCMODE: true, SYNCMODEDEPTH: 1, CHUNKSIZE: 256 });
  await host.control('start', '-g', '0');
  t.like((await host.primary()).sync, { mode: 'sync', depth: 1 });
});

test('I2, Rule 40: an answered write is on the mirror; a dead link costs one timeout, then nobody waits', async (t) => {
  const { host, proxy, local, mirror } = await normal();
  t.teardown(async () => {
    await proxy.close();
    await host.remove();
  });
  await host.control('set', '-g', '0', 'SYNCMODE=Y', 'SYNCMODETIMEOUT=2');
  for (let count = 0; count < 10; count++) {
    const at = count * 65_536;
    await write(host, at, 300_000, 1 + count);
    const there = readFileSync(mirror).subarray(at, at + 300_000);
    t.true(there.equals(Buffer.alloc(300_000, 1 + count)), 'there when the client knows it');
  }
  proxy.stall(true);
  const slow = performance.now();
  await write(host, 0, 4096, 100);
  t.true(performance.now() - slow >= 2000);
  t.like((await host.primary()).sync, { mode: 'sync', degraded: true });
  // Nobody waits while degraded: this one would wait for ten minutes.
  await host.control('set', '-g', '0', 'SYNCMODETIMEOUT=600');
  await write(host, 4096, 4096, 101);
  proxy.stall(false);
  await eventually(async () => !(await host.primary()).sync.degraded, 'sync again');
  await write(host, 8192, 4096, 102);
  await host.control('sync', '-g', '0');
  await succeed('cmp', [local, mirror]);
  const events = await host.control('events', '--since', '0', '--json');
  t.regex(events, /sync\.timedOut[\s\S]*sync\.restored/);
});

test('COMPRESSION: entries and a refresh arrive unchanged, and less goes over the link', async (t) => {
  const { host, proxy, local, mirror } = await normal();
  t.teardown(async () => {
    await proxy.close();
    await host.remove();
  });
  await host.control('set', '-g', '0', 'COMPRESSION=Y');
  const before = proxy.bytes;
  for (let count = 0; count < 4; count++) await write(host, count * 2 ** 21, 2 ** 21, 1 + count);
  await host.control('sync', '-g', '0');
  await succeed('cmp', [local, mirror]);
  t.true(proxy.bytes - before < 2 ** 20, 'eight megabytes of one byte each');
  await host.control('launchrefresh', '-f', '-g', '0');
  await host.control('wait', '-g', '0', '--for', 'normal', '--timeout', '60');
  await succeed('cmp', [local, mirror]);
  t.true(proxy.bytes - before < 2 ** 21);
  // What cannot be compressed goes as it is.
  const noise = host.image('noise.img', 0);
  writeFileSync(noise, randomBytes(deviceBytes));
  await succeed('nbdcopy', [noise, host.uri()]);
  await host.control('sync', '-g', '0');
  await succeed('cmp', [noise, mirror]);
});

/** A hundred groups on one tdmfd, each mirrored in loopback, all written at once. */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { succeed, TestHost } from '../helpers/daemon.js';

const groups = 100;

test('100 groups are mirrored at once, every mirror is its primary', async (t) => {
  t.timeout(280_000);
  const host = await TestHost.create(128);
  t.teardown(() => host.remove());
  for (let group = 0; group < groups; group++) {
    const local = host.image(`local${group}.img`, 4 * 2 ** 20);
    const mirror = host.image(`mirror${group}.img`, 4 * 2 ** 20);
    await host.control(
      ...['config', 'add-group', String(group), '--primary', '127.0.0.1'],
      ...['--secondary', `127.0.0.1:${host.port}`, '--journal', host.path('journal')],
      ...['--device', `d0=${local}:${mirror}`],
    );
  }
  await host.start();
  await host.control('start', '-a');
  await host.control('launchrefresh', '-f', '-a');
  await host.control('wait', '-a', '--for', 'normal', '--timeout', '120');
  await succeed(
    'fio',
    [
      ...[
        '--ioengine=nbd',
        '--rw=randwrite',
        '--bs=4k',
        '--iodepth=2',
        '--size=4m',
        '--time_based',
      ],
      ...['--runtime=10', '--rate_iops=50', '--thread'],
      ...Array.from({ length: groups }, (_, group) => [
        `--name=g${group}`,
        `--uri=${host.uri(group)}`,
      ]).flat(),
    ],
    { cwd: host.directory },
  );
  await host.control('wait', '-a', '--for', 'drained', '--timeout', '60');
  await host.control('sync', '-a');
  for (let group = 0; group < groups; group++) {
    await succeed('cmp', [host.path(`local${group}.img`), host.path(`mirror${group}.img`)]);
  }
  const { groups: infos } = await host.info();
  t.is(infos.filter((one) => one.role === 'primary' && one.mode === 'NORMAL').length, groups);
  const resident = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${host.pid}/status`, 'utf8'));
  t.log(
    `resident memory of tdmfd with ${groups} groups: ${Math.round(Number(resident?.[1]) / 1024)} MiB`,
  );
});

/** Two homes, two tdmfd, two devices in one group, a bad network and a secondary that is killed. */
import { writeFileSync } from 'node:fs';
import test from 'ava';
import { eventually, execute, succeed, TestHost } from '../helpers/daemon.js';
import { LinkProxy } from '../helpers/link-proxy.js';

const seconds = 60;
const cuts = 20;
const kills = 3;
const deviceBytes = 64 * 2 ** 20;

test('60 s of writes to two devices, 20 cut links, 3 killed secondaries: the mirror is the primary', async (t) => {
  t.timeout(280_000);
  const primary = await TestHost.create(256);
  const secondary = await TestHost.create();
  const proxy = await LinkProxy.to(secondary.port);
  t.teardown(async () => {
    await proxy.close();
    await primary.remove();
    await secondary.remove();
  });
  const pairs = ['d0', 'd1'].map((name) => ({
    name,
    local: primary.image(`${name}.img`, deviceBytes),
    mirror: secondary.image(`${name}.img`, deviceBytes),
  }));
  await primary.control(
    ...['config', 'add-group', '0', '--primary', 'alpha', '--secondary', `127.0.0.1:${proxy.port}`],
    ...['--journal', secondary.path('journal')],
    ...pairs.flatMap(({ name, local, mirror }) => ['--device', `${name}=${local}:${mirror}`]),
  );
  const config = await primary.control('config', 'export-secondary', '-g', '0');
  writeFileSync(`${secondary.home}/s000.cfg`, config, { mode: 0o600 });

  await secondary.start();
  await primary.start();
  const primaryPid = primary.pid;
  await primary.control('start', '-g', '0');
  await primary.control('launchpmd', '-g', '0');
  await primary.control('wait', '-g', '0', '--for', 'connected', '--timeout', '30');
  await primary.control('launchrefresh', '-f', '-g', '0');
  await primary.control('wait', '-g', '0', '--for', 'normal', '--timeout', '60');

  const load = execute(
    'fio',
    [
      ...['--ioengine=nbd', '--rw=randwrite', '--bsrange=4k-64k', '--blockalign=4k', '--iodepth=8'],
      // About 3 MB/s for each device: what piles up while the link is away must fit the BAB.
      ...['--time_based', `--runtime=${seconds}`, '--size=64m', '--norandommap', '--rate=3m'],
      ...['--name=d0', `--uri=${primary.uri(0, 'd0')}`],
      ...['--name=d1', `--uri=${primary.uri(0, 'd1')}`],
    ],
    { cwd: primary.directory, timeoutMs: (seconds + 60) * 1000 },
  );
  let running = true;
  void load.then(() => {
    running = false;
  });
  const pauseMs = (seconds * 1000) / (cuts + kills + 2);
  for (let i = 0; i < cuts + kills; i++) {
    await new Promise((resolve) => {
      setTimeout(resolve, pauseMs);
    });
    t.true(running, 'fio goes on whatever happens to the link');
    if (i % 8 === 5) {
      await secondary.stop('SIGKILL');
      await secondary.start();
    } else {
      proxy.cut();
    }
  }
  const { code, stderr, stdout } = await load;
  t.is(code, 0, `${stderr}${stdout}`);
  t.is(proxy.cuts, cuts);

  await primary.control('wait', '-g', '0', '--for', 'drained', '--timeout', '60');
  await primary.control('sync', '-g', '0');
  for (const { local, mirror } of pairs) await succeed('cmp', [local, mirror]);
  t.is(primary.pid, primaryPid, 'the primary was not restarted');
  const group = await primary.primary();
  t.is(group.mode, 'NORMAL');
  const events = await primary.control('events', '--since', '0', '--json');
  const modes = events
    .split('\n')
    .filter((line) => line.includes('"mode.changed"'))
    .map((line) => (JSON.parse(line) as { to: string }).to);
  t.deepEqual(modes.at(-1), 'NORMAL');
  t.false(modes.includes('TRACKING'), 'the BAB held what the link could not take');
});

test('a clean stop and start of both sides comes back in NORMAL, without a refresh', async (t) => {
  const host = await TestHost.create();
  t.teardown(() => host.remove());
  const local = host.image('local.img', 8 * 2 ** 20);
  const mirror = host.image('mirror.img', 8 * 2 ** 20);
  await host.control(
    ...[
      'config',
      'add-group',
      '3',
      '--primary',
      '127.0.0.1',
      '--secondary',
      `127.0.0.1:${host.port}`,
    ],
    ...['--journal', host.path('journal'), '--device', `d0=${local}:${mirror}`],
  );
  await host.start();
  await host.control('start', '3');
  await host.control('launchrefresh', '-f', '3');
  await host.control('wait', '3', '--for', 'normal', '--timeout', '60');
  await succeed('qemu-io', ['-f', 'raw', '-c', 'write -P 5 0 1M', host.uri(3)]);
  t.is(await host.stop(), 0);

  await host.start();
  await eventually(async () => (await host.primary(3)).mode === 'NORMAL', 'NORMAL again');
  await host.control('wait', '3', '--for', 'connected', '--timeout', '30');
  await succeed('qemu-io', ['-f', 'raw', '-c', 'write -P 6 2M 1M', host.uri(3)]);
  await host.control('wait', '3', '--for', 'drained', '--timeout', '30');
  await host.control('sync', '3');
  await succeed('cmp', [local, mirror]);
  const events = await host.control('events', '--since', '0');
  t.notRegex(events, /refresh\.started/);
});

test('H18: after kill -9 of the primary only what may differ is compared, and the mirror follows by itself', async (t) => {
  const host = await TestHost.create();
  t.teardown(() => host.remove());
  const local = host.image('local.img', 64 * 2 ** 20);
  const mirror = host.image('mirror.img', 64 * 2 ** 20);
  await host.control(
    ...[
      'config',
      'add-group',
      '0',
      '--primary',
      '127.0.0.1',
      '--secondary',
      `127.0.0.1:${host.port}`,
    ],
    ...['--journal', host.path('journal'), '--device', `d0=${local}:${mirror}`],
  );
  await host.start();
  await host.control('start', '0');
  await host.control('launchrefresh', '-f', '0');
  await host.control('wait', '0', '--for', 'normal', '--timeout', '60');
  await succeed('qemu-io', ['-f', 'raw', '-c', 'write -P 7 9M 64k', host.uri(0)]);
  await host.stop('SIGKILL');
  await host.start();
  await host.control('wait', '0', '--for', 'normal', '--timeout', '60');
  const events = await host.control('events', '--since', '0', '--json');
  t.regex(events, /uncleanStart/);
  t.regex(events, /"refresh":"smart"/);
  // The region that was written to, of the sixteen that the device has.
  const [, total] = /"totalBytes":(\d+)/.exec(events) ?? [];
  t.is(Number(total), 4 * 2 ** 20);
  await host.control('sync', '0');
  await succeed('cmp', [local, mirror]);
});

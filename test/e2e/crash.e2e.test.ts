/** A host thread that dies takes nobody with it: its groups are back in their modes, tdmfd lives. */
import test from 'ava';
import { eventually, execute, succeed, TestHost } from '../helpers/daemon.js';

test('a crashed host thread: NORMAL again, the client reconnects, the mirror is the primary', async (t) => {
  const host = await TestHost.create();
  t.teardown(() => host.remove());
  const groups = [0, 1];
  for (const group of groups) {
    const local = host.image(`local${group}.img`, 32 * 2 ** 20);
    const mirror = host.image(`mirror${group}.img`, 32 * 2 ** 20);
    await host.control(
      ...['config', 'add-group', String(group), '--primary', '127.0.0.1'],
      ...['--secondary', `127.0.0.1:${host.port}`, '--journal', host.path('journal')],
      ...['--device', `d0=${local}:${mirror}`],
    );
  }
  await host.start({ TDMF_TESTING: '1' });
  const pid = host.pid;
  await host.control('start', '-a');
  await host.control('launchrefresh', '-f', '-a');
  await host.control('wait', '-a', '--for', 'normal', '--timeout', '60');

  // nbdkit's retry filter is the client that reconnects, as `attach` will use it.
  const front = host.path('front.sock');
  const load = execute(
    'nbdkit',
    [
      ...['-U', front, '--filter=retry', 'nbd', `socket=${host.home}/run/nbd.sock`, 'export=g0/d0'],
      ...['retry=30', 'retries=30', 'retry-delay=1', 'retry-exponential=no', '--run'],
      `fio --name=w --ioengine=nbd --uri='nbd+unix:///?socket=${front}' --rw=randwrite --bs=4k --iodepth=4 ` +
        `--size=32m --time_based --runtime=8 --rate_iops=500`,
    ],
    { cwd: host.directory, timeoutMs: 60_000 },
  );
  await eventually(
    async () => ((await host.primary()).devices[0]?.writes ?? 0) > 200,
    'writes flow',
  );
  for (const thread of [0, 1]) {
    const before = (await host.primary()).devices[0]?.writes ?? 0;
    await succeed('curl', [
      ...['-sSf', '-X', 'POST', '--unix-socket', `${host.home}/run/control.sock`],
      `http://tdmf/v1/testing/crash-host/${thread}`,
    ]);
    const crashed = performance.now();
    await eventually(
      async () =>
        (await host.primary(0)).mode === 'NORMAL' && (await host.primary(1)).mode === 'NORMAL',
      'both groups NORMAL',
    );
    t.log(`host ${thread}: NORMAL ${Math.round(performance.now() - crashed)} ms after the crash`);
    await eventually(
      async () => ((await host.primary()).devices[0]?.writes ?? 0) > before + 100,
      'writes flow again',
    );
  }
  const { code, stderr, stdout } = await load;
  t.is(code, 0, `the client saw no error: ${stderr}${stdout}`);
  t.is(host.pid, pid);
  for (const group of groups) {
    await host.control('wait', String(group), '--for', 'drained', '--timeout', '30');
    await host.control('sync', String(group));
    await succeed('cmp', [host.path(`local${group}.img`), host.path(`mirror${group}.img`)]);
  }
  t.regex(await host.control('events', '--since', '0'), /host\.crashed/);
});

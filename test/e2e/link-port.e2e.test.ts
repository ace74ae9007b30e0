/** The link port under those who should not be there: refused, logged at a bounded rate, no harm done. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import test from 'ava';
import { eventually, succeed, TestHost } from '../helpers/daemon.js';

function knock(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.once('close', () => resolve());
    socket.on('data', () => undefined);
    socket.write(bytes);
    socket.setTimeout(500, () => socket.destroy());
  });
}

test('wrong key, garbage and 10 000 random connections do not disturb a group', async (t) => {
  t.timeout(200_000);
  const host = await TestHost.create();
  t.teardown(() => host.remove());
  for (const group of [0, 1]) {
    const local = host.image(`local${group}.img`, 8 * 2 ** 20);
    const mirror = host.image(`mirror${group}.img`, 8 * 2 ** 20);
    await host.control(
      ...['config', 'add-group', String(group), '--primary', '127.0.0.1'],
      ...['--secondary', `127.0.0.1:${host.port}`, '--journal', host.path('journal')],
      ...['--device', `d0=${local}:${mirror}`],
    );
  }
  // Group 1 has another key on each side.
  const { stdout } = await host.attempt('config', 'export-secondary', '-g', '1');
  writeFileSync(
    `${host.home}/s001.cfg`,
    stdout.replace(/secret: .*/, `secret: ${randomBytes(32).toString('base64')}`),
  );
  await host.start();
  await host.control('start', '-a');
  await host.control('launchpmd', '-a');
  await host.control('launchrefresh', '-f', '-g', '0');
  await host.control('wait', '-g', '0', '--for', 'normal', '--timeout', '60');
  const refused = await eventually(async () => {
    const group = await host.primary(1);
    return group.problem ?? undefined;
  }, 'the wrong key is reported');
  t.is(refused.code, 'TDMF_LINK_KEY');

  const logBefore = host.log.length;
  const writes = succeed(
    'fio',
    [
      ...[
        '--name=w',
        '--ioengine=nbd',
        `--uri=${host.uri(0)}`,
        '--rw=randwrite',
        '--bs=4k',
        '--iodepth=4',
      ],
      ...['--size=8m', '--time_based', '--runtime=10', '--rate_iops=200'],
    ],
    { cwd: host.directory },
  );
  for (let round = 0; round < 100; round++) {
    await Promise.all(
      Array.from({ length: 100 }, () => knock(host.port, randomBytes(1 + (round % 200)))),
    );
  }
  await writes;
  t.true(
    host.log.length - logBefore < 400_000,
    `bounded: ${host.log.length - logBefore} bytes of log`,
  );
  await host.control('wait', '-g', '0', '--for', 'drained', '--timeout', '30');
  await host.control('sync', '-g', '0');
  await succeed('cmp', [host.path('local0.img'), host.path('mirror0.img')]);
  t.is((await host.primary(0)).connection, 'CONNECTED');
});

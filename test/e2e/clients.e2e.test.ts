/** Real NBD clients against a mirrored device: what they write is what they read, and what the mirror has. */
import { randomFillSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { succeed, TestHost } from '../helpers/daemon.js';

const deviceBytes = 64 * 2 ** 20;

async function mirroredHost(): Promise<TestHost> {
  // Larger than what the clients write in one burst: an overflow would rightly end in TRACKING.
  const host = await TestHost.create(512);
  const local = host.image('local.img', deviceBytes);
  const mirror = host.image('mirror.img', deviceBytes);
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
  await host.control('start', '-g', '0');
  await host.control('launchrefresh', '-f', '-g', '0');
  await host.control('wait', '-g', '0', '--for', 'normal', '--timeout', '60');
  return host;
}

async function sameAsMirror(host: TestHost): Promise<void> {
  await host.control('sync', '-g', '0');
  await host.control('wait', '-g', '0', '--for', 'drained', '--timeout', '60');
  await succeed('cmp', [host.path('local.img'), host.path('mirror.img')]);
}

test('nbdinfo, nbdcopy, qemu-img, qemu-io and fio use the device, and the mirror follows', async (t) => {
  const host = await mirroredHost();
  t.teardown(() => host.remove());

  const info = JSON.parse(await succeed('nbdinfo', ['--json', host.uri()])) as {
    exports: Record<string, unknown>[];
  };
  t.like(info.exports[0], {
    'export-size': deviceBytes,
    can_flush: true,
    can_fua: true,
    can_trim: true,
    can_zero: true,
    can_multi_conn: true,
  });
  t.regex(await succeed('nbdinfo', ['--list', host.uri()]), /export="g0\/d0"/);

  const image = host.path('random.img');
  writeFileSync(image, randomFillSync(Buffer.alloc(deviceBytes)));
  await succeed('nbdcopy', [image, host.uri()]);
  await succeed('nbdcopy', ['--connections=4', host.uri(), host.path('back.img')]);
  t.true(readFileSync(image).equals(readFileSync(host.path('back.img'))));
  await sameAsMirror(host);

  await succeed('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', image, host.uri()]);
  await succeed('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', image, host.uri()]);

  const io = [
    'write -P 3 0 1M',
    'write -f -P 4 1M 64k',
    'write -z 2M 1M',
    'write -z -u 3M 1M',
    'discard 4M 1M',
    'flush',
  ];
  const reads = [
    'read -P 3 0 1M',
    'read -P 4 1M 64k',
    'read -P 0 2M 1M',
    'read -P 0 3M 1M',
    'read -P 0 4M 1M',
  ];
  const output = await succeed('qemu-io', [
    ...['-f', 'raw'],
    ...[...io, ...reads].flatMap((command) => ['-c', command]),
    host.uri(),
  ]);
  t.notRegex(output, /verification failed|failed/i);
  await sameAsMirror(host);

  const verify = await succeed(
    'fio',
    [
      ...[
        '--name=verify',
        '--ioengine=nbd',
        `--uri=${host.uri()}`,
        '--rw=randwrite',
        '--bsrange=4k-1m',
      ],
      ...['--blockalign=4k', '--iodepth=16', '--size=48m', '--verify=crc32c', '--verify_fatal=1'],
      ...[
        '--name=verify2',
        '--ioengine=nbd',
        `--uri=${host.uri()}`,
        '--rw=randwrite',
        '--bsrange=4k-1m',
      ],
      ...[
        '--blockalign=4k',
        '--iodepth=16',
        '--offset=48m',
        '--size=16m',
        '--verify=crc32c',
        '--verify_fatal=1',
      ],
    ],
    { cwd: host.directory },
  );
  t.notRegex(verify, /verify: bad|err=\s*[1-9]/);
  await sameAsMirror(host);

  const group = await host.primary();
  t.is(group.mode, 'NORMAL');
  t.is(group.mirrorState, 'coherent');
  t.true((group.devices[0]?.writes ?? 0) > 100);
});

test('requests of 32 MiB are served, and a client that asks nonsense does not disturb others', async (t) => {
  const host = await mirroredHost();
  t.teardown(() => host.remove());
  await succeed('qemu-io', [
    '-f',
    'raw',
    '-c',
    'write -P 9 0 32M',
    '-c',
    'read -P 9 0 32M',
    host.uri(),
  ]);
  const script = `
import nbd, sys
h = nbd.NBD(); h.set_strict_mode(0); h.connect_uri(sys.argv[1])
size = h.get_size()
for offset, length in ((size, 512), (size - 512, 1024)):
    try: h.pwrite(b'x' * length, offset); sys.exit('a write beyond the end was taken')
    except nbd.Error as e: pass
h.pwrite(b'y' * 3, 100)
assert h.pread(3, 100) == bytearray(b'yyy')
print('alive')
`;
  t.regex(await succeed('/usr/bin/python3', ['-c', script, host.uri()]), /alive/);
  await sameAsMirror(host);
});

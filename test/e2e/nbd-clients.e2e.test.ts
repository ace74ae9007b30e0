/**
 * Clients that others wrote, against the product's door and sessions in front of an array: what
 * they negotiate, read, write and complain about. The driver, its order and its disks are not here.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { exportInfo } from '../helpers/nbd-bytes.js';
import {
  type NbdTestServer,
  type NbdTestServerOptions,
  startNbdServer,
} from '../helpers/nbd-server.js';

const execute = promisify(execFile);

async function run(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(file, args, { timeout: 60_000, maxBuffer: 2 ** 26 });
  return stdout;
}

/** Runs the body against a server of its own; afterwards nothing may be left in flight. */
async function withServer(
  options: NbdTestServerOptions,
  body: (server: NbdTestServer) => Promise<void>,
): Promise<void> {
  const server = await startNbdServer(options);
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

test('nbdinfo reads size, flags, block sizes and description', async (t) => {
  await withServer({}, async (server) => {
    const { exports } = JSON.parse(await run('nbdinfo', '--json', server.uri()));
    t.is(exports.length, 1);
    t.like(exports[0], {
      'export-name': 'g0/d0',
      description: 'device d0 of group 0',
      'export-size': 64 * 2 ** 20,
      contexts: ['base:allocation'],
      is_read_only: false,
      can_flush: true,
      can_fua: true,
      can_trim: true,
      can_zero: true,
      can_df: true,
      can_multi_conn: true,
      can_fast_zero: false,
      can_cache: false,
      block_size_minimum: 1,
      block_size_preferred: 4096,
      block_size_maximum: 2 ** 25,
    });
    t.true(server.driver.idle);
  });
});

test('nbdinfo --list shows the exports that can be used, and no other', async (t) => {
  const others = [
    exportInfo({ name: 'g1/db', sizeBytes: 4096, description: '' }),
    exportInfo({ name: 'g2/d0', unavailable: 'group 2 is not started' }),
  ];
  await withServer({ others }, async (server) => {
    const uri = `nbd+unix://?socket=${server.socketPath}`;
    const { exports } = JSON.parse(await run('nbdinfo', '--list', '--json', uri));
    t.deepEqual(
      exports.map((entry: Record<string, unknown>) => entry['export-name']),
      ['g0/d0', 'g1/db'],
    );
    await t.throwsAsync(run('nbdinfo', server.uri('g2/d0')));
    // Of the clients here only qemu shows the server's text.
    const refused = await t.throwsAsync(run('qemu-io', '-f', 'raw', server.uri('g2/d0')));
    t.regex(refused.message, /group 2 is not started/);
  });
});

test('nbdinfo --map sees data and holes', async (t) => {
  await withServer({ info: { sizeBytes: 2 ** 20 } }, async (server) => {
    await run('qemu-io', '-f', 'raw', '-c', 'write -P 7 64k 64k', server.uri());
    const map = JSON.parse(await run('nbdinfo', '--map', '--json', server.uri()));
    t.deepEqual(
      map.map((extent: Record<string, unknown>) => [
        extent['offset'],
        extent['length'],
        extent['type'],
      ]),
      [
        [0, 65536, 3],
        [65536, 65536, 0],
        [131072, 917504, 3],
      ],
    );
  });
});

test('nbdcopy brings an image in and out again over several connections', async (t) => {
  await withServer({ info: { sizeBytes: 16 * 2 ** 20 } }, async (server) => {
    const image = randomBytes(16 * 2 ** 20);
    image.fill(0, 2 ** 20, 5 * 2 ** 20);
    const source = join(server.directory, 'in');
    const target = join(server.directory, 'out');
    await writeFile(source, image);
    await run('nbdcopy', '--connections=4', '--flush', source, server.uri());
    t.true(image.equals(server.driver.disk));
    await run('nbdcopy', '--connections=4', server.uri(), target);
    t.true(image.equals(await readFile(target)));
    t.true(server.driver.idle);
    t.true(server.driver.log.includes('flush 0+0'));
  });
});

test('nbdcopy with large requests takes the paths of large reads and writes', async (t) => {
  await withServer({ info: { sizeBytes: 48 * 2 ** 20 } }, async (server) => {
    const image = randomBytes(48 * 2 ** 20);
    const source = join(server.directory, 'in');
    const target = join(server.directory, 'out');
    await writeFile(source, image);
    const large = ['--request-size=33554432', '--requests=2', '--connections=1', '-S', '0'];
    await run('nbdcopy', ...large, source, server.uri());
    t.true(image.equals(server.driver.disk));
    await run('nbdcopy', ...large, server.uri(), target);
    t.true(image.equals(await readFile(target)));
  });
});

test('qemu-io writes, with FUA, zeroes, discards and reads back', async (t) => {
  await withServer({ info: { sizeBytes: 8 * 2 ** 20 } }, async (server) => {
    const commands = [
      'write -P 3 0 1M',
      'write -f -P 4 1M 64k',
      'write -z 512k 64k',
      'write -z -u 576k 64k',
      'discard 0 64k',
      'flush',
      'read -P 3 64k 448k',
      'read -P 0 512k 128k',
      'read -P 4 1M 64k',
      'read -P 0 0 64k',
    ];
    const output = await run(
      'qemu-io',
      '-d',
      'unmap',
      '-f',
      'raw',
      ...commands.flatMap((command) => ['-c', command]),
      server.uri(),
    );
    t.notRegex(output, /failed|error/i);
    const { log } = server.driver;
    t.true(log.includes('write 1048576+65536 fua'));
    t.true(log.some((line) => /^zero 524288\+65536.* nohole$/.test(line)));
    t.true(log.some((line) => /^zero 589824\+65536( fua)?$/.test(line)));
    t.true(log.includes('trim 0+65536'));
  });
});

test('libnbd without strict mode gets errors, and the connection lives', async (t) => {
  await withServer({ info: { sizeBytes: 2 ** 20 } }, async (server) => {
    // Debian's interpreter, whatever another one is first in the path: it has the bindings.
    const output = await run('/usr/bin/python3', '-c', errorPaths, server.uri());
    t.deepEqual(JSON.parse(output), {
      'read beyond the end': 'EINVAL',
      'write beyond the end': 'ENOSPC',
      'zero beyond the end': 'ENOSPC',
      'trim beyond the end': 'EINVAL',
      'read above the maximum': 'EOVERFLOW',
      'write above the maximum': 'EINVAL',
      'cache is not offered': 'EINVAL',
      'unknown flag': 'EINVAL',
      'fast zero is not offered': 'EINVAL',
      'empty read': 'ok',
      'empty write': 'ok',
      'empty trim': 'ok',
      'still alive': 'ok',
      'without structured replies': 'EINVAL',
      'still alive without structured replies': 'ok',
    });
    t.true(server.driver.idle);
  });
});

const errorPaths = `
import nbd, sys, json, errno
answers = {}
def attempt(name, run):
    try:
        run()
        answers[name] = 'ok'
    except nbd.Error as error:
        answers[name] = error.errno
def connect(structured):
    h = nbd.NBD()
    h.set_request_structured_replies(structured)
    h.connect_uri(sys.argv[1])
    h.set_strict_mode(0)
    return h
size = 2 ** 20
h = connect(True)
attempt('read beyond the end', lambda: h.pread(4096, size))
attempt('write beyond the end', lambda: h.pwrite(b'x' * 4096, size - 512))
attempt('zero beyond the end', lambda: h.zero(4096, size - 512))
attempt('trim beyond the end', lambda: h.trim(4096, size - 512))
attempt('read above the maximum', lambda: h.pread(2 ** 25 + 512, 0))
attempt('write above the maximum', lambda: h.pwrite(b'x' * (2 ** 25 + 512), 0))
attempt('cache is not offered', lambda: h.cache(4096, 0))
attempt('unknown flag', lambda: h.pwrite(b'x' * 512, 0, nbd.CMD_FLAG_REQ_ONE))
attempt('fast zero is not offered', lambda: h.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO))
attempt('empty read', lambda: h.pread(0, 0))
attempt('empty write', lambda: h.pwrite(b'', 0))
attempt('empty trim', lambda: h.trim(0, 0))
def alive():
    h.pwrite(b'alive' * 100, 777, nbd.CMD_FLAG_FUA)
    assert h.pread(500, 777) == b'alive' * 100
    h.flush()
attempt('still alive', alive)
h.shutdown()
h = connect(False)
attempt('without structured replies', lambda: h.pread(4096, size))
attempt('still alive without structured replies', alive)
h.shutdown()
print(json.dumps(answers))
`;

test('fio verifies random writes of several sizes at depth', async (t) => {
  await withServer({ info: { sizeBytes: 16 * 2 ** 20 } }, async (server) => {
    const output = await run(
      'fio',
      '--name=verify',
      // Where it leaves its state files.
      `--aux-path=${server.directory}`,
      '--ioengine=nbd',
      `--uri=${server.uri()}`,
      '--rw=randwrite',
      '--bsrange=512-256k',
      '--blockalign=512',
      '--size=16m',
      '--iodepth=16',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--randseed=7',
      '--output-format=terse',
    );
    t.regex(output, /verify/);
    t.true(server.driver.idle);
  });
});

test('a group that takes little memory slows a writer down and loses nothing (H42c)', async (t) => {
  const options = { info: { sizeBytes: 16 * 2 ** 20 }, payloadBytes: 2 ** 19 };
  await withServer(options, async (server) => {
    const image = randomBytes(16 * 2 ** 20);
    const source = join(server.directory, 'in');
    await writeFile(source, image);
    await run('nbdcopy', '--connections=4', source, server.uri());
    t.true(image.equals(server.driver.disk));
    t.true(server.driver.idle);
  });
});

test('a listening socket may be given by whoever starts the server', async (t) => {
  const program = fileURLToPath(new URL('../helpers/nbd-activated.js', import.meta.url));
  // Brackets make libnbd start the program with the listening socket as descriptor 3.
  const output = await run('nbdinfo', '--list', '--json', '[', process.execPath, program, ']');
  t.is(JSON.parse(output).exports[0]['export-size'], 2 ** 20);
});

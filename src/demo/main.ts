/**
 * `npm run demo`: the loopback configuration of the manual on this computer, from nothing to a
 * verified mirror, with the commands a user would type. Everything lives in a temporary directory
 * and goes away at the end, unless `--keep`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../config/package-version.js';

const deviceBytes = 256 * 2 ** 20;
const packages: Record<string, string> = {
  mke2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  nbdcopy: 'libnbd-bin',
  cmp: 'diffutils',
};

const keep = process.argv.includes('--keep');
const searchPath = `${process.env['PATH']}:/usr/sbin:/sbin`;
const tdmfctl = join(packageRoot(), 'bin/tdmfctl.js');

requireTools();
const directory = mkdtempSync(join(tmpdir(), 'tdmf-demo-'));
const home = join(directory, 'home');
let daemon: ChildProcess | undefined;

try {
  await demonstrate();
  if (keep) {
    daemon?.unref();
    say(`Left running. Stop it with: kill ${daemon?.pid}; rm -r ${directory}`);
  }
} catch (error) {
  process.exitCode = 1;
  console.error(`\ndemo: ${error instanceof Error ? error.message : String(error)}`);
  if (keep) console.error(`demo: left as it is in ${directory}`);
} finally {
  if (!keep) await cleanUp();
}

async function demonstrate(): Promise<void> {
  const local = join(directory, 'local.img');
  const mirror = join(directory, 'mirror.img');
  const journal = join(directory, 'journal');
  for (const image of [local, mirror]) {
    writeFileSync(image, '');
    truncateSync(image, deviceBytes);
  }
  mkdirSync(journal);
  const port = await freePort();

  say('A TDMF home, and one logical group: local.img is mirrored to mirror.img on this computer.');
  control('init', '-b', '64', '--port', String(port));
  control(
    ...['config', 'add-group', '0', '--primary', '127.0.0.1', '--secondary', `127.0.0.1:${port}`],
    ...['--journal', journal, '--note', 'demo', '--device', `d0=${local}:${mirror}`],
  );

  say('The block server, the device, the connection to the (loopback) secondary.');
  daemon = await startDaemon();
  control('start', '-g', '0');
  control('launchpmd', '-g', '0');
  const uri = `nbd+unix:///g0/d0?socket=${join(home, 'run/nbd.sock')}`;

  say('A real ext4 file system with real files, written through the TDMF device by an NBD client.');
  const files = join(directory, 'files');
  makeFiles(files, 200);
  const image = join(directory, 'ext4.img');
  execute('mke2fs', '-q', '-F', '-t', 'ext4', '-d', files, image, '256M');
  execute('nbdcopy', image, uri);

  say('Full refresh: everything goes to the mirror while the device stays in use.');
  control('launchrefresh', '-f', '-g', '0');
  control('status');
  control('wait', '-g', '0', '--for', 'normal', '--timeout', '60');

  say('More files, written while every write is mirrored in order.');
  for (let i = 0; i < 20; i++) {
    const file = join(directory, `late-${i}`);
    writeFileSync(file, `written while mirroring ${i}\n`.repeat(5000));
    execute('debugfs', '-w', '-R', `write ${file} late-${i}`, image);
  }
  execute('nbdcopy', image, uri);
  control('status');
  control('wait', '-g', '0', '--for', 'drained', '--timeout', '60');
  control('sync', '-g', '0');

  say('The proof: mirror and local device are the same, and the mirror is a clean file system.');
  execute('cmp', local, mirror);
  console.log('  cmp: no difference');
  execute('e2fsck', '-fn', mirror);
  console.log('  e2fsck -fn mirror.img: clean');
  control('info', '-g', '0');

  say('What to try next:');
  console.log(`  npm run demo -- --keep            leave it running
  nbdinfo '${uri}'
  node bin/tdmfctl.js --home ${home} events --follow
  README.md explains two hosts.`);
}

/** Runs tdmfctl as a user would and shows the command with what it printed. */
function control(...words: string[]): void {
  console.log(`  $ tdmfctl ${words.join(' ')}`);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [tdmfctl, '--home', home, ...words],
    { encoding: 'utf8' },
  );
  for (const line of stdout.split('\n').filter(Boolean)) console.log(`    ${line}`);
  if (status !== 0) throw new Error(`tdmfctl ${words[0]} ended with ${status}: ${stderr.trim()}`);
}

function execute(tool: string, ...words: string[]): void {
  const { status, stderr, stdout } = spawnSync(tool, words, {
    encoding: 'utf8',
    env: { ...process.env, PATH: searchPath },
  });
  if (status !== 0) throw new Error(`${tool} ended with ${status}: ${stderr}${stdout}`);
}

function startDaemon(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(packageRoot(), 'bin/tdmfd.js'), '--home', home], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: keep,
  });
  return new Promise((resolve, reject) => {
    let log = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => {
      log += text;
      if (log.includes('tdmfd is ready')) resolve(child);
    });
    child.on('exit', (code) => reject(new Error(`tdmfd ended with ${code}:\n${log}`)));
  });
}

async function cleanUp(): Promise<void> {
  if (daemon !== undefined && daemon.exitCode === null) {
    const ended = new Promise((resolve) => daemon?.once('exit', resolve));
    daemon.kill('SIGTERM');
    await ended;
  }
  rmSync(directory, { recursive: true, force: true });
}

function makeFiles(path: string, count: number): void {
  mkdirSync(path);
  for (let i = 0; i < count; i++) {
    writeFileSync(join(path, `file-${i}`), `TDMF demo file ${i}\n`.repeat(2000));
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

function requireTools(): void {
  const missing = Object.keys(packages).filter(
    (tool) =>
      spawnSync('sh', ['-c', `command -v ${tool}`], { env: { ...process.env, PATH: searchPath } })
        .status !== 0,
  );
  if (missing.length === 0) return;
  const wanted = [...new Set(missing.map((tool) => packages[tool]))].join(' ');
  console.error(`demo: missing ${missing.join(', ')}. Install with: apt-get install ${wanted}`);
  process.exit(1);
}

function say(text: string): void {
  console.log(`\n${text}`);
}

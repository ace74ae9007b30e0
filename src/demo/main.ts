/**
 * `npm run demo`: the loopback configuration of the manual on this computer, from nothing to a
 * verified mirror, with the commands a user would type. Everything lives in a temporary directory
 * and goes away at the end, on Ctrl-C and on failure, unless `--keep`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../config/package-version.js';

const deviceMb = 256;
/** Tool to Debian's package. */
const packages: Readonly<Record<string, string>> = {
  mke2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  nbdcopy: 'libnbd-bin',
  cmp: 'diffutils',
};

const keep = process.argv.includes('--keep');
const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
const bin = (name: string) => join(packageRoot(), 'bin', name);

requireTools();
const directory = mkdtempSync(join(tmpdir(), 'tdmf-demo-'));
const home = join(directory, 'home');
const began = performance.now();
const running = new Set<ChildProcess>();
let daemon: ChildProcess | undefined;
let interrupted = false;
let step = 0;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    interrupted = true;
    console.log('\n  interrupted: cleaning up');
    for (const child of running) child.kill('SIGTERM');
  });
}

let done = false;
try {
  await demonstrate();
  done = true;
} catch (error) {
  process.exitCode = interrupted ? 130 : 1;
  if (!interrupted) {
    console.error(`\ndemo: ${error instanceof Error ? error.message : String(error)}`);
  }
}
if (keep && done) {
  daemon?.unref();
  daemon?.stderr?.destroy();
  console.log(`\nLeft running. To end it:\n  kill ${daemon?.pid} && rm -r ${directory}`);
} else {
  await cleanUp();
}

async function demonstrate(): Promise<void> {
  const local = join(directory, 'local.img');
  const mirror = join(directory, 'mirror.img');
  const journal = join(directory, 'journal');
  for (const image of [local, mirror]) {
    writeFileSync(image, '');
    truncateSync(image, deviceMb * 2 ** 20);
  }
  mkdirSync(journal);
  const port = await freePort();
  console.log(`TDMF on this computer, in ${directory}`);

  say('A TDMF home, and one logical group: local.img is mirrored to mirror.img.');
  await control('init', '-b', '64', '--port', String(port));
  await control(
    ...['config', 'add-group', '0', '--primary', '127.0.0.1', '--secondary', `127.0.0.1:${port}`],
    ...['--journal', journal, '--note', 'demo', '--device', `d0=${local}:${mirror}`],
  );

  say('The block server; the group is started; its PMD connects to the (loopback) secondary.');
  daemon = await startDaemon();
  await control('start', '-g', '0');
  await control('launchpmd', '-g', '0');
  await control('wait', '-g', '0', '--for', 'connected', '--timeout', '30');
  const uri = `nbd+unix:///g0/d0?socket=${join(home, 'run/nbd.sock')}`;

  say('An ext4 file system with 200 files, written through the TDMF device by an NBD client.');
  const files = join(directory, 'files');
  makeFiles(files, 200);
  const image = join(directory, 'ext4.img');
  await execute('mke2fs', '-q', '-F', '-t', 'ext4', '-d', files, image, `${deviceMb}M`);
  await execute('nbdcopy', image, uri);

  say('Full refresh: everything goes to the mirror while the device stays in use.');
  await control('launchrefresh', '-f', '-g', '0');
  await watchRefresh();
  await control('wait', '-g', '0', '--for', 'normal', '--timeout', '60');

  say('20 more files, written while every write is mirrored in order.');
  for (let i = 0; i < 20; i++) {
    const file = join(directory, `late-${i}`);
    writeFileSync(file, `written while mirroring ${i}\n`.repeat(5000));
    await execute('debugfs', '-w', '-R', `write ${file} late-${i}`, image);
  }
  await execute('nbdcopy', image, uri);
  await control('wait', '-g', '0', '--for', 'drained', '--timeout', '60');
  await control('sync', '-g', '0');
  await control('status');

  say('The proof: mirror and local device are the same, and the mirror is a clean file system.');
  await execute('cmp', local, mirror);
  console.log('  $ cmp local.img mirror.img     no difference');
  await execute('e2fsck', '-fn', mirror);
  console.log('  $ e2fsck -fn mirror.img        clean');
  await control('info', '-g', '0');

  console.log(`\nDone in ${seconds()} s. What to try next:
  npm run demo -- --keep      leaves it running, to look at:
      nbdinfo '${keep ? uri : uri.replace(directory, '/tmp/tdmf-demo-…')}'
      node bin/tdmfctl.js --home ${keep ? home : '/tmp/tdmf-demo-…/home'} events --follow
  README.md                   the same on two hosts`);
}

/** Runs tdmfctl as a user would and shows the command with what it printed. */
async function control(...words: string[]): Promise<void> {
  console.log(`  $ tdmfctl ${words.join(' ').replaceAll(`${directory}/`, '')}`);
  const output = await execute(process.execPath, bin('tdmfctl.js'), '--home', home, ...words);
  for (const line of output.split('\n').filter(Boolean)) console.log(`    ${line}`);
}

/** The progress lines of `status` until the refresh is over. */
async function watchRefresh(): Promise<void> {
  let shown = '';
  for (;;) {
    const output = await execute(process.execPath, bin('tdmfctl.js'), '--home', home, 'status');
    const line = output.split('\n').find((text) => / \[[=>.]+\] /.test(text));
    if (line === undefined) return;
    const share = Number(/([\d.]+)%/.exec(line.slice(line.indexOf(']')))?.[1] ?? 0);
    // One line for every tenth: a log of the demo stays readable.
    const tenth = String(Math.floor(share / 10));
    if (tenth !== shown) console.log(`    ${line.trim()}`);
    shown = tenth;
  }
}

function execute(tool: string, ...words: string[]): Promise<string> {
  if (interrupted) return Promise.reject(new Error('interrupted'));
  const child = spawn(tool, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      running.delete(child);
      // Ctrl-C reaches the whole process group, sometimes the child first.
      if (signal === 'SIGINT') interrupted = true;
      if (code === 0) return resolve(output);
      const shown = words[0]?.endsWith('tdmfctl.js') ? ['tdmfctl', ...words.slice(3)] : [tool];
      reject(new Error(`${shown.join(' ')} ended with ${code}:\n${errors}${output}`));
    });
  });
}

function startDaemon(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [bin('tdmfd.js'), '--home', home], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // Ctrl-C is for the demo, which then ends tdmfd cleanly.
    detached: true,
  });
  daemon = child;
  return new Promise((resolve, reject) => {
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (log.length < 100_000) log += text;
      if (log.includes('tdmfd is ready')) resolve(child);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`tdmfd ended with ${code}:\n${log}`)));
  });
}

async function cleanUp(): Promise<void> {
  if (daemon !== undefined && daemon.exitCode === null && daemon.signalCode === null) {
    const child = daemon;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const hurry = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(hurry);
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
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`], { env }).status !== 0,
  );
  if (missing.length === 0) return;
  const wanted = [...new Set(missing.map((tool) => packages[tool]))].join(' ');
  console.error(`demo: missing ${missing.join(', ')}. Install with: apt-get install ${wanted}`);
  process.exit(1);
}

function seconds(): number {
  return Math.round((performance.now() - began) / 1000);
}

function say(text: string): void {
  step++;
  console.log(`\n${step}. ${text}`);
}

/**
 * The device against qemu-nbd (PASSTHRU), and mirroring (NORMAL) against qemu-storage-daemon's
 * background blockdev-mirror to a qemu-nbd: the same kind of files, the same cache mode (O_DIRECT),
 * the same fio jobs, in one run, interleaved round by round. Prints medians and ratios.
 *
 *   node dist/bench/peers.bench.js [--rounds 3] [--seconds 3] [--size-mb 2048] [--quick] [--json FILE]
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../src/config/package-version.js';
import type { TdmfInfo } from '../src/info.js';

interface Cell {
  readonly name: string;
  readonly rw: 'randwrite' | 'write' | 'randread';
  readonly block: string;
  readonly depth: number;
}

interface Target {
  readonly name: string;
  readonly uri: string;
  /** Called before the target's turn. */
  begin(): Promise<Turn>;
}

interface Turn {
  /**
   * After a cell: waits until the mirror has everything. True when the target mirrored in its
   * normal mode all the time; false when it had to fall back to tracking changed blocks.
   */
  settle?(): Promise<boolean>;
  end(): Promise<void>;
}

interface Result {
  /** Application writes per second until the mirror had them: run time and settling together. */
  readonly settledIops: number;
  readonly kept: boolean;
  readonly iops: number;
  readonly megabytesPerSecond: number;
  readonly p99Microseconds: number;
}

const cells: readonly Cell[] = [
  { name: '4 KiB random write, depth 1', rw: 'randwrite', block: '4k', depth: 1 },
  { name: '4 KiB random write, depth 16', rw: 'randwrite', block: '4k', depth: 16 },
  { name: '64 KiB write, depth 16', rw: 'write', block: '64k', depth: 16 },
  { name: '1 MiB write, depth 4', rw: 'write', block: '1m', depth: 4 },
  { name: '4 KiB random read, depth 16', rw: 'randread', block: '4k', depth: 16 },
];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    'size-mb': { type: 'string', default: '2048' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});
const rounds = values.quick ? 1 : Number(values.rounds);
const seconds = values.quick ? 1 : Number(values.seconds);
const sizeMb = values.quick ? 64 : Number(values['size-mb']);
const directory = mkdtempSync(join(tmpdir(), 'tdmf-bench-'));
const endings: (() => void)[] = [];

try {
  await main();
} finally {
  for (const end of endings.toReversed()) end();
  rmSync(directory, { recursive: true, force: true });
}

async function main(): Promise<void> {
  for (const name of ['qemu', 'qsd', 'qsd-mirror', 'plain', 'local', 'mirror']) makeImage(name);
  const targets = [qemuNbd(), passthru(), await mirroredByQsd(), normal()];
  const results = new Map<string, Result[]>();
  for (let round = 0; round < rounds; round++) {
    for (const target of targets) {
      const turn = await target.begin();
      for (const cell of cells) {
        const key = `${target.name}/${cell.name}`;
        const result = run(cell, target.uri);
        const ran = performance.now();
        const kept = (await turn.settle?.()) ?? true;
        const settling = (performance.now() - ran) / 1000;
        const settledIops = (result.iops * seconds) / (seconds + settling);
        results.set(key, [...(results.get(key) ?? []), { ...result, settledIops, kept }]);
      }
      await turn.end();
    }
  }
  report(targets, results);
  if (values.json) writeFileSync(values.json, JSON.stringify(Object.fromEntries(results), null, 2));
}

function run(cell: Cell, uri: string): Omit<Result, 'settledIops' | 'kept'> {
  const text = execFileSync(
    'fio',
    [
      ...['--name=cell', '--ioengine=nbd', `--uri=${uri}`, `--rw=${cell.rw}`, `--bs=${cell.block}`],
      ...[`--iodepth=${cell.depth}`, '--time_based', `--runtime=${seconds}`, `--size=${sizeMb}M`],
      ...['--norandommap', '--randrepeat=0', '--output-format=json'],
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], cwd: directory },
  );
  const [job] = (JSON.parse(text.slice(text.indexOf('{'))) as FioReport).jobs;
  const side = cell.rw === 'randread' ? job.read : job.write;
  return {
    iops: side.iops,
    megabytesPerSecond: side.bw_bytes / 1e6,
    p99Microseconds: (side.clat_ns.percentile['99.000000'] ?? 0) / 1e3,
  };
}

interface FioSide {
  readonly iops: number;
  readonly bw_bytes: number;
  readonly clat_ns: { readonly percentile: Readonly<Record<string, number>> };
}

interface FioReport {
  readonly jobs: readonly [{ readonly read: FioSide; readonly write: FioSide }];
}

function report(targets: readonly Target[], results: ReadonlyMap<string, Result[]>): void {
  const of = (target: Target, cell: Cell) =>
    medianOf(results.get(`${target.name}/${cell.name}`) ?? []);
  console.log(
    `\n${rounds} rounds of ${seconds} s, ${sizeMb} MiB files, O_DIRECT, Node ${process.versions.node}, ` +
      `${cpus().length} × ${cpus()[0]?.model}\n`,
  );
  console.log(
    `| | ${targets.map(({ name }) => name).join(' | ')} ` +
      `| PASSTHRU ÷ qemu-nbd | NORMAL ÷ mirror | the same, settled |`,
  );
  console.log(`|---|${'---|'.repeat(targets.length + 3)}`);
  const ratio = (a = 0, b = 0) => (b === 0 ? '–' : (a / b).toFixed(2));
  for (const cell of cells) {
    const medians = targets.map((target) => of(target, cell));
    const [qemu, plain, qsd, normalResult] = medians;
    const shown = medians.map((result) => {
      const speed =
        cell.block === '4k'
          ? `${(result.iops / 1000).toFixed(1)} k (p99 ${Math.round(result.p99Microseconds)} µs)`
          : `${Math.round(result.megabytesPerSecond)} MB/s`;
      return result.kept ? speed : `${speed} †`;
    });
    const settled =
      cell.rw === 'randread' ? '–' : ratio(normalResult?.settledIops, qsd?.settledIops);
    console.log(
      `| ${cell.name} | ${shown.join(' | ')} | ${ratio(plain?.iops, qemu?.iops)} | ` +
        `${ratio(normalResult?.iops, qsd?.iops)} | ${settled} |`,
    );
  }
  console.log(
    '\n† the BAB overflowed in this cell: changes were tracked, as the peer always does.',
  );
}

const none: Result = {
  iops: 0,
  megabytesPerSecond: 0,
  p99Microseconds: 0,
  settledIops: 0,
  kept: true,
};

function medianOf(results: readonly Result[]): Result {
  const sorted = results.toSorted((a, b) => a.iops - b.iops);
  const kept = results.every((result) => result.kept);
  return { ...(sorted[Math.floor(sorted.length / 2)] ?? none), kept };
}

function qemuNbd(): Target {
  const socket = join(directory, 'qemu.sock');
  return {
    name: 'qemu-nbd',
    uri: `nbd+unix:///?socket=${socket}`,
    begin: async () => ({
      end: await daemon('qemu-nbd', socket, [
        ...['-k', socket, '-t', '-f', 'raw', '--cache=none', '--aio=io_uring', '-e', '8'],
        image('qemu'),
      ]),
    }),
  };
}

/** The mirror job runs from the start; both sides of it are as fresh as ours. */
async function mirroredByQsd(): Promise<Target> {
  const socket = join(directory, 'qsd.sock');
  const target = join(directory, 'qsd-target.sock');
  const qmp = join(directory, 'qmp.sock');
  return {
    name: 'qsd mirror, background',
    uri: `nbd+unix:///?socket=${socket}`,
    async begin() {
      const endTarget = await daemon('qemu-nbd', target, [
        ...['-k', target, '-t', '-f', 'raw', '--cache=none', '--aio=io_uring'],
        image('qsd-mirror'),
      ]);
      const end = await daemon('qemu-storage-daemon', qmp, [
        ...['--chardev', `socket,path=${qmp},server=on,wait=off,id=c0`, '--monitor', 'chardev=c0'],
        '--blockdev',
        `driver=file,node-name=pf,filename=${image('qsd')},cache.direct=on,aio=io_uring`,
        ...['--blockdev', 'driver=raw,node-name=pri,file=pf'],
        ...['--blockdev', `driver=nbd,node-name=sec,server.type=unix,server.path=${target}`],
        ...['--nbd-server', `addr.type=unix,addr.path=${socket}`],
        ...['--export', 'type=nbd,id=e0,node-name=pri,name=,writable=on'],
      ]);
      const monitor = await openQmp(qmp);
      await monitor.call('blockdev-mirror', {
        'job-id': 'm0',
        device: 'pri',
        target: 'sec',
        sync: 'none',
        'copy-mode': 'background',
      });
      return {
        async settle() {
          // The job has nothing left to copy when its offset is its length.
          for (;;) {
            const [job] = (await monitor.call('query-block-jobs', {})) as Job[];
            if (job === undefined) throw new Error('the mirror job is gone');
            if (job.offset >= job.len) return true;
            await pause(5);
          }
        },
        async end() {
          monitor.close();
          await end();
          await endTarget();
        },
      };
    },
  };
}

function passthru(): Target {
  return tdmf('TDMF PASSTHRU', 'plain', 'mirror', false);
}

function normal(): Target {
  return tdmf('TDMF NORMAL', 'local', 'mirror', true);
}

function tdmf(name: string, local: string, mirror: string, mirroring: boolean): Target {
  const home = join(directory, `home-${local}`);
  const journal = join(directory, `journal-${local}`);
  const control = (...args: string[]) =>
    execFileSync(
      process.execPath,
      [join(packageRoot(), 'bin/tdmfctl.js'), '--home', home, ...args],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        encoding: 'utf8',
      },
    );
  return {
    name,
    uri: `nbd+unix:///g0/d0?socket=${join(home, 'run/nbd.sock')}`,
    async begin() {
      const fresh = !existsSync(home);
      if (fresh) {
        mkdirSync(journal);
        const port = String(20_000 + (process.pid % 10_000) + (mirroring ? 1 : 0));
        control('init', '-b', '1024', '--port', port);
        control(
          ...[
            'config',
            'add-group',
            '0',
            '--primary',
            '127.0.0.1',
            '--secondary',
            `127.0.0.1:${port}`,
          ],
          ...[
            '--journal',
            journal,
            '--cache',
            'direct',
            '--device',
            `d0=${image(local)}:${image(mirror)}`,
          ],
        );
      }
      const end = await daemon(process.execPath, join(home, 'run/control.sock'), [
        join(packageRoot(), 'bin/tdmfd.js'),
        '--home',
        home,
      ]);
      if (fresh) {
        control('start', '-g', '0');
        if (mirroring) control('launchrefresh', '-f', '-g', '0');
      }
      // Later rounds begin where a clean stop left the group.
      if (mirroring) {
        control('wait', '-g', '0', '--for', 'normal', '--timeout', '300');
        control('wait', '-g', '0', '--for', 'connected', '--timeout', '30');
      }
      if (!mirroring) return { end };
      return {
        async settle() {
          for (;;) {
            const [group] = (JSON.parse(control('info', '--json')) as TdmfInfo).groups;
            if (group?.role !== 'primary') throw new Error('no primary group 0');
            if (group.mode === 'NORMAL' && group.bab.entries === 0) return true;
            if (group.mode === 'TRACKING') {
              control('launchrefresh', '-f', '-g', '0');
              control('wait', '-g', '0', '--for', 'normal', '--timeout', '300');
              return false;
            }
            await pause(5);
          }
        },
        end,
      };
    },
  };
}

/** Starts a server and waits for its socket. */
async function daemon(file: string, socket: string, args: string[]): Promise<() => Promise<void>> {
  rmSync(socket, { force: true });
  const child = spawn(file, args, {
    stdio: ['ignore', 'ignore', values.quick ? 'inherit' : 'ignore'],
  });
  const kill = () => child.kill('SIGKILL');
  endings.push(kill);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  while (!(await answers(socket))) {
    if (child.exitCode !== null) throw new Error(`${file} ended with ${child.exitCode}`);
    await pause(20);
  }
  return async () => {
    child.kill('SIGTERM');
    await ended;
    endings.splice(endings.indexOf(kill), 1);
  };
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socket);
    probe.once('connect', () => resolve(true));
    probe.once('error', () => resolve(false));
    probe.once('connect', () => probe.destroy());
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

interface Job {
  readonly len: number;
  readonly offset: number;
}

interface Qmp {
  call(command: string, args: Record<string, string>): Promise<unknown>;
  close(): void;
}

async function openQmp(path: string): Promise<Qmp> {
  const socket = connect(path);
  socket.setEncoding('utf8');
  let buffer = '';
  const waiting: ((answer: Record<string, unknown>) => void)[] = [];
  socket.on('data', (text: string) => {
    buffer += text;
    const lines = buffer.split('\n');
    buffer = lines.pop() ?? '';
    for (const line of lines) {
      const answer = JSON.parse(line) as Record<string, unknown>;
      if (!('event' in answer) && !('QMP' in answer)) waiting.shift()?.(answer);
    }
  });
  const call = async (execute: string, args: Record<string, string>) => {
    const answer = await new Promise<Record<string, unknown>>((resolve) => {
      waiting.push(resolve);
      socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    });
    if ('error' in answer) throw new Error(`${execute}: ${JSON.stringify(answer['error'])}`);
    return answer['return'];
  };
  await call('qmp_capabilities', {});
  return { call, close: () => socket.destroy() };
}

function image(name: string): string {
  return join(directory, `${name}.img`);
}

/** Written once, so that no cell measures the file system's allocation. */
function makeImage(name: string): void {
  execFileSync(
    'dd',
    ['if=/dev/zero', `of=${image(name)}`, 'bs=4M', `count=${sizeMb / 4}`, 'oflag=direct'],
    {
      stdio: 'ignore',
    },
  );
}

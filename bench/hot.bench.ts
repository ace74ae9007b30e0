/**
 * What crash safety costs (H18): NORMAL with the usual hot regions, warm and cold, against NORMAL in
 * which one region covers the whole device, so that nothing is ever marked but once. The same files,
 * the same fio jobs, in one run, interleaved round by round. Prints medians and ratios.
 *
 *   node dist/bench/hot.bench.js [--rounds 3] [--seconds 2] [--size-mb 512] [--quick]
 *
 *   without   one region: a mark once, then nothing
 *   warm      4 MiB regions, each touched once before the measurement
 *   cold      8 regions stay hot, and the job is spread over all: most writes wait for the pstore
 */
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../src/config/package-version.js';

interface Variant {
  readonly name: string;
  readonly settings: string;
  readonly warm: boolean;
}

interface Cell {
  readonly name: string;
  readonly rw: 'randwrite' | 'write';
  readonly block: string;
  readonly depth: number;
}

interface Result {
  readonly iops: number;
  readonly p99Microseconds: number;
}

const variants: readonly Variant[] = [
  { name: 'without', settings: 'hotRegionMb: 1048576\n', warm: true },
  { name: 'warm', settings: '', warm: true },
  { name: 'cold', settings: 'hotRegions: 8\n', warm: false },
];

const cells: readonly Cell[] = [
  { name: '4 KiB random write, depth 1', rw: 'randwrite', block: '4k', depth: 1 },
  { name: '4 KiB random write, depth 16', rw: 'randwrite', block: '4k', depth: 16 },
  { name: '64 KiB write, depth 16', rw: 'write', block: '64k', depth: 16 },
];

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    'size-mb': { type: 'string', default: '512' },
    quick: { type: 'boolean', default: false },
  },
});
const rounds = values.quick ? 1 : Number(values.rounds);
const seconds = values.quick ? 1 : Number(values.seconds);
const sizeMb = values.quick ? 64 : Number(values['size-mb']);
const directory = mkdtempSync(join(tmpdir(), 'tdmf-bench-hot-'));
const endings: (() => void)[] = [];

try {
  await main();
} finally {
  for (const end of endings.toReversed()) end();
  rmSync(directory, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const results = new Map<string, Result[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [index, variant] of variants.entries()) {
      const end = await begin(variant, index);
      // Touches every region once, in order.
      if (variant.warm) fio(variant, ['--rw=write:4092k', '--bs=4k', '--iodepth=1']);
      settle(variant);
      for (const cell of cells) {
        const key = `${variant.name}/${cell.name}`;
        results.set(key, [...(results.get(key) ?? []), run(variant, cell)]);
        settle(variant);
      }
      await end();
    }
  }
  report(results);
}

function run(variant: Variant, { rw, block, depth }: Cell): Result {
  const timed = ['--time_based', `--runtime=${seconds}`, '--norandommap', '--randrepeat=0'];
  const text = fio(variant, [`--rw=${rw}`, `--bs=${block}`, `--iodepth=${depth}`, ...timed]);
  const [job] = (JSON.parse(text.slice(text.indexOf('{'))) as FioReport).jobs;
  const { iops, clat_ns } = job.write;
  return { iops, p99Microseconds: (clat_ns.percentile['99.000000'] ?? 0) / 1e3 };
}

function fio({ name }: Variant, job: readonly string[]): string {
  const uri = `nbd+unix:///g0/d0?socket=${join(directory, name, 'run/nbd.sock')}`;
  const fixed = ['--name=hot', '--ioengine=nbd', `--uri=${uri}`, `--size=${sizeMb}M`];
  const args = [...fixed, ...job, '--output-format=json'];
  const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
  return execFileSync('fio', args, { encoding: 'utf8', stdio, cwd: directory });
}

/** The mirror has everything, in NORMAL, before the next measurement. */
function settle(variant: Variant): void {
  for (const what of ['normal', 'drained']) {
    control(variant, 'wait', '-g', '0', '--for', what, '--timeout', '300');
  }
}

function control({ name }: Variant, ...args: readonly string[]): string {
  const file = join(packageRoot(), 'bin/tdmfctl.js');
  return execFileSync(process.execPath, [file, '--home', join(directory, name), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
}

/** Starts a tdmfd for the variant; the first time with a group that is refreshed from nothing. */
async function begin(variant: Variant, index: number): Promise<() => Promise<void>> {
  const home = join(directory, variant.name);
  const fresh = !existsSync(home);
  if (fresh) {
    const [local, mirror] = ['local', 'mirror'].map((side) => image(`${variant.name}-${side}`));
    const journal = join(directory, `${variant.name}-journal`);
    mkdirSync(journal);
    const port = String(20_000 + (process.pid % 10_000) + index);
    control(variant, 'init', '-b', '512', '--port', port);
    appendFileSync(join(home, 'tdmf.cfg'), variant.settings);
    const ends = ['--primary', '127.0.0.1', '--secondary', `127.0.0.1:${port}`];
    const device = ['--journal', journal, '--cache', 'direct', '--device', `d0=${local}:${mirror}`];
    control(variant, 'config', 'add-group', '0', ...ends, ...device);
  }
  const end = await daemon(home);
  if (fresh) {
    control(variant, 'start', '-g', '0');
    control(variant, 'launchrefresh', '-f', '-g', '0');
  }
  control(variant, 'wait', '-g', '0', '--for', 'normal', '--timeout', '300');
  return end;
}

async function daemon(home: string): Promise<() => Promise<void>> {
  const socket = join(home, 'run/control.sock');
  rmSync(socket, { force: true });
  const file = join(packageRoot(), 'bin/tdmfd.js');
  const child = spawn(process.execPath, [file, '--home', home], { stdio: 'ignore' });
  const kill = () => child.kill('SIGKILL');
  endings.push(kill);
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  while (!(await answers(socket))) {
    if (child.exitCode !== null) throw new Error(`tdmfd ended with ${child.exitCode}`);
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 20);
    });
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
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

/** Written once, so that no cell measures the file system's allocation. */
function image(name: string): string {
  const path = join(directory, `${name}.img`);
  const args = ['if=/dev/zero', `of=${path}`, 'bs=4M', `count=${sizeMb / 4}`, 'oflag=direct'];
  execFileSync('dd', args, { stdio: 'ignore' });
  return path;
}

function report(results: ReadonlyMap<string, Result[]>): void {
  const load = loadavg()[0]!.toFixed(1);
  console.log(
    `\n${rounds} rounds of ${seconds} s, ${sizeMb} MiB, O_DIRECT, Node ${process.versions.node}, ` +
      `${cpus().length} × ${cpus()[0]?.model}, load ${load}\n`,
  );
  console.log('| NORMAL | without | warm | cold | warm ÷ without | cold ÷ without |');
  console.log('|---|---|---|---|---|---|');
  for (const { name } of cells) {
    const [without, warm, cold] = variants.map((variant) =>
      medianOf(results.get(`${variant.name}/${name}`) ?? []),
    );
    const shown = [without, warm, cold].map(
      (one) => `${(one!.iops / 1000).toFixed(2)} k (p99 ${Math.round(one!.p99Microseconds)} µs)`,
    );
    const ratio = (one: Result) => (one.iops / without!.iops).toFixed(2);
    console.log(`| ${name} | ${shown.join(' | ')} | ${ratio(warm!)} | ${ratio(cold!)} |`);
  }
}

function medianOf(results: readonly Result[]): Result {
  const sorted = results.toSorted((a, b) => a.iops - b.iops);
  return sorted[Math.floor(sorted.length / 2)] ?? { iops: 0, p99Microseconds: 0 };
}

interface FioReport {
  readonly jobs: readonly [
    {
      readonly write: {
        readonly iops: number;
        readonly clat_ns: { readonly percentile: Readonly<Record<string, number>> };
      };
    },
  ];
}

/** A real tdmfd in a home of its own, driven by the real tdmfctl: what the e2e tests stand on. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { client } from '../../src/cli/client.js';
import { packageRoot } from '../../src/config/package-version.js';
import type { PrimaryInfo, TdmfInfo } from '../../src/info.js';

const bin = (name: string) => join(packageRoot(), 'bin', name);

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; never throws for its exit code. */
export function execute(
  file: string,
  args: readonly string[],
  options: { timeoutMs?: number; cwd?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
    execFile(
      file,
      args,
      {
        encoding: 'utf8',
        timeout: options.timeoutMs ?? 120_000,
        maxBuffer: 64 * 2 ** 20,
        env,
        cwd: options.cwd,
      },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
        resolve({
          code,
          stdout,
          stderr: stderr || (error?.message ?? ''),
        });
      },
    );
  });
}

/** As `execute`, but a failing program is a failing test that shows what it printed. */
export async function succeed(
  file: string,
  args: readonly string[],
  options: { timeoutMs?: number; cwd?: string } = {},
): Promise<string> {
  const { code, stdout, stderr } = await execute(file, args, options);
  if (code !== 0)
    throw new Error(`${file} ${args.join(' ')} ended with ${code}:\n${stderr}${stdout}`);
  return stdout;
}

export class TestHost {
  readonly directory: string;
  readonly home: string;
  port = 0;
  log = '';
  #daemon: ChildProcess | undefined;

  readonly #wrap: readonly string[];

  /** `wrap`: a program and its first arguments that runs tdmfd instead of us. */
  constructor(directory?: string, wrap: readonly string[] = []) {
    this.directory = directory ?? mkdtempSync(join(tmpdir(), 'tdmf-test-'));
    this.home = join(this.directory, 'home');
    this.#wrap = wrap;
    mkdirSync(this.path('journal'));
  }

  static async create(
    babMb = 64,
    options: { directory?: string; wrap?: readonly string[] } = {},
  ): Promise<TestHost> {
    const host = new TestHost(options.directory, options.wrap);
    host.port = await freePort();
    await host.control('init', '-b', String(babMb), '--port', String(host.port));
    return host;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  image(name: string, bytes: number): string {
    writeFileSync(this.path(name), '');
    truncateSync(this.path(name), bytes);
    return this.path(name);
  }

  uri(group = 0, device = 'd0'): string {
    return `nbd+unix:///g${group}/${device}?socket=${join(this.home, 'run/nbd.sock')}`;
  }

  /** tdmfctl, which must succeed. */
  control(...args: string[]): Promise<string> {
    return succeed(process.execPath, [bin('tdmfctl.js'), '--home', this.home, ...args]);
  }

  /** tdmfctl, whatever comes. */
  attempt(...args: string[]): Promise<Outcome> {
    return execute(process.execPath, [bin('tdmfctl.js'), '--home', this.home, ...args]);
  }

  /** As `info --json` prints it, asked without a tdmfctl: it is asked often. */
  info(): Promise<TdmfInfo> {
    return client(this.home).get<TdmfInfo>('/v1/info');
  }

  async primary(group = 0): Promise<PrimaryInfo> {
    const { groups } = await this.info();
    const found = groups.find((one) => one.role === 'primary' && one.group === group);
    if (found?.role !== 'primary') throw new Error(`no primary group ${group}`);
    return found;
  }

  /** Starts tdmfd and waits until it is ready. */
  start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const words = [...this.#wrap, process.execPath, bin('tdmfd.js'), '--home', this.home];
    const daemon = spawn(words[0]!, words.slice(1), {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#daemon = daemon;
    return new Promise((resolve, reject) => {
      daemon.stderr.setEncoding('utf8');
      daemon.stderr.on('data', (text: string) => {
        this.log += text;
        if (text.includes('tdmfd is ready')) resolve();
      });
      daemon.once('exit', (code) => reject(new Error(`tdmfd ended with ${code}:\n${this.log}`)));
    });
  }

  get pid(): number {
    return this.#daemon?.pid ?? 0;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<number | null> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined) return null;
    if (daemon.exitCode !== null || daemon.signalCode !== null) return daemon.exitCode;
    const ended = new Promise<number | null>((resolve) =>
      daemon.once('exit', (code) => resolve(code)),
    );
    daemon.kill(signal);
    return ended;
  }

  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

export function freePort(): Promise<number> {
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

/** Waits until `check` gives a value; fails with what was last seen after the limit. */
export async function eventually<T>(
  check: () => Promise<T | undefined | false>,
  what: string,
  limitMs = 30_000,
): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`'${what}' did not happen within ${limitMs} ms`);
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}

/**
 * PostgreSQL on a directory: as the application on the primary, and as the judge of a mirror. Run as
 * its own user, reachable only by a unix socket beside its data.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { succeed } from '../../helpers/daemon.js';
import { openDirectory } from './mounts.js';
import type { Scope } from './scope.js';

/** Debian keeps them off the path. */
const base = '/usr/lib/postgresql';
const asPostgres = ['--reuid=postgres', '--regid=postgres', '--clear-groups'];

export class Postgres {
  readonly #data: string;
  readonly #sockets: string;
  readonly #bin: string;
  #running = false;

  /** `sockets`: a directory that exists and that the user postgres may write to. */
  constructor(data: string, sockets: string) {
    this.#data = data;
    this.#sockets = sockets;
    const version = readdirSync(base).toSorted().at(-1);
    if (version === undefined) throw new Error(`PostgreSQL is not installed below ${base}`);
    this.#bin = join(base, version, 'bin');
  }

  run(program: string, ...words: string[]): Promise<string> {
    return succeed('setpriv', [...asPostgres, join(this.#bin, program), ...words], {
      cwd: '/',
      timeoutMs: 180_000,
    });
  }

  /** A new cluster with checksums and a pgbench database in it, started. */
  async create(): Promise<void> {
    mkdirSync(this.#data, { recursive: true });
    await succeed('chown', ['-R', 'postgres:postgres', this.#data]);
    await this.run('initdb', '-k', '--wal-segsize=1', '-A', 'trust', '-N', '-D', this.#data);
    const settings = [
      "listen_addresses = ''",
      'max_wal_size = 16MB',
      'min_wal_size = 2MB',
      'shared_buffers = 16MB',
      'checkpoint_timeout = 30s',
    ];
    appendFileSync(join(this.#data, 'postgresql.conf'), `${settings.join('\n')}\n`);
    await succeed('sync', ['-f', this.#data]);
    await this.start();
    await this.run('pgbench', '-h', this.#sockets, '-i', '-s', '1', '-q', 'postgres');
    await this.sql('create extension amcheck');
  }

  async start(): Promise<void> {
    // What the server of the primary left behind; its process is not on this machine.
    rmSync(join(this.#data, 'postmaster.pid'), { force: true });
    const options = `-c unix_socket_directories=${this.#sockets}`;
    const log = join(this.#sockets, 'log');
    const words = ['-w', '-s', '-D', this.#data, '-o', options, '-l', log, 'start'];
    await this.run('pg_ctl', ...words).catch((error: Error) => {
      throw new Error(`${error.message}\n${readFileSync(log, 'utf8')}`);
    });
    this.#running = true;
  }

  /** May be called twice. */
  async stop(how = 'fast'): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    await this.run('pg_ctl', '-w', '-s', '-D', this.#data, '-m', how, 'stop');
  }

  async sql(text: string): Promise<string> {
    return (await this.run('psql', '-h', this.#sockets, '-At', '-c', text, 'postgres')).trim();
  }

  /** Transfers between accounts until the scope, or the caller, ends them. */
  transfers(scope: Scope): ChildProcess {
    const words = ['-h', this.#sockets, '-n', '-c', '2', '-T', '86400', 'postgres'];
    const load = spawn('setpriv', [...asPostgres, join(this.#bin, 'pgbench'), ...words], {
      cwd: '/',
      stdio: 'ignore',
    });
    scope.defer(() => load.kill('SIGKILL'));
    return load;
  }

  /** Committed transfers; throws unless every sum agrees and amcheck finds nothing. */
  async judge(): Promise<number> {
    const sums = await this.sql(
      'select (select sum(abalance) from pgbench_accounts),' +
        ' (select sum(bbalance) from pgbench_branches), (select sum(tbalance) from pgbench_tellers),' +
        ' (select coalesce(sum(delta), 0) from pgbench_history)',
    );
    if (new Set(sums.split('|')).size !== 1) throw new Error(`the balances differ: ${sums}`);
    await this.run('pg_amcheck', '-h', this.#sockets, '--heapallindexed', 'postgres');
    return Number(await this.sql('select count(*) from pgbench_history'));
  }

  /** Of a stopped cluster. */
  async checksums(): Promise<void> {
    await this.run('pg_checksums', '-c', '-D', this.#data);
  }
}

/** A directory for sockets, out of the way of the data. */
export async function socketsFor(scope: Scope): Promise<string> {
  const sockets = openDirectory(scope);
  await succeed('chown', ['postgres:postgres', sockets]);
  return sockets;
}

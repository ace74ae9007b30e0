/**
 * fio behind nbdkit's retry filter: an application that does not know that its server is killed now
 * and then. It runs until it is ended; an I/O error ends it early, and that is a failure.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { eventually, type TestHost } from '../../helpers/daemon.js';
import type { Scope } from './scope.js';

export class Fio {
  readonly #fio: ChildProcess;
  #output = '';
  #ending = false;
  failure: string | undefined;

  private constructor(fio: ChildProcess) {
    this.#fio = fio;
    for (const stream of [fio.stdout, fio.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    fio.once('exit', (code) => {
      if (!this.#ending) this.failure = `fio ended with ${code}:\n${this.#output}`;
    });
  }

  static async start(scope: Scope, host: TestHost, device: string, bytes: number): Promise<Fio> {
    const front = host.path(`front-${device}.sock`);
    const server = spawn(
      'nbdkit',
      [
        ...['-f', '-U', front, '--filter=retry', 'nbd', `socket=${host.home}/run/nbd.sock`],
        ...[`export=g0/${device}`, 'retry=60'],
        ...['retries=60', 'retry-delay=1', 'retry-exponential=no'],
      ],
      { stdio: 'ignore' },
    );
    scope.defer(() => ended(server));
    await eventually(async () => existsSync(front), 'nbdkit listens');
    const fio = spawn(
      'fio',
      [
        ...['--name=w', '--thread', '--ioengine=nbd', `--uri=nbd+unix:///?socket=${front}`],
        ...['--rw=randwrite', '--bsrange=4k-64k', '--blockalign=4k', '--iodepth=4'],
        ...[`--size=${bytes}`, '--norandommap', '--randrepeat=0', '--time_based'],
        ...['--runtime=86400', '--rate_iops=400'],
      ],
      { cwd: host.directory, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const load = new Fio(fio);
    scope.defer(() => load.end());
    return load;
  }

  /** No new requests; what is on its way comes to its end in nbdkit. */
  pause(): void {
    this.#fio.kill('SIGSTOP');
  }

  resume(): void {
    this.#fio.kill('SIGCONT');
  }

  async end(): Promise<void> {
    this.#ending = true;
    await ended(this.#fio);
  }
}

export function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

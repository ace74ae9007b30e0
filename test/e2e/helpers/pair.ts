/**
 * Two hosts, a link with a bad network between them, and one group with some devices: what every
 * soak stands on. Waiting is awaiting: NORMAL, drained, equal. What a soak had to do by hand is
 * counted, because the ways back to NORMAL are the product's.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PrimaryInfo, SecondaryInfo } from '../../../src/info.js';
import { eventually, succeed, TestHost } from '../../helpers/daemon.js';
import { LinkProxy } from '../../helpers/link-proxy.js';
import { moment } from './chance.js';
import type { Scope } from './scope.js';

export interface PairOptions {
  readonly devices?: Readonly<Record<string, number>>;
  readonly babMb?: number;
  readonly primary?: TestHost;
  readonly secondary?: TestHost;
  /** Lines of `tunables` in the configuration. */
  readonly tunables?: Readonly<Record<string, string | number>>;
}

export interface MirroredDevice {
  readonly name: string;
  readonly bytes: number;
  readonly local: string;
  readonly mirror: string;
}

export class Pair {
  readonly primary: TestHost;
  readonly secondary: TestHost;
  readonly proxy: LinkProxy;
  readonly devices: readonly MirroredDevice[];
  /** How often the way back to NORMAL had to be ordered. */
  orders = 0;

  private constructor(
    primary: TestHost,
    secondary: TestHost,
    proxy: LinkProxy,
    devices: readonly MirroredDevice[],
  ) {
    this.primary = primary;
    this.secondary = secondary;
    this.proxy = proxy;
    this.devices = devices;
  }

  /** Configured, not started. Group 0 on both. */
  static async create(scope: Scope, options: PairOptions = {}): Promise<Pair> {
    const { devices = { d0: 32 * 2 ** 20 }, babMb = 64, tunables } = options;
    const primary = options.primary ?? (await TestHost.create(babMb));
    scope.defer(() => primary.remove());
    const secondary = options.secondary ?? (await TestHost.create(8));
    scope.defer(() => secondary.remove());
    const proxy = await LinkProxy.to(secondary.port);
    scope.defer(() => proxy.close());
    const mirrored = Object.entries(devices).map(([name, bytes]) => ({
      name,
      bytes,
      local: primary.image(`${name}.img`, bytes),
      mirror: secondary.image(`${name}.mirror`, bytes),
    }));
    await primary.control(
      ...['config', 'add-group', '0', '--primary', 'alpha'],
      ...['--secondary', `127.0.0.1:${proxy.port}`, '--journal', secondary.path('journal')],
      ...mirrored.flatMap((one) => ['--device', `${one.name}=${one.local}:${one.mirror}`]),
    );
    if (tunables !== undefined) {
      const path = join(primary.home, 'p000.cfg');
      const text = await succeed('cat', [path]);
      const lines = Object.entries(tunables).map(([name, value]) => `  ${name}: ${value}\n`);
      writeFileSync(path, `${text.replace(/^tunables:.*\n/m, '')}tunables:\n${lines.join('')}`);
    }
    const config = await primary.control('config', 'export-secondary', '-g', '0');
    writeFileSync(join(secondary.home, 's000.cfg'), config, { mode: 0o600 });
    return new Pair(primary, secondary, proxy, mirrored);
  }

  /** Both tdmfd run, the group is started and, if not said otherwise, has been copied once. */
  async begin({ refresh = true } = {}): Promise<void> {
    await this.secondary.start();
    await this.primary.start();
    await this.primary.control('start', '-g', '0');
    if (!refresh) return;
    await this.primary.control('launchrefresh', '-f', '-g', '0');
    await this.normal();
  }

  /** The group as the primary shows it; undefined while its tdmfd does not answer. */
  async state(): Promise<PrimaryInfo | undefined> {
    return this.primary.primary().catch(() => undefined);
  }

  async mirrorSide(): Promise<SecondaryInfo | undefined> {
    const info = await this.secondary.info().catch(() => undefined);
    const found = info?.groups.find(({ role, group }) => role === 'secondary' && group === 0);
    return found?.role === 'secondary' ? found : undefined;
  }

  /**
   * Waits until NORMAL and connected. A group that stays where nothing leads out by itself is sent
   * on its way by the operator's command, and that is counted.
   */
  async normal(limitMs = 60_000): Promise<void> {
    let stuckSince: number | undefined;
    await eventually(
      async () => {
        const group = await this.state();
        if (group === undefined) return false;
        if (group.connection === 'CONNECTED' && group.mode === 'NORMAL') return true;
        const stuck = group.mode === 'PASSTHRU' || group.mode === 'TRACKING';
        if (!stuck) stuckSince = undefined;
        else stuckSince ??= performance.now();
        if (stuckSince !== undefined && performance.now() - stuckSince > stuckMs) {
          stuckSince = undefined;
          this.orders++;
          await this.order();
        }
        return false;
      },
      'NORMAL again',
      limitMs,
    ).catch(async (error: Error) => {
      throw new Error(`${error.message}\n${await this.story()}`);
    });
  }

  /** What an operator would type when told that nothing happens by itself. */
  async order(): Promise<void> {
    await this.primary.attempt('launchrefresh', '-f', '-g', '0');
  }

  /** Everything written is on the mirror, applied and flushed. Nobody may write meanwhile. */
  async drained(): Promise<void> {
    await this.primary.control('sync', '-g', '0');
    await this.primary.control('wait', '-g', '0', '--for', 'drained', '--timeout', '60');
  }

  async equal(): Promise<void> {
    for (const { local, mirror } of this.devices) {
      await succeed('cmp', [local, mirror]).catch(async (error: Error) => {
        throw new Error(`${error.message}\n${await this.story()}`);
      });
    }
  }

  /** The last events of both sides, for whoever must find out. */
  async story(): Promise<string> {
    const last = async (host: TestHost) => {
      const { stdout } = await host.attempt('events', '--since', '0');
      const { stdout: status } = await host.attempt('status');
      return `${stdout.split('\n').slice(-40).join('\n')}\n${status}`;
    };
    return `primary:\n${await last(this.primary)}\nsecondary:\n${await last(this.secondary)}`;
  }

  /** Nothing was written for a while: clients that retry have caught up. */
  async quiet(forMs: number): Promise<void> {
    let last = -1;
    for (let since = performance.now(); performance.now() - since < forMs; await moment(100)) {
      const group = await this.primary.primary();
      const writes = group.devices.reduce((sum, device) => sum + device.writes, 0);
      if (writes !== last) since = performance.now();
      last = writes;
    }
  }
}

/** A group that stays without a way out for so long has none: retries pause for less. */
const stuckMs = 15_000;

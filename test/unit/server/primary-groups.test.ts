/** Starting, stopping and restarting groups around crashes, with an actor system that a test plays. */
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Address } from '../../../src/actors/actor.js';
import { listGroups } from '../../../src/config/files.js';
import { home } from '../../../src/config/home.js';
import { GroupControlView } from '../../../src/core/bab/control.js';
import { TdmfError } from '../../../src/core/errors.js';
import { type Io, openIo } from '../../../src/io/open-io.js';
import { SystemClock } from '../../../src/io/system-clock.js';
import type { ActorSystem, SpawnSpec } from '../../../src/runtime/actor-system.js';
import { PrimaryGroups } from '../../../src/server/primary-groups.js';
import { SharedPool } from '../../../src/server/shared-pool.js';
import { makeScratch } from '../../helpers/scratch.js';

const deviceBytes = 1 << 20;
const restart = { kind: 'restart', attempt: 1, delayMs: 0 } as const;

class Bench {
  readonly spawned: string[] = [];
  readonly stopped: string[] = [];
  mode = 'NORMAL';
  /** Runs before the actor with this id has started. */
  readonly before = new Map<string, () => Promise<void>>();
  control: GroupControlView | undefined;
  /** Set: the driver finds the device with another size than the server did. */
  resized: string | undefined;
  readonly groups: PrimaryGroups;
  readonly pool: SharedPool;
  readonly directory: string;
  readonly #io: Io;

  static async start(t: ExecutionContext): Promise<Bench> {
    const scratch = await makeScratch();
    t.teardown(() => scratch.remove());
    const io = openIo('threads');
    t.teardown(() => io.close());
    return new Bench(scratch.path('.'), io);
  }

  private constructor(directory: string, io: Io) {
    this.directory = directory;
    this.#io = io;
    this.pool = new SharedPool(64, io);
    const quiet = { write: () => {}, with: () => quiet };
    this.groups = new PrimaryGroups({
      home: home(directory),
      system: this.#system(),
      log: quiet,
      publish: () => {},
      nodeId: 'ab'.repeat(16),
      version: 'test',
      io,
      pool: this.pool,
      pstorePath: 'pstore',
      tcpWindowKb: 0,
      hotRegionMb: 4,
      hotRegions: 1024,
      clock: new SystemClock(),
    });
  }

  async configure(group: number, data: string): Promise<void> {
    const at = home(this.directory);
    await writeFile(at.resolve(data), '');
    await truncate(at.resolve(data), deviceBytes);
    const config = {
      group,
      primary: { host: 'a' },
      secondary: { host: 'b', journal: '/journal' },
      secret: Buffer.alloc(32).toString('base64'),
      devices: [{ name: 'd0', data: at.resolve(data), mirror: '/mirror' }],
    };
    await writeFile(at.groupFile('p.cfg', group), JSON.stringify(config));
  }

  resumed(): Promise<number[]> {
    return listGroups(home(this.directory), 'p.cur');
  }

  #system(): ActorSystem {
    const address = { id: '', tell: () => true, ask: () => Promise.reject(new Error('no')) };
    return {
      hosts: 2,
      spawn: async ({ id, options }: SpawnSpec) => {
        await this.before.get(id)?.();
        this.spawned.push(id);
        const { shared } = options as { shared?: { control: SharedArrayBuffer } };
        if (shared !== undefined) this.control = new GroupControlView(shared.control);
        return address as Address<never>;
      },
      ask: (id: string, question: { kind: string }) => this.#answer(id, question.kind),
      address: () => address,
      stopActor: async () => {},
      stopSet: async (set: string) => {
        this.stopped.push(set);
      },
    } as unknown as ActorSystem;
  }

  async #answer(id: string, kind: string): Promise<unknown> {
    if (id.endsWith('/driver')) {
      if (kind === 'driver.connections') return 0;
      if (kind !== 'driver.share') return undefined;
      const found = { path: 'd', sizeBytes: deviceBytes, logicalBlockBytes: 512 };
      if (this.resized === undefined) return [found];
      const device = await this.#io.open({ path: this.resized, access: 'readwrite' });
      const shared = device.share();
      await device.close();
      return [{ ...shared, sizeBytes: deviceBytes / 2 }];
    }
    return { mode: this.mode, connection: 'CONNECTED', reasons: [], refresh: null, problem: null };
  }
}

test.serial(
  'H22, Rule 42a: a group that is stopped while it is restarted does not come back',
  async (t) => {
    const bench = await Bench.start(t);
    await bench.configure(0, 'data');
    await bench.groups.start(0);
    bench.spawned.length = 0;
    let stop: Promise<void> | undefined;
    bench.before.set('g0/driver', async () => {
      stop = bench.groups.stop(0, { force: true });
      await new Promise((resolve) => setImmediate(resolve));
    });
    await bench.groups.setFailed('g0', restart, new Error('crash'));
    await stop;
    t.deepEqual(bench.stopped, ['g0']);
    t.deepEqual(bench.spawned, ['g0/driver', 'g0/pmd', 'g0/group'], 'all of it before the stop');

    bench.before.clear();
    await bench.groups.start(0);
    bench.spawned.length = 0;
    const stopping = bench.groups.stop(0, { force: true });
    const again = bench.groups.start(0);
    await bench.groups.setFailed('g0', restart, new Error('crash of the one before'));
    await Promise.all([stopping, again]);
    t.deepEqual(bench.spawned, ['g0/driver', 'g0/pmd', 'g0/group'], 'one start, no restart');
  },
);

test.serial('a group whose start was refused is not started at the next boot', async (t) => {
  const bench = await Bench.start(t);
  await bench.configure(0, 'data');
  bench.before.set('g0/group', () =>
    Promise.reject(new TdmfError('TDMF_PSTORE_FULL', { path: 'p' })),
  );
  await t.throwsAsync(bench.groups.start(0), { code: 'TDMF_PSTORE_FULL' });
  t.deepEqual(await bench.resumed(), []);
  bench.before.clear();
  await bench.groups.start(0);
  t.deepEqual(await bench.resumed(), [0]);
});

test.serial('I18: a sync whose entries were dropped is refused', async (t) => {
  const bench = await Bench.start(t);
  await bench.configure(0, 'data');
  await bench.groups.start(0);
  const control = bench.control!;
  control.setCursor('published', 3);
  const sync = bench.groups.sync(0);
  await new Promise((resolve) => setTimeout(resolve, 30));
  bench.mode = 'REFRESH';
  control.setCursor('durable', 3);
  await t.throwsAsync(sync, { code: 'TDMF_MODE_REFUSED' });
});

test.serial(
  'I20: a device that has another size than when the group was started is refused',
  async (t) => {
    const bench = await Bench.start(t);
    await bench.configure(0, 'data');
    await bench.groups.start(0);
    bench.spawned.length = 0;
    bench.resized = join(bench.directory, 'data');
    const failed = bench.groups.setFailed('g0', restart, new Error('crash'));
    await t.throwsAsync(failed, { code: 'TDMF_DEVICE_SIZE' });
    t.deepEqual(bench.spawned, ['g0/driver']);
    // Nothing holds the device: its lock is on the description that the driver had shared (H22).
    bench.resized = undefined;
    await bench.groups.stop(0, { force: true });
    await bench.groups.start(0);
  },
);

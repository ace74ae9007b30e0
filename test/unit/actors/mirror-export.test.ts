/** A mirror that is handed out: applications write it, and every block they write is known (Rule 10b). */
import test from 'ava';
import type { Actor } from '../../../src/actors/actor.js';
import { type MirrorExportMessage, startMirrorExport } from '../../../src/actors/mirror-export.js';
import type { RecoEnd } from '../../../src/actors/reco.js';
import { mapBlockBytes } from '../../../src/core/constants.js';
import {
  NbdClient,
  type NbdOutcome,
  type NbdRequest,
  nbdCommand,
} from '../../../src/testing/nbd-client.js';
import { ThreadArenas } from '../../../src/testing/sim-host.js';
import { SimStream } from '../../../src/testing/stream.js';
import { changesOf, handedOut } from '../../helpers/handed-out.js';
import { recoOf } from '../../helpers/recoverable.js';
import { journalDirectory, Secondary } from '../../helpers/secondary.js';
import { type SimActorContext, simContext } from '../../helpers/sim-actor.js';

const deviceBytes = 16 * 2 ** 20;
const ownPath = `${journalDirectory}/j007.own`;

class ExportBench {
  readonly secondary: Secondary;
  readonly streams = new Map<number, SimStream>();
  context!: SimActorContext;
  actor!: Actor<MirrorExportMessage>;
  #fd = 10;

  constructor(secondary: Secondary) {
    this.secondary = secondary;
  }

  async start(): Promise<this> {
    const { world, process } = this.secondary;
    this.context = simContext(world, process, 'x7/export');
    Object.assign(this.context.ports, {
      streams: { adoptStream: (fd: number) => this.streams.get(fd)! },
    });
    this.actor = await startMirrorExport(this.context, {
      group: 7,
      journal: journalDirectory,
      devices: [{ name: 'd0', mirror: '/m0' }],
    });
    return this;
  }

  connect(device = 'd0'): NbdClient {
    const { world, process } = this.secondary;
    const fd = this.#fd++;
    const stream = new SimStream(world.clock, new ThreadArenas(process));
    this.streams.set(fd, stream);
    const client = new NbdClient(stream);
    this.actor.receive({
      type: 'export.connection',
      ...{ fd, device, structuredReplies: false, baseAllocation: false },
      leftover: new Uint8Array(0),
    });
    return client;
  }

  async ask(client: NbdClient, request: NbdRequest): Promise<NbdOutcome> {
    let outcome: NbdOutcome | undefined;
    client.send(request, (done) => {
      outcome = done;
    });
    await this.secondary.world.until(() => outcome !== undefined, 10_000, 'an answer');
    return outcome!;
  }

  async write(client: NbdClient, offset: number, length: number, fill: number): Promise<void> {
    const payload = new Uint8Array(length).fill(fill);
    const { error } = await this.ask(client, {
      command: nbdCommand.write,
      offset,
      length,
      payload,
    });
    if (error !== 0) throw new Error(`a write failed with ${error}`);
  }

  /** The client leaves; everything it held is let go. */
  async leave(stream: SimStream): Promise<void> {
    stream.clientEnds();
    const free = () => this.secondary.node.disk('/m0').holders === 0;
    await this.secondary.world.until(free, 10_000, 'the mirror is let go');
    const closed = () => this.secondary.node.disk(ownPath).holders === 0;
    await this.secondary.world.until(closed, 10_000, 'the map is let go');
  }

  last(): SimStream {
    return [...this.streams.values()].at(-1)!;
  }

  look(): Promise<RecoEnd> {
    return recoOf(this.secondary).ask<RecoEnd>({ kind: 'reco.look' });
  }
}

async function bench(seed = 1): Promise<ExportBench> {
  const secondary = new Secondary(seed, [deviceBytes]);
  await handedOut(secondary);
  return new ExportBench(secondary).start();
}

test('what a client writes is on the mirror, read back, and known to the block', async (t) => {
  const exported = await bench();
  const client = exported.connect();
  await exported.write(client, 3 * mapBlockBytes + 512, 1024, 7);
  await exported.write(client, 200 * mapBlockBytes - 512, 1024, 8);
  const read = { command: nbdCommand.read, offset: 3 * mapBlockBytes, length: 1536 };
  const { data } = await exported.ask(client, read);
  t.deepEqual([data?.[0], data?.[512], data?.[1535]], [0, 7, 7]);
  const mirror = exported.secondary.mirror();
  t.deepEqual([mirror[200 * mapBlockBytes - 512], mirror[200 * mapBlockBytes]], [8, 8]);
  await exported.leave(exported.last());
  t.like(await exported.look(), { changes: 'known', bytes: 3 * mapBlockBytes });
});

test('Rule 10b: whole regions are marked, durably, before the first write of them', async (t) => {
  const exported = await bench();
  const { secondary } = exported;
  const disk = secondary.node.disk('/m0');
  const order: string[] = [];
  disk.landed = () => order.push('mirror');
  const client = exported.connect();
  const opened = () => secondary.node.disks.has(ownPath) && disk.holders === 1;
  await secondary.world.until(opened, 10_000, 'the mirror is held');
  secondary.node.disk(ownPath).fault = (operation) => {
    order.push(operation);
    return 0;
  };
  await exported.write(client, 5 * mapBlockBytes, 512, 1);
  await exported.write(client, 6 * mapBlockBytes, 512, 1);
  t.deepEqual(order.slice(-4), ['write', 'flush', 'mirror', 'mirror'], 'one sync a region');
  const { durable } = secondary.node.disk(ownPath);
  t.deepEqual([...durable.subarray(8192, 8202)], [...Array<number>(8).fill(255), 0, 0]);
});

test('a flush and a forced write are durable, a trim reads as zeroes', async (t) => {
  const exported = await bench();
  const client = exported.connect();
  await exported.write(client, 0, 4096, 9);
  t.is((await exported.ask(client, { command: nbdCommand.flush, offset: 0, length: 0 })).error, 0);
  const disk = exported.secondary.node.disk('/m0');
  t.is(disk.durable[0], 9);
  const payload = new Uint8Array(512).fill(3);
  const forced = { command: nbdCommand.write, offset: 8192, length: 512, payload, fua: true };
  t.is((await exported.ask(client, forced)).error, 0);
  t.is(disk.durable[8192], 3);
  const trim = { command: nbdCommand.trim, offset: 0, length: 4096 };
  t.is((await exported.ask(client, trim)).error, 0);
  t.is(disk.live[0], 0);
});

test('Rule 22: it is held as long as there is a client, and no longer', async (t) => {
  const exported = await bench();
  const { secondary } = exported;
  exported.connect();
  const first = exported.last();
  const second = exported.connect();
  await exported.write(second, 0, 512, 1);
  t.is(await exported.actor.ask!({ kind: 'export.clients' }), 2);
  t.is(secondary.node.disk('/m0').holders, 1);
  first.clientEnds();
  await exported.write(second, 512, 512, 1);
  t.is(secondary.node.disk('/m0').holders, 1);
  await exported.leave(exported.last());
  t.is(await exported.actor.ask!({ kind: 'export.clients' }), 0);
  const third = exported.connect();
  await exported.write(third, 8 * mapBlockBytes, 512, 1);
  await exported.leave(exported.last());
  t.like(await exported.look(), { bytes: 2 * mapBlockBytes }, 'what was known stays known');
});

test('Rule 15c: who writes around it is noticed at the next client too, and is not forgotten', async (t) => {
  const exported = await bench();
  const { secondary } = exported;
  await exported.write(exported.connect(), 0, 512, 1);
  await exported.leave(exported.last());
  secondary.node.disk('/m0').landings += 1;
  t.like(await exported.look(), { changes: 'unknown' });
  await exported.write(exported.connect(), 0, 512, 1);
  await exported.leave(exported.last());
  t.like(await exported.look(), { changes: 'known', bytes: deviceBytes }, 'all of it, to be safe');
});

for (const how of ['kill', 'powerCut'] as const) {
  test(`I5: after a ${how} what was written is marked, whenever it comes`, async (t) => {
    let known = 0;
    for (let events = 5; events < 160; events += 6) {
      const exported = await bench(events);
      const { secondary } = exported;
      const client = exported.connect();
      for (const block of [0, 70, 1, 140, 71]) {
        const payload = new Uint8Array(512).fill(1);
        const request = { command: nbdCommand.write, offset: block * mapBlockBytes, length: 512 };
        client.send({ ...request, payload }, () => undefined);
      }
      for (let event = 0; event < events; event++) await secondary.world.step();
      await secondary.restart(how);
      const mirror = secondary.mirror();
      const { bitmaps, changes } = await changesOf(secondary);
      if (changes === 'known') known++;
      for (let block = 0; block < deviceBytes / mapBlockBytes; block++) {
        if (mirror[block * mapBlockBytes] === 0) continue;
        const marked = ((bitmaps[0]?.[block >> 3] ?? 0) >> (block & 7)) & 1;
        t.true(changes === 'unknown' || marked === 1, `block ${block} after ${events} events`);
      }
    }
    t.true(known > 10, `known ${known} times`);
  });
}

test('a mirror that is not handed out turns clients away', async (t) => {
  const secondary = new Secondary(1, [deviceBytes]);
  await handedOut(secondary);
  await recoOf(secondary).ask({ kind: 'reco.end' });
  const exported = await new ExportBench(secondary).start();
  const client = exported.connect();
  await secondary.world.until(() => !client.connected, 10_000, 'turned away');
  t.is(secondary.node.disk('/m0').holders, 0);
  const nobody = exported.connect('d9');
  await secondary.world.until(() => !nobody.connected, 10_000, 'turned away');
  t.deepEqual(exported.context.failures, []);
});

test('a map that cannot be written fails the write, not the mirror (Rule 28b)', async (t) => {
  const exported = await bench();
  const { secondary } = exported;
  const client = exported.connect();
  const opened = () =>
    secondary.node.disks.has(ownPath) && secondary.node.disk('/m0').holders === 1;
  await secondary.world.until(opened, 10_000, 'the mirror is held');
  await secondary.world.run(50);
  secondary.node.disk(ownPath).fault = (operation) => (operation === 'write' ? 28 : 0);
  const payload = new Uint8Array(512).fill(1);
  const request = { command: nbdCommand.write, offset: 0, length: 512, payload };
  t.not((await exported.ask(client, request)).error, 0);
  t.is(secondary.mirror()[0], 0);
  secondary.node.disk(ownPath).fault = undefined;
  t.is((await exported.ask(client, request)).error, 0);
  t.is(secondary.mirror()[0], 1);
});

test('stopping it ends the clients and lets everything go', async (t) => {
  const exported = await bench();
  const client = exported.connect();
  await exported.write(client, 0, 512, 1);
  await exported.secondary.world.settled(exported.actor.stop());
  t.false(client.connected);
  t.is(exported.secondary.node.disk('/m0').holders, 0);
  t.is(exported.secondary.node.disk(ownPath).holders, 0);
  t.like(await exported.look(), { changes: 'known', bytes: mapBlockBytes });
});

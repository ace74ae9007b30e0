/** From a stop to the next start: what differs is in a file, or in the pstore, or both (Rule 31, I5). */
import test from 'ava';
import { restoreDirt, saveDirt } from '../../../src/actors/group-dirt.js';
import type { GroupOptions } from '../../../src/actors/group-options.js';
import type { HeatDirt } from '../../../src/actors/heat-messages.js';
import { DeviceMap } from '../../../src/core/bitmap/device-map.js';
import { mapBlockBytes } from '../../../src/core/constants.js';
import type { StartDirt } from '../../../src/core/pstore/start.js';
import { DriverBench, filled } from '../../helpers/driver-bench.js';
import { simContext } from '../../helpers/sim-actor.js';

const mapFile = '/home/p000.map';

/** A driver wrote three blocks that were never sent, tracked one more, and was stopped. */
async function stopped() {
  const bench = await DriverBench.start();
  await bench.normal();
  const client = bench.client();
  for (const block of [3, 4, 9]) {
    await client.reply(client.write(block * mapBlockBytes, filled(4096, 1)));
  }
  bench.maps[0]!.markCompare(20 * mapBlockBytes, mapBlockBytes);
  await bench.world.settled(bench.driver!.stop());
  bench.node.kill();
  const context = simContext(bench.world, bench.node.process(), 'g0/group');
  const sizeBytes = bench.disks[0]!.sizeBytes;
  const devices = [{ name: 'd0', sizeBytes, mtimeMs: 0 }];
  const { shared } = bench;
  const options: GroupOptions = {
    group: 0,
    control: shared.control,
    devices,
    tunables: {},
    shared,
    mapFile,
  };
  const token = await bench.world.settled(saveDirt(context, options));
  const start = async (which: StartDirt, dirt: HeatDirt, savedMap = token) => {
    const memory = new SharedArrayBuffer(DeviceMap.bytesFor(sizeBytes));
    const next: GroupOptions = { ...options, shared: { ...shared, maps: [memory] } };
    const found = { dirt, heatKnown: true, released: [] };
    await bench.world.settled(restoreDirt(context, next, which, found, savedMap));
    return new DeviceMap(memory, sizeBytes);
  };
  return { bench, token, start };
}

const blocksOf = (map: DeviceMap, which: 'persisted' | 'todo' | 'compare') =>
  Array.from({ length: map.blockCount }, (_, block) => block).filter((block) =>
    map[which].has(block),
  );

const unknown: HeatDirt = { devices: [undefined], released: [], damage: [] };

test('Rule 31: what the BAB still held is dirt behind a clean stop, block by block', async (t) => {
  const { token, start } = await stopped();
  t.truthy(token);
  const map = await start('saved', unknown);
  t.deepEqual(blocksOf(map, 'persisted'), [3, 4, 9, 20]);
  t.deepEqual(blocksOf(map, 'todo'), [3, 4, 9, 20]);
  t.deepEqual(blocksOf(map, 'compare'), [20]);
});

test('a map that cannot be read is replaced by what the pstore has, never by nothing', async (t) => {
  const { bench, start } = await stopped();
  const all = bench.maps[0]!.blockCount;
  bench.node.files.files.set(mapFile, new Uint8Array(40));
  t.is((await start('saved', unknown)).compare.count, all);
  bench.node.files.files.delete(mapFile);
  const regionBytes = 16 * mapBlockBytes;
  const { sizeBytes } = bench.disks[0]!;
  const coarse: HeatDirt = {
    ...unknown,
    devices: [
      {
        sizeBytes,
        regionBytes,
        unitBytes: 2 * mapBlockBytes,
        hot: Uint8Array.of(1),
        dirty: Uint8Array.of(0, 0, 1),
      },
    ],
  };
  const map = await start('saved', coarse);
  const expected = [...Array.from({ length: 16 }, (_, block) => block), 32, 33];
  t.deepEqual(blocksOf(map, 'persisted'), expected);
  t.deepEqual(blocksOf(map, 'compare'), expected, 'Rule 36: compared, not copied');
  t.is((await start('all', coarse)).compare.count, all);
  t.is((await start('none', coarse)).persisted.count, 0);
});

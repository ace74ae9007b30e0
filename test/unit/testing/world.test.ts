import test from 'ava';
import { IoVector } from '../../../src/core/io-vector.js';
import { SimNode } from '../../../src/testing/node.js';
import { SimWorld } from '../../../src/testing/world.js';

async function orderOf(seed: number): Promise<number[]> {
  const world = new SimWorld(seed);
  const order: number[] = [];
  for (let i = 0; i < 20; i++) world.soon(5, 'x', () => order.push(i));
  await world.run(10);
  return order;
}

test('one seed gives one run', async (t) => {
  t.deepEqual(await orderOf(7), await orderOf(7));
  t.notDeepEqual(await orderOf(7), await orderOf(8));
});

test('writes complete in any order, and a power cut loses only what was not flushed', async (t) => {
  const world = new SimWorld(3);
  const node = new SimNode(world, 'a');
  const disk = node.addDisk('/d', 65536);
  const process = node.process();
  const device = await process.open({ path: '/d', access: 'readwrite' });
  const memory = process.allocate(65536);
  memory.bytes.fill(7);
  const completions: number[] = [];
  const sink = {
    completed: (tag: number, result: number) => {
      t.true(result >= 0);
      completions.push(tag);
    },
  };
  for (let i = 0; i < 8; i++) {
    device.write(new IoVector(1).single(memory.arena, 0, 4096), i * 4096, false, sink, i);
  }
  await world.until(() => completions.length === 8, 100, 'writes');
  t.notDeepEqual(
    completions,
    completions.toSorted((a, b) => a - b),
    'completion order is random',
  );
  device.flush(sink, 99);
  await world.until(() => completions.includes(99), 100, 'flush');
  device.write(new IoVector(1).single(memory.arena, 0, 8192), 40960, false, sink, 100);
  await world.until(() => completions.includes(100), 100, 'write');
  node.powerCut();
  t.true(disk.live.subarray(0, 32768).every((b) => b === 7));
  const kept = disk.live.subarray(40960, 49152).filter((b) => b === 7).length;
  t.true(kept > 0 && kept < 8192 && kept % 512 === 0, `some sectors are lost: ${kept}`);
  t.is(disk.holders, 0);
});

test('a second open of a held disk is refused until the first is closed', async (t) => {
  const world = new SimWorld(1);
  const node = new SimNode(world, 'a');
  node.addDisk('/d', 4096);
  const process = node.process();
  const device = await process.open({ path: '/d', access: 'readwrite' });
  await t.throwsAsync(process.open({ path: '/d', access: 'read' }), { code: 'TDMF_DEVICE_BUSY' });
  const shared = device.share();
  await device.close();
  await t.throwsAsync(process.open({ path: '/d', access: 'read' }), { code: 'TDMF_DEVICE_BUSY' });
  await process.adopt(shared).close();
  await t.notThrowsAsync(process.open({ path: '/d', access: 'read' }));
});

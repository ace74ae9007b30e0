/** A pstore that moves: at every instant there is one, whole, that the pointer names (Rule 54b). */
import test from 'ava';
import { addChange, type HeatAnswer, type HeatDirt } from '../../../src/actors/heat-messages.js';
import { copyPstore, retirePstore } from '../../../src/actors/pstore-move.js';
import { pstoreBytes } from '../../../src/core/pstore/layout.js';
import { firstRecord } from '../../../src/core/pstore/record.js';
import { PstoreHost } from '../../helpers/pstore-host.js';

const other = '/elsewhere';
const devices = [{ name: 'd0', sizeBytes: 64 * 2 ** 20 }];
const stamps = devices.map((device) => ({ ...device, mtimeMs: 0 }));

async function filled(seed = 1): Promise<PstoreHost> {
  const host = await PstoreHost.with(3, seed);
  for (const group of [0, 5]) {
    await host.saved(firstRecord(group, 'e'.repeat(32), stamps, {}));
    const { token } = await host.ask<HeatAnswer>({ kind: 'pstore.heat.open', group, devices });
    const changes: number[] = [];
    addChange(changes, 0, 'clean', 0, 1024);
    addChange(changes, 0, 'heat', group, 2);
    await host.ask({ kind: 'pstore.heat.change', group, token, changes });
  }
  await host.stop();
  return host;
}

/** What `init -p` does; `switched` is the moment at which the pointer is durable. */
async function moving(host: PstoreHost, switched: () => void, capacityBytes?: number) {
  const opener = host.process;
  const open = (path: string) =>
    opener.open({ path, access: 'readwrite', growable: true, createBytes: 4096 });
  const from = { device: await open('/pstore'), opener };
  try {
    const to = { device: await open(other), opener, capacityBytes };
    try {
      await opener.files.syncDirectory('/');
      await copyPstore(from, to);
    } finally {
      await to.device.close();
    }
    switched();
    await retirePstore(from);
  } finally {
    await from.device.close();
  }
}

const hotOf = async (host: PstoreHost, group: number) => {
  const dirt = await host.ask<HeatDirt>({ kind: 'pstore.dirt', group, devices });
  return [...(dirt.devices[0]?.hot ?? [])];
};

test('everything moves: the groups, what is hot, who this host is; the old place is refused', async (t) => {
  const host = await filled();
  await host.until(moving(host, () => {}));
  await t.throwsAsync(host.start(), { code: 'TDMF_PSTORE_MOVED' });
  await host.start(other);
  t.deepEqual((await host.list()).groups, [0, 5]);
  t.deepEqual(await hotOf(host, 0), [3, 0]);
  t.deepEqual(await hotOf(host, 5), [0x60, 0]);
  const node = await host.ask<{ sequence: number }>({ kind: 'pstore.node' });
  t.is(node.sequence, 2, 'newer than what it was copied from');
});

test('a power cut at any instant leaves the pstore that the pointer names', async (t) => {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 60; seed++) {
    const host = await filled(seed);
    let pointer = '/pstore';
    moving(host, () => {
      pointer = other;
    }).catch(() => {});
    await host.world.run(host.world.random.below(60));
    await host.crash('powerCut');
    outcomes.add(pointer);
    await host.start(pointer);
    t.deepEqual((await host.list()).groups, [0, 5], `seed ${seed}`);
    t.deepEqual((await host.list()).damage, []);
    t.deepEqual(await hotOf(host, 5), [0x60, 0]);
    await host.stop();
    if (pointer === other) continue;
    // A second try takes what the first one has left there.
    await host.until(moving(host, () => {}));
    await host.start(other);
    t.deepEqual((await host.list()).groups, [0, 5]);
  }
  t.deepEqual([...outcomes].toSorted(), [other, '/pstore']);
});

test('what is no copy of this pstore is not overwritten', async (t) => {
  const host = await filled();
  const disk = host.node.addDisk(other, 8192);
  disk.live.fill(7);
  await t.throwsAsync(host.until(moving(host, () => {})), { code: 'TDMF_PSTORE_FOREIGN' });
  const stranger = await filled(2);
  disk.live = new Uint8Array(stranger.disk.live);
  await t.throwsAsync(host.until(moving(host, () => {})), { code: 'TDMF_PSTORE_OTHER' });
  t.deepEqual(disk.live, new Uint8Array(stranger.disk.live));
});

test('a place that is too small is refused before it is written, and a full one before a group starts', async (t) => {
  const host = await filled();
  await t.throwsAsync(host.until(moving(host, () => {}, pstoreBytes(3))), {
    code: 'TDMF_DEVICE_SIZE',
  });
  await host.until(moving(host, () => {}));
  await host.start(other, pstoreBytes(3) + 4 * 4096);
  t.deepEqual(await hotOf(host, 5), [0x60, 0]);
  const more = { kind: 'pstore.heat.open', group: 7, devices };
  await t.throwsAsync(host.ask(more), { code: 'TDMF_PSTORE_FULL' });
});

/** The pstore actor on a simulated disk: what survives a power cut at any instant (I6, H21, H28). */
import test from 'ava';
import { crc32c } from '../../../src/core/checksum.js';
import { sectorBytes } from '../../../src/core/constants.js';
import { decodeGroupRecord } from '../../../src/core/pstore/codec.js';
import { ackAt, copyAt, firstSlotAt, recordCopyBytes } from '../../../src/core/pstore/layout.js';
import {
  type DeviceStamp,
  firstRecord,
  type GroupRecord,
} from '../../../src/core/pstore/record.js';
import { recoverSlot } from '../../../src/core/pstore/recovery.js';
import { decodeAck, decodeCopy } from '../../../src/core/pstore/slot.js';
import { decodeSlotPayload, encodeSlotPayload } from '../../../src/core/pstore/slot-payload.js';
import type { SimDisk } from '../../../src/testing/disk.js';
import { PstoreHost } from '../../helpers/pstore-host.js';

const path = '/pstore';
/** Enough devices that a record covers several sectors. */
const devices: readonly DeviceStamp[] = Array.from({ length: 60 }, (_, index) => ({
  name: `device-${index}`,
  sizeBytes: 1 << 30,
  mtimeMs: 1_700_000_000_000 + index,
}));
/** Every sector differs from that of a record with another lease. */
const recordOf = (group: number, lease = 1): GroupRecord => {
  const stamped = devices.map((device) => ({ ...device, sizeBytes: device.sizeBytes + lease }));
  return { ...firstRecord(group, 'e'.repeat(32), stamped, {}), lease };
};

test('records survive a restart, whole, each its own', async (t) => {
  const host = await PstoreHost.with(4);
  t.deepEqual(await host.list(), { groups: [], slots: 4, damage: [] });
  const records = [recordOf(7), recordOf(0, 5), recordOf(3)];
  for (const record of records) await host.saved(record);
  const nodeId = await host.nodeId();
  t.regex(nodeId, /^[0-9a-f]{32}$/);
  await host.stop();
  await host.start();
  for (const record of records) t.deepEqual(await host.load(record.group), record);
  t.is(await host.load(9), undefined);
  t.deepEqual(await host.list(), { groups: [0, 3, 7], slots: 4, damage: [] });
  t.is(await host.nodeId(), nodeId);
});

test('a removed group is gone for good, and its slot is used again', async (t) => {
  const host = await PstoreHost.with(1);
  await host.saved(recordOf(7));
  await t.throwsAsync(host.saved(recordOf(8)), { code: 'TDMF_PSTORE_FULL' });
  await host.ask({ kind: 'pstore.remove', group: 7 });
  await host.ask({ kind: 'pstore.remove', group: 7 });
  await host.crash('powerCut');
  await host.start();
  t.is(await host.load(7), undefined);
  await host.saved(recordOf(8));
  await host.crash('powerCut');
  await host.start();
  t.deepEqual((await host.list()).groups, [8]);
});

/** What a start would find in slot 0 of this image. */
function found(image: Uint8Array, nodeId: string): GroupRecord | 'free' | 'damaged' {
  const place = { nodeId, slot: 0 };
  const copies = [0, 1].map((copy) => {
    const from = copyAt(0, copy);
    return decodeCopy(image.subarray(from, from + recordCopyBytes), place, copy, crc32c);
  });
  const acknowledged = decodeAck(image.subarray(ackAt(0)), place, crc32c);
  const state = recoverSlot(copies[0]!, copies[1]!, acknowledged);
  if (state.decision !== 'newest') return state.decision;
  const payload = decodeSlotPayload(state.newest.payload);
  return (payload && decodeGroupRecord(payload.record)) ?? 'damaged';
}

/** Every image that a power cut could leave now: any subset of the unflushed sectors that differ. */
function* imagesAfterPowerCut({ live, durable, unflushed }: SimDisk): Generator<Uint8Array> {
  const sectors = [...unflushed].filter((sector) => {
    const from = sector * sectorBytes;
    return live.subarray(from, from + sectorBytes).some((byte, at) => durable[from + at] !== byte);
  });
  for (let kept = 0; kept < 2 ** sectors.length; kept += 1) {
    const image = durable.slice();
    sectors.forEach((sector, bit) => {
      const from = sector * sectorBytes;
      if ((kept >> bit) & 1) image.set(live.subarray(from, from + sectorBytes), from);
    });
    yield image;
  }
}

test('a power cut at any instant, with any subset of the sectors, keeps the old or the new record', async (t) => {
  const host = await PstoreHost.with(1);
  const nodeId = await host.nodeId();
  let images = 0;
  let keptOld = 0;
  let keptNew = 0;
  let before: GroupRecord | undefined;
  let saving: GroupRecord | undefined;
  let acknowledged = false;
  const look = () => {
    for (const image of imagesAfterPowerCut(host.disk)) {
      images += 1;
      const record = found(image, nodeId);
      const lease = typeof record === 'string' ? record : record.lease;
      const possible = [acknowledged ? saving?.lease : (before?.lease ?? 'free'), saving?.lease];
      if (!possible.includes(lease as never)) t.fail(`${lease}, not one of ${possible.join(', ')}`);
      if (lease === saving?.lease) keptNew += 1;
      else keptOld += 1;
    }
  };
  for (let lease = 1; lease <= 12; lease += 1) {
    saving = recordOf(7, lease);
    acknowledged = false;
    host.world.afterStep = look;
    await host.until(
      host.asked({ kind: 'pstore.save', record: saving }).then(() => {
        acknowledged = true;
      }),
    );
    await host.world.run(20);
    host.world.afterStep = undefined;
    before = saving;
  }
  t.true(images > 1000, `${images} images`);
  t.true(keptOld > 100 && keptNew > 100, 'both outcomes occur');
});

test('a killed process loses no acknowledged save, whatever was under way', async (t) => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const host = await PstoreHost.with(2, seed);
    let acknowledged = 0;
    for (let lease = 1; lease <= 3; lease += 1) {
      const save = host.asked({ kind: 'pstore.save', record: recordOf(1, lease) });
      void save.then(
        () => {
          acknowledged = lease;
        },
        () => {},
      );
      await host.world.run(host.world.random.below(12));
    }
    await host.crash(seed % 2 === 0 ? 'kill' : 'powerCut');
    await host.start();
    const record = await host.load(1);
    t.true((record?.lease ?? 0) >= acknowledged, `seed ${seed}`);
  }
});

function countOperations(disk: SimDisk): { flush: number; write: number } {
  const counts = { flush: 0, write: 0 };
  disk.fault = (operation) => {
    if (operation === 'flush' || operation === 'write') counts[operation] += 1;
    return 0;
  };
  return counts;
}

test('saves of several groups that wait together share one flush', async (t) => {
  const host = await PstoreHost.with(8);
  const counts = countOperations(host.disk);
  const saves = Array.from({ length: 8 }, (_, group) =>
    host.asked({ kind: 'pstore.save', record: recordOf(group) }),
  );
  await host.until(Promise.all(saves));
  t.is(counts.flush, 1);
  t.is((await host.list()).groups.length, 8);
});

test('saves of one group that wait become one, and all are answered when the last is durable', async (t) => {
  const host = await PstoreHost.with(2);
  const first = host.asked({ kind: 'pstore.save', record: recordOf(1, 1) });
  await host.world.step();
  const counts = countOperations(host.disk);
  const later = [2, 3, 4].map((lease) =>
    host.asked({ kind: 'pstore.save', record: recordOf(1, lease) }),
  );
  await host.until(Promise.all([first, ...later]));
  t.true(counts.flush <= 2);
  await host.crash('powerCut');
  await host.start();
  t.is((await host.load(1))?.lease, 4);
});

test('a failed write fails its save only, and the record before stays (H28)', async (t) => {
  const host = await PstoreHost.with(2);
  await host.saved(recordOf(1, 1));
  await host.saved(recordOf(2, 1));
  const second = copyAt(0, 1);
  host.disk.fault = (operation, offset) => (operation === 'write' && offset === second ? 5 : 0);
  const results = await host.until(
    Promise.allSettled([
      host.asked({ kind: 'pstore.save', record: recordOf(1, 2) }),
      host.asked({ kind: 'pstore.save', record: recordOf(2, 2) }),
    ]),
  );
  t.deepEqual(results.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  const failed = results.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
  t.like(failed.reason, { code: 'TDMF_PSTORE_FAILED', details: { path, errno: 5 } });
  host.disk.fault = undefined;
  const leases = [(await host.load(1))?.lease, (await host.load(2))?.lease];
  t.true(leases.includes(1) && leases.includes(2), leases.join());
  await host.saved(recordOf(1, 3));
  await host.crash('powerCut');
  await host.start();
  t.is((await host.load(1))?.lease, 3);
});

test('a failed flush acknowledges nothing, and the next save is whole (H21)', async (t) => {
  const host = await PstoreHost.with(2);
  await host.saved(recordOf(1, 1));
  host.disk.fault = (operation) => (operation === 'flush' ? 5 : 0);
  await t.throwsAsync(host.saved(recordOf(1, 2)), { code: 'TDMF_PSTORE_FAILED' });
  host.disk.fault = undefined;
  t.is((await host.load(1))?.lease, 1);
  await host.saved(recordOf(1, 3));
  await host.crash('powerCut');
  await host.start();
  t.is((await host.load(1))?.lease, 3);
});

/** Damages a byte of the payload of one copy, on the disk itself. */
function rot(disk: SimDisk, slot: number, copy: number): void {
  const at = copyAt(slot, copy) + 100;
  for (const image of [disk.live, disk.durable]) image[at]! ^= 0xff;
}

test('an acknowledged record that rots is damage: the older one is not taken for it (H28)', async (t) => {
  const host = await PstoreHost.with(2);
  await host.saved(recordOf(1, 1));
  await host.saved(recordOf(1, 2));
  await host.stop();
  const slot = 1;
  t.true(
    host.disk.live.subarray(copyAt(slot, 1)).some((byte) => byte !== 0),
    'the slot in use',
  );
  rot(host.disk, slot, 1);
  await host.start();
  await t.throwsAsync(host.load(1), { code: 'TDMF_PSTORE_DAMAGED', message: /rotten/ });
  t.is(await host.load(2), undefined, 'the damage has a name: other groups are not touched');
  t.is((await host.list()).damage.length, 1);
});

test('a slot that nobody can be named for bars every group that is not found', async (t) => {
  const host = await PstoreHost.with(2);
  await host.saved(recordOf(1, 1));
  await host.saved(recordOf(2, 1));
  await host.stop();
  for (const image of [host.disk.live, host.disk.durable])
    image.fill(9, copyAt(0, 0), copyAt(0, 2));
  await host.start();
  const outcomes = await host.until(
    Promise.allSettled([1, 2, 3].map((group) => host.asked({ kind: 'pstore.load', group }))),
  );
  t.deepEqual(outcomes.map(({ status }) => status).toSorted(), [
    'fulfilled',
    'rejected',
    'rejected',
  ]);
});

test('two slots that claim one group are refused (Rule 54b)', async (t) => {
  const host = await PstoreHost.with(2);
  await host.saved(recordOf(1, 1));
  await host.stop();
  const nodeId = await host.start().then(() => host.nodeId());
  await host.stop();
  const { encodeCopy } = await import('../../../src/core/pstore/slot.js');
  const { encodeGroupRecord } = await import('../../../src/core/pstore/codec.js');
  const twin = encodeCopy(
    { nodeId, slot: 0 },
    {
      kind: 'record',
      group: 1,
      sequence: 1,
      savedAt: 0,
      payload: encodeSlotPayload({ record: encodeGroupRecord(recordOf(1, 9)), extents: [] }),
    },
    crc32c,
  );
  for (const image of [host.disk.live, host.disk.durable]) image.set(twin, copyAt(0, 0));
  await host.start();
  await t.throwsAsync(host.load(1), { code: 'TDMF_PSTORE_DAMAGED', message: /two slots/ });
});

test('making a new pstore forgets every group (Rule 54c)', async (t) => {
  const host = await PstoreHost.with(1);
  await host.saved(recordOf(1, 4));
  const nodeId = await host.nodeId();
  await host.stop();
  await host.format(3);
  await host.start();
  t.deepEqual((await host.list()).groups, []);
  t.not(await host.nodeId(), nodeId);
});

test('a power cut while a pstore is made leaves the old one, none, or the new one, never a mixture', async (t) => {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 30; seed += 1) {
    const host = await PstoreHost.with(1, seed);
    await host.saved(recordOf(1, 4));
    const nodeId = await host.nodeId();
    await host.stop();
    host.formatting(1).catch(() => {});
    await host.until(Promise.resolve());
    await host.world.run(host.world.random.below(16));
    await host.crash('powerCut');
    const outcome = await host.start().then(
      async () => {
        const same = (await host.nodeId()) === nodeId;
        const { groups, damage } = await host.list();
        t.deepEqual(damage, []);
        t.deepEqual(groups, same ? [1] : [], `seed ${seed}`);
        return same ? 'old' : 'new';
      },
      (error: unknown) => {
        t.like(error, { code: 'TDMF_PSTORE_DAMAGED' });
        return 'none';
      },
    );
    outcomes.add(outcome);
  }
  t.deepEqual([...outcomes].toSorted(), ['new', 'none', 'old']);
});

test('what is no pstore is refused with what is wrong', async (t) => {
  const host = new PstoreHost();
  host.node.addDisk(path, 1000);
  await t.throwsAsync(host.start(), { code: 'TDMF_PSTORE_DAMAGED', message: /shorter/ });
  host.node.disks.delete(path);
  host.node.addDisk(path, firstSlotAt);
  await t.throwsAsync(host.start(), { code: 'TDMF_PSTORE_DAMAGED', message: /no pstore/ });
  await t.throwsAsync(host.format(0), { code: 'TDMF_USAGE' });
});

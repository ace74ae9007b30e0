/** What is hot and what is dirty, on a simulated disk: durable when answered, never believed when not (H28). */
import test from 'ava';
import {
  addChange,
  type HeatAnswer,
  type HeatDevice,
  type HeatDirt,
} from '../../../src/actors/heat-messages.js';
import { eachRun } from '../../../src/core/pstore/bits.js';
import { logHalfAt, pstorePageBytes } from '../../../src/core/pstore/layout.js';
import { firstRecord, type RecordPosition } from '../../../src/core/pstore/record.js';
import { PstoreHost } from '../../helpers/pstore-host.js';

const mib = 2 ** 20;
const devices: readonly HeatDevice[] = [
  { name: 'd0', sizeBytes: 64 * mib },
  { name: 'd1', sizeBytes: 20 * mib - 512 },
];
const regions = [16, 5];
const units = [1024, 320];
const era = 'e'.repeat(32);

const saved = (host: PstoreHost, group: number) =>
  host.saved(
    firstRecord(
      group,
      era,
      devices.map((device) => ({ ...device, mtimeMs: 0 })),
      {},
    ),
  );

async function opened(host: PstoreHost, group = 0, list = devices): Promise<HeatAnswer> {
  return host.ask({ kind: 'pstore.heat.open', group, devices: list });
}

type Kind = 'heat' | 'cool' | 'dirty' | 'clean';
type Change = readonly [device: number, kind: Kind, first: number, count: number];

function asking(
  host: PstoreHost,
  token: number,
  list: readonly Change[],
  group = 0,
  released?: RecordPosition,
): Promise<void> {
  const changes: number[] = [];
  for (const change of list) addChange(changes, ...change);
  return host.asked({ kind: 'pstore.heat.change', group, token, changes, released });
}

const changed = (
  host: PstoreHost,
  token: number,
  list: readonly Change[],
  group = 0,
  released?: RecordPosition,
) => host.until(asking(host, token, list, group, released));

const dirt = (host: PstoreHost, group = 0, list = devices) =>
  host.ask<HeatDirt>({ kind: 'pstore.dirt', group, devices: list });

const bitsOf = (bytes: Uint8Array, bits: number): number[] => {
  const found: number[] = [];
  eachRun(bytes, bits, (first, count) => {
    for (let bit = first; bit < first + count; bit++) found.push(bit);
  });
  return found;
};

/** "hot of d0 / dirty of d0 | hot of d1 / …" */
const shown = (found: HeatDirt) =>
  found.devices
    .map((device, index) =>
      device
        ? `${bitsOf(device.hot, regions[index]!).join()} / ${bitsOf(device.dirty, units[index]!).join()}`
        : 'unknown',
    )
    .join(' | ');

const everything: readonly Change[] = [
  [0, 'clean', 0, 1024],
  [1, 'clean', 0, 320],
];

test('a device that was never hot is all dirty, until a commit says otherwise', async (t) => {
  const host = await PstoreHost.with(2);
  await saved(host, 0);
  const { token, devices: answers } = await opened(host);
  t.deepEqual(
    answers.map(({ regionBytes, unitBytes, hot }) => [regionBytes, unitBytes, hot]),
    [
      [4 * mib, 65536, undefined],
      [4 * mib, 65536, undefined],
    ],
  );
  t.is(shown(await dirt(host)), 'unknown | unknown');
  await changed(host, token, [[0, 'heat', 3, 1]]);
  const found = await dirt(host);
  t.is(bitsOf(found.devices[0]!.dirty, 1024).length, 1024);
  t.is(bitsOf(found.devices[1]!.dirty, 320).length, 320);
  t.deepEqual(bitsOf(found.devices[0]!.hot, 16), [3]);
  await changed(host, token, everything);
  t.is(shown(await dirt(host)), '3 /  |  / ');
});

test('Rule 18: a region cools together with its marks, and what was answered outlives the power', async (t) => {
  const host = await PstoreHost.with(2);
  await saved(host, 0);
  const { token } = await opened(host);
  await changed(host, token, [...everything, [0, 'heat', 2, 3], [1, 'heat', 0, 1]]);
  await changed(
    host,
    token,
    [
      [0, 'dirty', 130, 2],
      [0, 'cool', 2, 1],
    ],
    0,
    { era, sequence: 77 },
  );
  await host.crash('powerCut');
  await host.start();
  const found = await dirt(host);
  t.is(shown(found), '3,4 / 130,131 | 0 / ');
  t.deepEqual(found.released, [{ era, sequence: 77 }], 'Rule 26: released goes with it');
  const again = await opened(host);
  t.deepEqual(bitsOf(again.devices[0]!.hot!, 16), [3, 4]);
});

test('changes of many groups that wait together share one flush', async (t) => {
  const host = await PstoreHost.with(8);
  const tokens: number[] = [];
  for (let group = 0; group < 8; group++) {
    await saved(host, group);
    tokens.push((await opened(host, group)).token);
    await changed(host, tokens[group]!, everything, group);
  }
  const counts = { flush: 0, write: 0 };
  host.disk.fault = (operation) => {
    if (operation === 'flush' || operation === 'write') counts[operation]++;
    return 0;
  };
  await host.until(
    Promise.all(tokens.map((token, group) => asking(host, token, [[0, 'heat', group, 1]], group))),
  );
  t.deepEqual(counts, { flush: 1, write: 2 }, 'one record, and one ack page behind it');
});

test('H22: what a driver that is gone still asks for is refused', async (t) => {
  const host = await PstoreHost.with(2);
  await saved(host, 0);
  const first = await opened(host);
  await changed(host, first.token, [...everything, [0, 'heat', 1, 1]]);
  const late = asking(host, first.token, [[0, 'cool', 1, 1]]);
  const second = host.asked<HeatAnswer>({ kind: 'pstore.heat.open', group: 0, devices });
  const outcome = await host.until(Promise.allSettled([late, second]));
  const hot = bitsOf((outcome[1] as PromiseFulfilledResult<HeatAnswer>).value.devices[0]!.hot!, 16);
  t.deepEqual(hot, outcome[0].status === 'fulfilled' ? [] : [1], 'it counts, or it does not');
  await t.throwsAsync(changed(host, first.token, [[0, 'cool', 1, 1]]), {
    code: 'TDMF_ACTOR_GONE',
  });
  t.is(shown(await dirt(host)).startsWith(hot.join()), true);
});

test('what does not lie in its device, or belongs to no group, is refused', async (t) => {
  const host = await PstoreHost.with(2);
  const { token } = await opened(host);
  await t.throwsAsync(changed(host, token, [[0, 'heat', 0, 1]]), { code: 'TDMF_INTERNAL' });
  await saved(host, 0);
  for (const change of [
    [0, 'heat', 16, 1],
    [1, 'dirty', 319, 2],
    [2, 'heat', 0, 1],
  ] as const) {
    await t.throwsAsync(changed(host, token, [change]), { code: 'TDMF_INTERNAL' });
  }
});

test('Rule 33: a device of another size or name is another device; the others keep their images', async (t) => {
  const host = await PstoreHost.with(2);
  await saved(host, 0);
  const { token } = await opened(host);
  await changed(host, token, [...everything, [0, 'heat', 1, 1], [1, 'heat', 1, 1]]);
  const larger = [devices[0]!, { name: 'd1', sizeBytes: 40 * mib }];
  t.is(shown(await dirt(host, 0, larger)), '1 /  | unknown');
  const next = await opened(host, 0, larger);
  await changed(host, next.token, [[1, 'heat', 9, 1]]);
  await host.crash('powerCut');
  await host.start();
  const found = await dirt(host, 0, larger);
  t.deepEqual(bitsOf(found.devices[0]!.hot, 16), [1]);
  t.deepEqual(bitsOf(found.devices[0]!.dirty, 1024), []);
  t.deepEqual(bitsOf(found.devices[1]!.hot, 10), [9]);
  t.is(bitsOf(found.devices[1]!.dirty, 640).length, 640, 'a device that is new is all dirty');
});

test('regions of another size keep what is hot and dirty, rounded outwards', async (t) => {
  const host = await PstoreHost.with(2);
  await saved(host, 0);
  const { token } = await opened(host);
  await changed(host, token, [...everything, [0, 'heat', 5, 1], [0, 'dirty', 100, 1]]);
  const regionMin = 16 * mib;
  const wide = await host.ask<HeatAnswer>({
    kind: 'pstore.heat.open',
    group: 0,
    devices,
    regionMin,
  });
  t.is(wide.devices[0]!.regionBytes, regionMin);
  t.deepEqual(bitsOf(wide.devices[0]!.hot!, 4), [1]);
  t.deepEqual(bitsOf((await dirt(host)).devices[0]!.hot, 16), [5], 'as long as nothing changes');
  await changed(host, wide.token, [[0, 'heat', 3, 1]]);
  await host.crash('powerCut');
  await host.start();
  const found = (await dirt(host)).devices[0]!;
  t.is(found.regionBytes, regionMin);
  t.deepEqual(bitsOf(found.hot, 4), [1, 3]);
  t.deepEqual(bitsOf(found.dirty, 1024), [100]);
  const narrow = await opened(host);
  t.deepEqual(bitsOf(narrow.devices[0]!.hot!, 16), [4, 5, 6, 7, 12, 13, 14, 15]);
});

/** What the actor must say after these changes. */
class Model {
  readonly hot = regions.map(() => new Set<number>());
  readonly dirty = units.map(() => new Set<number>());

  apply(list: readonly Change[]): this {
    for (const [device, kind, first, count] of list) {
      const of = kind === 'heat' || kind === 'cool' ? this.hot : this.dirty;
      for (let bit = first; bit < first + count; bit++) {
        if (kind === 'heat' || kind === 'dirty') of[device]!.add(bit);
        else of[device]!.delete(bit);
      }
    }
    return this;
  }

  toString(): string {
    const sorted = (set: Set<number>) => [...set].toSorted((a, b) => a - b).join();
    return regions
      .map((_, index) => `${sorted(this.hot[index]!)} / ${sorted(this.dirty[index]!)}`)
      .join(' | ');
  }
}

test('I6: a crash at any instant leaves what was answered, with or without what was on the way', async (t) => {
  const outcomes = { with: 0, without: 0, same: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const host = await PstoreHost.with(2, seed, 4);
    const { random } = host.world;
    await saved(host, 0);
    let { token } = await opened(host);
    const model = new Model();
    await changed(host, token, everything);
    for (let life = 0; life < 4; life++) {
      let going: readonly Change[] = [];
      // Whether these end is nobody's promise; the loop looks only at what was answered.
      for (let count = random.below(12); count > 0; count--) {
        going = drawn(random);
        await changed(host, token, going);
        model.apply(going);
      }
      going = drawn(random);
      let answered = false;
      void asking(host, token, going).then(
        () => {
          answered = true;
        },
        () => {},
      );
      await host.world.run(random.below(14));
      await host.crash(random.chance(1, 3) ? 'kill' : 'powerCut');
      await host.start();
      const without = String(model);
      const found = shown(await dirt(host));
      const withIt = String(model.apply(going));
      if (withIt === without) outcomes.same++;
      else if (found === withIt) outcomes.with++;
      else outcomes.without++;
      const right = found === withIt || (!answered && found === without);
      t.true(right, `seed ${seed} life ${life}: ${found} is neither ${without} nor ${withIt}`);
      if (found !== withIt) {
        // Start from what there is.
        const fresh = new Model();
        const now = await dirt(host);
        for (const [index, device] of now.devices.entries()) {
          for (const bit of bitsOf(device!.hot, regions[index]!)) fresh.hot[index]!.add(bit);
          for (const bit of bitsOf(device!.dirty, units[index]!)) fresh.dirty[index]!.add(bit);
        }
        for (const [index] of regions.entries()) {
          model.hot[index]!.clear();
          model.dirty[index]!.clear();
          for (const bit of fresh.hot[index]!) model.hot[index]!.add(bit);
          for (const bit of fresh.dirty[index]!) model.dirty[index]!.add(bit);
        }
      }
      t.deepEqual((await host.list()).damage, [], `seed ${seed}: a crash is no damage`);
      ({ token } = await opened(host));
    }
  }
  t.true(outcomes.with > 20 && outcomes.without > 20, JSON.stringify(outcomes));
});

function drawn(random: { below(n: number): number }): Change[] {
  const kinds: readonly Kind[] = ['heat', 'cool', 'dirty', 'clean'];
  return Array.from({ length: 1 + random.below(3) }, (): Change => {
    const device = random.below(2);
    const kind = kinds[random.below(4)]!;
    const bits = kind === 'heat' || kind === 'cool' ? regions[device]! : units[device]!;
    const first = random.below(bits);
    return [device, kind, first, 1 + random.below(Math.min(8, bits - first))];
  });
}

test('H21: what failed is not believed, and the next change is whole', async (t) => {
  for (const failing of ['write', 'flush'] as const) {
    const host = await PstoreHost.with(2, 3, 4);
    await saved(host, 0);
    const { token } = await opened(host);
    await changed(host, token, everything);
    for (let region = 0; region < 12; region++) {
      host.disk.fault = (operation) => (operation === failing ? 5 : 0);
      await t.throwsAsync(changed(host, token, [[0, 'heat', region, 1]]), {
        code: 'TDMF_PSTORE_FAILED',
      });
      host.disk.fault = undefined;
      await changed(host, token, [[0, 'heat', region, 1]]);
    }
    await host.crash('powerCut');
    await host.start();
    t.is(shown(await dirt(host)), '0,1,2,3,4,5,6,7,8,9,10,11 /  |  / ');
  }
});

/** Flips a byte of the record in page `page` of half `half`, on the disk itself. */
function rotLog({ disk }: PstoreHost, half: number, page: number): void {
  for (const image of [disk.live, disk.durable]) {
    image[logHalfAt(half) + page * pstorePageBytes + 100]! ^= 0xff;
  }
}

const allDirty = (found: HeatDirt) =>
  found.devices.every((one, index) => bitsOf(one!.dirty, units[index]!).length === units[index]!);

for (const [what, page] of [
  ['a record that others follow', 1],
  ['the last record', 3],
] as const) {
  test(`H28: ${what} was acknowledged and rots: everything may differ, and it is said`, async (t) => {
    const host = await PstoreHost.with(2);
    await saved(host, 0);
    const { token } = await opened(host);
    await changed(host, token, everything);
    for (let region = 0; region < 3; region++) await changed(host, token, [[0, 'heat', region, 1]]);
    await host.stop();
    rotLog(host, 1, page);
    await host.start();
    t.true(allDirty(await dirt(host)));
    t.true((await dirt(host)).damage.length > 0);
    t.true((await host.list()).damage.length > 0);
    t.deepEqual((await host.list()).groups, [0], 'the records of the groups are not touched');
    await host.crash('powerCut');
    await host.start();
    t.true(allDirty(await dirt(host)), 'it stays so');
    t.deepEqual((await host.list()).damage, [], 'and is told once');
    const next = await opened(host);
    await changed(host, next.token, everything);
    t.is(shown(await dirt(host)), ' /  |  / ', 'until the mirror has committed');
  });
}

test('H28: an image that rots is not replaced by the one before it', async (t) => {
  const host = await PstoreHost.with(2, 1, 4);
  await saved(host, 0);
  const { token } = await opened(host);
  await changed(host, token, everything);
  // Several turns of a small log: both images have been written, and the log has forgotten.
  for (let turn = 0; turn < 9; turn++) await changed(host, token, [[0, 'heat', turn, 1]]);
  for (let turn = 0; turn < 5; turn++) await changed(host, token, [[1, 'heat', turn % 4, 1]]);
  await host.stop();
  const { disk } = host;
  const images = findImages(disk.live);
  t.is(images.length, 4);
  // Of the first device, one after the other.
  const before = [disk.live.slice(), disk.durable.slice()];
  let distrusted = 0;
  for (const at of images.slice(0, 2)) {
    disk.live.set(before[0]!);
    disk.durable.set(before[1]!);
    for (const image of [disk.live, disk.durable]) image[at + 161]! ^= 0x10;
    await host.start();
    const found = await dirt(host);
    const hot = bitsOf(found.devices[0]!.hot, 16).join();
    const all = bitsOf(found.devices[0]!.dirty, 1024).length === 1024;
    t.true(all || hot === '0,1,2,3,4,5,6,7,8');
    if (all) distrusted++;
    t.is(shown(found).split(' | ')[1], '0,1,2,3 / ', 'the other device is as it was');
    await host.stop();
  }
  t.true(distrusted >= 1);
});

/** Where images begin, by their magic. */
function findImages(image: Uint8Array): number[] {
  const letters = [0x54, 0x48, 0x4f, 0x54];
  const found: number[] = [];
  for (let at = 0; at < image.length; at += pstorePageBytes) {
    if (letters.every((letter, index) => image[at + index] === letter)) found.push(at);
  }
  return found;
}

/** What each kind of fault does, step by step; it leaves both hosts running. */
import { journalDirectory, pstorePath } from './cluster-options.js';
import { errno } from './disk.js';
import type { FaultStory, TellStory } from './fault-story.js';
import type { FaultKind } from './swarm.js';

/** A journal, the record or the position page is not what was written there (H25). */
function spoilSecondary(story: FaultStory): void {
  const { node } = story.cluster.secondary;
  const journals = [...node.disks.values()].filter(({ path }) => path.startsWith(journalDirectory));
  const disk = journals.length > 0 ? story.chance.pick(journals) : undefined;
  if (disk !== undefined && disk.sizeBytes > 0 && story.chance.chance(2, 3)) {
    const spoiled = disk.live.slice();
    story.spoil(spoiled);
    disk.restore(spoiled);
    return;
  }
  const [path] = [...node.files.files.keys()];
  if (path !== undefined && story.chance.chance(1, 2)) {
    const spoiled = node.files.files.get(path)!.slice();
    story.spoil(spoiled);
    node.files.files.set(path, spoiled);
    return;
  }
  for (const page of node.files.pages.values()) {
    story.spoil(page.live);
    page.durable = page.live.slice();
  }
}

export const faultStories: Readonly<Record<FaultKind, TellStory>> = {
  'link.cut': async (story) => story.link()?.cut(),
  'link.cutAt': async (story) => {
    const { chance } = story;
    const link = story.link();
    if (link === undefined) return;
    const pipe = chance.chance(3, 4) ? link.forth : link.back;
    pipe.cutAfter = pipe.deliveredBytes + chance.below(chance.pick([200, 20_000]));
  },
  'link.stall': async (story) =>
    story.link()?.stall(story.upTo(story.chance.pick([50, 1000, 14_000]))),
  'link.silent': async (story) => story.link()?.goSilent(),
  'link.stallBack': async (story) =>
    story.link()?.back.stall(story.upTo(story.chance.pick([50, 1000, 9000]))),
  'link.halfClose': async (story) => story.link()?.halfClose(),
  'link.dead': async (story) => {
    const { network } = story.cluster;
    const group = story.group();
    network.deadGroups.add(group);
    for (const link of network.links) if (link.group === group) link.goSilent();
    await story.pause(story.chance.pick([3000, 15_000]));
    network.deadGroups.delete(group);
  },
  'network.down': async (story) => {
    const { network } = story.cluster;
    network.down = true;
    await story.pause(story.chance.pick([200, 3000, 15_000]));
    network.down = false;
  },
  'secondary.kill': async (story) => {
    const { secondary } = story.cluster;
    secondary.kill();
    await story.pause(story.chance.pick([1, 50, 3000]));
    await secondary.start();
  },
  'secondary.powerCut': async (story) => {
    const { secondary } = story.cluster;
    secondary.powerCut(story.chance.chance(1, 2));
    await story.pause(story.chance.pick([10, 500, 5000]));
    await secondary.start();
  },
  'secondary.restart': async (story) => {
    const { secondary } = story.cluster;
    await secondary.stop();
    await story.pause(500);
    await secondary.start();
  },
  'secondary.rollback': async (story) => {
    const { secondary } = story.cluster;
    const image = secondary.node.snapshot();
    await story.pause(story.chance.pick([10, 1000, 4000]));
    story.cluster.rollBackSecondary(image);
    await story.pause(500);
    await secondary.start();
  },
  'secondary.damage': async (story) => {
    const { secondary } = story.cluster;
    secondary.kill();
    await story.pause(50);
    spoilSecondary(story);
    story.cluster.onTampered?.('secondary', 'damaged');
    await secondary.start();
  },
  'mirror.slow': async (story) => {
    const disk = story.mirrorDisk();
    await story.trouble(disk, () => (disk.slowness = 30), 3000);
  },
  'mirror.hung': async (story) => {
    const disk = story.mirrorDisk();
    const { now } = story.cluster.world;
    disk.hungUntil = now + story.upTo(story.chance.pick([100, 4000, 15_000]));
  },
  'journal.error': async (story) => {
    const { node } = story.cluster.secondary;
    let left = story.chance.between(1, 3);
    const operation = story.chance.pick(['write', 'flush', 'read'] as const);
    node.fault = (path, what) =>
      path.startsWith(journalDirectory) && what === operation && left-- > 0 ? errno.EIO : 0;
    await story.pause(2000);
    node.fault = undefined;
  },
  'journal.full': async (story) => {
    const { node } = story.cluster.secondary;
    node.fault = (path, what) =>
      path.startsWith(journalDirectory) && what === 'write' ? errno.ENOSPC : 0;
    await story.pause(story.chance.pick([100, 3000]));
    node.fault = undefined;
  },
  'mirror.error': async (story) => {
    const operation = story.chance.pick(['write', 'flush'] as const);
    const disk = story.mirrorDisk();
    let left = story.chance.between(1, 3);
    disk.tornFaults = true;
    disk.fault = (what) => (what === operation && left-- > 0 ? errno.EIO : 0);
    await story.pause(2000);
    disk.fault = undefined;
  },
  'primary.throw': async (story) => {
    await story.cluster.primary.crashSet(story.group(), 'throw');
    await story.groupsBack();
  },
  'primary.thread': async (story) => {
    await story.cluster.primary.crashSet(story.group(), 'thread');
    await story.groupsBack();
  },
  'primary.restart': async (story) => {
    await story.cluster.primary.stop();
    await story.pause(500);
    await story.cluster.restartPrimary();
  },
  'primary.kill': async (story) => {
    story.cluster.killPrimary();
    await story.pause(story.chance.pick([1, 50, 3000]));
    await story.cluster.restartPrimary();
  },
  'primary.powerCut': async (story) => {
    story.cluster.powerCutPrimary(story.chance.chance(1, 2));
    await story.pause(story.chance.pick([10, 500, 5000]));
    await story.cluster.restartPrimary();
  },
  'primary.rollback': async (story) => {
    const image = story.cluster.primary.node.snapshot();
    await story.pause(story.chance.pick([10, 1000, 4000]));
    story.cluster.rollBackPrimary(image);
    await story.pause(500);
    await story.cluster.restartPrimary();
  },
  'primary.damage': async (story) => {
    story.cluster.killPrimary();
    await story.pause(50);
    const disk = story.cluster.primary.node.disk(pstorePath);
    // The superblock comes first, twice; what a group keeps lies behind it.
    const from = disk.sizeBytes / 2;
    const spoiled = disk.live.slice();
    story.spoil(spoiled.subarray(from));
    disk.restore(spoiled);
    story.cluster.onTampered?.('primary', 'damaged');
    await story.cluster.restartPrimary();
  },
  'local.slow': async (story) => {
    const disk = story.localDisk();
    await story.trouble(disk, () => (disk.slowness = 20), 2000);
  },
  'local.hung': async (story) => {
    const disk = story.localDisk();
    disk.hungUntil = story.cluster.world.now + story.upTo(story.chance.pick([100, 5000]));
  },
  'pstore.slow': async (story) => {
    const disk = story.cluster.primary.node.disk(pstorePath);
    await story.trouble(disk, () => (disk.slowness = 30), 3000);
  },
  'pstore.hung': async (story) => {
    const disk = story.cluster.primary.node.disk(pstorePath);
    disk.hungUntil = story.cluster.world.now + story.upTo(story.chance.pick([100, 4000]));
  },
  'pstore.error': async (story) => {
    const disk = story.cluster.primary.node.disk(pstorePath);
    let left = story.chance.between(1, 3);
    const operation = story.chance.pick(['write', 'flush'] as const);
    disk.fault = (what) => (what === operation && left-- > 0 ? errno.EIO : 0);
    await story.pause(1000);
    disk.fault = undefined;
  },
  'client.stall': async (story) => {
    const { primary } = story.cluster;
    const client = await primary.connect(story.group(), story.device());
    if (client === undefined) return;
    const length = 512 * story.chance.between(1, 64);
    client.sendPart(0, length, new Uint8Array(story.chance.below(length)));
    await story.pause(4000);
    client.leave();
  },
  'clock.jump': async (story) => {
    const hour = 3_600_000;
    story.cluster.world.wallOffsetMs = story.chance.pick([-24 * hour, -hour, 1000, 24 * hour]);
  },
  'local.error': async (story) => {
    const disk = story.localDisk();
    let left = story.chance.between(1, 4);
    disk.tornFaults = true;
    disk.fault = (what) => (what === 'write' && left-- > 0 ? errno.EIO : 0);
    await story.pause(1000);
    disk.fault = undefined;
  },
  'local.flush': async (story) => {
    const { histories } = story.cluster;
    const disk = story.localDisk();
    let left = 1;
    disk.fault = (what) => {
      if (what !== 'flush' || left-- <= 0) return 0;
      for (const history of histories) history.flushFailed(disk);
      return errno.EIO;
    };
    await story.pause(2000);
    disk.fault = undefined;
  },
  'load.burst': async (story) => {
    story.workload(story.group()).burst(20, 128, story.chance);
  },
  'load.hotBurst': async (story) => {
    story.workload(story.group()).burst(24, 128, story.chance, 128);
  },
  'operator.killrefresh': (story) => story.ask('killrefresh'),
  'operator.killpmd': async (story) => {
    await story.ask('killpmd');
    await story.pause(1000);
    await story.ask('launchpmd');
  },
  'operator.launchrefresh': (story) => story.ask('launchrefresh', { kind: 'full' }),
};

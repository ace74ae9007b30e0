/** What each kind of fault does, step by step; it leaves both hosts running. */
import { errno } from './disk.js';
import type { TellStory } from './fault-story.js';
import type { FaultKind } from './swarm.js';

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
  'operator.killrefresh': (story) => story.ask('killrefresh'),
  'operator.killpmd': async (story) => {
    await story.ask('killpmd');
    await story.pause(1000);
    await story.ask('launchpmd');
  },
  'operator.launchrefresh': (story) => story.ask('launchrefresh', { kind: 'full' }),
};

/**
 * One small story, a full refresh under writes and a while of mirroring, struck once: by a cut link at
 * every event of the refresh, by crashes of either side at every so many events of the whole. Each
 * time nothing may be lost and all must end well (R9, R10, H7, H23, H24).
 */
import test, { type ExecutionContext } from 'ava';
import { runScenario, Scenario } from '../../src/testing/scenario.js';
import { type FaultKind, type SwarmOptions, smallSwarm } from '../../src/testing/swarm.js';

const story = smallSwarm(1);
/** Nothing but a refresh, with a few writes. */
const refreshStory: SwarmOptions = {
  ...story,
  cluster: { ...story.cluster, deviceBytes: [64 * 1024] },
  writers: story.writers.slice(1),
  safetyMs: 140,
  fairMs: 1,
};

/** Slow disks make phase b long; most blocks are cold, so what a burst changes is written once. */
const overflowStory: SwarmOptions = {
  ...story,
  cluster: {
    ...story.cluster,
    deviceBytes: [1024 * 1024],
    diskMs: 20,
    mirrorMs: 20,
    messageMs: 5,
  },
  writers: story.writers.slice(1).map((writer) => ({ ...writer, gapMs: 40 })),
  safetyMs: 700,
};

/** Events until the first NORMAL, and of the whole undisturbed story. */
async function lengthOf(
  options: SwarmOptions,
): Promise<{ readonly refresh: number; readonly all: number }> {
  const scenario = new Scenario(options);
  let refresh = 0;
  scenario.world.onTrace = (line) => {
    if (line.includes('"to":"NORMAL"')) refresh ||= scenario.world.delivered;
  };
  const { events, failure } = await scenario.run();
  if (failure !== undefined) throw new Error(failure.message);
  return { refresh, all: events };
}

async function survives(
  t: ExecutionContext,
  options: SwarmOptions,
  kind: FaultKind,
  from: number,
  to: number,
  step: number,
): Promise<void> {
  for (let afterEvents = from; afterEvents <= to; afterEvents += step) {
    const { failure } = await runScenario({ ...options, strike: { afterEvents, kind } });
    if (failure !== undefined) t.log(failure.trace);
    t.is(failure?.message, undefined, `${kind} after event ${afterEvents}`);
  }
}

/** Both hosts have started by then. */
const firstEvent = 25;

test.serial('the undisturbed story reaches NORMAL and goes on', async (t) => {
  const { refresh, all } = await lengthOf(story);
  t.true(refresh > firstEvent && all > refresh + 100);
});

test.serial('the link may be cut at any event of a full refresh', async (t) => {
  const { refresh } = await lengthOf(refreshStory);
  await survives(t, refreshStory, 'link.cut', firstEvent, refresh, 1);
});

test.serial('the BAB may overflow at any second event around phase b (R9, H5, H6)', async (t) => {
  const { refresh } = await lengthOf(overflowStory);
  await survives(t, overflowStory, 'load.burst', refresh - 200, refresh + 30, 2);
});

const everySo: readonly (readonly [FaultKind, number])[] = [
  ['secondary.kill', 13],
  ['secondary.powerCut', 17],
  ['primary.thread', 13],
  ['primary.throw', 19],
  ['primary.kill', 37],
  ['primary.restart', 41],
];

for (const [kind, step] of everySo) {
  test.serial(`${kind} may strike at every ${step}th event`, async (t) => {
    const { all } = await lengthOf(story);
    await survives(t, story, kind, firstEvent, all, step);
  });
}

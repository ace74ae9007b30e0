/**
 * One small story, a full refresh under writes and a while of mirroring, struck once: by a cut link at
 * every event of the refresh, by crashes of either side at every so many events of the whole. Each
 * time nothing may be lost and all must end well (R9, R10, H7, H23, H24).
 */
import test, { type ExecutionContext } from 'ava';
import { readText } from '../../src/testing/scenario-text.js';
import { expand, marksOf, runLine } from '../../src/testing/sweep.js';

async function survives(t: ExecutionContext, sweep: string): Promise<void> {
  for (const line of await expand(sweep)) {
    const { failure } = await runLine(line);
    if (failure !== undefined) t.log(failure.trace);
    t.is(failure?.message, undefined, line);
  }
}

/** Both hosts have started by then. */
const firstEvent = 25;

test.serial('the undisturbed story reaches NORMAL and goes on', async (t) => {
  const { refresh, all } = await marksOf(readText('story=small'));
  t.true(refresh > firstEvent && all > refresh + 100);
});

test.serial(
  'the link may be cut at any event of a full refresh',
  survives,
  `story=refresh strike=link.cut@${firstEvent}..refresh`,
);

test.serial(
  'the BAB may overflow at any second event around phase b (R9, H5, H6)',
  survives,
  'story=overflow strike=load.burst@refresh-200..refresh+30/2',
);

const everySo: readonly (readonly [string, number])[] = [
  ['secondary.kill', 13],
  ['secondary.powerCut', 17],
  ['primary.thread', 13],
  ['primary.throw', 19],
  ['primary.kill', 37],
  ['primary.restart', 41],
];

for (const [kind, step] of everySo) {
  test.serial(
    `${kind} may strike at every ${step}th event`,
    survives,
    `story=small strike=${kind}@${firstEvent}..all/${step}`,
  );
}

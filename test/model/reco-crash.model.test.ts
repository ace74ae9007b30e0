/**
 * H29: reco of a mirror whose journal holds a commit, broken off after every single event by kill -9 or
 * a power cut. From the first durable step on no RMD is admitted; the era changes only when the mirror
 * holds everything; reco again ends in the same state, whatever happened before.
 */
import test from 'ava';
import type { RecoEnd, RecoOutcome } from '../../src/actors/reco.js';
import { startReco } from '../../src/actors/reco.js';
import { helloOf } from '../helpers/fake-primary.js';
import { recoConfig, recoOf, recoverable } from '../helpers/recoverable.js';
import { era } from '../helpers/refreshed.js';
import type { Secondary } from '../helpers/secondary.js';
import { simContext } from '../helpers/sim-actor.js';

const flag = '/home/s007.off';

/** Runs reco for `events` events, then breaks off. True: it was done before. */
async function brokenOff(
  secondary: Secondary,
  events: number,
  how: 'kill' | 'powerCut',
): Promise<boolean> {
  const context = simContext(secondary.world, secondary.process, 'reco');
  const actor = await startReco(context, recoConfig);
  let done = false;
  actor.ask!({ kind: 'reco.run', force: false }).then(
    () => {
      done = true;
    },
    () => undefined,
  );
  for (let event = 0; event < events && !done; event++) await secondary.world.step();
  if (!done) await secondary.restart(how);
  return done;
}

for (const how of ['kill', 'powerCut'] as const) {
  test(`Rule 29: reco broken off by ${how} after any event is repeated to the same end`, async (t) => {
    let broken = 0;
    for (let events = 1; ; events++) {
      const secondary = await recoverable(events);
      if (await brokenOff(secondary, events, how)) break;
      broken++;
      const where = `after ${events} events`;
      const { record } = secondary;
      const fenced = record?.reco !== 'none' || secondary.node.files.files.has(flag);
      if (record?.era !== era) {
        t.is(record?.reco, 'done', where);
        t.deepEqual([secondary.mirror()[0], secondary.mirror()[512]], [8, 7], where);
      }
      if (fenced) {
        const session = await secondary.session();
        session.primary.say(helloOf({}));
        t.is((await secondary.heard(session.primary, 'refused')).code, 'TDMF_RMD_OFF', where);
        await secondary.stop(session);
      }
      const outcome = await recoOf(secondary).ask<RecoOutcome>({ kind: 'reco.run', force: false });
      t.like(outcome, { state: 'coherent', base: { era, sequence: 1 } }, where);
      t.not(outcome.era, era, where);
      t.deepEqual([secondary.mirror()[0], secondary.mirror()[512]], [8, 7], where);
      t.true(secondary.node.files.files.has(flag), where);
      const end = await recoOf(secondary).ask<RecoEnd>({ kind: 'reco.end' });
      t.is(end.changes, 'none', where);
      const { welcome } = await secondary.welcomed();
      t.is(welcome.state, 'coherent', where);
    }
    t.true(broken > 30, `${broken} places`);
  });
}

test('reco -d broken off after any event is repeated to the same end (Rule 29)', async (t) => {
  for (let events = 1; ; events++) {
    const secondary = await recoverable(events);
    await recoOf(secondary).ask({ kind: 'reco.run', force: false });
    const context = simContext(secondary.world, secondary.process, 'reco');
    const actor = await startReco(context, recoConfig);
    let done = false;
    void actor.ask!({ kind: 'reco.end' }).then(() => {
      done = true;
    });
    for (let event = 0; event < events && !done; event++) await secondary.world.step();
    if (done) break;
    await secondary.restart('kill');
    await recoOf(secondary).ask({ kind: 'reco.end' });
    t.is(secondary.record?.reco, 'none');
    t.false(secondary.node.files.files.has(flag));
    const { welcome } = await secondary.welcomed();
    t.deepEqual(welcome.base, { era, sequence: 1 });
  }
});

/** The journal onto the mirror without a session: reco, and the end of a checkpoint (H29). */
import test from 'ava';
import { replayChain } from '../../../src/actors/chain-replay.js';
import { withOwnEra } from '../../../src/core/meta.js';
import { coherent, era } from '../../helpers/refreshed.js';
import { journalDirectory, Secondary } from '../../helpers/secondary.js';
import { simContext } from '../../helpers/sim-actor.js';

const refreshId = 'refresh-1';
const ownEra = 'f'.repeat(32);
const config = {
  group: 7,
  loopback: false,
  journal: journalDirectory,
  devices: [{ name: 'd0', mirror: '/m0' }],
};

/** A commit that the mirror could not take: the journal holds it. */
async function recoverable(): Promise<Secondary> {
  const secondary = new Secondary();
  const session = await secondary.welcomed();
  const { primary } = session;
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
  await secondary.heard(primary, 'refreshReady');
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  primary.blocks([{ sequence: 1, offset: 0, length: 1024, fill: 7 }]);
  primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 8 }]);
  secondary.node.disk('/m0').fault = (operation) => (operation === 'write' ? 5 : 0);
  primary.say({ kind: 'mark', refreshId, mark: 1, blocks: 1 });
  await secondary.heard(primary, 'bye');
  await secondary.stop(session);
  secondary.node.disk('/m0').fault = undefined;
  return secondary;
}

test('what was committed is on the mirror, and a new era begins there (Rules 9a, 29)', async (t) => {
  const secondary = await recoverable();
  const context = simContext(secondary.world, secondary.process, 'reco');
  const replaying = replayChain(context, config, {
    before: (record) => record.save({ reco: 'pending' }),
    after: async (record, { position }) => {
      t.is(secondary.record?.reco, 'pending');
      t.is(secondary.node.disk('/m0').holders, 1);
      const at = { era: record.record.era!, sequence: position! };
      await record.save({ ...withOwnEra(record.record, ownEra, at), reco: 'done' });
    },
  });
  await secondary.world.settled(replaying);
  const { standing, damage } = await replaying;
  t.is(damage, undefined);
  t.is(standing.state, 'coherent');
  t.is(standing.position, 0);
  t.deepEqual([secondary.mirror()[0], secondary.mirror()[512]], [8, 7]);
  t.is(secondary.node.disk('/m0').holders, 0);
  const { record } = secondary;
  t.is(record?.era, ownEra);
  t.deepEqual(record?.base, { era, sequence: 1 });
  t.deepEqual(record?.history, [era]);
  t.is(record?.reco, 'done');
});

test('a mirror that somebody holds refuses the replay, and nothing is changed (Rule 22)', async (t) => {
  const secondary = await recoverable();
  const held = await secondary.process.open({ path: '/m0', access: 'readwrite' });
  const context = simContext(secondary.world, secondary.process, 'reco');
  const replaying = replayChain(context, config, {
    before: (record) => record.save({ reco: 'pending' }),
  });
  const caught = await t.throwsAsync(async () => {
    await secondary.world.settled(replaying.catch(() => undefined));
    await replaying;
  });
  t.is((caught as { code?: string }).code, 'TDMF_RMD_MIRROR');
  t.is(secondary.record?.reco, 'none');
  await secondary.world.settled(held.close());
});

test('a replay that fails can be repeated (H24)', async (t) => {
  const secondary = await recoverable();
  const disk = secondary.node.disk('/m0');
  disk.fault = (operation) => (operation === 'write' ? 28 : 0);
  const context = simContext(secondary.world, secondary.process, 'reco');
  const failing = replayChain(context, config).catch((error: unknown) => error);
  await secondary.world.settled(failing);
  t.is(((await failing) as { code?: string }).code, 'TDMF_DEVICE_FAILED');
  t.is(disk.holders, 0);
  t.is(secondary.record?.state, 'recoverable');
  disk.fault = undefined;
  const again = replayChain(context, config);
  await secondary.world.settled(again);
  t.is((await again).standing.state, 'coherent');
  t.deepEqual([secondary.mirror()[0], secondary.mirror()[512]], [8, 7]);
});

test('without a journal the mirror is flushed, and stands where it was', async (t) => {
  const secondary = new Secondary();
  await coherent(secondary);
  const session = await secondary.welcomed();
  session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  session.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await secondary.world.until(() => session.primary.ack.applied === 1, 1_000, 'applied');
  await secondary.restart('kill');
  const context = simContext(secondary.world, secondary.process, 'reco');
  const replaying = replayChain(context, config);
  await secondary.world.settled(replaying);
  t.is((await replaying).standing.position, 1);
  t.true(secondary.record?.clean);
  t.is(secondary.node.disk('/m0').unflushed.size, 0);
});

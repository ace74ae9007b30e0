/** The secondary end of a session, against a scripted primary, over simulated disks. */
import test from 'ava';
import type { FakePrimary } from '../../helpers/fake-primary.js';
import { Secondary, type Session } from '../../helpers/secondary.js';

const era = 'a'.repeat(32);
const refreshId = 'refresh-1';
const block = 4096;

/** A full refresh of the 64 KiB device with `fill`, committed at (era, mark). */
async function refreshed(
  secondary: Secondary,
  session: Session,
  options: { readonly fill?: number; readonly mark?: number } = {},
): Promise<void> {
  const { fill = 9, mark = 0 } = options;
  const { primary } = session;
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full' });
  await secondary.heard(primary, 'refreshReady');
  for (let index = 0; index < 16; index += 1) {
    primary.blocks([{ sequence: index + 1, offset: index * block, length: block, fill }]);
  }
  primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
  for (let sequence = 1; sequence <= mark; sequence += 1) {
    primary.entries([{ sequence, dep: sequence - 1, offset: 0, length: 512 }]);
  }
  primary.say({ kind: 'mark', refreshId, mark, blocks: 0 });
  await secondary.heard(primary, 'committed');
  await secondary.world.until(
    () => secondary.record?.state === 'coherent',
    10_000,
    'the journal is applied',
  );
}

const durable = (secondary: Secondary, primary: FakePrimary, sequence: number) =>
  secondary.world.until(() => primary.ack.durable >= sequence, 10_000, `durable ${sequence}`);

test('a mirror that was never refreshed says so, and has no position', async (t) => {
  const secondary = new Secondary();
  const { welcome } = await secondary.welcomed();
  t.is(welcome.state, 'never');
  t.is(welcome.position, undefined);
});

test('a full refresh ends coherent at (era, mark), and entries follow on the mirror', async (t) => {
  const secondary = new Secondary();
  const session = await secondary.welcomed();
  await refreshed(secondary, session, { mark: 3 });
  t.is(secondary.record?.durable, 3);
  t.is(secondary.record?.era, era);
  t.deepEqual(secondary.record?.base, { era, sequence: 3 });
  const { primary } = session;
  primary.entries([{ sequence: 4, dep: 3, offset: 1024, length: 512, fill: 77 }]);
  await durable(secondary, primary, 4);
  t.is(secondary.mirror()[0], 3);
  t.is(secondary.mirror()[600], 9);
  t.is(secondary.mirror()[1024], 77);
  t.is(primary.malformed, undefined);
  await secondary.world.until(() => secondary.record?.journal === undefined, 10_000, 'retired');
  await secondary.stop(session);
  t.true(secondary.record?.clean);
  t.is(secondary.record?.durable, 4);
  t.deepEqual([...secondary.node.disks.keys()], ['/m0'], 'the journal files are gone');
  t.is(secondary.node.disk('/m0').holders, 0);
});

test('after a clean end a session resumes behind what was applied (Rule 7a)', async (t) => {
  const secondary = new Secondary();
  const first = await secondary.welcomed();
  await refreshed(secondary, first);
  first.primary.entries([{ sequence: 1, offset: 0, length: 512 }]);
  await durable(secondary, first.primary, 1);
  await secondary.stop(first);
  const second = await secondary.welcomed();
  t.is(second.welcome.state, 'coherent');
  t.deepEqual(second.welcome.position, { era, sequence: 1 });
  second.primary.say({ kind: 'resume', era, from: 2, sentMax: 0 });
  second.primary.entries([{ sequence: 2, dep: 1, offset: 512, length: 512 }]);
  await durable(secondary, second.primary, 2);
  t.is(secondary.mirror()[512], 2);
  await secondary.stop(second);
});

/** A checkpoint on the mirror side: from the marker to -off, whatever crashes between (H15, H37). */
import test from 'ava';
import { replayChain } from '../../../src/actors/chain-replay.js';
import type { RmdStatus } from '../../../src/actors/rmd.js';
import { crc32c } from '../../../src/core/checksum.js';
import { mapBlockBytes } from '../../../src/core/constants.js';
import { TdmfError } from '../../../src/core/errors.js';
import { encodeOwnPage, ownBitmaps, ownPageBytes } from '../../../src/core/journal/own-map.js';
import { entryFlags } from '../../../src/core/wire/messages.js';
import { coherent, era } from '../../helpers/refreshed.js';
import { journalDirectory, Secondary, type Session } from '../../helpers/secondary.js';
import { simContext } from '../../helpers/sim-actor.js';

const size = 4 * mapBlockBytes;
const devices = [{ name: 'd0', sizeBytes: size, blockBytes: 512 }];
const marker = (sequence: number) => ({
  sequence,
  dep: sequence - 1,
  offset: 0,
  length: 0,
  flags: entryFlags.checkpoint,
});
const write = (sequence: number, offset: number, fill = sequence) => ({
  sequence,
  offset,
  length: 512,
  fill,
});

interface Running {
  readonly secondary: Secondary;
  session: Session;
}

const durable = ({ secondary, session }: Running, sequence: number) =>
  secondary.world.until(
    () => session.primary.ack.durable >= sequence,
    20_000,
    `durable ${sequence}`,
  );

async function streaming(seed = 1): Promise<Running> {
  const secondary = new Secondary(seed, [size]);
  await coherent(secondary);
  const session = await secondary.welcomed({ devices });
  session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  return { secondary, session };
}

/** On at sequence 2, with entry 3 in the journal. */
async function checkpointed(seed = 1): Promise<Running> {
  const running = await streaming(seed);
  const { primary } = running.session;
  primary.entries([write(1, 0)]);
  primary.entries([marker(2)]);
  const said = await running.secondary.heard(primary, 'checkpointState');
  if (said.state !== 'on') throw new Error(`checkpoint ${said.state}: ${said.code}`);
  primary.entries([write(3, 1024)]);
  await durable(running, 3);
  return running;
}

/** A new session that goes on behind `durable`. */
async function again(running: Running, from: number): Promise<void> {
  const session = await running.secondary.welcomed({ devices });
  if (session.welcome.position?.sequence !== from - 1) {
    throw new Error(`stands at ${JSON.stringify(session.welcome.position)}`);
  }
  session.primary.say({ kind: 'resume', era, from, sentMax: 0 });
  running.session = session;
}

async function off(running: Running): Promise<string> {
  const { secondary, session } = running;
  const before = session.primary.messages.length;
  session.primary.say({ kind: 'checkpointOff' });
  const found = () =>
    session.primary.messages.slice(before).find(({ kind }) => kind === 'checkpointState');
  await secondary.world.until(
    () => found() !== undefined || session.primary.link.closed !== undefined,
    60_000,
    'the answer to -off',
  );
  const said = found();
  if (said?.kind !== 'checkpointState') throw new Error('the session ended');
  return said.code ?? said.state;
}

const paths = (secondary: Secondary) => secondary.journal.map((name) => name.slice(-1)).join('');

test('everything up to the marker is on the mirror, flushed, and nothing after it (Rules 15a, 15b)', async (t) => {
  const running = await checkpointed();
  const { secondary, session } = running;
  const { primary, rmd } = session;
  primary.entries([write(4, 0, 99), write(5, 2048)]);
  await durable(running, 5);
  const disk = secondary.node.disk('/m0');
  t.deepEqual([disk.durable[0], disk.live[1024], disk.live[2048]], [1, 0, 0]);
  t.is(disk.holders, 0, 'applications may have it');
  t.deepEqual(secondary.journal, ['j007001.p']);
  const { record } = secondary;
  t.is(record?.checkpoint, 'on');
  t.is(record?.checkpointSequence, 2);
  t.is(record?.state, 'coherent');
  const status = (await rmd.ask!({ kind: 'rmd.status' })) as RmdStatus;
  t.is(status.rmd, 'JOURNALING');
  t.is(status.checkpoint, 'on');
  t.is(status.mirrorState, 'coherent');
  t.true(session.context.events.some(({ type }) => type === 'checkpoint.on'));
});

test('the marker is acknowledged only when the checkpoint is durable (Rule 15b)', async (t) => {
  const running = await streaming();
  const { secondary, session } = running;
  const { primary } = session;
  primary.onAck = ({ durable: upTo }) => {
    if (upTo >= 2) t.is(secondary.record?.checkpoint, 'on');
  };
  primary.entries([write(1, 0), marker(2), write(3, 512)]);
  await durable(running, 3);
  t.deepEqual([secondary.mirror()[0], secondary.mirror()[512]], [1, 0], 'a frame may be cut by it');
  t.is(primary.ack.received, 3);
});

test('the marker is an empty file until the first entry comes (MD#26)', async (t) => {
  const running = await streaming();
  const { secondary, session } = running;
  session.primary.entries([marker(1)]);
  await secondary.heard(session.primary, 'checkpointState');
  t.is(secondary.node.disk('/journal/j007001.p').sizeBytes, 0);
  await secondary.restart('powerCut');
  await again(running, 2);
  t.is(secondary.node.disk('/journal/j007001.p').sizeBytes, 0);
  running.session.primary.entries([write(2, 0)]);
  await durable(running, 2);
  await secondary.restart('kill');
  await again(running, 3);
  t.is(await off(running), 'off');
  t.is(secondary.mirror()[0], 2);
});

for (const how of ['kill', 'powerCut', 'cut'] as const) {
  test(`a checkpoint survives a ${how}, and the journal goes on (MD#28)`, async (t) => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const running = await checkpointed(seed);
      const { secondary } = running;
      if (how === 'cut') await secondary.stop(running.session);
      else await secondary.restart(how);
      const session = await secondary.welcomed({ devices });
      t.is(session.welcome.checkpoint, 'on');
      t.is(session.welcome.state, 'coherent');
      t.is(secondary.node.disk('/m0').holders, 0);
      const at = session.welcome.position!.sequence;
      t.is(at, 3);
      session.primary.say({ kind: 'resume', era, from: at + 1, sentMax: 0 });
      session.primary.entries([write(4, 3 * 512)]);
      running.session = session;
      await durable(running, 4);
      t.is(secondary.mirror()[1024], 0);
      t.is(await off(running), 'off');
      t.deepEqual(
        [0, 1024, 3 * 512].map((place) => secondary.mirror()[place]),
        [1, 3, 4],
      );
    }
  });
}

test('-off lets main let go, applies the journal, and entries follow (Rule 15a)', async (t) => {
  const running = await checkpointed();
  const { secondary, session } = running;
  t.is(await off(running), 'off');
  t.is(secondary.releases, 1);
  t.is(secondary.record?.checkpoint, 'off');
  t.is(secondary.mirror()[1024], 3);
  session.primary.entries([write(4, 4096)]);
  await secondary.world.until(() => secondary.mirror()[4096] === 4, 10_000, 'on the mirror');
  await secondary.world.until(() => secondary.journal.length === 0, 10_000, 'no journal');
  t.is(secondary.record?.state, 'coherent');
  t.is(secondary.record?.own, 'none');
  t.is(secondary.node.disk('/m0').holders, 1);
});

test('-off is refused while somebody has a mirror, or main cannot let go, and it stays on', async (t) => {
  const running = await checkpointed();
  const { secondary } = running;
  const held = await secondary.process.open({ path: '/m0', access: 'readwrite' });
  t.is(await off(running), 'TDMF_RMD_MIRROR');
  await secondary.world.settled(held.close());
  secondary.release = () => {
    throw new TdmfError('TDMF_HOOK_FAILED');
  };
  t.not(await off(running), 'off');
  t.is(secondary.record?.checkpoint, 'on');
  t.is(paths(secondary), 'p');
  secondary.release = () => undefined;
  t.is(await off(running), 'off');
  t.is(secondary.mirror()[1024], 3);
});

test('a crash at any instant of -off ends with the checkpoint on, or with all of it applied (H15)', async (t) => {
  for (const how of ['kill', 'powerCut'] as const) {
    let ons = 0;
    for (let events = 0; events < 80; events += 2) {
      const running = await checkpointed(events + 1);
      const { secondary } = running;
      running.session.primary.say({ kind: 'checkpointOff' });
      const from = secondary.world.delivered;
      const { primary } = running.session;
      await secondary.world.until(
        () =>
          secondary.world.delivered >= from + events ||
          primary.message('checkpointState')?.state === 'off',
        10_000,
        'some events',
      );
      await secondary.restart(how);
      const { welcome } = await secondary.welcomed({ devices });
      const { record } = secondary;
      if (welcome.checkpoint === 'on') {
        ons += 1;
        t.is(welcome.state, 'coherent');
        t.is(secondary.mirror()[1024], 0, 'nothing was written while it is on');
        t.is(paths(secondary), 'p');
      } else {
        t.is(record?.checkpoint, 'off');
        t.is(secondary.mirror()[1024], 3);
        // Once the stream goes straight to the mirror again Rule 27 counts, without a doubt to be had.
        t.true(welcome.state === 'coherent' || (how === 'powerCut' && record?.chain === undefined));
        t.deepEqual(secondary.journal, []);
      }
      t.deepEqual(welcome.position, { era, sequence: 3 });
    }
    t.true(ons > 0 && ons < 40, `${ons} of 40 were on`);
  }
});

test('who wrote to the mirror meanwhile is noticed (Rule 15c)', async (t) => {
  const running = await checkpointed();
  const { secondary, session } = running;
  secondary.node.disk('/m0').land(2048, Uint8Array.of(1, 2, 3), 3);
  t.is(await off(running), 'off');
  t.is(secondary.record?.own, 'unknown');
  t.is(secondary.record?.state, 'unknown');
  t.is(session.primary.message('stateChanged')?.state, 'unknown');
  t.true(session.context.events.some(({ type }) => type === 'mirror.modified'));
  await secondary.stop(session);
  const { welcome } = await secondary.welcomed({ devices });
  t.is(welcome.state, 'unknown');
  t.is(welcome.own.changes, 'unknown');
});

test('writes through our own export are known, and sent as dirt (MD#27, Rule 10b)', async (t) => {
  const running = await checkpointed();
  const { secondary } = running;
  const disk = secondary.node.disk('/m0');
  disk.land(3 * mapBlockBytes, Uint8Array.of(9), 1);
  const mark = await (async () => {
    const asked = secondary.process.files.writeMark('/m0');
    await secondary.world.settled(asked);
    return asked;
  })();
  const { offsets, fileBytes } = ownBitmaps([size]);
  const map = new Uint8Array(fileBytes);
  const since = secondary.record!.ownSince;
  const page = { group: 7, since, devices: [{ sizeBytes: size, writeMark: mark }] };
  map.set(encodeOwnPage(page, crc32c).subarray(0, ownPageBytes));
  map[offsets[0]!] = 0b1000;
  secondary.node.files.files.set(`${journalDirectory}/j007.own`, map);
  t.is(await off(running), 'off');
  t.is(secondary.record?.own, 'known');
  await secondary.stop(running.session);
  const { primary, welcome } = await secondary.welcomed({ devices });
  t.deepEqual(welcome.own, { changes: 'known', bytes: mapBlockBytes, since });
  const refreshId = 'union';
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'smart', union: true });
  await secondary.heard(primary, 'refreshReady');
  const dirt = primary.message('dirt');
  t.deepEqual([...(dirt?.bits ?? [])], [0b1000]);
  t.is(dirt?.firstBlock, 0);
  primary.blocks([{ sequence: 1, offset: 3 * mapBlockBytes, length: mapBlockBytes, fill: 4 }]);
  primary.say({ kind: 'phaseB', refreshId, era: 'b'.repeat(32), s0: 1 });
  primary.say({ kind: 'mark', refreshId, mark: 0, blocks: 0 });
  await secondary.heard(primary, 'committed');
  t.is(secondary.record?.own, 'none', 'the primary has overwritten them');
});

test('a smart refresh under a checkpoint only lengthens the chain (Rule 15d)', async (t) => {
  for (const how of ['live', 'kill', 'powerCut'] as const) {
    const running = await checkpointed();
    const { secondary } = running;
    const { primary } = running.session;
    const refreshId = 'r';
    const next = 'b'.repeat(32);
    primary.say({ kind: 'refreshBegin', refreshId, refresh: 'smart', union: false });
    await secondary.heard(primary, 'refreshReady');
    primary.compare(1, 0, [new Uint8Array(mapBlockBytes)]);
    await secondary.heard(primary, 'differs');
    t.is(primary.differs(1), 1, 'the mirror is not ours to look at');
    primary.blocks([{ sequence: 1, offset: mapBlockBytes, length: mapBlockBytes, fill: 8 }]);
    primary.say({ kind: 'phaseB', refreshId, era: next, s0: 1 });
    primary.entries([write(1, 1024, 77)]);
    primary.say({ kind: 'mark', refreshId, mark: 1, blocks: 0 });
    await secondary.heard(primary, 'committed');
    primary.entries([write(2, 4096, 78)]);
    await secondary.world.until(() => primary.ack.durable === 2, 10_000, 'durable');
    await secondary.world.until(() => paths(secondary) === 'pip', 10_000, 'the names');
    t.is(secondary.mirror()[1024], 0);
    t.is(secondary.record?.state, 'coherent');
    if (how !== 'live') {
      await secondary.restart(how);
      const session = await secondary.welcomed({ devices });
      t.deepEqual(session.welcome.position, { era: next, sequence: 2 });
      session.primary.say({ kind: 'resume', era: next, from: 3, sentMax: 0 });
      running.session = session;
    }
    t.is(await off(running), 'off');
    const at = (place: number) => secondary.mirror()[place];
    t.deepEqual([at(0), at(1024), at(mapBlockBytes), at(4096)], [1, 77, 8, 78], how);
  }
});

test('-f and -c are refused under a checkpoint (Rule 15d)', async (t) => {
  for (const refresh of ['full', 'checksum'] as const) {
    const { secondary, session } = await checkpointed();
    session.primary.say({ kind: 'refreshBegin', refreshId: 'r', refresh, union: false });
    t.is((await secondary.heard(session.primary, 'bye')).code, 'TDMF_CHECKPOINT_ON');
    await secondary.stop(session);
    t.is(secondary.record?.checkpoint, 'on');
  }
});

test('under a checkpoint the mirror is no source of a backfresh (Rule 30)', async (t) => {
  const { secondary, session } = await checkpointed();
  await secondary.stop(session);
  const { primary } = await secondary.welcomed({ devices, purpose: 'backfresh' });
  primary.say({ kind: 'backfreshBegin', refreshId: 'back', union: false });
  t.is((await secondary.heard(primary, 'bye')).code, 'TDMF_CHECKPOINT_ON');
});

test('the era may change under a checkpoint, and the chain goes on in it (Rules 8b, 15d)', async (t) => {
  const running = await checkpointed();
  const { secondary } = running;
  await secondary.stop(running.session);
  const session = await secondary.welcomed({ devices });
  const next = 'b'.repeat(32);
  const from = { era, sequence: 3 };
  session.primary.say({ kind: 'era', from, era: next, s0: 1, adopt: false });
  await secondary.heard(session.primary, 'eraTaken');
  session.primary.entries([write(1, 8192, 55)]);
  running.session = session;
  await durable(running, 1);
  await secondary.restart('powerCut');
  const after = await secondary.welcomed({ devices });
  t.deepEqual(after.welcome.position, { era: next, sequence: 1 });
  running.session = after;
  t.is(await off(running), 'off');
  t.deepEqual(
    [0, 1024, 8192].map((place) => secondary.mirror()[place]),
    [1, 3, 55],
  );
});

test('a journal file of the checkpoint that is missing is damage, and the mirror stays as it is (H25)', async (t) => {
  const running = await checkpointed();
  const { secondary } = running;
  await secondary.stop(running.session);
  secondary.node.disks.delete('/journal/j007001.p');
  const { welcome, context } = await secondary.welcomed({ devices });
  t.is(welcome.state, 'incoherent');
  t.is(welcome.position, undefined);
  t.is(welcome.checkpoint, 'on', 'applications still have it');
  t.true(context.events.some(({ type }) => type === 'journal.damaged'));
  t.is(secondary.mirror()[0], 1);
});

test('a mirror that is no cut becomes no checkpoint, and the stream goes on', async (t) => {
  const secondary = new Secondary(1, [size]);
  await coherent(secondary);
  const first = await secondary.welcomed({ devices });
  first.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  first.primary.entries([write(1, 0)]);
  await secondary.world.until(() => first.primary.ack.durable === 1, 10_000, 'durable');
  await secondary.restart('powerCut');
  const session = await secondary.welcomed({ devices, sentMax: 9 });
  session.primary.say({ kind: 'resume', era, from: 2, sentMax: 9 });
  session.primary.entries([marker(2), write(3, 512)]);
  const said = await secondary.heard(session.primary, 'checkpointState');
  t.is(said.code, 'TDMF_CHECKPOINT_STATE');
  await secondary.world.until(() => session.primary.ack.durable === 3, 10_000, 'durable');
  t.is(secondary.mirror()[512], 3);
  t.is(secondary.record?.checkpoint, 'off');
});

test('a journal without space makes the primary wait, and goes on when there is some (H44)', async (t) => {
  const running = await checkpointed();
  const { secondary, session } = running;
  const file = secondary.node.disk('/journal/j007001.p');
  file.fault = (operation) => (operation === 'write' ? 28 : 0);
  session.primary.entries([write(4, 0)]);
  const events = () => session.context.events.map(({ type }) => type);
  await secondary.world.until(() => events().includes('journal.full'), 10_000, 'the event');
  await secondary.world.run(5_000);
  session.primary.beat();
  t.is(session.primary.ack.durable, 3);
  t.is(session.primary.link.closed, undefined);
  const status = (await session.rmd.ask!({ kind: 'rmd.status' })) as RmdStatus;
  t.true(status.journalFull);
  file.fault = undefined;
  for (let beat = 0; beat < 15; beat += 1) {
    session.primary.beat();
    await secondary.world.run(2_000);
  }
  t.is(session.primary.ack.durable, 4);
  t.true(events().includes('journal.freed'));
  t.is(await off(running), 'off');
  t.is(secondary.mirror()[0], 4);
});

test('the journal goes on in further files, and all of them are applied (Rule 25)', async (t) => {
  const secondary = new Secondary(3, [size]);
  await coherent(secondary);
  const session = await secondary.welcomed({ devices }, { segmentBytes: 4096 });
  const running = { secondary, session };
  session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  session.primary.entries([marker(1)]);
  await secondary.heard(session.primary, 'checkpointState');
  for (let sequence = 2; sequence <= 40; sequence += 1) {
    session.primary.entries([write(sequence, (sequence % 20) * 512)]);
    await durable(running, sequence);
  }
  t.true(secondary.journal.length > 3, `${secondary.journal.length} files`);
  t.true(secondary.journal.every((name) => name.endsWith('.p')));
  await secondary.restart('powerCut');
  await again(running, 41);
  t.is(await off(running), 'off');
  for (let place = 0; place < 20; place += 1) {
    t.is(secondary.mirror()[place * 512], place === 0 ? 40 : place === 1 ? 21 : 20 + place);
  }
});

test('a file missing in the middle of the chain is damage (Rule 25)', async (t) => {
  const secondary = new Secondary(3, [size]);
  await coherent(secondary);
  const session = await secondary.welcomed({ devices }, { segmentBytes: 4096 });
  const running = { secondary, session };
  session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  session.primary.entries([marker(1)]);
  for (let sequence = 2; sequence <= 40; sequence += 1) {
    session.primary.entries([write(sequence, (sequence % 20) * 512)]);
    await durable(running, sequence);
  }
  await secondary.stop(session);
  secondary.node.disks.delete(`/journal/${secondary.journal[1]!}`);
  const { welcome } = await secondary.welcomed({ devices });
  t.is(welcome.state, 'incoherent');
});

test('reco ends a checkpoint first, with the same exclusive open (Rule 15d)', async (t) => {
  const running = await checkpointed();
  const { secondary } = running;
  await secondary.stop(running.session);
  const config = {
    group: 7,
    loopback: false,
    journal: journalDirectory,
    devices: [{ name: 'd0', mirror: '/m0' }],
  };
  const held = await secondary.process.open({ path: '/m0', access: 'readwrite' });
  const context = simContext(secondary.world, secondary.process, 'reco');
  const refused = replayChain(context, config).catch((error: unknown) => error);
  await secondary.world.settled(refused);
  t.is(((await refused) as TdmfError).code, 'TDMF_RMD_MIRROR');
  await secondary.world.settled(held.close());
  const replaying = replayChain(context, config);
  await secondary.world.settled(replaying);
  const { standing } = await replaying;
  t.is(standing.state, 'coherent');
  t.is(standing.position, 3);
  t.is(secondary.mirror()[1024], 3);
  t.is(secondary.record?.checkpoint, 'off');
  t.deepEqual(secondary.journal, []);
});

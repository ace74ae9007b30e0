/** What the RMD refuses, each with a code of its own that reaches the primary (H33, H34, H38, H50). */
import test from 'ava';
import type { RmdOptions } from '../../../src/actors/rmd.js';
import { releaseOwner } from '../../../src/actors/rmd-record.js';
import { crc32c } from '../../../src/core/checksum.js';
import { emptyRecord, encodeMeta, type MirrorRecord } from '../../../src/core/meta.js';
import type { Hello } from '../../../src/core/wire/messages.js';
import { helloOf } from '../../helpers/fake-primary.js';
import { coherent, era } from '../../helpers/refreshed.js';
import { journalDirectory, metaPath, Secondary } from '../../helpers/secondary.js';

interface Case {
  readonly hello?: Partial<Hello>;
  readonly options?: Partial<RmdOptions>;
  readonly record?: Partial<MirrorRecord>;
  readonly prepare?: (secondary: Secondary) => void;
  readonly code: string;
  readonly details?: Readonly<Record<string, string | number>>;
  /** Main is asked to end the earlier session only for a primary that may come in. */
  readonly admitted?: true;
}

const two = [
  { name: 'd0', mirror: '/m0' },
  { name: 'd1', mirror: '/m1' },
];

const cases: Record<string, Case> = {
  'another protocol version': {
    hello: { protocol: 9 },
    code: 'TDMF_LINK_VERSION',
    details: { theirs: 9, ours: 1 },
  },
  'its own host, unless the configuration is a loopback (H34)': {
    hello: { nodeId: 'node-b' },
    code: 'TDMF_RMD_SELF',
  },
  'a barred launch (Rule 50)': {
    record: { barred: ['other', 'launch-1'] },
    code: 'TDMF_RMD_BARRED',
  },
  'a mirror handed to applications': {
    prepare: (secondary) => void secondary.node.files.files.set('/home/s007.off', new Uint8Array()),
    code: 'TDMF_RMD_OFF',
    details: { group: '007' },
  },
  'a mirror in reco by its record alone (Rule 29)': {
    record: { reco: 'pending' },
    code: 'TDMF_RMD_OFF',
    details: { group: '007' },
  },
  'a missing journal directory': {
    options: { journal: '/nowhere' },
    code: 'TDMF_RMD_JOURNAL_MISSING',
    details: { path: '/nowhere' },
  },
  'another owner (Rule 34)': {
    record: { ownerNodeId: 'node-z' },
    code: 'TDMF_RMD_OWNED',
    details: { owner: 'node-z' },
  },
  'a device too few (H33)': {
    options: { devices: two },
    code: 'TDMF_RMD_DEVICES',
    details: { difference: '1 there, 2 here' },
  },
  'another name (H33)': {
    hello: { devices: [{ name: 'x', sizeBytes: 65536, blockBytes: 512 }] },
    code: 'TDMF_RMD_DEVICES',
    details: { difference: 'number 1 is x there, d0 here' },
  },
  'a missing mirror': {
    options: { devices: [{ name: 'd0', mirror: '/gone' }] },
    code: 'TDMF_RMD_MIRROR',
    details: { path: '/gone', why: '/gone does not exist' },
    admitted: true,
  },
  'a mirror that somebody else holds (Rule 22)': {
    prepare: (secondary) => {
      secondary.node.disk('/m0').holders = 1;
    },
    code: 'TDMF_RMD_MIRROR',
    details: { path: '/m0', why: '/m0 is in use by another owner' },
    admitted: true,
  },
  'a mirror that is too small': {
    hello: { devices: [{ name: 'd0', sizeBytes: 65537, blockBytes: 512 }] },
    code: 'TDMF_RMD_SIZE',
    details: { path: '/m0', actual: 65536, expected: 65537 },
    admitted: true,
  },
  'a direct mirror whose last block would reach beyond the agreed size (I20)': {
    hello: { devices: [{ name: 'd0', sizeBytes: 1000, blockBytes: 512 }] },
    options: { devices: [{ name: 'd0', mirror: '/m0', cache: 'direct' }] },
    code: 'TDMF_RMD_MIRROR',
    details: { path: '/m0', why: '1000 bytes are no multiple of its block; set cache: writeback' },
    admitted: true,
  },
};

for (const [name, one] of Object.entries(cases)) {
  test(`refuses ${name}`, async (t) => {
    const secondary = new Secondary();
    if (one.record !== undefined) {
      const bytes = encodeMeta({ ...emptyRecord(7), ...one.record }, crc32c);
      secondary.node.files.files.set(metaPath, bytes);
    }
    one.prepare?.(secondary);
    const holders = secondary.node.disk('/m0').holders;
    const before = secondary.node.files.files.get(metaPath);
    const session = await secondary.session(one.options);
    session.primary.say(helloOf(one.hello));
    const refused = await secondary.heard(session.primary, 'refused');
    t.is(refused.code, one.code);
    if (one.details !== undefined) t.deepEqual(refused.details, one.details);
    await secondary.stop(session);
    t.is(secondary.admitted.length, one.admitted ? 1 : 0);
    t.is(secondary.node.disk('/m0').holders, holders, 'nothing stays open');
    t.deepEqual(secondary.node.files.files.get(metaPath), before, 'nothing is written');
    t.is(session.context.events.at(-1)?.type, 'rmd.refused');
  });
}

test('admits its own host on a loopback configuration', async (t) => {
  const secondary = new Secondary();
  const { welcome } = await secondary.welcomed({ nodeId: 'node-b' }, { loopback: true });
  t.is(welcome.state, 'never');
});

test('main ends the earlier session before anything is opened (Rule 22)', async (t) => {
  const secondary = new Secondary();
  const first = await secondary.welcomed();
  secondary.admit = () => first.rmd.stop();
  const { welcome } = await secondary.welcomed();
  t.is(welcome.state, 'never');
  t.is(first.primary.message('bye')?.code, 'TDMF_LINK_CLOSED');
});

test('the owner is stored when the mirror is first changed, and a stranger cannot end its session', async (t) => {
  const secondary = new Secondary();
  const first = await secondary.welcomed();
  t.is(secondary.record, undefined, 'a hello changes nothing');
  first.primary.say({ kind: 'refreshBegin', refreshId: 'r', refresh: 'full', union: false });
  await secondary.heard(first.primary, 'refreshReady');
  t.is(secondary.record?.ownerNodeId, 'node-a');
  const stranger = await secondary.session();
  stranger.primary.say(helloOf({ nodeId: 'node-x' }));
  t.is((await secondary.heard(stranger.primary, 'refused')).code, 'TDMF_RMD_OWNED');
  t.is(first.primary.link.closed, undefined);
  t.is(secondary.admitted.length, 1);
});

test('killrmd bars the launch durably before the session ends (Rule 50, decision 35)', async (t) => {
  const secondary = new Secondary();
  const first = await secondary.welcomed();
  await secondary.world.settled(first.rmd.ask!({ kind: 'rmd.kill' }));
  t.deepEqual(secondary.record?.barred, ['launch-1']);
  t.is((await secondary.heard(first.primary, 'bye')).code, 'TDMF_RMD_BARRED');
  const again = await secondary.session();
  again.primary.say(helloOf());
  t.is((await secondary.heard(again.primary, 'refused')).code, 'TDMF_RMD_BARRED');
  await secondary.stop(again);
  const { welcome } = await secondary.welcomed({ launch: 'launch-2' });
  t.is(welcome.state, 'never');
});

test('an adopted mirror is nobody’s: the old owner stays away, another may come (Rule 34)', async (t) => {
  const secondary = await written();
  const { files } = secondary.node;
  const before = secondary.record!;
  const adopted = releaseOwner(files, secondary.process.digest, journalDirectory, 7);
  await secondary.world.settled(adopted);
  t.is(await adopted, 'node-a');
  t.deepEqual(secondary.record, { ...before, ownerNodeId: '', barred: ['launch-1'] });
  const old = await secondary.session();
  old.primary.say(helloOf());
  t.is((await secondary.heard(old.primary, 'refused')).code, 'TDMF_RMD_BARRED');
  await secondary.stop(old);
  const heir = await secondary.welcomed({ nodeId: 'node-x', launch: 'launch-x' });
  t.deepEqual(heir.welcome.position, { era, sequence: 1 }, 'its lineage is what it was');
  heir.primary.say({ kind: 'refreshBegin', refreshId: 'r', refresh: 'full', union: false });
  await secondary.heard(heir.primary, 'refreshReady');
  t.is(secondary.record?.ownerNodeId, 'node-x');
});

test('a full refresh that was ordered elsewhere is no adoption (Rule 34)', async (t) => {
  const secondary = await written();
  const stranger = await secondary.session();
  stranger.primary.say(helloOf({ nodeId: 'node-x', refreshId: 'r' }));
  t.is((await secondary.heard(stranger.primary, 'refused')).code, 'TDMF_RMD_OWNED');
});

/** A mirror at /m0 that was streamed to, and then closed in order. */
async function written(): Promise<Secondary> {
  const secondary = new Secondary();
  await coherent(secondary);
  const session = await secondary.welcomed();
  session.primary.say({ kind: 'resume', era, from: 1, sentMax: 0 });
  session.primary.entries([{ sequence: 1, offset: 0, length: 512, fill: 7 }]);
  await secondary.world.until(() => session.primary.ack.durable === 1, 1_000, 'durable');
  await secondary.stop(session);
  return secondary;
}

const other = { devices: [{ name: 'd0', mirror: '/other' }] };

const replaced: Record<string, (secondary: Secondary) => Partial<RmdOptions>> = {
  'another path in s###.cfg': (secondary) => {
    secondary.node.addDisk('/other', 64 * 1024);
    return other;
  },
  'another file behind the path': (secondary) => {
    secondary.node.addDisk('/m0', 64 * 1024);
    return {};
  },
};

for (const [what, replace] of Object.entries(replaced)) {
  test(`${what} is another mirror: no position counts, until a refresh is ordered (H33, H8)`, async (t) => {
    const secondary = await written();
    const options = replace(secondary);
    const before = secondary.record;
    const session = await secondary.session(options);
    session.primary.say(helloOf());
    const refused = await secondary.heard(session.primary, 'refused');
    t.is(refused.code, 'TDMF_RMD_OTHER_MIRROR');
    await secondary.stop(session);
    t.deepEqual(secondary.record, before, 'a path that is corrected finds everything as it was');

    const ordered = await secondary.welcomed({ refreshId: 'r' }, options);
    t.is(ordered.welcome.state, 'unknown');
    t.is(ordered.welcome.position, undefined);
    t.is(ordered.welcome.refreshId, undefined);
    ordered.primary.say({ kind: 'refreshBegin', refreshId: 'r', refresh: 'full', union: false });
    await secondary.heard(ordered.primary, 'refreshReady');
    await secondary.stop(ordered);
    t.is((await secondary.welcomed({}, options)).welcome.refreshId, 'r', 'now it is the mirror');
  });
}

test('the blocks of an open refresh do not count on another mirror (H33)', async (t) => {
  const secondary = new Secondary();
  const first = await secondary.welcomed({ refreshId: 'r' });
  first.primary.say({ kind: 'refreshBegin', refreshId: 'r', refresh: 'full', union: false });
  await secondary.heard(first.primary, 'refreshReady');
  await secondary.stop(first);
  secondary.node.addDisk('/m0', 64 * 1024);
  const { welcome } = await secondary.welcomed({ refreshId: 'r' });
  t.is(welcome.refreshId, undefined);
  t.is(welcome.state, 'unknown');
});

test('a damaged record is an unknown mirror, without owner and position', async (t) => {
  const secondary = new Secondary();
  secondary.node.files.files.set(metaPath, new Uint8Array(4096));
  const { welcome } = await secondary.welcomed();
  t.is(welcome.state, 'unknown');
  t.is(welcome.position, undefined);
});

test('a session that is stopped while main decides opens nothing', async (t) => {
  const secondary = new Secondary();
  let go: () => void = () => {};
  secondary.admit = () =>
    new Promise((resolve) => {
      go = resolve;
    });
  const session = await secondary.session();
  session.primary.say(helloOf());
  await secondary.world.until(() => secondary.admitted.length === 1, 1000, 'the question');
  const stopped = session.rmd.stop();
  go();
  await secondary.world.settled(stopped);
  t.is(secondary.node.disk('/m0').holders, 0);
  t.is(secondary.node.files.pages.size, 0);
  t.true(secondary.node.files.directories.has(journalDirectory));
});

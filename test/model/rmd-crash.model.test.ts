/**
 * H24, H7, H21, H25, H27: a full refresh with its commit, its tail and the stream behind it, broken
 * off at any instant by kill -9, a power cut or the loss of the link. Whatever the secondary says
 * then must be true: what it acknowledged as durable is there, a mirror it calls coherent is the
 * primary at its position, and the stream that goes on ends with both sides equal.
 */
import test from 'ava';
import type { FakeEntry, FakePrimary } from '../helpers/fake-primary.js';
import { Secondary, type Session } from '../helpers/secondary.js';

const era = 'c'.repeat(32);
const refreshId = 'refresh-9';
const size = 16 * 1024;
const mark = 6;
const last = 30;
const hello = {
  era,
  devices: [{ name: 'd0', sizeBytes: size, blockBytes: 512 }],
};

/** Every write waits for the one before it: the mirror is at some sequence, the next one in part. */
const entries: FakeEntry[] = Array.from({ length: last }, (_, index) => ({
  sequence: index + 1,
  dep: index,
  offset: ((index * 7) % 13) * 1024,
  length: 512 * (1 + (index % 4)),
  fill: index + 1,
}));

const frozen = 200;
const options = { windowBytes: 64 * 1024 };

/** The device at a sequence of the era. */
function contentAt(sequence: number): Uint8Array {
  const bytes = new Uint8Array(size).fill(frozen);
  for (const { offset, length, fill } of entries.slice(0, sequence)) {
    bytes.fill(fill ?? 0, offset, offset + length);
  }
  return bytes;
}

function isAt(bytes: Uint8Array, sequence: number): boolean {
  const here = contentAt(sequence);
  const next = contentAt(Math.min(sequence + 1, last));
  for (let sector = 0; sector < size; sector += 512) {
    const value = bytes[sector];
    if (value !== here[sector] && value !== next[sector]) return false;
  }
  return true;
}

/** Sends the whole story; `sent` says how far it got. */
function story(secondary: Secondary, primary: FakePrimary, sent: { entries: number }): void {
  const { world } = secondary;
  const say = (list: FakeEntry[]) => {
    sent.entries = Math.max(sent.entries, list.at(-1)!.sequence);
    primary.entries(list);
  };
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full' });
  const waitReady = () => {
    if (primary.message('refreshReady') === undefined) {
      world.after(1, 'primary', waitReady);
      return;
    }
    for (let index = 0; index < 8; index += 1) {
      // The older half is stale: phase b sends it again (Rule 4).
      const fill = index < 4 ? 100 + index : frozen;
      primary.blocks([{ sequence: index + 1, offset: index * 2048, length: 2048, fill }]);
    }
    primary.say({ kind: 'phaseB', refreshId, era, s0: 1 });
    say(entries.slice(0, 3));
    for (let index = 0; index < 4; index += 1) {
      primary.blocks([{ sequence: 9 + index, offset: index * 2048, length: 2048, fill: frozen }]);
    }
    primary.say({ kind: 'mark', refreshId, mark, blocks: 4 });
    say(entries.slice(3, 8));
    let next = 8;
    const more = () => {
      if (next >= last) return;
      say(entries.slice(next, next + 2));
      next += 2;
      world.after(3, 'primary', more);
    };
    more();
  };
  waitReady();
}

type Blow = 'kill' | 'powerCut' | 'cut';

async function strike(secondary: Secondary, session: Session, blow: Blow): Promise<void> {
  if (blow === 'cut') {
    session.primary.link.cut();
    await secondary.stop(session);
  } else await secondary.restart(blow);
}

async function runStory(seed: number, blow: Blow, at: number): Promise<string> {
  const secondary = new Secondary(seed, [size]);
  const { world } = secondary;
  const session = await secondary.welcomed(hello, options);
  const { primary } = session;
  const start = world.delivered;
  const sent = { entries: 0 };
  let durable = 0;
  primary.onAck = (ack) => {
    durable = Math.max(durable, ack.durable);
  };
  story(secondary, primary, sent);
  while (world.delivered - start < at && primary.ack.durable < last) {
    if (!(await world.step()) || session.context.failures.length > 0) {
      throw new Error(`seed ${seed}: the story ended by itself\n${world.lastTrace(40)}`);
    }
  }
  if (primary.malformed !== undefined) throw new Error(primary.malformed);
  const committed = primary.message('committed') !== undefined;
  const where = `seed ${seed}, ${blow} at ${at}, t=${world.now.toFixed(2)}`;
  const check = (truth: boolean, what: string) => {
    if (!truth) throw new Error(`${where}: ${what}\n${world.lastTrace(40)}`);
  };
  await strike(secondary, session, blow);

  const again = await secondary.welcomed({ ...hello, sentMax: sent.entries }, options);
  const { welcome } = again;
  if (welcome.position?.era !== era) {
    check(!committed, 'a commit that was acknowledged is forgotten');
    check(welcome.state === 'incoherent' || welcome.state === 'never', `is ${welcome.state}`);
    if (welcome.state === 'incoherent') check(welcome.refreshId === refreshId, 'whose refresh?');
    return 'before the commit';
  }
  const { sequence } = welcome.position;
  check(sequence >= mark, 'the position lies below the mark');
  if (committed) check(sequence >= durable, `durable ${durable} was acknowledged, is ${sequence}`);
  check((welcome.durable?.sequence ?? 0) >= (committed ? durable : mark), 'durable went back');
  check(sequence <= sent.entries, 'a position that was never sent');
  const mirror = () => secondary.mirror();
  if (welcome.state === 'coherent') check(isAt(mirror(), sequence), 'coherent, but is not');
  else check(welcome.state === 'incoherent', `is ${welcome.state}`);

  const ahead = welcome.state === 'incoherent';
  again.primary.say({
    kind: 'resume',
    era,
    from: sequence + 1,
    sentMax: ahead && sent.entries > sequence ? sent.entries : 0,
  });
  for (const entry of entries.slice(sequence)) again.primary.entries([entry]);
  await world.until(
    () => again.primary.ack.durable === last && secondary.record?.state === 'coherent',
    60_000,
    `${where}: the stream goes on`,
  );
  check(isAt(mirror(), last), 'not equal in the end');
  await secondary.stop(again);
  check(secondary.record?.clean === true, 'not closed cleanly');
  const files = [...secondary.node.disks.keys()].filter((path) => path !== '/m0');
  check(files.length === 0, `left behind: ${files.join()}`);
  return welcome.state;
}

for (const blow of ['kill', 'powerCut', 'cut'] as const) {
  test(`a refresh, its commit and its stream survive ${blow} at any instant (H24)`, async (t) => {
    const outcomes: Record<string, number> = {};
    for (let at = 3; at < 600; at += 12) {
      const outcome = await runStory(at, blow, at);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    t.log(outcomes);
    t.true(outcomes['before the commit']! > 3);
    t.true(outcomes['coherent']! > 3);
  });
}

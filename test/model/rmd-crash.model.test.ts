/**
 * H24, H7, H21, H25, H27: a full refresh with its commit, its tail and the stream behind it, broken
 * off at any instant by kill -9, a power cut or the loss of the link. Whatever the secondary says
 * then must be true: what it acknowledged as durable is there, a mirror it calls coherent is the
 * primary at its position, and the stream that goes on ends with both sides equal.
 */
import test from 'ava';
import type { Welcome } from '../../src/core/wire/messages.js';
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
  primary.say({ kind: 'refreshBegin', refreshId, refresh: 'full', union: false });
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

/** What must hold of a WELCOME after a blow; throws in words. */
function checkWelcome(
  secondary: Secondary,
  welcome: Welcome,
  known: { readonly committed: boolean; readonly durable: number; readonly sent: number },
): number | undefined {
  const truth = (holds: boolean, what: string) => {
    if (!holds) throw new Error(`${what}\n${JSON.stringify({ welcome, known })}`);
  };
  const { position, durable, state } = welcome;
  if (position?.era !== era) {
    truth(!known.committed, 'a commit that was acknowledged is forgotten');
    truth(state === 'incoherent' || state === 'never', 'neither incoherent nor never');
    if (state === 'incoherent') truth(welcome.refreshId === refreshId, 'whose refresh?');
    return undefined;
  }
  truth(position.sequence >= mark, 'the position lies below the mark');
  truth(position.sequence <= known.sent, 'a position that was never sent');
  truth(durable !== undefined && durable.sequence <= position.sequence, 'durable above position');
  if (known.committed) truth(durable!.sequence >= known.durable, 'durable went back (I4)');
  if (state === 'coherent') truth(isAt(secondary.mirror(), position.sequence), 'not coherent (I1)');
  else truth(state === 'incoherent' && welcome.refreshId === undefined, 'neither of the two');
  return position.sequence;
}

/** The story, struck at event `at` and then twice more while the stream goes on. */
async function runStory(seed: number, blow: Blow, at: number): Promise<string> {
  const secondary = new Secondary(seed, [size]);
  const { world } = secondary;
  let session: Session = await secondary.welcomed(hello, options);
  const sent = { entries: 0 };
  let durable = 0;
  const listen = ({ primary }: Session) => {
    primary.onAck = (ack) => {
      durable = Math.max(durable, ack.durable);
    };
  };
  const until = async (events: number) => {
    const start = world.delivered;
    while (world.delivered - start < events && durable < last) {
      if (!(await world.step()) || session.context.failures.length > 0) {
        throw new Error('the story ended by itself');
      }
    }
    if (session.primary.malformed !== undefined) throw new Error(session.primary.malformed);
  };
  try {
    listen(session);
    story(secondary, session.primary, sent);
    await until(at);
    let committed = session.primary.message('committed') !== undefined;
    let outcome = '';
    for (let blows = 1; ; blows += 1) {
      await strike(secondary, session, blow);
      const again = await secondary.welcomed({ ...hello, sentMax: sent.entries }, options);
      session = again;
      const { welcome } = again;
      const known = { committed, durable: committed ? durable : 0, sent: sent.entries };
      const sequence = checkWelcome(secondary, welcome, known);
      if (sequence === undefined) return 'before the commit';
      committed = true;
      outcome ||= welcome.state;
      durable = welcome.durable!.sequence;
      listen(session);
      const ahead = welcome.state === 'incoherent' && sent.entries > sequence;
      const sentMax = ahead ? sent.entries : 0;
      again.primary.say({ kind: 'resume', era, from: sequence + 1, sentMax });
      for (const entry of entries.slice(sequence)) again.primary.entries([entry]);
      sent.entries = last;
      if (blows === 3) break;
      await until(world.random.below(120));
    }
    await world.until(
      () => session.primary.ack.durable === last && secondary.record?.state === 'coherent',
      60_000,
      'the stream goes on',
    );
    if (!isAt(secondary.mirror(), last)) throw new Error('not equal in the end');
    await secondary.stop(session);
    if (secondary.record?.clean !== true) throw new Error('not closed cleanly');
    const files = [...secondary.node.disks.keys()].filter((path) => path !== '/m0');
    if (files.length > 0) throw new Error(`left behind: ${files.join()}`);
    return outcome;
  } catch (error) {
    const where = `seed ${seed}, ${blow} at ${at}, t=${world.now.toFixed(2)}`;
    throw new Error(`${where}: ${(error as Error).message}\n${world.lastTrace(40)}`, {
      cause: error,
    });
  }
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

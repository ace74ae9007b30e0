/** The event log: numbered, bounded, and never silent about what it no longer has. */
import test from 'ava';
import type { GroupInfo } from '../../../src/info.js';
import { EventLog, type EventRecord } from '../../../src/server/event-log.js';
import { followEvents } from '../../../src/server/follow-events.js';
import { primaryOf, secondaryOf } from '../../helpers/infos.js';

const newLog = () => new EventLog(() => Date.UTC(2026, 10, 22));
const noGroups = () => Promise.resolve<readonly GroupInfo[]>([]);

test('events are numbered from 1 and stamped', (t) => {
  const log = newLog();
  t.deepEqual(log.publish('a.b', { group: 3, x: 1 }), {
    seq: 1,
    ts: '2026-11-22T00:00:00.000Z',
    kind: 'change',
    type: 'a.b',
    group: 3,
    x: 1,
  });
  t.is(log.publish('a.c', {}).seq, 2);
  t.is(log.lastSeq, 2);
});

test('a payload cannot forge number, time, kind or type', (t) => {
  const event = newLog().publish('a.b', { seq: 99, ts: 'x', kind: 'exists', type: 'y' });
  t.like(event, { seq: 1, kind: 'change', type: 'a.b' });
});

test('after gives what came after, and nothing when nothing did', (t) => {
  const log = newLog();
  for (let i = 0; i < 5; i++) log.publish('e', {});
  t.deepEqual(
    log.after(3).map(({ seq }) => seq),
    [4, 5],
  );
  t.deepEqual(log.after(5), []);
  t.is(log.after(0).length, 5);
});

test('what is no longer kept is a gap with its bounds', (t) => {
  const log = newLog();
  for (let i = 0; i < 10_001; i++) log.publish('e', {});
  const [gap, first] = log.after(0);
  t.like(gap, { type: 'log.gap', kind: 'exists', from: 1, to: 1000 });
  t.is(first?.seq, 1001);
  t.is(log.after(1000)[0]?.seq, 1001, 'no gap when nothing is missing');
});

test('a number from before a restart is a gap, and everything since the restart', (t) => {
  const log = newLog();
  log.publish('e', {});
  t.like(log.after(57)[0], { type: 'log.gap', from: 58, restarted: true });
  t.is(log.after(57).length, 2);
});

test('without since: the groups as they are, then exists -, then changes', async (t) => {
  const log = newLog();
  const ended = new AbortController();
  const seen: EventRecord[] = [];
  const groups = () => Promise.resolve([primaryOf(), secondaryOf()]);
  for await (const event of followEvents(log, groups, undefined, true, ended.signal)) {
    seen.push(event);
    // While the dump is read something happens: it must come, once, behind the marker.
    if (seen.length === 1) log.publish('mode.changed', { group: 0 });
    if (event.type === 'mode.changed') ended.abort();
  }
  t.deepEqual(
    seen.map(({ type, kind }) => `${kind} ${type}`),
    ['exists group', 'exists group', 'exists -', 'change mode.changed'],
  );
  t.like(seen[0], { group: 0, mode: 'NORMAL', connection: 'CONNECTED', checkpoint: 'off' });
});

test('with since: no dump; what came after, and what comes, each once', async (t) => {
  const log = newLog();
  for (let i = 0; i < 3; i++) log.publish('old', { i });
  const ended = new AbortController();
  const seen: number[] = [];
  for await (const { seq } of followEvents(log, noGroups, 1, true, ended.signal)) {
    seen.push(seq);
    if (seen.length === 1) log.publish('new', {});
    if (seq === 4) ended.abort();
  }
  t.deepEqual(seen, [2, 3, 4]);
});

test('without follow it ends by itself', async (t) => {
  const log = newLog();
  log.publish('e', {});
  const seen: string[] = [];
  for await (const { type } of followEvents(log, noGroups, undefined, false, undefined)) {
    seen.push(type);
  }
  t.deepEqual(seen, ['-']);
});

test('a reader that waits is woken by an abort', async (t) => {
  const ended = new AbortController();
  const events = followEvents(newLog(), noGroups, 0, true, ended.signal);
  const next = events.next();
  ended.abort();
  t.true((await next).done);
});

test('a reader that is too slow hears how much it lost (I12)', async (t) => {
  const log = newLog();
  const ended = new AbortController();
  const events = followEvents(log, noGroups, undefined, true, ended.signal);
  t.is((await events.next()).value?.type, '-');
  for (let i = 0; i < 10_007; i++) log.publish('e', {});
  t.like((await events.next()).value, { type: 'log.gap', lost: 7 });
  t.is((await events.next()).value?.seq, 8);
  await events.return(undefined);
});

import test from 'ava';
import { initialTransition, transition } from 'xstate';
import { reconnectFirstMs, reconnectMaxMs } from '../../../src/core/constants.js';
import { backoffMs, jitterSteps, type LinkEvent, linkMachine } from '../../../src/machines/link.js';

type State = 'offline' | 'connecting' | 'handshaking' | 'online' | 'backoff' | 'refused' | 'barred';

const trouble = { code: 'TDMF_LINK_LOST', message: 'gone', jitter: 0 };
const events: Record<LinkEvent['type'], LinkEvent> = {
  'operator.launch': { type: 'operator.launch' },
  'operator.kill': { type: 'operator.kill' },
  'link.dialed': { type: 'link.dialed' },
  'peer.welcomed': { type: 'peer.welcomed' },
  'session.renew': { type: 'session.renew' },
  'link.settled': { type: 'link.settled' },
  'link.lost': { type: 'link.lost', ...trouble },
  'peer.refused': { type: 'peer.refused', ...trouble },
  'peer.barred': { type: 'peer.barred', ...trouble },
  'retry.due': { type: 'retry.due' },
  'retry.hurried': { type: 'retry.hurried' },
};

/** How to get into each state from the start. */
const paths: Record<State, LinkEvent['type'][]> = {
  offline: [],
  connecting: ['operator.launch'],
  handshaking: ['operator.launch', 'link.dialed'],
  online: ['operator.launch', 'link.dialed', 'peer.welcomed'],
  backoff: ['operator.launch', 'link.lost'],
  refused: ['operator.launch', 'link.dialed', 'peer.refused'],
  barred: ['operator.launch', 'link.dialed', 'peer.barred'],
};

const stay = 'stays' as const;
const table: Record<State, Record<LinkEvent['type'], State | typeof stay>> = {
  offline: {
    'operator.launch': 'connecting',
    'operator.kill': 'offline',
    'link.dialed': stay,
    'peer.welcomed': stay,
    'session.renew': stay,
    'link.settled': stay,
    'link.lost': stay,
    'peer.refused': stay,
    'peer.barred': stay,
    'retry.due': stay,
    'retry.hurried': stay,
  },
  connecting: {
    'operator.launch': 'connecting',
    'operator.kill': 'offline',
    'link.dialed': 'handshaking',
    'peer.welcomed': stay,
    'session.renew': stay,
    'link.settled': stay,
    'link.lost': 'backoff',
    'peer.refused': stay,
    'peer.barred': stay,
    'retry.due': stay,
    'retry.hurried': stay,
  },
  handshaking: {
    'operator.launch': 'connecting',
    'operator.kill': 'offline',
    'link.dialed': stay,
    'peer.welcomed': 'online',
    'session.renew': 'connecting',
    'link.settled': stay,
    'link.lost': 'backoff',
    'peer.refused': 'refused',
    'peer.barred': 'barred',
    'retry.due': stay,
    'retry.hurried': stay,
  },
  online: {
    'operator.launch': 'connecting',
    'operator.kill': 'offline',
    'link.dialed': stay,
    'peer.welcomed': stay,
    'session.renew': 'connecting',
    'link.settled': 'online',
    'link.lost': 'backoff',
    'peer.refused': 'refused',
    'peer.barred': 'barred',
    'retry.due': stay,
    'retry.hurried': stay,
  },
  backoff: {
    'operator.launch': 'connecting',
    'operator.kill': 'offline',
    'link.dialed': stay,
    'peer.welcomed': stay,
    'session.renew': 'connecting',
    'link.settled': stay,
    'link.lost': stay,
    'peer.refused': stay,
    'peer.barred': stay,
    'retry.due': 'connecting',
    'retry.hurried': 'connecting',
  },
  refused: {
    'operator.launch': 'connecting',
    'operator.kill': 'offline',
    'link.dialed': stay,
    'peer.welcomed': stay,
    'session.renew': 'connecting',
    'link.settled': stay,
    'link.lost': stay,
    'peer.refused': stay,
    'peer.barred': stay,
    'retry.due': 'connecting',
    'retry.hurried': 'connecting',
  },
  barred: {
    'operator.launch': 'connecting',
    'operator.kill': 'offline',
    'link.dialed': stay,
    'peer.welcomed': stay,
    'session.renew': stay,
    'link.settled': stay,
    'link.lost': stay,
    'peer.refused': stay,
    'peer.barred': stay,
    'retry.due': stay,
    'retry.hurried': stay,
  },
};

function reach(path: readonly LinkEvent['type'][]) {
  let [snapshot] = initialTransition(linkMachine);
  for (const type of path) [snapshot] = transition(linkMachine, snapshot, events[type]);
  return snapshot;
}

for (const state of Object.keys(table) as State[]) {
  test(`the link in ${state} does with every event what the table says`, (t) => {
    t.is(reach(paths[state]).value, state);
    for (const type of Object.keys(events) as LinkEvent['type'][]) {
      const wanted = table[state][type];
      const [next] = transition(linkMachine, reach(paths[state]), events[type]);
      t.is(next.value, wanted === stay ? state : wanted, `${state} × ${type}`);
    }
  });
}

test('losses in a row double the pause up to its limit, and progress brings it back (I14)', (t) => {
  let snapshot = reach(paths.connecting);
  const pauses: number[] = [];
  for (let loss = 0; loss < 10; loss += 1) {
    [snapshot] = transition(linkMachine, snapshot, {
      ...events['link.lost'],
      jitter: jitterSteps - 1,
    } as LinkEvent);
    pauses.push(snapshot.context.retryInMs);
    [snapshot] = transition(linkMachine, snapshot, events['retry.due']);
  }
  t.deepEqual(pauses.slice(0, 3), [100, 200, 399]);
  t.true(pauses.every((pause) => pause <= reconnectMaxMs));
  t.true(pauses.at(-1)! > reconnectMaxMs * 0.99);
  for (const type of ['link.dialed', 'peer.welcomed', 'link.settled', 'link.lost'] as const) {
    [snapshot] = transition(linkMachine, snapshot, events[type]);
  }
  t.true(snapshot.context.retryInMs <= reconnectFirstMs);
});

test('a session that was admitted and made no progress does not shorten the pause', (t) => {
  let snapshot = reach(paths.connecting);
  for (let loss = 0; loss < 8; loss += 1) {
    for (const type of ['link.dialed', 'peer.welcomed', 'link.lost', 'retry.due'] as const) {
      [snapshot] = transition(linkMachine, snapshot, events[type]);
    }
  }
  t.is(snapshot.context.losses, 8);
});

test('jitter takes up to half of the pause away, never all of it', (t) => {
  t.is(backoffMs(0, 0), reconnectFirstMs / 2);
  t.true(backoffMs(3, jitterSteps - 1) <= reconnectFirstMs * 8);
  t.is(backoffMs(1000, 0), reconnectMaxMs / 2);
});

test('the same trouble is reported once, another one again', (t) => {
  let snapshot = reach(['operator.launch', 'link.lost']);
  t.true(snapshot.context.changed);
  for (const type of ['retry.due', 'link.lost'] as const) {
    [snapshot] = transition(linkMachine, snapshot, events[type]);
  }
  t.false(snapshot.context.changed);
  [snapshot] = transition(linkMachine, snapshot, events['retry.due']);
  const other = { type: 'link.lost', ...trouble, code: 'TDMF_LINK_KEY' } as const;
  [snapshot] = transition(linkMachine, snapshot, other);
  t.true(snapshot.context.changed);
});

test('a barred launch has no retry (Rule 50)', (t) => {
  t.is(reach(paths.barred).context.retryInMs, 0);
  t.true(reach(paths.refused).context.retryInMs > 0);
});

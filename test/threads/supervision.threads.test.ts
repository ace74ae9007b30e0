import { setImmediate as nextTurn } from 'node:timers/promises';
import test from 'ava';
import type { Decision } from '../../src/core/supervision.js';
import type { ActorExit, ActorSystem } from '../../src/runtime/pool.js';
import type { EchoMessage } from './fixtures/actors.js';
import { place, startSystem } from './fixtures/system.js';

interface Supervised {
  readonly system: ActorSystem;
  readonly exits: ActorExit[];
  readonly decisions: Decision[];
  readonly events: string[];
  readonly g0: Int32Array;
  readonly g1: Int32Array;
  /** Resolves after the next `count` decisions have been carried out. */
  decided(count: number): Promise<void>;
}

/** Two groups over two hosts: g0 on both, g1 on host 1 only, each begun again when it fails. */
async function supervised(failing?: (set: string) => void): Promise<Supervised> {
  const g0 = new SharedArrayBuffer(64);
  const g1 = new SharedArrayBuffer(64);
  const exits: ActorExit[] = [];
  const decisions: Decision[] = [];
  const events: string[] = [];
  let wanted = Number.POSITIVE_INFINITY;
  let wake: () => void = () => undefined;
  const begin = async (set: string): Promise<void> => {
    if (set === 'g0') {
      await place(system, 0, 'g0/driver', { shared: g0 }, 'echo', 'g0');
      await place(system, 1, 'g0/pmd', { shared: g0 }, 'echo', 'g0');
    } else await place(system, 1, 'g1/driver', { shared: g1 }, 'echo', 'g1');
  };
  const system = await startSystem({
    onExit: (exit) => exits.push(exit),
    onEvent: (type) => events.push(type),
    async onSetFailed(set, decision) {
      decisions.push(decision);
      try {
        failing?.(set);
        if (decision.kind === 'restart') await begin(set);
      } finally {
        if (--wanted === 0) wake();
      }
    },
  });
  await begin('g0');
  await begin('g1');
  return {
    system,
    exits,
    decisions,
    events,
    g0: new Int32Array(g0),
    g1: new Int32Array(g1),
    decided: (count) =>
      new Promise((resolve) => {
        wanted = count;
        wake = resolve;
      }),
  };
}

const tell = (system: ActorSystem, id: string, message: EchoMessage): boolean =>
  system.address<EchoMessage>(id).tell(message);

/** The restart is over for the runtime only some turns after its callback. */
async function settled(system: ActorSystem): Promise<void> {
  while (['g0', 'g1'].some((set) => system.setState(set) === 'restarting')) await nextTurn();
}

for (const how of ['throw', 'throwInTimer'] as const) {
  test.serial(
    `a crash of one actor (${how}) restarts its set, drained, and no other (H22, H46)`,
    async (t) => {
      const s = await supervised();
      const decided = s.decided(1);
      tell(s.system, 'g0/pmd', how === 'throw' ? { type: how, what: 'a bug' } : { type: how });
      await decided;
      t.deepEqual(
        s.exits.map(({ id, set, host }) => ({ id, set, host })),
        [{ id: 'g0/pmd', set: 'g0', host: 1 }],
      );
      // Both of g0 were stopped before both were started again; g1 was not touched.
      t.deepEqual([...s.g0.subarray(0, 2)], [4, 2]);
      t.deepEqual([...s.g1.subarray(0, 2)], [1, 0]);
      t.deepEqual(s.decisions, [{ kind: 'restart', attempt: 1, delayMs: 0 }]);
      t.is(await s.system.address('g0/pmd').ask(['sum']), 0);
      await s.system.stop();
    },
  );
}

test.serial('the error of a crash reaches main with its code and cause', async (t) => {
  const s = await supervised();
  const decided = s.decided(1);
  tell(s.system, 'g0/driver', { type: 'throw', what: 'a bug' });
  await decided;
  t.like(s.exits[0]?.error, {
    code: 'TDMF_INTERNAL',
    details: { what: 'a bug' },
    cause: { message: 'the cause' },
  });
  await s.system.stop();
});

test.serial('a bug in an answer ends the actor as a bug in receive does', async (t) => {
  const s = await supervised();
  const decided = s.decided(1);
  await t.throwsAsync(s.system.address('g0/driver').ask(['assert']), { message: /a bug in an/ });
  await decided;
  t.is(s.exits[0]?.id, 'g0/driver');
  await s.system.stop();
});

test.serial(
  'three failures of one actor within a minute park its set, and a new start unparks it (H46)',
  async (t) => {
    const s = await supervised();
    for (let i = 0; i < 3; i++) {
      const decided = s.decided(1);
      tell(s.system, 'g0/driver', { type: 'throw', what: 'poison' });
      await decided;
      // The restart is over for the runtime only after its callback: ask until it says so.
      while (s.system.setState('g0') === 'restarting')
        await s.system.address('g1/driver').ask(['sum']);
    }
    t.deepEqual(
      s.decisions.map(({ kind }) => kind),
      ['restart', 'restart', 'park'],
    );
    t.is(s.system.setState('g0'), 'parked');
    t.deepEqual(s.events, ['actor.failed', 'actor.failed', 'actor.parked']);
    t.deepEqual(
      s.system.list().map(({ id }) => id),
      ['g1/driver'],
    );
    t.is(s.g0[0], s.g0[1], 'every start was followed by an end');
    await place(s.system, 0, 'g0/driver', {}, 'echo', 'g0');
    t.is(s.system.setState('g0'), 'running');
    await s.system.stop();
  },
);

test.serial(
  'a restart that fails is the next failure, until the set is parked (I14)',
  async (t) => {
    const s = await supervised(() => {
      throw new Error('cannot be started');
    });
    const decided = s.decided(4);
    tell(s.system, 'g0/driver', { type: 'throw', what: 'a bug' });
    await decided;
    t.deepEqual(
      s.decisions.map(({ kind }) => kind),
      ['restart', 'restart', 'restart', 'park'],
    );
    await s.system.stop();
  },
);

for (const how of ['throwOutside', 'exitThread', 'crashHost'] as const) {
  test.serial(
    `a host that dies (${how}) is begun again with the sets it had, main and others go on (I11)`,
    async (t) => {
      const s = await supervised();
      const thread = await s.system.address('g0/driver').ask(['thread']);
      const pending = t.throwsAsync(s.system.address('g0/driver').ask(['wait']), {
        code: 'TDMF_HOST_CRASHED',
      });
      const decided = s.decided(1);
      if (how === 'crashHost') s.system.crashHost(0);
      else tell(s.system, 'g0/driver', { type: how });
      await pending;
      await decided;
      t.deepEqual(
        s.exits.map(({ id, host }) => ({ id, host })),
        [{ id: 'g0/driver', host: 0 }],
      );
      // The PMD on the living host was ended properly; the driver died with its thread.
      t.deepEqual([...s.g0.subarray(0, 2)], [4, 1]);
      t.deepEqual([...s.g1.subarray(0, 2)], [1, 0]);
      t.not(await s.system.address('g0/driver').ask(['thread']), thread);
      // The rings of the new generation work from everywhere, both ways.
      t.is(await s.system.address('g0/driver').ask(['askOther', 'g1/driver']), 0);
      t.is(await s.system.address('g1/driver').ask(['askOther', 'g0/driver']), 0);
      await s.system.stop();
    },
  );
}

test.serial(
  'the actor in whose code a thread dies again and again is parked, its neighbours are not (I11, H46)',
  async (t) => {
    const s = await supervised();
    for (let i = 0; i < 3; i++) {
      const decided = s.decided(2);
      tell(s.system, 'g0/pmd', { type: 'exitThread' });
      await decided;
      await settled(s.system);
    }
    t.is(s.system.setState('g0'), 'parked');
    t.not(s.system.setState('g1'), 'parked');
    t.is(await s.system.address('g1/driver').ask(['sum']), 0);
    await s.system.stop();
  },
);

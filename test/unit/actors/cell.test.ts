import test from 'ava';
import type { Actor, ActorContext } from '../../../src/actors/actor.js';
import { ActorCell, type CellPlace } from '../../../src/actors/cell.js';
import { guardClock } from '../../../src/actors/guarded-clock.js';
import { assert } from '../../../src/core/assert.js';

/** Keeps what a cell reports; runs it only when told to. */
function makeCell(actor: Partial<Actor<unknown>>, capacity = 4) {
  const trace: string[] = [];
  const errors: unknown[] = [];
  const place: CellPlace = {
    ready: () => trace.push('ready'),
    running: () => undefined,
    failed: (_, error) => {
      trace.push('failed');
      errors.push(error);
    },
    failedAgain: () => trace.push('failed again'),
  };
  const cell = new ActorCell('a', 1, place, capacity);
  const whole: Actor<unknown> = {
    receive: () => undefined,
    stop: async () => undefined,
    ...actor,
  };
  const start = () => cell.start(async () => whole, {} as ActorContext, {});
  return { cell, trace, errors, start };
}

test('messages told before the start has resolved are received after it', async (t) => {
  const seen: unknown[] = [];
  const { cell, trace, start } = makeCell({ receive: (message) => seen.push(message) });
  const started = start();
  t.true(cell.tell('early'));
  t.deepEqual(trace, []);
  await started;
  t.deepEqual(trace, ['ready']);
  cell.run(9);
  t.deepEqual(seen, ['early']);
});

test('a throw in receive ends this actor: nothing more is received, and it is said once (H46)', async (t) => {
  const seen: unknown[] = [];
  const { cell, trace, errors, start } = makeCell({
    receive(message) {
      seen.push(message);
      throw new Error(`cannot bear ${String(message)}`);
    },
  });
  await start();
  cell.tell(1);
  cell.tell(2);
  t.false(cell.run(9));
  t.deepEqual(seen, [1]);
  t.false(cell.tell(3));
  cell.fail(new Error('once more'));
  t.deepEqual(trace, ['ready', 'failed', 'failed again']);
  t.like(errors[0], { message: 'cannot bear 1' });
});

test('a failed actor hears its completions until its stop has resolved, then nothing (H22, I16)', async (t) => {
  let finish: () => void = () => undefined;
  const { cell, start } = makeCell({
    stop: () =>
      new Promise((resolve) => {
        finish = resolve;
      }),
  });
  await start();
  const heard: string[] = [];
  const completion = cell.guard((what: string) => heard.push(what));
  cell.fail(new Error('a bug'));
  const stopped = cell.stop();
  await Promise.resolve();
  completion('while it drains');
  await Promise.resolve();
  finish();
  await stopped;
  completion('too late');
  t.deepEqual(heard, ['while it drains']);
});

test('a throw in a guarded callback or timer is the failure of the actor', async (t) => {
  const { cell, errors, start } = makeCell({});
  await start();
  let fire: () => void = () => undefined;
  const clock = guardClock(
    {
      now: () => 0,
      wallNow: () => 0,
      after: (_, run) => {
        fire = run;
        return { cancel: () => undefined };
      },
      endOfTurn: () => undefined,
    },
    (run) => cell.guard(run),
  );
  clock.after(1, () => {
    throw new Error('in a timer');
  });
  t.notThrows(fire);
  t.like(errors[0], { message: 'in a timer' });
});

test('a failure during the start rejects the start, after the actor was stopped', async (t) => {
  let stopped = false;
  const { cell, trace, start } = makeCell({
    stop: async () => {
      stopped = true;
    },
  });
  const started = start();
  cell.fail(new Error('too early'));
  await t.throwsAsync(started, { message: 'too early' });
  t.true(stopped);
  t.deepEqual(trace, [], 'whoever started it hears it from the start');
});

test('a stop during the start waits for the start and then stops', async (t) => {
  const { cell, start } = makeCell({});
  const started = start();
  const stopped = cell.stop();
  await t.throwsAsync(started, { code: 'TDMF_ACTOR_GONE' });
  await stopped;
  t.false(cell.alive);
});

test('a question waits its turn behind messages, and a refusal does not end the actor', async (t) => {
  const order: unknown[] = [];
  const { cell, trace, start } = makeCell({
    receive: (message) => order.push(message),
    async ask(question) {
      order.push(question);
      if (question === 'no') throw new Error('refused');
      return 'yes';
    },
  });
  await start();
  cell.tell('told');
  const answer = cell.ask('asked');
  cell.run(9);
  t.is(await answer, 'yes');
  t.deepEqual(order, ['told', 'asked']);
  const refused = cell.ask('no');
  cell.run(9);
  await t.throwsAsync(refused!, { message: 'refused' });
  t.false(trace.includes('failed'));
});

test('a broken assertion in an answer ends the actor', async (t) => {
  const { cell, trace, start } = makeCell({
    async ask() {
      assert(false, 'I0');
    },
  });
  await start();
  const answer = cell.ask('?');
  cell.run(9);
  await t.throwsAsync(answer!, { message: 'I0' });
  t.true(trace.includes('failed'));
});

test('a full mailbox refuses, and the refused sender is called when half of it is free (H47)', async (t) => {
  const receiver = makeCell({}, 4);
  let calls = 0;
  const { cell: sending, start } = makeCell({ writable: () => calls++ });
  await start();
  await receiver.start();
  for (let i = 0; i < 4; i++) t.true(receiver.cell.tell(i, sending));
  t.false(receiver.cell.tell(4, sending));
  t.is(receiver.cell.ask('no room either'), undefined);
  t.true(receiver.cell.run(1));
  t.is(calls, 0);
  receiver.cell.run(1);
  t.is(calls, 1);
  receiver.cell.run(9);
  t.is(calls, 1);
});

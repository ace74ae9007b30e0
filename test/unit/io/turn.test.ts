/** The end of a turn: callbacks run once, together, after the handlers of the turn. */
import test from 'ava';
import { SystemClock } from '../../../src/io/system-clock.js';
import { Turn } from '../../../src/io/turn.js';

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('callbacks run after the turn in which they were queued, in order, once', async (t) => {
  const turn = new Turn();
  const ran: number[] = [];
  turn.endOfTurn(() => ran.push(1));
  turn.endOfTurn(() => ran.push(2));
  t.deepEqual(ran, []);
  await immediate();
  t.deepEqual(ran, [1, 2]);
  await immediate();
  t.deepEqual(ran, [1, 2]);
});

test('what a callback queues runs before the drain, so that it is submitted with the rest', async (t) => {
  const turn = new Turn();
  const ran: string[] = [];
  turn.addDrain(() => ran.push('drain'));
  turn.endOfTurn(() => {
    ran.push('first');
    turn.endOfTurn(() => ran.push('second'));
  });
  await immediate();
  t.deepEqual(ran, ['first', 'second', 'drain']);
});

test('a callback that queues itself for ever lets other handlers run', async (t) => {
  const turn = new Turn();
  let rounds = 0;
  let stop = false;
  const again = (): void => {
    rounds++;
    if (!stop) turn.endOfTurn(again);
  };
  turn.endOfTurn(again);
  await immediate();
  t.true(rounds > 0 && rounds < 100);
  const before = rounds;
  await immediate();
  t.true(rounds > before);
  stop = true;
});

test('inside a drain no immediate is asked for, an unfinished drain asks for one', async (t) => {
  const turn = new Turn();
  let drains = 0;
  turn.addDrain(() => drains++);
  turn.enterDrain();
  turn.schedule();
  turn.leaveDrain(false);
  await immediate();
  t.is(drains, 0);
  turn.enterDrain();
  turn.leaveDrain(true);
  await immediate();
  t.is(drains, 1);
});

test('a removed drain is not called any more', async (t) => {
  const turn = new Turn();
  let drains = 0;
  const drain = (): void => {
    drains++;
  };
  turn.addDrain(drain);
  turn.removeDrain(drain);
  turn.schedule();
  await immediate();
  t.is(drains, 0);
});

test('a timer never fires early and can be cancelled', async (t) => {
  const clock = new SystemClock(new Turn());
  let cancelled = true;
  clock.after(5, () => (cancelled = false)).cancel();
  for (const delay of [0, 0.3, 1.7, 12.5]) {
    const start = clock.now();
    await new Promise<void>((resolve) => clock.after(delay, resolve));
    t.true(clock.now() - start >= delay, `after ${delay} ms`);
  }
  t.true(cancelled);
});

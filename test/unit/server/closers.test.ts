/** What was opened is closed in reverse order, and a failing one does not stop the others. */
import test from 'ava';
import { Closers } from '../../../src/server/closers.js';

test('reverse order, once', async (t) => {
  const closers = new Closers();
  const closed: number[] = [];
  for (const i of [1, 2, 3]) closers.add(async () => void closed.push(i));
  await closers.closeAll();
  await closers.closeAll();
  t.deepEqual(closed, [3, 2, 1]);
});

test('one that fails is told, after all are closed', async (t) => {
  const closers = new Closers();
  let lock = true;
  closers.add(async () => {
    lock = false;
  });
  closers.add(() => Promise.reject(new Error('first')));
  await t.throwsAsync(closers.closeAll(), { message: 'first' });
  t.false(lock);
});

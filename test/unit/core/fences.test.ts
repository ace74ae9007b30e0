import test from 'ava';
import { Fences } from '../../../src/core/engine/fences.js';

test('Rule 3: fences are passed in order, each when the writes before it have ended', (t) => {
  const fences = new Fences();
  fences.put('grace', 1);
  t.like(fences.takePassed(), { purpose: 'grace', token: 1 }, 'nothing is under way');
  const first = fences.enter();
  fences.put('grace', 2);
  const second = fences.enter();
  fences.put('mark', 3);
  const third = fences.enter();
  fences.leave(second);
  t.is(fences.takePassed(), undefined, 'the first write is still under way');
  fences.leave(first);
  t.like(fences.takePassed(), { token: 2 });
  t.like(fences.takePassed(), { purpose: 'mark', token: 3 });
  t.is(fences.takePassed(), undefined);
  fences.leave(third);
  t.is(fences.takePassed(), undefined, 'each fence once');
});

test('a write ends once', (t) => {
  const fences = new Fences();
  const write = fences.enter();
  fences.leave(write);
  t.throws(() => fences.leave(write), { message: /once/ });
});

/** Rule 53: a few refreshes at a time, the oldest cut first, and nobody has two turns. */
import test from 'ava';
import * as fc from 'fast-check';
import { Turns } from '../../../../src/core/engine/turns.js';

test('Rule 53: at most as many as the limit refresh at once, the oldest cut first', (t) => {
  const turns = new Turns(2);
  const granted: number[] = [];
  for (const [group, cutAt] of [
    [1, 500],
    [2, 400],
    [3, 300],
    [4, 100],
    [5, 0],
  ] as const) {
    turns.take(group, cutAt, () => granted.push(group));
  }
  t.deepEqual(granted, [1, 2]);
  turns.give(1);
  turns.give(2);
  t.deepEqual(granted, [1, 2, 5, 4]);
  turns.give(3);
  turns.give(5);
  t.deepEqual(granted, [1, 2, 5, 4], 'a group that does not want its turn any more gets none');
});

test('Rule 53, I14: whatever groups do, the limit holds, and everyone who waits gets a turn', (t) => {
  const step = fc.record({ group: fc.nat(6), cutAt: fc.nat(9), take: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      (steps, limit) => {
        const turns = new Turns(limit);
        const running = new Set<number>();
        const waiting = new Set<number>();
        const give = (group: number) => {
          running.delete(group);
          waiting.delete(group);
          turns.give(group);
        };
        for (const { group, cutAt, take } of steps) {
          if (take) {
            running.delete(group);
            waiting.add(group);
            turns.take(group, cutAt, () => {
              t.true(waiting.delete(group));
              running.add(group);
            });
          } else give(group);
          t.true(running.size <= limit);
          t.is(turns.running, running.size);
          t.is(turns.waiting, waiting.size);
          t.true(waiting.size === 0 || running.size === limit, 'nobody waits beside a free turn');
        }
        while (running.size > 0) give([...running][0]!);
        t.is(waiting.size, 0);
      },
    ),
  );
});

import test from 'ava';
import { Mailbox } from '../../../src/actors/mailbox.js';

test('messages come out in the order they went in, also when the array wraps', (t) => {
  const mailbox = new Mailbox<number>(4);
  const seen: number[] = [];
  for (let i = 0; i < 11; i++) {
    t.true(mailbox.post(i));
    if (i % 3 === 2) mailbox.drain(3, (message) => seen.push(message));
  }
  mailbox.drain(4, (message) => seen.push(message));
  t.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test('a full mailbox says so and keeps what it has (H47)', (t) => {
  const mailbox = new Mailbox<string>(2);
  t.true(mailbox.post('a'));
  t.true(mailbox.post('b'));
  t.false(mailbox.post('c'));
  const seen: string[] = [];
  mailbox.drain(8, (message) => seen.push(message));
  t.deepEqual(seen, ['a', 'b']);
});

test('a message posted while another runs is appended, never run inside it', (t) => {
  const mailbox = new Mailbox<string>(4);
  const trace: string[] = [];
  mailbox.post('first');
  mailbox.post('second');
  mailbox.drain(8, (message) => {
    trace.push(`${message} begins`);
    if (message === 'first') {
      mailbox.post('third');
      mailbox.drain(8, () => t.fail('re-entered'));
    }
    trace.push(`${message} ends`);
  });
  t.deepEqual(trace, [
    'first begins',
    'first ends',
    'second begins',
    'second ends',
    'third begins',
    'third ends',
  ]);
});

test('a drain hands over no more than its limit, however much is posted meanwhile', (t) => {
  const mailbox = new Mailbox<number>(4);
  mailbox.post(0);
  t.is(
    mailbox.drain(10, (message) => mailbox.post(message + 1)),
    10,
  );
  t.is(mailbox.size, 1);
});

test('a throw ends the drain, the rest stays, and the next drain goes on', (t) => {
  const mailbox = new Mailbox<number>(4);
  for (let i = 0; i < 3; i++) mailbox.post(i);
  t.throws(() =>
    mailbox.drain(9, (message) => {
      if (message === 1) throw new Error('one');
    }),
  );
  const seen: number[] = [];
  mailbox.drain(9, (message) => seen.push(message));
  t.deepEqual(seen, [2]);
});

test('a capacity that is no power of two is refused', (t) => {
  t.throws(() => new Mailbox(3), { message: /power of two/ });
});

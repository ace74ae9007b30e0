import { createHmac } from 'node:crypto';
import test from 'ava';
import { decodeSecret, type Hmac, KeyTable, pskIdentity } from '../../../src/core/psk.js';

const hmac: Hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const secret = (byte: number): string => Buffer.alloc(32, byte).toString('base64');

test('an identity is 32 hex digits, keyed, and says nothing of the secret (H38)', (t) => {
  const one = pskIdentity(Buffer.alloc(32, 1), hmac);
  const two = pskIdentity(Buffer.alloc(32, 2), hmac);
  t.regex(one, /^[0-9a-f]{32}$/);
  t.not(one, two);
  t.is(one, pskIdentity(Buffer.alloc(32, 1), hmac));
  t.false(one.includes('0101'));
});

test('a secret is 32 bytes of base64, or none', (t) => {
  t.deepEqual(decodeSecret(secret(7)), new Uint8Array(32).fill(7));
  t.is(decodeSecret(''), undefined);
  t.is(decodeSecret(Buffer.alloc(31).toString('base64')), undefined);
  t.is(decodeSecret(`${secret(7)} `), undefined);
  t.is(decodeSecret('not base64 at all, but quite long enough'), undefined);
});

test('an identity names its group, a stranger none (H34)', (t) => {
  const table = new KeyTable(hmac);
  t.deepEqual(table.replace([1, 2].map((group) => ({ group, secret: secret(group) }))), []);
  t.deepEqual(table.find(pskIdentity(Buffer.alloc(32, 2), hmac)), {
    group: 2,
    key: new Uint8Array(32).fill(2),
  });
  t.is(table.find(pskIdentity(Buffer.alloc(32, 3), hmac)), undefined);
  t.is(table.find('1'), undefined);
  table.replace([]);
  t.is(table.find(pskIdentity(Buffer.alloc(32, 2), hmac)), undefined);
});

test('a secret that two groups share names neither; the others work', (t) => {
  const table = new KeyTable(hmac);
  const problems = table.replace([
    { group: 1, secret: secret(1) },
    { group: 2, secret: secret(2) },
    { group: 3, secret: secret(1) },
    { group: 4, secret: 'short' },
    { group: 5, secret: secret(1) },
  ]);
  t.deepEqual(
    problems.map(({ group }) => group),
    [3, 4, 5],
  );
  t.true(problems.every(({ problem }) => !problem.includes(secret(1))));
  t.is(table.find(pskIdentity(Buffer.alloc(32, 1), hmac)), undefined);
  t.is(table.find(pskIdentity(Buffer.alloc(32, 2), hmac))?.group, 2);
});

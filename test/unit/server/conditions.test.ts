/** What `wait --for` waits for, and the rates that `info` shows. */
import test from 'ava';
import { holds } from '../../../src/server/conditions.js';
import { Rates } from '../../../src/server/rates.js';
import { primaryOf } from '../../helpers/infos.js';

const entries = { entries: 1, bytes: 4096, sectors: 8, percent: 0 };

test('normal, connected and coherent are what info says', (t) => {
  t.true(holds('normal', primaryOf()));
  t.false(holds('normal', primaryOf({ mode: 'REFRESH' })));
  t.true(holds('connected', primaryOf()));
  t.false(holds('connected', primaryOf({ connection: 'NOT_CONNECTED' })));
  t.true(holds('coherent', primaryOf()));
  t.false(holds('coherent', primaryOf({ mirrorState: 'recoverable' })));
});

test('drained needs NORMAL, a connection and an empty BAB: an empty BAB alone proves nothing', (t) => {
  t.true(holds('drained', primaryOf()));
  t.false(holds('drained', primaryOf({ bab: entries })));
  t.false(holds('drained', primaryOf({ mode: 'TRACKING' })));
  t.false(holds('drained', primaryOf({ mode: 'PASSTHRU' })));
  t.false(holds('drained', primaryOf({ connection: 'NOT_CONNECTED' })));
});

const counters = (bytes: number) => ({
  read: bytes,
  written: 2 * bytes,
  netActual: 0,
  netEffective: 3 * bytes,
});
const none = { read: 0, written: 0, netActual: 0, netEffective: 0 };

test('the first look has no rate, the second has', (t) => {
  const rates = new Rates();
  t.deepEqual(rates.sample(1000, counters(500)), none);
  t.deepEqual(rates.sample(3000, counters(2500)), {
    read: 1000,
    written: 2000,
    netActual: 0,
    netEffective: 3000,
  });
});

test('two looks at one time are no division by zero', (t) => {
  const rates = new Rates();
  rates.sample(1000, counters(1));
  t.deepEqual(rates.sample(1000, counters(9)), none);
});

test('the window is about five seconds, however often one looks', (t) => {
  const rates = new Rates();
  // Fast for 10 s, then nothing: after the window the rate is 0, not the mean of everything.
  for (let at = 0; at <= 10_000; at += 100) rates.sample(at, counters(at));
  for (let at = 10_100; at <= 16_000; at += 100) rates.sample(at, counters(10_000));
  t.is(rates.sample(16_100, counters(10_000)).read, 0);
});

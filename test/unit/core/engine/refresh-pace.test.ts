import test from 'ava';
import fc from 'fast-check';
import { RefreshPace } from '../../../../src/core/engine/refresh-pace.js';

const mib = 1024 * 1024;

test('without applications and without an order nothing is held back', (t) => {
  const pace = new RefreshPace();
  for (let now = 0; now < 1000; now += 10) {
    if (pace.wantsSample(now)) pace.sample(now, { read: 0, written: 0 });
    t.is(pace.waitMs(now), 0);
    pace.spent(100 * mib);
  }
});

test('REFRESHRATE is kept, whatever the sizes of the reads', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 4096, max: mib }), { minLength: 50, maxLength: 200 }),
      (reads) => {
        const pace = new RefreshPace();
        pace.limitBytesPerSecond = 10 * mib;
        let now = 0;
        let sum = 0;
        for (const bytes of reads) {
          now += pace.waitMs(now);
          pace.spent(bytes);
          sum += bytes;
        }
        const largest = Math.max(...reads);
        return (
          sum <= 10 * mib * (now / 1000) + 0.5 * mib + largest + 10 * mib * 0.001 * reads.length
        );
      },
    ),
  );
  t.pass();
});

test('while applications work the refresh is slower, and faster than what they change (Rule 43a)', (t) => {
  const pace = new RefreshPace();
  pace.sample(0, { read: 0, written: 0 });
  pace.sample(100, { read: 4096, written: 0 });
  t.is(pace.rateAt(100), 32 * mib, 'reads alone');
  pace.sample(200, { read: 4096, written: 10 * mib });
  t.is(pace.rateAt(200), 300 * mib);
  pace.sample(300, { read: 4096, written: 10 * mib });
  t.true(pace.rateAt(300) > 200 * mib, 'a pause between two bursts is no rest');
  t.is(pace.rateAt(1200), Number.POSITIVE_INFINITY, 'applications rest');
});

test('the order of an operator holds beside resting and working applications', (t) => {
  const pace = new RefreshPace();
  pace.limitBytesPerSecond = mib;
  t.is(pace.rateAt(0), mib);
  pace.sample(0, { read: 0, written: 0 });
  pace.sample(100, { read: 0, written: 100 * mib });
  t.is(pace.rateAt(100), mib);
});
